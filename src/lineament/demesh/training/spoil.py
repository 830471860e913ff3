"""From clean aligned crops to pictures under a mesh, with everything that a loss needs: pure functions of a seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray, ImageArray
from lineament.demesh.training.config import MeshConfig
from lineament.imaging.mesh import Ink, Mesh, draw_mesh

PORTRAIT_RATIO = 178 / 220
VISIBLE = 4
"""Bytes by which ink must change a pixel to count: over black hair it cannot be seen, nor restored."""


@dataclass(frozen=True, slots=True, eq=False)
class Spoilt:
    """Pictures with and without a mesh: one, or a batch with a first axis.

    Attributes:
        pixels: (..., S, S, 3) uint8 RGB under the mesh, blurred and compressed.
        clean: the same before all of that.
        mask: (..., S, S) bool, pixels that ink changes.
        back: (..., 2, 3) float32 from px of the aligned crop to px of the picture.
    """

    pixels: ImageArray
    clean: ImageArray
    mask: NDArray[np.bool_]
    back: FloatArray


def spoil(crop: ImageArray, config: MeshConfig, rng: np.random.Generator) -> Spoilt:
    """One picture: mirrored or not, laid out, meshed, blurred, compressed.

    Args:
        crop: (S, S, 3) uint8 RGB aligned crop.
        config: how.
        rng: everything that is drawn.
    """
    if rng.random() < 0.5:
        crop = np.ascontiguousarray(crop[:, ::-1])
    clean, back = _laid(crop, config, rng)
    meshed = _window(config, clean.shape[0], rng).over(clean) if rng.random() >= config.clean else clean
    return Spoilt(_issued(meshed, config, rng), clean, visible(meshed, clean), back)


def stacked(pictures: Sequence[Spoilt]) -> Spoilt:
    """A batch of pictures of one size."""
    return Spoilt(
        np.stack([p.pixels for p in pictures]),
        np.stack([p.clean for p in pictures]),
        np.stack([p.mask for p in pictures]),
        np.stack([p.back for p in pictures]),
    )


def visible(spoilt: ImageArray, clean: ImageArray) -> NDArray[np.bool_]:
    """(..., S, S) pixels that ink changes by more than :data:`VISIBLE`, before blur and compression."""
    seen: NDArray[np.bool_] = np.abs(spoilt.astype(np.int16) - clean).max(axis=-1) > VISIBLE
    return seen


def _laid(crop: ImageArray, config: MeshConfig, rng: np.random.Generator) -> tuple[ImageArray, FloatArray]:
    side = crop.shape[0]
    drawn = rng.random(4)
    if rng.random() < config.as_is:
        return crop, np.eye(2, 3, dtype=np.float32)
    zoom = config.zoom ** drawn[0]
    turn_rad = np.deg2rad(16 * drawn[1] - 8)
    cos, sin = zoom * np.cos(turn_rad), zoom * np.sin(turn_rad)
    middle = (side - 1) / 2
    shift = (drawn[2:] - 0.5) * (zoom - 0.9) * side * 0.6
    matrix = np.array([[cos, -sin, 0.0], [sin, cos, 0.0]], np.float32)
    matrix[:, 2] = middle + shift - matrix[:, :2] @ [middle, middle]
    laid = cv2.warpAffine(crop, matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(laid, np.uint8), matrix


def _window(config: MeshConfig, side: int, rng: np.random.Generator) -> Ink:
    """The print over a window of ``side`` px of a portrait that is one to two windows high."""
    weights = np.array([weight for _, weight in config.families])
    family = config.families[int(rng.choice(len(weights), p=weights / weights.sum()))][0]
    height = round(side * 2 ** rng.random()) if rng.random() >= config.as_is else side
    width = max(side, round(height * PORTRAIT_RATIO))
    ink = draw_mesh(Mesh(family=family, seed=int(rng.integers(2**31)), ranges=config.ranges), height, width)
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    return Ink(ink.mask[top : top + side, left : left + side], ink.colour, ink.opacity, ink.lines)


def _issued(picture: ImageArray, config: MeshConfig, rng: np.random.Generator) -> ImageArray:
    blur, jpeg, sigma_px = rng.random(), rng.random(), rng.uniform(0.2, 0.8)
    quality = int(rng.integers(config.quality[0], config.quality[1] + 1))
    if blur < config.blur:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma_px), np.uint8)
    if jpeg < config.jpeg:
        _, encoded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        picture = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
    return picture
