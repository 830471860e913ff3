"""What a report keeps beside its figures: curves for pictures, replicates for paired comparisons, digests of data."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import ScoreArray
from lineament.metrics.bootstrap import SeparationReplicates
from lineament.metrics.verification import roc

IndexArray = NDArray[np.int32]

CURVE_POINTS = 400
BINS = 80
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Evidence:
    """Curves, counts and replicates of one evaluation; numbers are rounded to six digits.

    Attributes:
        data_sha256: digest of the pictures, or of the file of scores; empty when the trials came without any.
        comparisons_sha256: digest of the comparisons that were made: samples, subjects, pairs, folds.
        fmr: false match rates along thinned thresholds, falling; the points themselves are exact.
        fnmr: false non-match rates at the same thresholds.
        bin_edges: edges of the similarity histogram, one more than bins.
        mated_counts: mated comparisons in each bin.
        nonmated_counts: non-mated comparisons in each bin.
        fnmr_replicates: for each rate of the report, FNMR in every bootstrap replicate; empty without subjects.
        eer_replicates: EER in every replicate; empty without subjects and in reports of older versions.
        auc_replicates: AUC in every replicate; empty as ``eer_replicates``.
    """

    data_sha256: str
    comparisons_sha256: str
    fmr: tuple[float, ...]
    fnmr: tuple[float, ...]
    bin_edges: tuple[float, ...]
    mated_counts: tuple[int, ...]
    nonmated_counts: tuple[int, ...]
    fnmr_replicates: tuple[tuple[float, ...], ...]
    eer_replicates: tuple[float, ...] = ()
    auc_replicates: tuple[float, ...] = ()


class Comparisons(Protocol):
    """Which samples are compared, and whose they are."""

    @property
    def samples(self) -> tuple[str, ...]:
        """Names of the pictures."""

    @property
    def subjects(self) -> tuple[str, ...] | None:
        """The subject of each sample; None when they are not known."""

    @property
    def pairs(self) -> IndexArray:
        """(P, 2) indices of samples."""

    @property
    def folds(self) -> IndexArray | None:
        """(P,) fold of each pair; None without folds."""


def comparisons_digest(trials: Comparisons, compared: NDArray[np.bool_]) -> str:
    """Digest of the comparisons that were made, in their order, hex sha256.

    Args:
        trials: all comparisons.
        compared: (P,) True for those that could be made.
    """
    total = hashlib.sha256()
    subjects = trials.subjects or ("",) * len(trials.samples)
    for sample, subject in zip(trials.samples, subjects, strict=True):
        total.update(f"{sample}\t{subject}\n".encode())
    for values in (trials.pairs, trials.folds):
        if values is not None:
            total.update(np.ascontiguousarray(values[compared], "<i4").tobytes())
    return total.hexdigest()


def evidence_of(
    scores: tuple[ScoreArray, ScoreArray],
    digests: tuple[str, str],
    fnmr: ScoreArray,
    separation: SeparationReplicates | None,
) -> Evidence:
    """Thin the curve and count the similarities.

    Args:
        scores: mated and non-mated similarities of the comparisons that were made.
        digests: of the pictures, and of the comparisons (:func:`comparisons_digest`).
        fnmr: (B, F) FNMR of each replicate at each rate of the report.
        separation: EER and AUC of each replicate; None when subjects are not known.
    """
    mated, nonmated = scores
    curve = roc(mated, nonmated, CURVE_POINTS)
    low, high = min(mated.min(), nonmated.min()), max(mated.max(), nonmated.max())
    edges = np.linspace(low, high, BINS + 1)
    return Evidence(
        data_sha256=digests[0],
        comparisons_sha256=digests[1],
        fmr=_rounded(curve.fmr),
        fnmr=_rounded(curve.fnmr),
        bin_edges=_rounded(edges),
        mated_counts=_counts(mated, edges),
        nonmated_counts=_counts(nonmated, edges),
        fnmr_replicates=tuple(_rounded(column) for column in fnmr.T),
        eer_replicates=() if separation is None else _rounded(separation.eer),
        auc_replicates=() if separation is None else _rounded(separation.auc),
    )


def _counts(scores: ScoreArray, edges: ScoreArray) -> tuple[int, ...]:
    return tuple(int(count) for count in np.histogram(scores, edges)[0])


def _rounded(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(f"{value:.{_DIGITS}g}") for value in values)
