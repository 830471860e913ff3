"""Error rates of 1:1 comparison (ISO/IEC 19795-1), one formula a function.

Scores are similarities; a comparison matches when ``similarity >= threshold``. Mated scores come from two
samples of one subject, non-mated scores from two subjects. Nothing is ever interpolated: a threshold is always
a score that was observed (or +inf), and the rates printed for it are counts divided by counts.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lineament.core.arrays import ScoreArray, describe, frozen

COUNT_RULE = 10
"""Expected false matches below which :func:`fnmr_at_fmr` refuses a rate."""


@dataclass(frozen=True, slots=True)
class MeasuredPoint:
    """Both error rates at one threshold, and the counts behind them.

    Attributes:
        threshold: a comparison matches when similarity >= threshold; +inf when nothing may match.
        fmr: false match rate reached at the threshold, a fraction.
        fnmr: false non-match rate at the threshold, a fraction.
        n_mated: mated comparisons.
        n_nonmated: non-mated comparisons.
    """

    threshold: float
    fmr: float
    fnmr: float
    n_mated: int
    n_nonmated: int

    @property
    def tar(self) -> float:
        """True accept rate, ``1 - fnmr``."""
        return 1.0 - self.fnmr

    @property
    def false_matches(self) -> int:
        """Number of non-mated comparisons at or above the threshold."""
        return round(self.fmr * self.n_nonmated)


@dataclass(frozen=True, slots=True, eq=False)
class RocCurve:
    """Error rates along the thresholds; the same points serve ROC and DET pictures.

    Attributes:
        thresholds: (K,) float64, increasing; the last one is +inf.
        fmr: (K,) float64 false match rate at each threshold, not increasing.
        fnmr: (K,) float64 false non-match rate at each threshold, not decreasing.
    """

    thresholds: ScoreArray
    fmr: ScoreArray
    fnmr: ScoreArray

    def __post_init__(self) -> None:
        for name in ("thresholds", "fmr", "fnmr"):
            object.__setattr__(self, name, frozen(getattr(self, name)))


def check_scores(scores: ScoreArray, name: str) -> ScoreArray:
    """Return ``scores`` as (N,) float64 when it is a non-empty, finite list of numbers.

    Raises:
        ValueError: another shape, no score, NaN or infinity.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"{name} scores must be a non-empty (N,) array, got {describe(values)}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} scores must be finite; leave failed comparisons out and count them apart")
    return values


def allowed_errors(rate: float, total: int) -> int:
    """Largest count ``k`` with ``k / total <= rate``, exact in spite of rounding.

    Args:
        rate: a fraction in [0, 1].
        total: number of comparisons, at least 1.

    Raises:
        ValueError: a rate outside [0, 1].
    """
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"an error rate is a fraction in [0, 1], got {rate}")
    count = math.floor(rate * total)
    if (count + 1) / total <= rate:
        return count + 1
    return count - 1 if count / total > rate else count


def fmr(nonmated: ScoreArray, threshold: float) -> float:
    """False match rate: the fraction of non-mated scores at or above ``threshold``.

    Args:
        nonmated: (N,) float64 similarities of different subjects.
        threshold: a comparison matches when similarity >= threshold.

    Source: ISO/IEC 19795-1. FAR of the whole transaction also holds failures to acquire; this rate does not.
    """
    values = check_scores(nonmated, "non-mated")
    return int(np.count_nonzero(values >= threshold)) / len(values)


def fnmr(mated: ScoreArray, threshold: float) -> float:
    """False non-match rate: the fraction of mated scores below ``threshold``.

    Args:
        mated: (M,) float64 similarities of one subject.
        threshold: a comparison matches when similarity >= threshold.

    Source: ISO/IEC 19795-1.
    """
    values = check_scores(mated, "mated")
    return int(np.count_nonzero(values < threshold)) / len(values)


def _first_inadmissible(nonmated: ScoreArray, rate: float) -> float:
    """Largest score that would match too many non-mated comparisons; -inf when every score may match."""
    allowed = allowed_errors(rate, len(nonmated))
    if allowed >= len(nonmated):
        return -math.inf
    place = len(nonmated) - 1 - allowed
    return float(np.partition(nonmated, place)[place])


def _smallest_above(limit: float, scores: Sequence[ScoreArray]) -> float:
    """Smallest score above ``limit`` in any of the arrays; +inf when there is none."""
    above = [values[values > limit] for values in scores]
    return min((float(values.min()) for values in above if values.size), default=math.inf)


def threshold_at_fmr(nonmated: ScoreArray, fmr: float) -> float:
    """Smallest threshold among the non-mated scores and +inf whose false match rate does not exceed ``fmr``.

    Args:
        nonmated: (N,) float64 similarities of different subjects.
        fmr: target false match rate, a fraction in [0, 1].

    Raises:
        ValueError: a rate outside [0, 1], or scores that cannot be counted.
    """
    values = check_scores(nonmated, "non-mated")
    return _smallest_above(_first_inadmissible(values, fmr), [values])


def _measured(mated: ScoreArray, nonmated: ScoreArray, threshold: float) -> MeasuredPoint:
    return MeasuredPoint(
        threshold, fmr(nonmated, threshold), fnmr(mated, threshold), len(mated), len(nonmated)
    )


