"""Result pictures: a coloured band that says the decision in words, above the photos that it is about."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lineament.core.arrays import ImageArray
    from lineament.core.types import Detection, Detections, Face, Image, Refusal
    from lineament.imaging import Colour

PHOTO_PX = 840
"""Longer side at which photos are drawn."""
TILE_PX = 420
"""Side of a photo among several; a single one is shown at full size."""
COLUMNS = 4


@dataclass(frozen=True, slots=True)
class Marks:
    """What is drawn onto a photo.

    Attributes:
        faces: boxes and points, px of the upright photo.
        rotation_deg: clockwise turn that makes the photo upright.
        labels: a word for each face, or empty ones.
        verdicts: a colour for each face, as in :class:`Panel`.
    """

    faces: "tuple[Detection, ...]"
    rotation_deg: int
    labels: Sequence[str]
    verdicts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Panel:
    """One photo of a result picture.

    Attributes:
        image: the photo.
        caption: lines below it.
        verdict: colour of its frame: "yes", "no", "undecided", "refused", or "" for a photo without a decision.
        marks: its faces.
    """

    image: "Image"
    caption: str
    verdict: str
    marks: Marks


def marks_of(seen: "Face | Refusal", label: str, verdict: str) -> Marks:
    """The one face that counts, or everything that was seen in a refused photo, with one label and colour."""
    from lineament.core.types import Face

    faces = (seen.detection,) if isinstance(seen, Face) else tuple(seen.detections)
    return Marks(faces, seen.rotation_deg, [label] * len(faces), [verdict] * len(faces))


def colour_of(verdict: str) -> "Colour":
    """Bluish green, vermilion, yellow, orange, blue or grey: told apart by people with any kind of colour vision."""
    from lineament.imaging import GREEN, GREY, ORANGE, SKY_BLUE, VERMILION, YELLOW

    colours = {"yes": GREEN, "no": VERMILION, "undecided": YELLOW, "refused": ORANGE, "": SKY_BLUE}
    return colours.get(verdict, GREY)


def write_result(path: Path, panels: Sequence[Panel], verdict: str, headline: str, detail: str = "") -> None:
    """Write a result picture.

    Args:
        path: ends in .png, .jpg or .jpeg.
        panels: photos in reading order, at least one.
        verdict: colour of the band, as in :class:`Panel`.
        headline: the decision in words, large.
        detail: the evidence, small.
    """
    import numpy as np

    from lineament.imaging import Tile, contact_sheet, write_image

    tile_px = PHOTO_PX if len(panels) == 1 else TILE_PX
    tiles = [Tile(_marked(p, PHOTO_PX / tile_px), p.caption, colour_of(p.verdict)) for p in panels]
    sheet = contact_sheet(tiles, min(COLUMNS, len(tiles)), tile_px)
    band = _band(sheet.shape[1], headline, detail, colour_of(verdict))
    write_image(path, np.concatenate([band, sheet]))


def _marked(panel: Panel, weight: float) -> "ImageArray":
    """The upright photo with its faces drawn in lines that are heavier the smaller it will be shown."""
    from lineament.geometry import turn
    from lineament.imaging import draw_detections

    marks = panel.marks
    pixels, faces = _resized(turn(panel.image.pixels, marks.rotation_deg), marks.faces)
    colours = [colour_of(v) for v in marks.verdicts]
    return draw_detections(pixels, faces, marks.labels, colours, weight=weight)


def _resized(pixels: "ImageArray", faces: "Sequence[Detection]") -> "tuple[ImageArray, Detections]":
    import cv2
    import numpy as np

    from lineament.core.types import Detections
    from lineament.geometry import scale_boxes, scale_points

    height, width = pixels.shape[:2]
    factor = PHOTO_PX / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    resized = np.asarray(cv2.resize(pixels, size, interpolation=how), np.uint8)
    if not faces:
        return resized, Detections.none()
    across, down = size[0] / width, size[1] / height
    boxes = np.asarray(scale_boxes(np.stack([f.box for f in faces]), across, down), np.float32)
    points = np.asarray(scale_points(np.stack([f.points for f in faces]), across, down), np.float32)
    # Only the order of the scores would matter, and it is the order in which labels were given.
    return resized, Detections(boxes, np.ones(len(faces), np.float32), points)


def _band(width: int, headline: str, detail: str, colour: "Colour") -> "ImageArray":
    import numpy as np
    from PIL import Image as PillowImage
    from PIL import ImageDraw

    from lineament.imaging.draw import ink_on
    from lineament.imaging.text import wrap_text

    large, small, pad = max(44, width // 16), max(18, width // 50), max(12, width // 50)
    lines = [(t, f, large) for t, f in wrap_text(headline, large, width - 2 * pad, 2)]
    lines += [(t, f, small) for t, f in wrap_text(detail, small, width - 2 * pad, 3)]
    heights = [round(size * 1.25) for _, _, size in lines]
    band = PillowImage.new("RGB", (width, sum(heights) + 2 * pad), colour)
    pen, top = ImageDraw.Draw(band), pad
    for (text, font, _), height in zip(lines, heights, strict=True):
        pen.text((pad, top), text, font=font, fill=ink_on(colour))
        top += height
    return np.array(band)
