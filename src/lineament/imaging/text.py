"""Text on pictures, in whatever script names come.

The font that Pillow brings along knows ASCII. For other characters the fonts that operating systems install under
well-known names are tried; a character that none of them has loses its accents, or becomes "?".
"""

import unicodedata
from functools import cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont

_SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "wqy-microhei.ttc",
    "DroidSansFallbackFull.ttf",
    "msyh.ttc",
    "arial.ttf",
    "Arial Unicode.ttf",
    "PingFang.ttc",
)
_NO_CHARACTER = "\U000ffffe"


@cache
def fonts(size_px: int) -> tuple[Font, ...]:
    """Fonts of one size: Pillow's own first, then those of the system that are there."""
    found = [ImageFont.load_default(size=size_px)]
    for name in _SYSTEM_FONTS:
        try:
            found.append(ImageFont.truetype(name, size_px))
        except OSError:
            continue
    return tuple(font for font in found if isinstance(font, ImageFont.FreeTypeFont))


@cache
def _draws(font: Font, character: str) -> bool:
    """True when the font has a picture of its own for the character."""
    if character.isspace():
        return True
    missing, found = font.getmask(_NO_CHARACTER), font.getmask(character)
    return found.getbbox() is not None and (found.size, bytes(found)) != (missing.size, bytes(missing))


def fit_text(text: str, size_px: int) -> tuple[str, Font]:
    """The font that has most of the characters of ``text``, and what of ``text`` can be drawn with it.

    Args:
        text: any characters.
        size_px: font size.

    Returns:
        The text to draw and the font to draw it with.
    """
    text = "".join(c if c.isprintable() else " " for c in unicodedata.normalize("NFC", text))
    best = max(fonts(size_px), key=lambda font: sum(_draws(font, c) for c in text))
    return "".join(c if _draws(best, c) else _plain(c, best) for c in text), best


def _plain(character: str, font: Font) -> str:
    """The character without accents, or "?"."""
    base = "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))
    return base if base and all(_draws(font, c) for c in base) else "?"


def wrap_text(text: str, size_px: int, width_px: float, max_lines: int) -> list[tuple[str, Font]]:
    """Break text into lines that fit; words longer than a line are cut, what is left over ends in "...".

    Args:
        text: any characters; line breaks are kept.
        size_px: font size.
        width_px: room for a line.
        max_lines: more are not returned.

    Returns:
        Lines with their fonts.
    """
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split():
            if line and _width(f"{line} {word}", size_px) <= width_px:
                line = f"{line} {word}"
                continue
            lines += [line] if line else []
            *whole, line = _pieces(word, size_px, width_px)
            lines += whole
        lines.append(line)
    if len(lines) > max_lines:
        last = lines[max_lines - 1]
        while last and _width(last + "...", size_px) > width_px:
            last = last[:-1]
        lines = [*lines[: max_lines - 1], last + "..."]
    return [fit_text(line, size_px) for line in lines]


def _width(text: str, size_px: int) -> float:
    shown, font = fit_text(text, size_px)
    return float(font.getlength(shown))


def _pieces(word: str, size_px: int, width_px: float) -> list[str]:
    """A word cut into parts that fit a line."""
    parts = [""]
    for character in word:
        if parts[-1] and _width(parts[-1] + character, size_px) > width_px:
            parts.append("")
        parts[-1] += character
    return parts