def fnmr_at_fmr(mated: ScoreArray, nonmated: ScoreArray, fmr: float) -> MeasuredPoint:
    """False non-match rate at the smallest observed threshold whose FMR does not exceed ``fmr``.

    Args:
        mated: (M,) float64 similarities of one subject.
        nonmated: (N,) float64 similarities of different subjects; N >= 10 / fmr.
        fmr: target false match rate, a fraction in (0, 1].

    Returns:
        The threshold (chosen among the scores of both lists and +inf), the FMR reached, the FNMR.

    Raises:
        ValueError: too few non-mated comparisons for ``fmr``; says how many are needed.

    Source: ISO/IEC 19795-1. Differs from ROC code that interpolates.

    Example:
        >>> fnmr_at_fmr(np.array([0.9, 0.2]), np.linspace(-0.5, 0.5, 1000), 0.01).fnmr
        0.5
    """
    if not 0.0 < fmr <= 1.0:
        raise ValueError(f"a target FMR is a fraction in (0, 1], got {fmr}")
    if allowed_errors(fmr, len(nonmated)) < COUNT_RULE:
        needed = math.ceil(COUNT_RULE / fmr * (1 - 1e-12))
        raise ValueError(
            f"FMR {fmr:g} needs at least {needed:,} non-mated comparisons (10 expected false matches), "
            f"got {len(nonmated):,}; ask for a higher rate or bring more comparisons"
        )
    return tar_at_far_protocol(mated, nonmated, fmr)


def tar_at_far_protocol(mated: ScoreArray, nonmated: ScoreArray, far: float) -> MeasuredPoint:
    """The point of :func:`fnmr_at_fmr` where a published protocol fixes the rate, whatever the counts.

    A protocol such as LFW's asks for TAR at FAR 1e-3 with 3,000 non-mated comparisons, that is with three false
    matches. The figure is needed to stand beside others, but must be printed with its counts and interval.

    Args:
        mated: (M,) float64 similarities of one subject.
        nonmated: (N,) float64 similarities of different subjects; N >= 1 / far.
        far: the false match rate of the protocol, a fraction in (0, 1].

    Raises:
        ValueError: ``far`` is below one non-mated comparison and so cannot be measured at all.
    """
    same, different = check_scores(mated, "mated"), check_scores(nonmated, "non-mated")
    if allowed_errors(far, len(different)) < 1:
        raise ValueError(
            f"a false match rate of {far:g} is not measurable with {len(different):,} non-mated comparisons: "
            f"one false match is already {1 / len(different):.2g}"
        )
    return _measured(same, different, _smallest_above(_first_inadmissible(different, far), [same, different]))


def eer_point(mated: ScoreArray, nonmated: ScoreArray) -> MeasuredPoint:
    """The observed threshold (+inf included) where ``|FMR - FNMR|`` is least; the smaller threshold on a tie.

    Args:
        mated: (M,) float64 similarities of one subject.
        nonmated: (N,) float64 similarities of different subjects.
    """
    same, different = (np.sort(check_scores(s, n)) for s, n in ((mated, "mated"), (nonmated, "non-mated")))

    def excess(threshold: float) -> int:
        # (FMR - FNMR) * M * N as an integer; it falls strictly from one observed score to the next.
        false_matches = len(different) - int(np.searchsorted(different, threshold, side="left"))
        return false_matches * len(same) - int(np.searchsorted(same, threshold, side="left")) * len(different)

    candidates = [math.inf]
    for scores in (same, different):
        crossing = bisect_left(scores, 0, key=lambda score: -excess(float(score)))
        candidates += [float(s) for s in scores[max(crossing - 1, 0) : crossing + 1]]
    return _measured(same, different, min(candidates, key=lambda t: (abs(excess(t)), t)))


def eer(mated: ScoreArray, nonmated: ScoreArray) -> float:
    """Equal error rate: ``(FMR + FNMR) / 2`` at the threshold of :func:`eer_point`, a fraction.

    Args:
        mated: (M,) float64 similarities of one subject.
        nonmated: (N,) float64 similarities of different subjects.
    """
    point = eer_point(mated, nonmated)
    return (point.fmr + point.fnmr) / 2


def auc(mated: ScoreArray, nonmated: ScoreArray) -> float:
    """Area under the ROC: P(mated > non-mated) + P(equal) / 2, the exact rank statistic, in [0, 1].

    Args:
        mated: (M,) float64 similarities of one subject.
        nonmated: (N,) float64 similarities of different subjects.
    """
    same, different = check_scores(mated, "mated"), np.sort(check_scores(nonmated, "non-mated"))
    below = np.searchsorted(different, same, side="left").sum(dtype=np.int64)
    below_or_equal = np.searchsorted(different, same, side="right").sum(dtype=np.int64)
    return (int(below) + int(below_or_equal)) / (2 * len(same) * len(different))


def _thinned(scores: ScoreArray, count: int) -> ScoreArray:
    """At most about ``count`` of the sorted scores, dense at both ends where rates are small."""
    if len(scores) <= count:
        return scores
    steps = np.geomspace(1, len(scores), count // 2).astype(np.int64)
    kept: ScoreArray = scores[np.unique(np.concatenate([steps - 1, len(scores) - steps]))]
    return kept


def roc(mated: ScoreArray, nonmated: ScoreArray, max_points: int = 4000) -> RocCurve:
    """Error rates at the observed thresholds, for ROC (FMR, 1 - FNMR) and DET (FMR, FNMR) pictures.

    Args:
        mated: (M,) float64 similarities of one subject.
        nonmated: (N,) float64 similarities of different subjects.
        max_points: with more scores than this, thresholds are thinned; each point kept is still exact.
    """
    same, different = (np.sort(check_scores(s, n)) for s, n in ((mated, "mated"), (nonmated, "non-mated")))
    half = max(max_points // 2, 2)
    thresholds = np.unique(np.concatenate([_thinned(same, half), _thinned(different, half), [math.inf]]))
    false_matches = len(different) - np.searchsorted(different, thresholds, side="left")
    false_nonmatches = np.searchsorted(same, thresholds, side="left")
    return RocCurve(thresholds, false_matches / len(different), false_nonmatches / len(same))
