"""Pixels to PNG and JPEG, and to files that are never half written."""

import os
import tempfile
from pathlib import Path

import cv2
import numpy as np

from lineament.core.arrays import ImageArray, check_image
from lineament.core.errors import InputError


def encode_png(pixels: ImageArray) -> bytes:
    """A PNG file.

    Args:
        pixels: (H, W, 3) uint8 RGB.

    Raises:
        BadArray: ``pixels`` of another shape or dtype.
    """
    return _encode(".png", pixels, [])


def encode_jpeg(pixels: ImageArray, quality: int = 95) -> bytes:
    """A JPEG file.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        quality: 1 to 100.

    Raises:
        BadArray: ``pixels`` of another shape or dtype.
        ValueError: ``quality`` out of range.
    """
    if not 1 <= quality <= 100:
        raise ValueError(f"JPEG quality must be in 1..100, got {quality}")
    return _encode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])


_ENCODERS = {".png": encode_png, ".jpg": encode_jpeg, ".jpeg": encode_jpeg}


def write_image(path: Path | str, pixels: ImageArray) -> None:
    """Write a picture; the suffix gives the format, an existing file is replaced as a whole.

    The bytes go to a temporary file in the same folder first, so that a crash or a full disk leaves the old file
    (or none), never a half one.

    Args:
        path: ends in .png, .jpg or .jpeg.
        pixels: (H, W, 3) uint8 RGB.

    Raises:
        ValueError: another suffix.
        BadArray: ``pixels`` of another shape or dtype.
        InputError: the file cannot be written there.
    """
    target = Path(path)
    encoder = _ENCODERS.get(target.suffix.lower())
    if encoder is None:
        raise ValueError(f"cannot write {target.name}: expected a name that ends in {', '.join(_ENCODERS)}")
    data = encoder(pixels)
    try:
        _replace(target, data)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise InputError(
            f"cannot write {target}: {reason}; choose a folder that exists and has room"
        ) from error


def _encode(suffix: str, pixels: ImageArray, settings: list[int]) -> bytes:
    done, buffer = cv2.imencode(suffix, cv2.cvtColor(check_image(pixels), cv2.COLOR_RGB2BGR), settings)
    if not done:
        raise InputError(f"cannot encode {pixels.shape} pixels as {suffix}; is a side longer than 65535 px?")
    return np.asarray(buffer).tobytes()


def _replace(target: Path, data: bytes) -> None:
    """Write ``data`` beside ``target`` and move it there."""
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder")
    with tempfile.TemporaryDirectory(prefix=".lineament-", dir=target.parent) as folder:
        draft = Path(folder) / target.name
        draft.write_bytes(data)
        draft.replace(target)
