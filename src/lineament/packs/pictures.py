"""What a picture is called, by the first bytes of its content or by the suffix of its file."""

import io
import warnings

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".avif", ".heic", ".heif", ".hif"}
)
SUFFIXES |= {".tif", ".tiff", ".bmp", ".gif", ".pgm", ".ppm", ".pbm", ".pnm"}
"""Suffixes, in lower case, that are taken for pictures; those that :mod:`lineament.imaging` reads."""
HEAD_BYTES = 12
"""Bytes that :func:`suffix_of` looks at."""
_MAGIC = (
    (b"\xff\xd8", ".jpg"),
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
)
_BRANDS = {b"avif": ".avif", b"avis": ".avif", b"heic": ".heic", b"heix": ".heic", b"mif1": ".heic"}


def suffix_of(head: bytes) -> str:
    """Suffix for a file with such a content; ".img" when it is none of the known formats.

    Args:
        head: the first :data:`HEAD_BYTES` bytes of the encoded picture, or more.
    """
    for magic, suffix in _MAGIC:
        if head.startswith(magic):
            return suffix
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ".webp"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], ".img")
    if head[:1] == b"P" and head[1:2] in {b"1", b"2", b"3", b"4", b"5", b"6"} and head[2:3].isspace():
        return ".ppm"
    return ".img"


def is_picture(path: str) -> bool:
    """True when the suffix of a path is that of a picture."""
    return path[path.rfind(".") :].lower() in SUFFIXES if "." in path else False


def picture_size(image: bytes) -> tuple[int, int] | None:
    """Height and width in px as the header of an encoded picture says them; None when none can be told."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a picture that is too large to decode still has a size
            with Image.open(io.BytesIO(image)) as opened:
                return opened.height, opened.width
    except (OSError, ValueError, SyntaxError, OverflowError, Image.DecompressionBombError):
        return None
