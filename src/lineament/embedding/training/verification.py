"""Verification during training: how well the features of other people separate them."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray, ScoreArray
from lineament.metrics import auc, eer, fold_accuracy, tar_at_far_protocol
from lineament.metrics.lfw import best_threshold

RATES = (1e-2, 1e-3)
_BLOCK = 1024


def pair_scores(features: FloatArray, labels: NDArray[np.int64]) -> tuple[ScoreArray, NDArray[np.bool_]]:
    """Similarity of every pair of pictures once, and whether it is mated.

    Args:
        features: (N, D) float32 unit vectors.
        labels: (N,) subject numbers.

    Returns: (P,) float64 similarities and (P,) bool, P = N (N - 1) / 2.
    """
    count = len(features)
    scores, mated = [], []
    for start in range(0, count, _BLOCK):
        rows = slice(start, min(start + _BLOCK, count))
        above = np.arange(count)[None] > np.arange(rows.start, rows.stop)[:, None]
        scores.append((features[rows] @ features.T)[above])
        mated.append((labels[rows, None] == labels[None])[above])
    return np.concatenate(scores).astype(np.float64), np.concatenate(mated)


def measure_names(n_different: int) -> tuple[str, ...]:
    """Names of what :func:`verification_measures` gives.

    Args:
        n_different: non-mated pairs, 1 or more.
    """
    return ("eer", "auc", "accuracy", *map(_rate_name, _rates(n_different)))


def _rates(n_different: int) -> list[float]:
    """FARs that leave one false match or more."""
    return [rate for rate in RATES if rate * n_different >= 1]


def _rate_name(rate: float) -> str:
    return f"tar_at_far_{rate:g}"


def verification_measures(scores: ScoreArray, mated: NDArray[np.bool_]) -> Mapping[str, float]:
    """EER, area under the ROC, best accuracy, and TAR at the FARs that leave one false match or more.

    Accuracy is that of the best single threshold on these very pairs, so it is for following a run, not for quoting.

    Args:
        scores: (P,) float64 similarities.
        mated: (P,) bool, of both kinds.
    """
    same, different = scores[mated], scores[~mated]
    threshold = best_threshold(scores, mated)
    measures = {
        "eer": eer(same, different),
        "auc": auc(same, different),
        "accuracy": float(np.mean((scores >= threshold) == mated)),
    }
    for rate in _rates(len(different)):
        measures[_rate_name(rate)] = tar_at_far_protocol(same, different, rate).tar
    return measures


def fold_measures(scores: ScoreArray, mated: NDArray[np.bool_]) -> Mapping[str, float]:
    """:func:`verification_measures` with the accuracy of ten folds of consecutive pairs, as ``.bin`` packs are read.

    Args:
        scores: (P,) float64 similarities in the pack's order.
        mated: (P,) bool.
    """
    measures = dict(verification_measures(scores, mated))
    folds = (np.arange(len(scores)) * 10 // max(len(scores), 1)).astype(np.int32)
    if len(scores) >= 20:
        measures["accuracy"] = fold_accuracy(scores, mated, folds).accuracy
    return measures
