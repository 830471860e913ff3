"""Kept crops of a gallery, embedded anew with another model."""

from collections.abc import Callable, Sequence

import numpy as np

from lineament.core.arrays import FloatArray
from lineament.core.errors import EmbeddingSpaceMismatch
from lineament.embedding import Embedder
from lineament.geometry import TEMPLATES
from lineament.imaging import decode_image


def crop_embedder(embedder: Embedder) -> Callable[[Sequence[bytes]], FloatArray]:
    """A function from N encoded crops to (N, D) float32 unit vectors, for ``Gallery.upgrade.step``.

    Args:
        embedder: the new model. It must take crops of the size that were kept.

    Raises:
        EmbeddingSpaceMismatch: by the function, for a crop of another size.
        DecodeError: by the function, for a crop that is no picture.
    """
    side = TEMPLATES[embedder.template].size_px

    def embed(crops: Sequence[bytes]) -> FloatArray:
        pictures = [decode_image(crop, name="kept crop").pixels for crop in crops]
        for picture in pictures:
            if picture.shape != (side, side, 3):
                raise EmbeddingSpaceMismatch(
                    f"{embedder.name} needs crops of {side}×{side} px, the gallery keeps one of "
                    f"{picture.shape[1]}×{picture.shape[0]} px; enroll the pictures anew"
                )
        return embedder.embed(np.stack(pictures))

    return embed
