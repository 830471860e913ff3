"""What a report keeps beside its figures: curves for pictures, replicates for paired comparisons, digests of data."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import ScoreArray
from lineament.evaluation.trials import Trials
from lineament.metrics.bootstrap import PairScores
from lineament.metrics.verification import roc

CURVE_POINTS = 400
BINS = 80
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Evidence:
    """Curves, counts and replicates of one evaluation; numbers are rounded to six digits.

    Attributes:
        data_sha256: digest of the pictures; empty when the trials came without pictures.
        comparisons_sha256: digest of the comparisons that were made: samples, subjects, pairs, folds.
        fmr: false match rates along thinned thresholds, falling; the points themselves are exact.
        fnmr: false non-match rates at the same thresholds.
        bin_edges: edges of the similarity histogram, one more than bins.
        mated_counts: mated comparisons in each bin.
        nonmated_counts: non-mated comparisons in each bin.
        fnmr_replicates: for each rate of the report, FNMR in every bootstrap replicate.
    """

    data_sha256: str
    comparisons_sha256: str
    fmr: tuple[float, ...]
    fnmr: tuple[float, ...]
    bin_edges: tuple[float, ...]
    mated_counts: tuple[int, ...]
    nonmated_counts: tuple[int, ...]
    fnmr_replicates: tuple[tuple[float, ...], ...]


def comparisons_digest(trials: Trials, compared: NDArray[np.bool_]) -> str:
    """Digest of the comparisons that were made, in their order, hex sha256.

    Args:
        trials: all comparisons.
        compared: (P,) True for those that could be made.
    """
    total = hashlib.sha256()
    for sample, subject in zip(trials.samples, trials.subjects, strict=True):
        total.update(f"{sample}\t{subject}\n".encode())
    for values in (trials.pairs[compared], trials.folds[compared]):
        total.update(np.ascontiguousarray(values, "<i4").tobytes())
    return total.hexdigest()


def evidence_of(
    pairs: PairScores, replicates: ScoreArray, data_sha256: str, comparisons_sha256: str
) -> Evidence:
    """Thin the curve and count the similarities.

    Args:
        pairs: the comparisons that were made.
        replicates: (B, F) FNMR of each replicate at each rate of the report.
        data_sha256: digest of the pictures.
        comparisons_sha256: :func:`comparisons_digest`.
    """
    mated, nonmated = pairs.scores[pairs.mated], pairs.scores[~pairs.mated]
    curve = roc(mated, nonmated, CURVE_POINTS)
    low, high = min(mated.min(), nonmated.min()), max(mated.max(), nonmated.max())
    edges = np.linspace(low, high, BINS + 1)
    return Evidence(
        data_sha256=data_sha256,
        comparisons_sha256=comparisons_sha256,
        fmr=_rounded(curve.fmr),
        fnmr=_rounded(curve.fnmr),
        bin_edges=_rounded(edges),
        mated_counts=_counts(mated, edges),
        nonmated_counts=_counts(nonmated, edges),
        fnmr_replicates=tuple(_rounded(column) for column in replicates.T),
    )


def _counts(scores: ScoreArray, edges: ScoreArray) -> tuple[int, ...]:
    return tuple(int(count) for count in np.histogram(scores, edges)[0])


def _rounded(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(f"{value:.{_DIGITS}g}") for value in values)
