"""Augmentations of aligned crops: pure functions of pixels and an explicit random generator."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import cv2
import numpy as np

from lineament.core.arrays import ImageArray
from lineament.imaging.mesh import Ink, Mesh, draw_mesh

Change = Callable[[ImageArray, np.random.Generator], ImageArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How likely each change is, a fraction of the crops; changes are independent and made in this order.

    Attributes:
        flip: mirror image.
        colour: brightness, contrast and saturation, each by a factor in [0.6, 1.4].
        occlusion: one rectangle or ellipse of one colour or of noise over 5 to 40 % of the crop.
        blur: Gaussian, sigma 0.5 to 2.5 px at 112 px.
        low_resolution: down to 12 to 56 px a side (at any crop size) and up again.
        mesh: a security mesh as on ID photos: crossing sine lines, of a portrait that is one to two crops high.
        jpeg: compression at quality 10 to 90.
    """

    flip: float = 0.5
    colour: float = 0.0
    occlusion: float = 0.0
    blur: float = 0.0
    low_resolution: float = 0.0
    mesh: float = 0.0
    jpeg: float = 0.0

    def __post_init__(self) -> None:
        wrong = [
            f"{f.name} {getattr(self, f.name)}" for f in fields(self) if not 0 <= getattr(self, f.name) <= 1
        ]
        if wrong:
            raise ValueError(f"augmentations are fractions in [0, 1], got {', '.join(wrong)}")

    def apply(self, crop: ImageArray, rng: np.random.Generator) -> ImageArray:
        """A changed copy of a crop, or the crop itself.

        Args:
            crop: (H, W, 3) uint8 RGB.
            rng: what is drawn, in a fixed order, so that one change does not move the others.
        """
        drawn = rng.random(len(_CHANGES))
        for chance, (name, change) in zip(drawn, _CHANGES.items(), strict=True):
            if chance < getattr(self, name):
                crop = change(crop, rng)
        return crop


def flip(crop: ImageArray, rng: np.random.Generator) -> ImageArray:  # noqa: ARG001 one signature for all changes
    """Mirror image."""
    return np.ascontiguousarray(crop[:, ::-1])


def colour(crop: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Saturation, contrast and brightness, each by a factor in [0.6, 1.4]."""
    saturation, contrast, brightness = rng.uniform(0.6, 1.4, 3).astype(np.float32)
    pixels = crop.astype(np.float32)
    grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    pixels = grey[..., None] + saturation * (pixels - grey[..., None])
    mean = grey.mean()
    return _bytes((mean + contrast * (pixels - mean)) * brightness)


def occlusion(crop: ImageArray, rng: np.random.Generator) -> ImageArray:
    """A rectangle or an ellipse over 5 to 40 % of the crop, of one colour or of noise."""
    height, width = crop.shape[:2]
    share, ratio = rng.uniform(0.05, 0.4), np.exp(rng.uniform(-0.7, 0.7))
    h = round(min(height, np.sqrt(share * height * width * ratio)))
    w = round(min(width, share * height * width / max(h, 1)))
    top, left = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
    mask = np.zeros((height, width), np.uint8)
    if rng.random() < 0.5:
        mask[top : top + h, left : left + w] = 1
    else:
        cv2.ellipse(mask, (int(left + w // 2), int(top + h // 2)), (w // 2, h // 2), 0, 0, 360, 1, -1)
    if rng.random() < 0.5:
        cover = np.broadcast_to(rng.integers(0, 256, 3, dtype=np.uint8), crop.shape)
    else:
        cover = rng.integers(0, 256, crop.shape, dtype=np.uint8)
    return np.where(mask[..., None].astype(bool), cover, crop)


def blur(crop: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Gaussian blur, sigma 0.5 to 2.5 px at 112 px."""
    sigma_px = rng.uniform(0.5, 2.5) * crop.shape[0] / 112
    return np.asarray(cv2.GaussianBlur(crop, (0, 0), sigma_px), np.uint8)


def low_resolution(crop: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Down to 12 to 56 px a side, small sides as often as large ones in ratio, and up again.

    The way up is bilinear or bicubic: both occur in what crops of small faces look like.
    """
    side = round(float(np.exp(rng.uniform(np.log(12), np.log(56)))))
    up = cv2.INTER_LINEAR if rng.random() < 0.5 else cv2.INTER_CUBIC
    return shrunk(crop, side, up)


def shrunk(crop: ImageArray, side_px: int, up: int = cv2.INTER_LINEAR) -> ImageArray:
    """A crop as it looks when its face was small: averaged down to a side and interpolated up again.

    Args:
        crop: (H, W, 3) uint8 RGB.
        side_px: height it is brought down to; nothing happens when the crop is not larger.
        up: OpenCV interpolation of the way up.
    """
    height, width = crop.shape[:2]
    if side_px >= height:
        return crop
    small = cv2.resize(crop, (max(1, round(width * side_px / height)), side_px), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=up), np.uint8)


def mesh(crop: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Crossing sine lines, as large as on a portrait that is one to two crops high."""
    side = crop.shape[0]
    height = round(side * 2 ** rng.random())
    top, left = rng.integers(0, height - side + 1, 2)
    ink = draw_mesh(Mesh(family="sines", seed=int(rng.integers(2**31))), height, height)
    return Ink(ink.mask[top : top + side, left : left + side], ink.colour, ink.opacity, ink.lines).over(crop)


def jpeg(crop: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Compression at quality 10 to 90."""
    quality = int(rng.integers(10, 91))
    done, encoded = cv2.imencode(".jpg", crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"a crop of shape {crop.shape} cannot be compressed")
    return np.ascontiguousarray(np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])


def _bytes(pixels: np.ndarray) -> ImageArray:
    return np.asarray(np.clip(np.rint(pixels), 0, 255), np.uint8)


_CHANGES: dict[str, Change] = {
    "flip": flip,
    "colour": colour,
    "occlusion": occlusion,
    "blur": blur,
    "low_resolution": low_resolution,
    "mesh": mesh,
    "jpeg": jpeg,
}
