"""Embedders of another template, for crops that were cut with ArcFace's."""

import numpy as np

from lineament.core.arrays import FloatArray, ImageArray
from lineament.embedding.base import Embedder
from lineament.geometry import ARCFACE_112, TEMPLATES, fit_similarity, warp


class RewarpedEmbedder:
    """An embedder of another template, fed with ArcFace crops.

    The crops are moved onto the embedder's own template by the one similarity that brings the templates together:
    not the crop that it was trained on, as pixels outside the ArcFace crop are missing and the points were fitted
    to that crop.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.name = embedder.name
        self.space = embedder.space
        self._embedder = embedder
        self._template = TEMPLATES[embedder.template]
        self._matrix = fit_similarity(ARCFACE_112.points, self._template.points)

    def embed(self, crops: ImageArray) -> FloatArray:
        """Unit vectors of (N, 112, 112, 3) uint8 RGB ArcFace crops."""
        size = self._template.size_px
        moved = np.empty((len(crops), size, size, 3), np.uint8)
        for target, crop in zip(moved, crops, strict=True):
            target[...] = warp(crop, self._matrix, size)
        return self._embedder.embed(moved)
