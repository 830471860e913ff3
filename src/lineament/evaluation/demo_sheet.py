"""The picture of a demonstration: every probe with the answer it got, right ones framed green, wrong ones red."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from lineament.core.arrays import ImageArray
from lineament.core.types import Detections, Face, Image, Refusal
from lineament.evaluation.demo import Answer, Rates, side_by_side
from lineament.geometry import scale_boxes, scale_points, turn
from lineament.imaging import BLUE, GREEN, VERMILION, YELLOW, Colour, Tile, contact_sheet, draw_detections

COLUMNS = 6
TILE_PX = 216
_CONTEXT = 2.4
"""Side of what is shown around a face, in face box sizes."""


def demo_sheet(answers: Sequence[Answer], rates: Rates, profile: str) -> ImageArray:
    """All answers of a demonstration in one picture.

    Args:
        answers: of :func:`lineament.evaluation.demo.run_demo`.
        rates: what was asked for.
        profile: what answered.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    who = list(dict.fromkeys(a.probe.subject for a in answers if a.kind == "enrolled"))
    blocks = []
    for name in who:
        mine = [
            a for a in answers if a.probe.subject == name and a.kind in {"enrolled", "identify", "stranger"}
        ]
        title = (
            f"{name}: one photograph enrolled, then searched for among {len(who)} people, "
            f"FPIR {rates.fpir:g} (profile {profile})"
        )
        blocks.append(contact_sheet([_probe_tile(a) for a in mine], COLUMNS, TILE_PX, title))
    pairs = [a for a in answers if a.kind in {"verify", "refusal"}]
    title = f"Same person or not? FMR {rates.fmr:g}; enrolled face on the left, probe on the right"
    blocks.append(contact_sheet([_pair_tile(a) for a in pairs], COLUMNS, TILE_PX, title))
    return _stacked(blocks)


def _stacked(blocks: Sequence[ImageArray]) -> ImageArray:
    width = max(b.shape[1] for b in blocks)
    wide = [np.pad(b, ((0, 0), (0, width - b.shape[1]), (0, 0)), constant_values=255) for b in blocks]
    return np.concatenate(wide)


def _colour(answer: Answer) -> Colour:
    if answer.kind == "enrolled":
        return BLUE
    return GREEN if answer.is_right else VERMILION


def _caption(answer: Answer) -> str:
    if answer.kind == "enrolled":
        return f"{answer.probe.version}\nenrolled as {answer.probe.subject}"
    lines = [answer.probe.version, answer.text]
    if not math.isnan(answer.similarity):
        lines.append(f"{answer.similarity:.3f}, threshold {answer.threshold:.3f}")
    return "\n".join([*lines, "right" if answer.is_right else "WRONG"])


def _probe_tile(answer: Answer) -> Tile:
    face, image = answer.probe.face, answer.probe.image
    if isinstance(face, Refusal):
        return Tile(draw_detections(image.pixels, face.detections), _caption(answer), _colour(answer))
    return Tile(face_in_context(image, face, TILE_PX), _caption(answer), _colour(answer))


def _pair_tile(answer: Answer) -> Tile:
    face = answer.probe.face
    if isinstance(face, Refusal) or answer.reference is None:
        return _probe_tile(answer)
    return Tile(side_by_side([answer.reference.crop, face.crop]), _caption(answer), _colour(answer))


def face_in_context(image: Image, face: Face, side_px: int) -> ImageArray:
    """A square around a face with its box and points drawn in, standing as in the picture given.

    Args:
        image: the picture, upright by its metadata only.
        face: found in it, in px of the picture turned by ``face.rotation_deg``.
        side_px: side of the result.

    Returns:
        (side_px, side_px, 3) uint8 RGB; grey where the square reaches beyond the picture.
    """
    pixels = turn(image.pixels, face.rotation_deg)
    box = face.detection.box
    side = _CONTEXT * float(max(box[2] - box[0], box[3] - box[1]))
    corner = (box[:2] + box[2:]) / 2 - side / 2
    factor = side_px / side
    matrix = np.array([[factor, 0, -corner[0] * factor], [0, factor, -corner[1] * factor]], np.float64)
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    shown = cv2.warpAffine(pixels, matrix, (side_px, side_px), flags=how, borderValue=(128, 128, 128))
    boxes = scale_boxes((box - np.tile(corner, 2))[None].astype(np.float32), factor, factor)
    points = scale_points((face.detection.points - corner)[None].astype(np.float32), factor, factor)
    found = Detections(np.asarray(boxes), np.array([face.detection.score], np.float32), points)
    marked = draw_detections(np.asarray(shown, np.uint8), found, colours=[YELLOW])
    return turn(marked, -face.rotation_deg)
