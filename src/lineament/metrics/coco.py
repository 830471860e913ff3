"""COCO's average precision: ten overlaps, 101 recalls, and faces or detections of one range of area.

The matching differs from :mod:`lineament.metrics.detection` in two points: at most ``max_detections`` of a picture
count, and a detection outside the range of area that hits nothing is left out instead of being false.

Source: T.-Y. Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014, and the evaluation published with it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray, ScoreArray, check_floats, describe, frozen
from lineament.metrics.detection import iou_matrix

IOU_THRESHOLDS = tuple(float(t) for t in np.linspace(0.5, 0.95, 10))
RECALLS = np.linspace(0, 1, 101)
AREA_RANGES_PX2 = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}


@dataclass(frozen=True, slots=True, eq=False)
class CocoPicture:
    """Detections and true faces of one picture.

    Attributes:
        boxes: (N, 4) float32 xyxy px.
        scores: (N,) float32, on any scale.
        truth: (M, 4) float32 xyxy px.
        ignored: (M,) bool, True for faces that neither count nor make a detection false; like any other face such a
            one is taken by one detection (COCO's crowds, which take several, are not meant).
    """

    boxes: FloatArray
    scores: FloatArray
    truth: FloatArray
    ignored: NDArray[np.bool_]

    def __post_init__(self) -> None:
        check_floats(self.scores, (None,), "scores")
        check_floats(self.boxes, (len(self.scores), 4), "boxes")
        check_floats(self.truth, (None, 4), "truth")
        if self.ignored.shape != self.truth.shape[:1] or self.ignored.dtype != np.bool_:
            raise ValueError(f"ignored must be ({len(self.truth)},) bool, got {describe(self.ignored)}")
        for name in ("boxes", "scores", "truth", "ignored"):
            object.__setattr__(self, name, frozen(getattr(self, name)))


@dataclass(frozen=True, slots=True)
class CocoResult:
    """Average precision and recall at each overlap.

    Attributes:
        iou_thresholds: overlaps from which on a detection is a hit.
        average_precision: mean precision at 101 recalls, at each overlap.
        recall: fraction of the faces found by all detections that count, at each overlap.
        n_faces: true faces that count.
    """

    iou_thresholds: tuple[float, ...]
    average_precision: tuple[float, ...]
    recall: tuple[float, ...]
    n_faces: int

    @property
    def mean_average_precision(self) -> float:
        """AP@[.5:.95]: mean over the overlaps."""
        return math.fsum(self.average_precision) / len(self.average_precision)

    @property
    def mean_recall(self) -> float:
        """AR: mean over the overlaps."""
        return math.fsum(self.recall) / len(self.recall)


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """One picture with its best detections first and faces that count before ignored ones."""

    scores: FloatArray
    overlaps: ScoreArray
    ignored: NDArray[np.bool_]
    outside: NDArray[np.bool_]


def _areas(boxes: FloatArray) -> ScoreArray:
    sides = boxes[:, 2:].astype(np.float64) - boxes[:, :2]
    return np.asarray(sides[:, 0] * sides[:, 1])


def _prepare(picture: CocoPicture, area_px2: tuple[float, float], max_detections: int) -> _Prepared:
    low, high = area_px2
    best = np.argsort(-picture.scores, kind="stable")[:max_detections]
    areas, truth_areas = _areas(picture.boxes[best]), _areas(picture.truth)
    ignored = picture.ignored | (truth_areas < low) | (truth_areas > high)
    order = np.argsort(ignored, kind="stable")
    return _Prepared(
        scores=picture.scores[best],
        overlaps=iou_matrix(picture.boxes[best], picture.truth[order]),
        ignored=ignored[order],
        outside=(areas < low) | (areas > high),
    )


def _match(picture: _Prepared, iou_threshold: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which detections are hits, and which of them count at all."""
    hit, counted = np.zeros(len(picture.scores), np.bool_), ~picture.outside
    free = np.ones(len(picture.ignored), np.bool_)
    n_counted_faces = int(np.count_nonzero(~picture.ignored))
    for i, overlaps in enumerate(picture.overlaps):
        for part in (slice(0, n_counted_faces), slice(n_counted_faces, None)):
            usable = np.where(free[part], overlaps[part], -1.0)
            if usable.size and usable.max() >= iou_threshold:
                # The last one of several equal overlaps, as in the published evaluation.
                face = (part.start or 0) + usable.size - 1 - int(np.argmax(usable[::-1]))
                free[face] = False
                hit[i], counted[i] = not picture.ignored[face], not picture.ignored[face]
                break
    return hit, counted


def _sampled_precision(scores: ScoreArray, hits: NDArray[np.bool_], n_faces: int) -> tuple[float, float]:
    """Mean precision at the 101 recalls, and the recall of everything; each detection makes its own point."""
    hits = hits[np.argsort(-scores, kind="stable")]
    if len(hits) == 0:
        return 0.0, 0.0
    found = np.cumsum(hits)
    recall = found / n_faces
    precision = found / np.arange(1, len(hits) + 1)
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(envelope[np.searchsorted(recall, RECALLS, side="left")].mean()), float(recall[-1])


def coco_average_precision(
    pictures: Sequence[CocoPicture],
    area_px2: tuple[float, float] = AREA_RANGES_PX2["all"],
    max_detections: int = 100,
    iou_thresholds: Sequence[float] = IOU_THRESHOLDS,
) -> CocoResult:
    """Average precision at each overlap, for faces of one range of area.

    Args:
        pictures: all pictures of the set, those without faces or detections included.
        area_px2: smallest and largest area of a box, both included; :data:`AREA_RANGES_PX2` holds COCO's.
        max_detections: number of detections, best first, that count in each picture.
        iou_thresholds: overlaps from which on a detection is a hit, each in (0, 1].

    Raises:
        ValueError: no face counts, or a number out of its range.
    """
    if max_detections < 1 or not all(0 < t <= 1 for t in iou_thresholds):
        raise ValueError(
            f"at least one detection must count and overlaps be in (0, 1], got {max_detections} and {iou_thresholds}"
        )
    prepared = [_prepare(picture, area_px2, max_detections) for picture in pictures]
    n_faces = sum(int(np.count_nonzero(~p.ignored)) for p in prepared)
    if n_faces == 0:
        raise ValueError(
            f"average precision needs at least one face with an area in {area_px2} px², got none"
        )
    scores = np.concatenate([p.scores for p in prepared]).astype(np.float64)
    rates = []
    for threshold in iou_thresholds:
        matched = [_match(p, threshold) for p in prepared]
        hits, counted = (np.concatenate(parts) for parts in zip(*matched, strict=True))
        rates.append(_sampled_precision(scores[counted], hits[counted], n_faces))
    precision, recall = zip(*rates, strict=True)
    return CocoResult(tuple(iou_thresholds), precision, recall, n_faces)
