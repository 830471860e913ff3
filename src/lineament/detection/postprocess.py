"""From a network's candidates to the faces of a picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lineament.core.arrays import FloatArray
from lineament.core.types import Detections
from lineament.detection.base import DetectionSettings
from lineament.geometry import nms

MAX_CANDIDATES = 5000
"""Candidates of one picture that reach the suppression; the best ones. YuNet's published number."""


class Candidates(NamedTuple):
    """Boxes that a network proposes for one picture, before suppression, in any order.

    Attributes:
        boxes: (N, 4) float32 xyxy, px.
        scores: (N,) float32 in [0, 1].
        points: (N, 5, 2) float32 x, y px.
    """

    boxes: FloatArray
    scores: FloatArray
    points: FloatArray


@dataclass(frozen=True, slots=True)
class Limits:
    """:class:`DetectionSettings` with every number decided."""

    min_score: float
    nms_iou: float
    min_face_px: float = 0.0
    max_faces: int | None = None

    @classmethod
    def decide(cls, settings: DetectionSettings, defaults: Mapping[str, float]) -> "Limits":
        """Fill the numbers that ``settings`` leaves open from ``defaults`` (keys ``min_score``, ``nms_iou``)."""
        return cls(
            defaults["min_score"] if settings.min_score is None else settings.min_score,
            defaults["nms_iou"] if settings.nms_iou is None else settings.nms_iou,
            settings.min_face_px,
            settings.max_faces,
        )


def join(parts: list[Candidates]) -> Candidates:
    """Candidates of several levels or scales as one; ``parts`` must not be empty."""
    boxes, scores, points = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Candidates(boxes, scores, points)


def best(found: Candidates, count: int) -> Candidates:
    """The ``count`` best candidates, best first; equal scores keep their order."""
    order = np.argsort(-found.scores, kind="stable")[:count]
    return Candidates(found.boxes[order], found.scores[order], found.points[order])


def sound(found: Candidates, min_score: float) -> Candidates:
    """Candidates with at least ``min_score`` and a finite box that has an area."""
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    good = (found.scores >= min_score) & np.isfinite(found.boxes).all(1) & (sides > 0).all(1)
    return Candidates(found.boxes[good], found.scores[good], found.points[good])


def limited(found: Candidates, limits: Limits) -> Detections:
    """Faces among candidates that do not overlap any more: large enough, best first, not too many."""
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    large = sides.min(1, initial=np.inf) >= limits.min_face_px
    kept = Candidates(found.boxes[large], found.scores[large], found.points[large])
    kept = best(kept, len(kept.scores) if limits.max_faces is None else limits.max_faces)
    return Detections(
        kept.boxes.astype(np.float32),
        np.clip(kept.scores, 0, 1).astype(np.float32),
        kept.points.astype(np.float32),
    )


def select(found: Candidates, limits: Limits) -> Detections:
    """The faces of one picture: score, greedy suppression, size, number, in this order.

    Size comes after suppression, so that a small box inside a large face does not appear when the large one is
    filtered, and never the other way round.
    """
    found = best(sound(found, limits.min_score), MAX_CANDIDATES)
    keep = nms(found.boxes, found.scores, limits.nms_iou)
    return limited(Candidates(found.boxes[keep], found.scores[keep], found.points[keep]), limits)
