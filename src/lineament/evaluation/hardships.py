"""Harder versions of a photograph: turned, small, crushed, dark, partly covered.

The same input gives the same files. They show how a pipeline behaves on one picture; error rates come from data
sets (:mod:`lineament.evaluation.protocols`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL.ExifTags import Base

from lineament.core.arrays import FloatArray, ImageArray
from lineament.core.types import Detection
from lineament.geometry import turn
from lineament.imaging import encode_jpeg, encode_png

SMALL_FACE_PX = 40
CRUSHED_QUALITY = 8
_EXIF_TURN_RIGHT = 6
_CLOTH = (196, 214, 226)
_GLASS = (18, 18, 22)


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a photograph.

    Attributes:
        name: what was done to it.
        data: the encoded file.
    """

    name: str
    data: bytes


def harder_versions(pixels: ImageArray, face: Detection, seed: int = 0) -> tuple[Version, ...]:
    """Files that show the same person under worse conditions.

    Args:
        pixels: (H, W, 3) uint8 RGB, upright.
        face: the person's face, px.
        seed: of the noise.
    """
    return (
        Version("on its side, with EXIF tag", _on_its_side_with_tag(pixels)),
        *(Version(f"turned {deg}°, no tag", encode_jpeg(turn(pixels, deg))) for deg in (90, 180, 270)),
        Version(f"face of {SMALL_FACE_PX} px", encode_png(_shrunk(pixels, face.size_px))),
        Version(f"JPEG quality {CRUSHED_QUALITY}", encode_jpeg(pixels, CRUSHED_QUALITY)),
        Version("dark and noisy", encode_png(_dark(pixels, np.random.default_rng(seed)))),
        *(Version(name, encode_png(cover(pixels, face.points))) for name, cover in COVERS.items()),
    )


def _on_its_side_with_tag(pixels: ImageArray) -> bytes:
    """Stored as a camera held on its side would: turned to the left, with a tag that says so."""
    stored = PillowImage.fromarray(turn(pixels, 270))
    exif = stored.getexif()
    exif[Base.Orientation] = _EXIF_TURN_RIGHT
    file = BytesIO()
    stored.save(file, "JPEG", quality=95, exif=exif)
    return file.getvalue()


def _shrunk(pixels: ImageArray, face_px: float) -> ImageArray:
    factor = SMALL_FACE_PX / face_px
    size = (round(pixels.shape[1] * factor), round(pixels.shape[0] * factor))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _dark(pixels: ImageArray, rng: np.random.Generator) -> ImageArray:
    """An eighth of the light, with the noise of a small sensor."""
    light = pixels.astype(np.float32) / 8 + rng.normal(0, 5, pixels.shape)
    return np.clip(light, 0, 255).astype(np.uint8)


class _Frame:
    """Face coordinates: the origin between the eyes, x to the image's right, y down, one eye distance as unit."""

    def __init__(self, points: FloatArray) -> None:
        left, right = points[0].astype(np.float64), points[1].astype(np.float64)
        self.origin = (left + right) / 2
        self.x = right - left
        self.y = np.array([-self.x[1], self.x[0]])

    def px(self, outline: Sequence[tuple[float, float]] | NDArray[np.float64]) -> NDArray[np.int32]:
        at = np.asarray(outline)
        corners = self.origin + at[:, :1] * self.x + at[:, 1:] * self.y
        return np.asarray(np.round(corners), np.int32)


def _painted(pixels: ImageArray, outline: NDArray[np.int32], colour: tuple[int, int, int]) -> ImageArray:
    return np.asarray(cv2.fillPoly(pixels.copy(), [outline], colour, cv2.LINE_AA), np.uint8)


def _scarf(pixels: ImageArray, points: FloatArray) -> ImageArray:
    """A scarf from below the nose over mouth and chin."""
    outline = [(-1.0, 0.85), (-0.4, 0.83), (0.0, 0.8), (0.4, 0.83), (1.0, 0.85), (0.85, 1.5), (0.4, 1.95),
               (-0.4, 1.95), (-0.85, 1.5)]  # fmt: skip
    return _painted(pixels, _Frame(points).px(outline), _CLOTH)


def _patch(pixels: ImageArray, points: FloatArray) -> ImageArray:
    """One eye under a patch."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    outline = [(0.5 + 0.38 * float(np.cos(a)), 0.04 + 0.32 * float(np.sin(a))) for a in angle]
    return _painted(pixels, _Frame(points).px(outline), _GLASS)


def _glasses(pixels: ImageArray, points: FloatArray) -> ImageArray:
    """Two dark lenses and the bridge between them."""
    frame = _Frame(points)
    lens = np.array([(-0.36, -0.2), (0.38, -0.24), (0.36, 0.08), (0.18, 0.26), (-0.14, 0.26), (-0.33, 0.1)])
    bridge = [(-0.15, -0.2), (0.15, -0.2), (0.15, -0.1), (-0.15, -0.1)]
    middle, mirror = np.array((0.5, 0.04)), np.array((-1, 1))
    for outline in (lens + middle, (lens + middle) * mirror, bridge):
        pixels = _painted(pixels, frame.px(outline), _GLASS)
    return pixels


COVERS: dict[str, Callable[[ImageArray, FloatArray], ImageArray]] = {
    "mouth and chin covered": _scarf,
    "one eye covered": _patch,
    "dark glasses": _glasses,
}
"""What hides a part of the face, by name."""
