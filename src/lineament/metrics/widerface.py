"""The evaluation rules of WIDER FACE: average precision over one of its subsets of faces.

They differ from the PASCAL rules of :mod:`lineament.metrics.detection` on purpose, point by point: side lengths count
the last pixel, a detection takes the true face that it overlaps most even when that one is gone or does not count,
pictures without faces are left out with all their detections, and the curve is sampled at 1,000 scores.

Source: S. Yang, P. Luo, C. Loy, X. Tang, WIDER FACE: A Face Detection Benchmark, CVPR 2016, and the evaluation
tool published with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray, ScoreArray, check_floats, describe, frozen

IOU_THRESHOLD = 0.5
N_THRESHOLDS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class WiderPicture:
    """Detections and true faces of one picture.

    Attributes:
        boxes: (N, 4) float32 xyxy px, where a box of the tool's ``x y w h`` is x, y, x + w, y + h (a common shift
            of all boxes changes nothing).
        scores: (N,) float32, on any scale.
        truth: (M, 4) float32 xyxy px, all annotated faces.
        counted: (M,) bool, True for the faces of the subset.
    """

    boxes: FloatArray
    scores: FloatArray
    truth: FloatArray
    counted: NDArray[np.bool_]

    def __post_init__(self) -> None:
        check_floats(self.scores, (None,), "scores")
        check_floats(self.boxes, (len(self.scores), 4), "boxes")
        check_floats(self.truth, (None, 4), "truth")
        if self.counted.shape != self.truth.shape[:1] or self.counted.dtype != np.bool_:
            raise ValueError(f"counted must be ({len(self.truth)},) bool, got {describe(self.counted)}")
        for name in ("boxes", "scores", "truth", "counted"):
            object.__setattr__(self, name, frozen(getattr(self, name)))


@dataclass(frozen=True, slots=True, eq=False)
class WiderCurve:
    """Counts at the 1,000 thresholds, from the highest score down.

    Attributes:
        proposals: (1000,) int64 detections of at least the score that are hits or false.
        hits: (1000,) int64 faces found by them.
        n_faces: faces of the subset.
    """

    proposals: NDArray[np.int64]
    hits: NDArray[np.int64]
    n_faces: int

    @property
    def precision(self) -> ScoreArray:
        """(1000,) hits among proposals; 0 where nothing is proposed."""
        return np.asarray(self.hits / np.maximum(self.proposals, 1))

    @property
    def recall(self) -> ScoreArray:
        """(1000,) fraction of the faces found."""
        return np.asarray(self.hits / self.n_faces)


def iou_inclusive(boxes: FloatArray, others: FloatArray) -> ScoreArray:
    """Intersection over union when side lengths are ``x2 - x1 + 1``.

    Args:
        boxes: (N, 4) float32 xyxy px.
        others: (M, 4) float32 xyxy px.

    Returns:
        (N, M) float64 in [0, 1].
    """
    a, b = boxes[:, None].astype(np.float64), others[None].astype(np.float64)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]) + 1
    shared = np.prod(np.maximum(sides, 0), axis=-1)
    union = (
        np.prod(a[..., 2:] - a[..., :2] + 1, axis=-1) + np.prod(b[..., 2:] - b[..., :2] + 1, axis=-1) - shared
    )
    return np.asarray(shared / union)


def _match(picture: WiderPicture, order: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which detections, in the given order, are proposals, and which of them find a face for the first time."""
    overlaps = iou_inclusive(picture.boxes[order], picture.truth)
    nearest = np.argmax(overlaps, axis=1)
    over = np.max(overlaps, axis=1) >= IOU_THRESHOLD
    counts = picture.counted[nearest]
    hits = np.zeros(len(order), np.bool_)
    candidates = np.flatnonzero(over & counts)
    hits[candidates[np.unique(nearest[candidates], return_index=True)[1]]] = True
    return ~over | counts, hits


def wider_curve(pictures: Sequence[WiderPicture]) -> WiderCurve:
    """Proposals and hits of a whole set at 1,000 thresholds.

    Scores are first stretched to [0, 1] over all detections of all pictures (equal scores all become 0). A detection
    that overlaps a face outside the subset most is no proposal; a further detection of a found face is a false one.

    Args:
        pictures: all pictures of the set, those without faces or detections included.

    Raises:
        ValueError: no face counts.
    """
    n_faces = sum(int(p.counted.sum()) for p in pictures)
    if n_faces == 0:
        raise ValueError("average precision needs at least one face that counts, got none")
    everything = np.concatenate([p.scores for p in pictures]).astype(np.float64)
    low, high = (everything.min(), everything.max()) if everything.size else (0.0, 1.0)
    span = (high - low) or 1.0
    thresholds = 1 - np.arange(1, N_THRESHOLDS + 1) / N_THRESHOLDS
    proposals, hits = np.zeros(N_THRESHOLDS + 1, np.int64), np.zeros(N_THRESHOLDS + 1, np.int64)
    for picture in pictures:
        if len(picture.truth) == 0 or len(picture.scores) == 0:
            continue
        scores = (picture.scores.astype(np.float64) - low) / span
        order = np.argsort(-scores, kind="stable")
        is_proposal, is_hit = _match(picture, order)
        # A detection enters at the first threshold that does not exceed its score.
        entry = np.searchsorted(-thresholds, -scores[order], side="left")
        proposals += np.bincount(entry[is_proposal], minlength=N_THRESHOLDS + 1)
        hits += np.bincount(entry[is_hit], minlength=N_THRESHOLDS + 1)
    return WiderCurve(np.cumsum(proposals)[:-1], np.cumsum(hits)[:-1], n_faces)


def wider_average_precision(curve: WiderCurve) -> float:
    """Area under the envelope of precision over recall at the 1,000 sampled points.

    Args:
        curve: from :func:`wider_curve`.

    Source: the PASCAL VOC rule from 2010 on, as the tool applies it.
    """
    envelope = np.maximum.accumulate(curve.precision[::-1])[::-1]
    return float(np.sum(np.diff(curve.recall, prepend=0.0) * envelope))
