"""Crops of a pack as pixels, decoded once or again and again."""

import numpy as np

from lineament.core.arrays import ImageArray
from lineament.core.errors import DataError, InputError
from lineament.embedding.training.config import InputConfig
from lineament.geometry import ARCFACE_112, TEMPLATES, fit_similarity, warp
from lineament.imaging import decode_image
from lineament.packs import Pack

_SOURCE_PX = ARCFACE_112.size_px


class CropSource:
    """Square crops of a pack in the size of the network's template. Reading is safe from several threads."""

    def __init__(self, pack: Pack, crop: InputConfig, in_memory: bool) -> None:
        """Wrap a pack of aligned crops.

        Args:
            pack: pictures on the ArcFace crop: 112 px a side, or another square that is stretched to it.
            crop: size wanted.
            in_memory: keep every crop once it is decoded.
        """
        self.labels = np.asarray(pack.labels, np.int64)
        self._pack = pack
        self._template = TEMPLATES[crop.template]
        self._matrix = fit_similarity(ARCFACE_112.points, self._template.points)
        side = self._template.size_px
        self._kept = np.zeros((len(pack), side, side, 3), np.uint8) if in_memory else None
        self._known = np.zeros(len(pack), np.bool_)

    def __len__(self) -> int:
        return len(self.labels)

    def crop(self, index: int) -> ImageArray:
        """(S, S, 3) uint8 RGB crop of a record.

        Raises:
            DataError: the record cannot be read or decoded, or is not square.
        """
        if self._kept is None:
            return self._decoded(index)
        if not self._known[index]:
            self._kept[index] = self._decoded(index)
            self._known[index] = True
        found: ImageArray = self._kept[index]
        return found

    def _decoded(self, index: int) -> ImageArray:
        record = self._pack.read(index)
        try:
            pixels = decode_image(record.image, name=record.name).pixels
        except InputError as error:
            raise DataError(f"record {index} ({record.name}) is no readable picture: {error}") from error
        height, width = pixels.shape[:2]
        if height != width:
            raise DataError(
                f"record {index} ({record.name}): expected a square aligned crop, got {width} x {height} px; align the "
                "pack first (lineament data align)"
            )
        if height == self._template.size_px:
            return pixels
        matrix = self._matrix
        if height != _SOURCE_PX:
            ratio = _SOURCE_PX / height
            shift = (ratio - 1) / 2
            matrix = matrix @ np.array([[ratio, 0, shift], [0, ratio, shift], [0, 0, 1]])
        return warp(pixels, matrix, self._template.size_px)
