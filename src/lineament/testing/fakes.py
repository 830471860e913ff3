"""Stand-ins for networks: no weights, exact and repeatable answers."""

import hashlib
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from lineament.core.arrays import FloatArray, ImageArray, check_crops, check_image
from lineament.core.types import Detections

_GRID = 7
_FREQUENCY = 12.0


class FakeDetector:
    """Gives the detections that were told for a picture, and none for any other.

    A picture is known by its pixels, so that a turned or resized copy is another picture: like real detectors, the
    fake does not see faces that lie on their side.

    Args:
        known: pictures with what is to be found in them, from :func:`lineament.testing.draw_scene` for example.
    """

    name = "fake-detector"

    def __init__(self, known: Iterable[tuple[ImageArray, Detections]]) -> None:
        self._known = {_digest(pixels): detections for pixels, detections in known}

    def detect(self, images: Sequence[ImageArray]) -> list[Detections]:
        """Detections of each picture.

        Args:
            images: (H, W, 3) uint8 RGB each.

        Returns:
            One entry a picture.

        Raises:
            BadArray: a picture of another shape or dtype.
        """
        return [self._known.get(_digest(check_image(pixels)), Detections.none()) for pixels in images]


class FakeEmbedder:
    """Embeds the layout of colours in the middle of a crop.

    Random Fourier features (Rahimi and Recht, NIPS 2007) of 7 by 7 mean colours: crops of one drawn face agree
    whatever its size, roll and background; crops of different ones mostly do not. Of 60 drawn faces in three crops
    each, the median similarity is 0.998 between crops of one face and 0.1 between different faces.

    Args:
        crop_size_px: width and height of the crops.
        template: name of the crop template that the crops follow.
        dimension: length of the vectors.
    """

    name = "fake-embedder"

    def __init__(self, crop_size_px: int = 112, template: str = "arcface-112", dimension: int = 128) -> None:
        self.crop_size_px = crop_size_px
        self.template = template
        self.dimension = dimension
        self.space = f"fake-{template}-{crop_size_px}-{dimension}"
        rng = np.random.default_rng(20)
        inputs = _GRID * _GRID * 3
        self._mix = rng.standard_normal((inputs, dimension)) * _FREQUENCY / np.sqrt(inputs)
        self._phase = rng.uniform(0, 2 * np.pi, dimension)

    def embed(self, crops: ImageArray) -> FloatArray:
        """Vectors of crops.

        Args:
            crops: (N, S, S, 3) uint8 RGB with S = ``crop_size_px``; N may be zero.

        Returns:
            (N, ``dimension``) float32 of unit length.

        Raises:
            BadArray: crops of another shape or dtype.
        """
        check_crops(crops, self.crop_size_px)
        quarter = self.crop_size_px // 4
        middle = crops[:, quarter : self.crop_size_px - quarter, quarter : self.crop_size_px - quarter]
        colours = np.empty((len(crops), _GRID, _GRID, 3), np.float32)
        for cells, pixels in zip(colours, middle, strict=True):
            cells[...] = cv2.resize(pixels.astype(np.float32), (_GRID, _GRID), interpolation=cv2.INTER_AREA)
        vectors = np.cos((colours.reshape(len(crops), _GRID * _GRID * 3) / 255.0) @ self._mix + self._phase)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _digest(pixels: ImageArray) -> tuple[tuple[int, ...], bytes]:
    return pixels.shape, hashlib.sha256(pixels.tobytes()).digest()
