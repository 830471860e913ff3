"""Encoded pictures to upright RGB pixels.

One decoder, Pillow, does all formats. OpenCV gives the same pixels of a JPEG in 0.65 to 0.9 of the time, but its
codecs write to the process's error stream, which no thread-safe code can prevent, and know fewer kinds of files.

Colour profiles are ignored, as they were when recognition networks were trained; CMYK is converted by the plain
formula. Transparency is laid on white, the paper that cut-out portraits are meant for. 16-bit samples are scaled to
8 bits.
"""

import hashlib
import os
import stat
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from PIL.ExifTags import Base
from PIL.Image import DecompressionBombError, DecompressionBombWarning
from PIL.ImageFile import ImageFile

from lineament.core.errors import DecodeError, ImageTooLarge, InputError
from lineament.core.types import Image
from lineament.imaging.formats import READABLE, looks_like, picture_format
from lineament.imaging.pixels import to_rgb, upright

_OPENERS: dict[str, Callable[[BytesIO], ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "PPM": PpmImagePlugin.PpmImageFile,
}
# What Pillow's parsers raise on damaged files, found by mutating files of every format.
_DAMAGE = (
    OSError,
    SyntaxError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    AssertionError,
    struct.error,
    zlib.error,
    UserWarning,  # where warnings are errors
)
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The largest picture that is decoded. Decoding takes 7 to 10 bytes of memory a pixel.

    Attributes:
        max_pixels: width times height.
        max_side_px: the longer side; OpenCV's warps count in 16 bits.
        max_bytes: of the encoded file.
    """

    max_pixels: int = 64_000_000
    max_side_px: int = 32_000
    max_bytes: int = 128 * 2**20

    def __post_init__(self) -> None:
        if min(self.max_pixels, self.max_side_px, self.max_bytes) < 1:
            raise ValueError(f"limits must be positive, got {self}")

    def check_bytes(self, count: int, name: str) -> None:
        """Raise ImageTooLarge for a file of more than ``max_bytes``."""
        if count > self.max_bytes:
            raise ImageTooLarge(
                f"{name}: at most {self.max_bytes} bytes are read, the file has {count} or more; "
                "save it smaller or raise Limits.max_bytes"
            )

    def check_size(self, width: int, height: int, name: str) -> None:
        """Raise ImageTooLarge for a picture of too many pixels."""
        if width * height > self.max_pixels or max(width, height) > self.max_side_px:
            raise ImageTooLarge(
                f"{name}: {width}×{height} px ({width * height / 1e6:.1f} megapixels); at most "
                f"{self.max_pixels / 1e6:g} megapixels and {self.max_side_px} px a side are decoded; "
                "make it smaller or raise Limits"
            )


def read_image(path: Path | str, *, limits: Limits = Limits()) -> Image:
    """Read a picture file; see :func:`decode_image`.

    Args:
        path: a regular file (or a link to one).
        limits: the largest picture to decode.

    Returns:
        The upright picture.

    Raises:
        InputError: there is no such file, or it cannot be read.
        DecodeError: not a sound picture of a known format.
        ImageTooLarge: beyond ``limits``.
    """
    name = str(path)
    try:
        # Opening a pipe or a device could block for ever, so the kind is asked first.
        status = Path(path).stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{name}: expected a picture file, this is a folder")
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{name}: expected a regular file, this is a device, pipe or socket")
        limits.check_bytes(status.st_size, name)
        with Path(path).open("rb") as file:
            data = file.read(limits.max_bytes + 1)
    except FileNotFoundError as error:
        raise InputError(f"{name}: there is no such file") from error
    except PermissionError as error:
        raise InputError(f"{name}: no permission to read this file") from error
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise InputError(f"{name}: cannot be read: {reason}") from error
    return decode_image(data, limits=limits, name=name)


def decode_image(data: bytes, *, limits: Limits = Limits(), name: str = "image") -> Image:
    """Decode a picture and turn it upright by its metadata.

    Size limits are judged on the header. Of an animation or a multi-page file the first picture is used.

    Args:
        data: a whole JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF or PGM/PPM file, or HEIC with the ``heif`` extra.
        limits: the largest picture to decode.
        name: how messages call the picture.

    Returns:
        The picture; ``oriented`` when metadata gave an orientation, ``notes`` say what was done.

    Raises:
        DecodeError: empty, damaged, cut off, or not a picture; says what it looks like.
        ImageTooLarge: beyond ``limits``.
    """
    limits.check_bytes(len(data), name)
    if not data:
        raise DecodeError(f"{name}: the file is empty (0 bytes)")
    kind = picture_format(data)
    if kind is None:
        raise DecodeError(f"{name}: expected a picture ({READABLE}), this looks like {looks_like(data)}")
    opener = _heif_opener(name) if kind == "HEIC" else _OPENERS[kind]
    try:
        if kind == "TIFF":
            limits.check_size(*_tiff_size(data), name)
        with opener(BytesIO(data)) as picture:
            limits.check_size(*picture.size, name)
            if kind == "PNG":
                _check_png(data)
            notes = _frame_note(picture)
            told = _sound(picture.info.get("original_orientation")) or _orientation(picture)
            picture.load()
            pixels = to_rgb(picture)
            # Pillow turns TIFF and HEIC while it loads them and then forgets their orientation.
            left_to_do = _orientation(picture) or 1
    except (DecompressionBombError, DecompressionBombWarning) as error:
        raise ImageTooLarge(f"{name}: {error}") from error
    except _DAMAGE as error:
        raise DecodeError(f"{name}: this {kind} file is damaged or cut off ({error})") from error
    if told is not None and told != 1:
        notes += (f"EXIF orientation {told} applied",)
    return Image(
        pixels=upright(pixels, left_to_do),
        notes=notes,
        oriented=told is not None,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _heif_opener(name: str) -> Callable[[BytesIO], ImageFile]:
    """Pillow's reader of HEIC, from the extra package."""
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise DecodeError(
            f"{name}: reading HEIC needs an extra package: pip install 'lineament[heif]'"
        ) from error
    return HeifImageFile


def _tiff_size(data: bytes) -> tuple[int, int]:
    """Width and height of the first page; Pillow's own reader would warn of large ones before we can judge."""
    directory = TiffImagePlugin.ImageFileDirectory_v2(
        data[:16] if data[2] == 43 or data[3] == 43 else data[:8]
    )
    file = BytesIO(data)
    file.seek(directory.next)
    directory.load(file)
    return int(directory[_TIFF_WIDTH]), int(directory[_TIFF_HEIGHT])


def _check_png(data: bytes) -> None:
    """Compare the checksums of the chunks that make up the pixels, which Pillow does not."""
    start = 8
    while start + 12 <= len(data):
        length = int.from_bytes(data[start : start + 4], "big")
        name, end = data[start + 4 : start + 8], start + 8 + length
        if name in (b"PLTE", b"IDAT") and data[end : end + 4] != zlib.crc32(data[start + 4 : end]).to_bytes(
            4, "big"
        ):
            raise ValueError(f"wrong checksum in chunk {name.decode()}")
        start = end + 4


def _frame_note(picture: ImageFile) -> tuple[str, ...]:
    """A note when the file holds more than one picture."""
    return ("first of several frames used",) if getattr(picture, "is_animated", False) else ()


def _orientation(picture: ImageFile) -> int | None:
    """The EXIF orientation, 1 to 8; None when metadata say nothing usable."""
    try:
        return _sound(picture.getexif().get(Base.Orientation))
    except _DAMAGE:
        return None


def _sound(orientation: object) -> int | None:
    """``orientation`` if it is one of the eight that exist."""
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else None
