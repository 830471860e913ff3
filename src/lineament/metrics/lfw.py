"""Accuracy by cross-validation over fixed folds, the protocol of Labeled Faces in the Wild, View 2."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import ScoreArray, describe
from lineament.metrics.verification import check_scores


@dataclass(frozen=True, slots=True)
class FoldAccuracy:
    """Accuracy over the folds.

    Attributes:
        accuracy: mean of the folds, a fraction.
        standard_error: standard deviation of the folds (ddof=1) divided by the square root of their number.
        fold_accuracies: accuracy of each fold at its own threshold.
        fold_thresholds: threshold of each fold, learned on the other folds.
    """

    accuracy: float
    standard_error: float
    fold_accuracies: tuple[float, ...]
    fold_thresholds: tuple[float, ...]


def best_threshold(scores: ScoreArray, mated: NDArray[np.bool_]) -> float:
    """Mean of the set of all thresholds that classify most pairs rightly.

    Accuracy is constant between neighbouring scores, so the set is a union of intervals and its mean is what an
    ever finer grid of thresholds would give. Thresholds outside the range of the scores count only when
    nothing inside is as good: then all pairs match (the smallest score) or none does (+inf).

    Args:
        scores: (P,) float64 similarities.
        mated: (P,) bool, True for a pair of one subject.
    """
    order = np.argsort(scores, kind="stable")
    values, flags = scores[order], mated[order]
    first = np.flatnonzero(np.diff(values, prepend=-math.inf))
    mated_below = np.concatenate([[0], np.cumsum(flags)])[first]
    rejected_rightly = first - mated_below
    # correct[k]: pairs classified rightly by any threshold in (distinct[k-1], distinct[k]]
    correct = rejected_rightly + (int(flags.sum()) - mated_below)
    distinct = values[first]
    nothing_matches = len(flags) - int(flags.sum())
    best = max(int(correct.max()), nothing_matches)
    inside = np.flatnonzero(correct[1:] == best)
    if inside.size:
        low, high = distinct[inside], distinct[inside + 1]
        return float(np.sum((high - low) * (high + low) / 2) / np.sum(high - low))
    return float(distinct[0]) if correct[0] == best else math.inf


def accuracy_at(
    scores: ScoreArray, mated: NDArray[np.bool_], folds: NDArray[np.int32], thresholds: tuple[float, ...]
) -> tuple[float, ...]:
    """Accuracy of each fold at its given threshold; a score of -inf never matches.

    Args:
        scores: (P,) float64 similarities; -inf for a pair that could not be compared.
        mated: (P,) bool.
        folds: (P,) fold number of each pair, 0-based.
        thresholds: one per fold.
    """
    right = (scores >= np.asarray(thresholds)[folds]) == mated
    return tuple(float(right[folds == k].mean()) for k in range(len(thresholds)))


def summarise_folds(accuracies: tuple[float, ...], thresholds: tuple[float, ...]) -> FoldAccuracy:
    """Mean and standard error of the accuracies of the folds.

    Args:
        accuracies: accuracy of each fold, at least two.
        thresholds: threshold of each fold.
    """
    spread = float(np.std(accuracies, ddof=1)) / math.sqrt(len(accuracies))
    return FoldAccuracy(float(np.mean(accuracies)), spread, accuracies, thresholds)


def fold_accuracy(scores: ScoreArray, mated: NDArray[np.bool_], folds: NDArray[np.int32]) -> FoldAccuracy:
    """Cross-validated accuracy: each fold is judged at the threshold that is best on all other folds.

    Args:
        scores: (P,) float64 similarities.
        mated: (P,) bool, True for a pair of one subject.
        folds: (P,) fold number of each pair: 0 .. K-1, K >= 2, none empty.

    Raises:
        ValueError: arrays of different length, fewer than two folds, or an empty fold.

    Source: Huang et al., Labeled Faces in the Wild, 2007 (View 2: ten folds, mean and standard error of the
    mean). Where several thresholds are equally good their mean is taken, see :func:`best_threshold`.
    """
    values = check_scores(scores, "pair")
    if mated.shape != values.shape or folds.shape != values.shape:
        raise ValueError(
            f"scores, mated and folds must have one length, got {describe(values)}, {describe(mated)} "
            f"and {describe(folds)}"
        )
    sizes = np.bincount(folds)
    if len(sizes) < 2 or not sizes.all():
        raise ValueError(f"at least two folds, none empty, are needed; pairs per fold are {sizes.tolist()}")
    thresholds = tuple(best_threshold(values[folds != k], mated[folds != k]) for k in range(len(sizes)))
    return summarise_folds(accuracy_at(values, mated, folds, thresholds), thresholds)
