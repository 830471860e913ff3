"""What a file is, judged by its first bytes; names and suffixes lie."""

READABLE = "JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP, GIF, PGM/PPM"
"""The formats that can be read, as messages list them."""

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".avif", ".heic", ".heif", ".hif"}
)
SUFFIXES |= {".tif", ".tiff", ".bmp", ".gif", ".pgm", ".ppm", ".pbm", ".pnm"}
"""Suffixes, in lower case, that a search through a folder takes for pictures."""

_PICTURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
)
_OTHERS = (
    (b"%PDF", "a PDF document"),
    (b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
    (b"\x00\x00\x01\xba", "an MPEG video"),
    (b"\x00\x00\x01\xb3", "an MPEG video"),
    (b"FLV\x01", "a Flash video"),
    (b"PK\x03\x04", "a ZIP archive or office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"8BPS", "a Photoshop document"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML document (perhaps an SVG drawing)"),
    (b"<!DOCTYPE", "a web page"),
    (b"<html", "a web page"),
)
_AVIF_BRANDS = (b"avif", b"avis")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def picture_format(data: bytes) -> str | None:
    """Name of the picture format of ``data``; None when it is not one that can be read."""
    for magic, name in _PICTURES:
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if len(data) > 2 and data[:1] == b"P" and data[1:2] in b"123456" and data[2:3].isspace():
        return "PPM"
    return _box_format(data)


def _box_format(data: bytes) -> str | None:
    """AVIF or HEIC by the brands of an ISO base media file."""
    if data[4:8] != b"ftyp":
        return None
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    if any(brand in brands for brand in _AVIF_BRANDS):
        return "AVIF"
    if any(brand in brands for brand in _HEIF_BRANDS):
        return "HEIC"
    return None


def looks_like(data: bytes) -> str:
    """In words, what bytes that are no readable picture seem to be."""
    start = data[:512].lstrip()
    for magic, name in _OTHERS:
        if data.startswith(magic) or start.startswith(magic):
            return name
    if data[4:8] in (b"ftyp", b"moov", b"mdat"):
        return "an MP4 or QuickTime video"
    if data[:4] == b"RIFF":
        return "an AVI video" if data[8:12] == b"AVI " else "a RIFF file (sound?)"
    if not any(data[:512]):
        return "all zeros (an interrupted download?)"
    try:
        text = data[:512].decode("utf-8", errors="strict" if len(data) <= 512 else "ignore")
    except UnicodeDecodeError:
        return "unknown data"
    printable = sum(c.isprintable() or c.isspace() for c in text)
    return (
        "text"
        if printable >= 0.95 * max(len(text), 1) and len(text) > len(data[:512]) // 4
        else "unknown data"
    )
