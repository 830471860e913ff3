"""Pillow pictures of any mode to RGB arrays, and the eight EXIF orientations."""

import cv2
import numpy as np
from PIL import Image as PillowImage

from lineament.core.arrays import ImageArray

_BAND_BYTES = 2**18


def to_rgb(picture: PillowImage.Image) -> ImageArray:
    """Pixels of a loaded picture.

    Args:
        picture: any mode of 1, 8 or 16 bits a sample.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: 32-bit or floating point samples, whose range nobody knows.
    """
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PPM"):
        # Pillow scales the samples of a PGM of more than 8 bits to 0..65535.
        wide = np.asarray(picture).astype(np.uint32)
        return _grey_to_rgb(((wide * 255 + 32767) // 65535).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise ValueError("samples of 32 bits have no known range; save it with 8 or 16 bits")
    if picture.has_transparency_data:
        paper = PillowImage.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = PillowImage.alpha_composite(paper, picture.convert("RGBA"))
    if picture.mode in ("L", "1"):
        return _grey_to_rgb(_take(picture.convert("L"), 1))
    return _take(picture if picture.mode == "RGB" else picture.convert("RGB"), 3)


def _grey_to_rgb(grey: ImageArray) -> ImageArray:
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8)


def _take(picture: PillowImage.Image, channels: int) -> ImageArray:
    """Copy pixels out in bands: of a 12-megapixel picture ``numpy.asarray`` takes nearly as long as decoding."""
    width, height = picture.size
    flat = np.empty(height * width * channels, np.uint8)
    rows = max(1, _BAND_BYTES // (width * channels))
    start = 0
    for top in range(0, height, rows):
        band = picture.crop((0, top, width, min(top + rows, height))).tobytes()
        flat[start : start + len(band)] = np.frombuffer(band, np.uint8)
        start += len(band)
    return flat.reshape((height, width, 3) if channels == 3 else (height, width))


def upright(pixels: ImageArray, orientation: int) -> ImageArray:
    """Undo an EXIF orientation (EXIF 2.32, tag 0x0112).

    Args:
        pixels: (H, W, 3) uint8 as stored.
        orientation: 1 to 8.

    Returns:
        (H, W, 3) or (W, H, 3) uint8.
    """
    if orientation in (5, 6, 7, 8):
        pixels = np.asarray(cv2.transpose(pixels), np.uint8)
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return pixels if flip is None else np.asarray(cv2.flip(pixels, flip), np.uint8)
