"""Pictures for people: marked faces and contact sheets.

Colours are those of Okabe and Ito, "Color Universal Design" (2008), which people with any kind of colour vision
tell apart; every coloured line lies on a dark one, so that it shows on light and dark skin, paper and shadow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw

from lineament.core.arrays import ImageArray, check_image, frozen
from lineament.core.types import Detection, Detections
from lineament.imaging.text import Font, fit_text, fonts, wrap_text

Colour = tuple[int, int, int]

ORANGE: Colour = (230, 159, 0)
SKY_BLUE: Colour = (86, 180, 233)
GREEN: Colour = (0, 158, 115)
YELLOW: Colour = (240, 228, 66)
BLUE: Colour = (0, 114, 178)
VERMILION: Colour = (213, 94, 0)
PURPLE: Colour = (204, 121, 167)
GREY: Colour = (150, 150, 150)
PALETTE = (ORANGE, SKY_BLUE, GREEN, YELLOW, BLUE, VERMILION, PURPLE)
"""Colours for things that are counted: the first face, the second face, ..."""

_BLACK: Colour = (0, 0, 0)
_WHITE: Colour = (255, 255, 255)
_MAX_CAPTION_LINES = 4


def draw_detections(
    pixels: ImageArray,
    detections: Detections,
    labels: Sequence[str] | None = None,
    colours: Sequence[Colour] | None = None,
    weight: float = 1.0,
) -> ImageArray:
    """Draw boxes, points and labels onto a copy of a picture.

    Lines and text grow with the picture; text is never smaller than 11 px.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        detections: faces in px of the picture; points that are NaN are left out.
        labels: a text for each face.
        colours: a colour for each face; :data:`PALETTE` in turn by default.
        weight: how much heavier than usual lines and text are, for pictures that are shown small.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: ``labels`` or ``colours`` do not match the number of faces.
    """
    for name, values in (("labels", labels), ("colours", colours)):
        if values is not None and len(values) != len(detections):
            raise ValueError(f"expected {len(detections)} {name}, one for each face, got {len(values)}")
    canvas = PillowImage.fromarray(check_image(pixels))
    pen = ImageDraw.Draw(canvas)
    line = max(1, round(weight * min(canvas.size) / 320))
    for index, detection in enumerate(detections):
        _draw_face(pen, detection, colours[index] if colours else PALETTE[index % len(PALETTE)], line)
    for index, detection in enumerate(detections):
        if labels is not None and labels[index]:
            colour = colours[index] if colours else PALETTE[index % len(PALETTE)]
            _draw_label(pen, detection, labels[index], colour, canvas.size, weight)
    return np.array(canvas)


def _draw_face(pen: ImageDraw.ImageDraw, detection: Detection, colour: Colour, line: int) -> None:
    left, top, right, bottom = np.round(detection.box).astype(int).tolist()
    if right > left and bottom > top:
        edge = line + 2
        pen.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=_BLACK, width=edge)
        pen.rectangle((left, top, right, bottom), outline=colour, width=line)
    radius = max(1.5, min(1.5 * line, detection.size_px / 25))
    for x, y in detection.points[np.isfinite(detection.points).all(1)].tolist():
        pen.ellipse((x - radius - 1, y - radius - 1, x + radius + 1, y + radius + 1), fill=_BLACK)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _draw_label(
    pen: ImageDraw.ImageDraw,
    detection: Detection,
    label: str,
    colour: Colour,
    picture: tuple[int, int],
    weight: float,
) -> None:
    """A filled tag above the box, or inside its top where there is no room above."""
    size = max(11, round(weight * min(picture) / 30))
    (text, font), pad = fit_text(label, size), max(2, size // 5)
    ascent, descent = font.getmetrics()
    width, height = round(font.getlength(text)) + 2 * pad, ascent + descent + 2 * pad
    left = int(np.clip(detection.box[0], 0, max(0, picture[0] - width)))
    above = float(detection.box[1]) - height
    top = int(np.clip(above if above >= 0 else detection.box[1], 0, max(0, picture[1] - height)))
    pen.rectangle((left, top, left + width - 1, top + height - 1), fill=colour, outline=_BLACK)
    pen.text((left + pad, top + pad), text, font=font, fill=ink_on(colour))


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever reads better on a colour (luma of ITU-R BT.601)."""
    return _BLACK if np.dot(colour, (0.299, 0.587, 0.114)) > 110 else _WHITE


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One picture of a contact sheet.

    Attributes:
        pixels: (H, W, 3) uint8 RGB of any size; shown whole.
        caption: text below, wrapped; line breaks are kept.
        colour: of the frame.
    """

    pixels: ImageArray
    caption: str = ""
    colour: Colour = GREY

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixels", frozen(check_image(self.pixels)))


def contact_sheet(tiles: Sequence[Tile], columns: int, tile_px: int, title: str = "") -> ImageArray:
    """Lay pictures out in rows on white, each framed, with a caption below.

    Args:
        tiles: in reading order.
        columns: tiles a row; fewer when there are fewer tiles.
        tile_px: side of the square that a picture is fitted into.
        title: a line at the top.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: no tiles, or sizes below 1 column and 32 px.
    """
    if not tiles or columns < 1 or tile_px < 32:
        raise ValueError(
            f"expected tiles, columns >= 1, tile_px >= 32; got {len(tiles)}, {columns}, {tile_px}"
        )
    columns = min(columns, len(tiles))
    size, frame, gap = max(11, tile_px // 12), max(2, tile_px // 40), max(6, tile_px // 14)
    cell, leading = tile_px + 2 * frame, sum(fonts(size)[0].getmetrics()) + max(1, size // 6)
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    captions = [[wrap_text(tile.caption, size, cell, _MAX_CAPTION_LINES) for tile in row] for row in rows]
    heights = [cell + gap + leading * max(len(lines) for lines in row) for row in captions]
    width = gap + columns * (cell + gap)
    heading = wrap_text(title, round(size * 1.4), width - 2 * gap, _MAX_CAPTION_LINES)
    y = gap + len(heading) * round(leading * 1.4)
    canvas = PillowImage.new("RGB", (width, y + sum(heights) + gap), _WHITE)
    pen = ImageDraw.Draw(canvas)
    _draw_lines(pen, heading, (gap, gap // 2), round(leading * 1.4))
    for row, lines_of_row, height in zip(rows, captions, heights, strict=True):
        for column, (tile, lines) in enumerate(zip(row, lines_of_row, strict=True)):
            x = gap + column * (cell + gap)
            pen.rectangle(
                (x, y, x + cell - 1, y + cell - 1), fill=(235, 235, 235), outline=tile.colour, width=frame
            )
            picture = _fitted(tile.pixels, tile_px)
            middle = (x + (cell - picture.width) // 2, y + (cell - picture.height) // 2)
            canvas.paste(picture, middle)
            _draw_lines(pen, lines, (x, y + cell + size // 5), leading)
        y += height
    return np.array(canvas)


def _draw_lines(
    pen: ImageDraw.ImageDraw, lines: Sequence[tuple[str, Font]], at: tuple[int, int], leading: int
) -> None:
    for index, (text, font) in enumerate(lines):
        pen.text((at[0], at[1] + index * leading), text, font=font, fill=_BLACK)


def _fitted(pixels: ImageArray, side: int) -> PillowImage.Image:
    """The whole picture, as large as a square of ``side`` px allows."""
    picture = PillowImage.fromarray(pixels)
    factor = side / max(picture.size)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    how = PillowImage.Resampling.LANCZOS if factor < 1 else PillowImage.Resampling.BICUBIC
    return picture if size == picture.size else picture.resize(size, how)
