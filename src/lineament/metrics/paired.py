"""Do two systems differ? Differences of rates on identical resamples, with their 95 % intervals.

Two systems that judge the same comparisons make many errors together. The interval of their difference is therefore
narrower than their own two intervals suggest, and two overlapping intervals do not say that the systems are alike.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lineament.core.arrays import ScoreArray
from lineament.metrics.bootstrap import (
    CONFIDENCE,
    PairScores,
    Resampling,
    bootstrap_eer_auc,
    bootstrap_fnmr_at_fmr,
    percentile_interval,
)
from lineament.metrics.verification import auc, eer, tar_at_far_protocol


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of two systems, and what may be said about its difference.

    Attributes:
        first: the figure of the first system.
        second: the figure of the second system.
        low: lower end of the 95 % interval of ``first - second``.
        high: upper end of it.
    """

    first: float
    second: float
    low: float
    high: float

    @property
    def value(self) -> float:
        """``first - second``."""
        return self.first - self.second

    @property
    def shown(self) -> bool:
        """True when the interval leaves zero out, so that the systems may be said to differ."""
        return self.low > 0 or self.high < 0


def paired_difference(
    first: float, second: float, replicates_first: ScoreArray, replicates_second: ScoreArray
) -> Difference:
    """Difference of a figure from bootstrap replicates that were drawn alike.

    Args:
        first: the figure of the first system, of all data.
        second: the figure of the second system.
        replicates_first: (B,) its value in each replicate.
        replicates_second: (B,) the value of the second system in the same replicates.

    Raises:
        ValueError: the replicates differ in number.
    """
    if replicates_first.shape != replicates_second.shape:
        raise ValueError(
            f"paired replicates must be of one number, got {replicates_first.shape} and {replicates_second.shape}"
        )
    interval = percentile_interval(replicates_first - replicates_second)
    return Difference(first, second, interval.low, interval.high)


def paired_tar_at_far(
    first: PairScores, second: PairScores, fars: Sequence[float], plan: Resampling
) -> tuple[Difference, ...]:
    """TAR of two systems at each false match rate, and the interval of the difference.

    Subjects are drawn once for both systems; each system's threshold is chosen anew in every replicate.

    Args:
        first: similarities of the first system.
        second: similarities of the second system for the same comparisons, in the same order.
        fars: false match rates, fractions in (0, 1].
        plan: number of replicates and seed.

    Returns:
        One for each rate, of the true accept rates.

    Raises:
        ValueError: different comparisons, one kind of them missing, or a rate that cannot be measured.

    Source: paired bootstrap, B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993; the resampled
    unit is the subject, see :mod:`lineament.metrics.bootstrap`.
    """
    _check_same(first, second)
    mated = first.mated
    # The draws depend on the subjects and the seed only, so both calls resample alike.
    drawn_first, drawn_second = (bootstrap_fnmr_at_fmr(pairs, fars, plan).fnmr for pairs in (first, second))

    def tar(pairs: PairScores, far: float) -> float:
        return tar_at_far_protocol(pairs.scores[mated], pairs.scores[~mated], far).tar

    return tuple(
        paired_difference(
            tar(first, far), tar(second, far), 1 - drawn_first[:, column], 1 - drawn_second[:, column]
        )
        for column, far in enumerate(fars)
    )


def paired_eer_auc(first: PairScores, second: PairScores, plan: Resampling) -> tuple[Difference, Difference]:
    """EER and AUC of two systems, and the intervals of their differences; subjects are drawn once for both systems.

    Args:
        first: similarities of the first system.
        second: similarities of the second system for the same comparisons, in the same order.
        plan: number of replicates and seed.

    Returns:
        The difference of the equal error rates, and that of the areas under the ROC.

    Raises:
        ValueError: different comparisons, or one kind of them missing.

    Source: as :func:`paired_tar_at_far`.
    """
    _check_same(first, second)
    mated = first.mated
    drawn_first, drawn_second = (bootstrap_eer_auc(pairs, plan) for pairs in (first, second))
    eers, aucs = (
        [measure(pairs.scores[mated], pairs.scores[~mated]) for pairs in (first, second)]
        for measure in (eer, auc)
    )
    return (
        paired_difference(eers[0], eers[1], drawn_first.eer, drawn_second.eer),
        paired_difference(aucs[0], aucs[1], drawn_first.auc, drawn_second.auc),
    )


def _check_same(first: PairScores, second: PairScores) -> None:
    same = all(
        np.array_equal(getattr(first, name), getattr(second, name)) for name in ("subject_a", "subject_b")
    )
    if not same:
        raise ValueError(
            "a paired difference needs both systems' scores of the same comparisons, in one order"
        )


def paired_fold_accuracy(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Mean accuracy of two systems over the same folds, and the Student interval of the difference.

    Folds count as independent, which they are for LFW View 2 (no person is in two of them), but for the
    thresholds, that share eight ninths of their pairs.

    Args:
        first: accuracy of the first system in each fold, at least two.
        second: accuracy of the second system in the same folds.

    Raises:
        ValueError: different numbers of folds, or fewer than two.
    """
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(
            f"paired folds must be of one number, at least 2, got {len(first)} and {len(second)}"
        )
    apart = np.asarray(first) - np.asarray(second)
    half = student_quantile(len(apart) - 1) * float(np.std(apart, ddof=1)) / math.sqrt(len(apart))
    middle = float(np.mean(apart))
    return Difference(float(np.mean(first)), float(np.mean(second)), middle - half, middle + half)


def student_quantile(degrees: int) -> float:
    """Half width of the central 95 % of Student's t distribution, in standard errors.

    Args:
        degrees: degrees of freedom, at least 1.

    Source: closed form of the distribution for whole degrees, Abramowitz and Stegun 26.7.3 and 26.7.4.
    """

    def central(t: float) -> float:
        angle = math.atan(t / math.sqrt(degrees))
        cosine, odd = math.cos(angle), degrees % 2
        term = cosine if odd else 1.0
        total = 0.0
        for k in range(1 + odd, degrees, 2):
            total += term
            term *= k / (k + 1) * cosine**2
        inside = math.sin(angle) * total
        return 2 / math.pi * (angle + inside) if odd else inside

    low, high = 0.0, 1e3
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if central(middle) < CONFIDENCE else (low, middle)
    return (low + high) / 2
