"""Matching of detections to true faces, and the rates made of it: recall, precision, average precision."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray, ScoreArray, check_floats, describe, frozen

FALSE_POSITIVE = -1
IGNORED = -2


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """What became of the detections of one picture.

    Attributes:
        scores: (N,) float32 detector scores, in the order given.
        assigned: (N,) int32 index of the true face hit, or :data:`FALSE_POSITIVE`, or :data:`IGNORED` for a
            detection of a face that does not count.
        counted: (M,) bool, True for the true faces that count.
    """

    scores: FloatArray
    assigned: NDArray[np.int32]
    counted: NDArray[np.bool_]

    def __post_init__(self) -> None:
        for name in ("scores", "assigned", "counted"):
            object.__setattr__(self, name, frozen(getattr(self, name)))

    @property
    def hit(self) -> NDArray[np.bool_]:
        """(M,) True for the true faces that were found; ignored faces are never in it."""
        hit = np.zeros(len(self.counted), np.bool_)
        hit[self.assigned[self.assigned >= 0]] = True
        return hit


@dataclass(frozen=True, slots=True, eq=False)
class PrecisionRecall:
    """Precision and recall from the highest score down, one point for each distinct score.

    Attributes:
        scores: (K,) float64 decreasing: detections of at least this score are in the point.
        precision: (K,) float64.
        recall: (K,) float64, not decreasing.
        false_positives: (K,) int64 number of false detections in the point.
    """

    scores: ScoreArray
    precision: ScoreArray
    recall: ScoreArray
    false_positives: NDArray[np.int64]


def iou_matrix(boxes: FloatArray, others: FloatArray) -> NDArray[np.float64]:
    """Intersection over union of every box with every other box.

    Args:
        boxes: (N, 4) float32 xyxy px.
        others: (M, 4) float32 xyxy px.

    Returns: (N, M) float64 in [0, 1]; 0 where both areas are empty. Areas are continuous
        (width = x2 - x1, without the extra pixel of older tools).
    """
    a, b = boxes[:, None].astype(np.float64), others[None].astype(np.float64)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.prod(np.maximum(sides, 0), axis=-1)
    union = np.prod(a[..., 2:] - a[..., :2], axis=-1) + np.prod(b[..., 2:] - b[..., :2], axis=-1) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def match_detections(
    boxes: FloatArray,
    scores: FloatArray,
    truth: FloatArray,
    ignored: NDArray[np.bool_],
    iou_threshold: float,
) -> Matching:
    """Assign the detections of one picture to its true faces, best score first.

    Each detection takes the free true face that it overlaps most, if the overlap reaches ``iou_threshold``; every
    face is taken once, so duplicates are false. A detection that finds no free face but overlaps an ignored one
    enough is neither a hit nor false, and an ignored face may swallow several.

    Args:
        boxes: (N, 4) float32 xyxy px.
        scores: (N,) float32; on equal scores the detection given first goes first.
        truth: (M, 4) float32 xyxy px.
        ignored: (M,) bool, True for faces that do not count (too small, cut off).
        iou_threshold: a fraction in (0, 1].

    Raises:
        ValueError: wrong shapes, or a threshold outside (0, 1].

    Source: M. Everingham et al., The PASCAL Visual Object Classes Challenge, IJCV 2010; among free faces the best
    overlap is taken, as in the COCO evaluation.
    """
    check_floats(boxes, (len(scores), 4), "boxes")
    check_floats(truth, (None, 4), "truth")
    if ignored.shape != truth.shape[:1] or ignored.dtype != np.bool_:
        raise ValueError(f"ignored must be ({len(truth)},) bool, got {describe(ignored)}")
    if not 0 < iou_threshold <= 1:
        raise ValueError(f"an IoU threshold is a fraction in (0, 1], got {iou_threshold}")
    overlaps = iou_matrix(boxes, truth)
    over_ignored = np.any(overlaps[:, ignored] >= iou_threshold, axis=1)
    assigned = np.where(over_ignored, IGNORED, FALSE_POSITIVE).astype(np.int32)
    overlaps[:, ignored] = -1.0
    if len(truth):
        for i in np.argsort(-scores, kind="stable"):
            best = int(np.argmax(overlaps[i]))
            if overlaps[i, best] >= iou_threshold:
                assigned[i] = best
                overlaps[:, best] = -1.0
    return Matching(scores, assigned, ~ignored)


def precision_recall(matchings: Sequence[Matching]) -> PrecisionRecall:
    """Precision and recall over all pictures together.

    Detections of equal score enter together, so the curve does not depend on the order of pictures.

    Args:
        matchings: one for each picture, pictures without faces or detections included.

    Raises:
        ValueError: no true face counts, so recall has no meaning.
    """
    n_truth = sum(int(m.counted.sum()) for m in matchings)
    if n_truth == 0:
        raise ValueError("recall needs at least one true face that counts, got none")
    assigned = np.concatenate([m.assigned for m in matchings])
    kept = assigned != IGNORED
    scores = np.concatenate([m.scores for m in matchings]).astype(np.float64)[kept]
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], (assigned[kept][order] >= 0)
    last = np.flatnonzero(np.diff(scores, append=-math.inf))
    found, taken = np.cumsum(hits)[last], last + 1
    return PrecisionRecall(scores[last], found / taken, found / n_truth, taken - found)


def average_precision(curve: PrecisionRecall) -> float:
    """Area under the envelope of precision over recall, all points (no sampling at 11 or 101 recalls).

    Args:
        curve: precision and recall of a detector; empty for no detection at all, which gives 0.

    Source: the PASCAL VOC rule from 2010 on: precision at recall r is the best precision at any recall >= r.
    """
    envelope = np.maximum.accumulate(curve.precision[::-1])[::-1]
    return float(np.sum(np.diff(curve.recall, prepend=0.0) * envelope))


def recall_at_false_positives(curve: PrecisionRecall, n_images: int, per_image: float) -> float:
    """Recall at the smallest score that keeps the false detections per picture at or below a number.

    Args:
        curve: precision and recall of a detector.
        n_images: number of pictures behind the curve.
        per_image: false detections per picture, on average.
    """
    fits = curve.false_positives / n_images <= per_image
    return float(curve.recall[fits][-1]) if fits.any() else 0.0


def recall_by_size(
    matchings: Sequence[Matching], sizes: Sequence[FloatArray], edges_px: Sequence[float]
) -> tuple[tuple[int, int], ...]:
    """Faces found and faces there, by size.

    Args:
        matchings: one for each picture.
        sizes: for each picture (M,) sizes of the true faces, px.
        edges_px: increasing inner edges; K edges make K + 1 buckets ``[edge, next edge)``.

    Returns: (found, there) for each bucket, smallest first; ignored faces are in neither.
    """
    counted = np.concatenate([m.counted for m in matchings])
    hit = np.concatenate([m.hit for m in matchings])
    bucket = np.digitize(np.concatenate(list(sizes)), edges_px)
    places = range(len(edges_px) + 1)
    return tuple((int(hit[bucket == k].sum()), int(counted[bucket == k].sum())) for k in places)
