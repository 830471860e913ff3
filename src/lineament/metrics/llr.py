"""Calibration of similarities as log-likelihood ratios, and what is lost when it is poor.

A calibrated score is the natural logarithm of P(score | same subject) / P(score | different subjects). Cllr measures
the cost of using scores as such ratios; min Cllr is what remains after the best monotone recalibration, so the
difference is the fault of the calibration alone. All costs weigh mated and non-mated comparisons half and half,
whatever their numbers.

Source: N. Brümmer, J. du Preez, Application-independent evaluation of speaker detection, Computer Speech & Language
20, 2006.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import ScoreArray, describe, frozen
from lineament.metrics.verification import check_scores

_MAX_STEPS = 100
_TOLERANCE = 1e-12
_WORTH_A_PASS = 0.9


@dataclass(frozen=True, slots=True)
class AffineCalibration:
    """A straight line from similarities to log-likelihood ratios.

    Attributes:
        slope: natural-logarithm units for each unit of similarity; negative when the scores were reversed.
        offset: ratio of similarity 0.
    """

    slope: float
    offset: float

    def __call__(self, scores: ScoreArray) -> ScoreArray:
        """Log-likelihood ratios of similarities.

        Args:
            scores: (N,) float64.
        """
        return np.asarray(self.slope * scores + self.offset)


@dataclass(frozen=True, slots=True, eq=False)
class PavRatios:
    """Log-likelihood ratios by the best monotone calibration of the data at hand.

    Attributes:
        mated: (M,) float64 ratios of the mated scores, in their order; +inf where no non-mated score is as high.
        nonmated: (N,) float64 ratios of the non-mated scores; -inf where no mated score is as low.
    """

    mated: ScoreArray
    nonmated: ScoreArray

    def __post_init__(self) -> None:
        for name in ("mated", "nonmated"):
            object.__setattr__(self, name, frozen(getattr(self, name)))


def _check_ratios(ratios: ScoreArray, name: str) -> ScoreArray:
    values = np.asarray(ratios, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or np.isnan(values).any():
        raise ValueError(f"{name} ratios must be a non-empty (N,) array without NaN, got {describe(values)}")
    return values


def cllr(mated: ScoreArray, nonmated: ScoreArray) -> float:
    """Cost of log-likelihood ratios, bit; 1 for ratios that say nothing (all 0), 0 for perfect ones.

    Args:
        mated: (M,) float64 natural log-likelihood ratios of comparisons of one subject; infinities are allowed.
        nonmated: (N,) float64 ratios of comparisons of different subjects.

    Returns:
        Bits; +inf when a ratio is infinitely wrong.
    """
    same, different = _check_ratios(mated, "mated"), _check_ratios(nonmated, "non-mated")
    costs = np.mean(np.logaddexp(0, -same)) + np.mean(np.logaddexp(0, different))
    return float(costs) / (2 * math.log(2))


def isotonic_means(values: ScoreArray, weights: ScoreArray) -> ScoreArray:
    """The non-decreasing sequence nearest to ``values`` by weighted squares (pool adjacent violators).

    Neighbours that decrease end in one block whatever the order of pooling. So whole runs are pooled at once as long as
    that shortens the sequence well, and what remains is pooled from left to right.

    Args:
        values: (N,) float64.
        weights: (N,) float64, above 0.

    Returns:
        (N,) float64, not decreasing.

    Source: M. Ayer et al., An Empirical Distribution Function for Sampling with Incomplete Information, 1955.
    """
    sums, masses = np.asarray(values * weights, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    lengths = np.ones(len(sums), np.int64)
    before = math.inf
    while len(sums) < _WORTH_A_PASS * before and len(sums) > 1:
        before = len(sums)
        means = sums / masses
        starts = np.concatenate([[0], np.flatnonzero(means[1:] >= means[:-1]) + 1])
        sums, masses, lengths = (np.add.reduceat(part, starts) for part in (sums, masses, lengths))
    return _pooled_from_left(sums, masses, lengths)


def _pooled_from_left(sums: ScoreArray, masses: ScoreArray, lengths: NDArray[np.int64]) -> ScoreArray:
    """Non-decreasing means of blocks, each repeated over its length."""
    kept: list[tuple[float, float, int]] = []
    for block in zip(sums.tolist(), masses.tolist(), lengths.tolist(), strict=True):
        total, mass, length = block
        while kept and kept[-1][0] * mass > total * kept[-1][1]:
            earlier = kept.pop()
            total, mass, length = total + earlier[0], mass + earlier[1], length + earlier[2]
        kept.append((total, mass, length))
    blocks = np.array(kept, np.float64).reshape(-1, 3)
    return np.repeat(blocks[:, 0] / blocks[:, 1], blocks[:, 2].astype(np.int64))


def pav_ratios(mated: ScoreArray, nonmated: ScoreArray) -> PavRatios:
    """The best monotone calibration of the data at hand, equal scores together.

    It knows the answers, so its ratios are no calibration for other data; they serve :func:`min_cllr`.

    Args:
        mated: (M,) float64 similarities of one subject.
        nonmated: (N,) float64 similarities of different subjects.
    """
    same, different = check_scores(mated, "mated"), check_scores(nonmated, "non-mated")
    _, places = np.unique(np.concatenate([same, different]), return_inverse=True)
    total = np.bincount(places)
    hits = np.bincount(places[: len(same)], minlength=len(total))
    posterior = isotonic_means(hits / total, total.astype(np.float64))
    with np.errstate(divide="ignore"):
        ratios = np.log(posterior) - np.log1p(-posterior) - math.log(len(same) / len(different))
    return PavRatios(ratios[places[: len(same)]], ratios[places[len(same) :]])


def min_cllr(mated: ScoreArray, nonmated: ScoreArray) -> float:
    """Cllr after the best monotone calibration, bit in [0, 1]: how well the similarities tell subjects apart.

    Args:
        mated: (M,) float64 similarities of one subject.
        nonmated: (N,) float64 similarities of different subjects.
    """
    best = pav_ratios(mated, nonmated)
    return cllr(best.mated, best.nonmated)


def fit_affine(mated: ScoreArray, nonmated: ScoreArray) -> AffineCalibration:
    """The straight line whose ratios have the least Cllr on the given data (logistic regression).

    Args:
        mated: (M,) float64 similarities of one subject.
        nonmated: (N,) float64 similarities of different subjects.

    Raises:
        ValueError: the two lists do not overlap, so that ever steeper lines are ever better; fit on more data.
    """
    same, different = check_scores(mated, "mated"), check_scores(nonmated, "non-mated")
    if same.min() >= different.max() or same.max() <= different.min():
        raise ValueError(
            "a line needs mated and non-mated scores that overlap; these are separated, bring more comparisons"
        )
    return _fit_line(same, different, 1.0, 0.0)


def fit_affine_smoothed(mated: ScoreArray, nonmated: ScoreArray) -> AffineCalibration:
    """As :func:`fit_affine`, for any data: as if one more comparison of each kind could have gone the other way.

    A mated comparison counts as mated with probability (M + 1) / (M + 2) and a non-mated one with 1 / (N + 2), so
    that lists that do not overlap have a steepest line too. With much data that overlaps it gives nearly the same
    line, a little less steep.

    Args:
        mated: (M,) float64 similarities of one subject.
        nonmated: (N,) float64 similarities of different subjects; not all scores may be equal.

    Source: J. Platt, Probabilistic Outputs for Support Vector Machines, 1999 (targets by Laplace's rule).
    """
    same, different = check_scores(mated, "mated"), check_scores(nonmated, "non-mated")
    return _fit_line(same, different, (len(same) + 1) / (len(same) + 2), 1 / (len(different) + 2))


def _fit_line(
    same: ScoreArray, different: ScoreArray, mated_target: float, nonmated_target: float
) -> AffineCalibration:
    """Balanced logistic regression on targets in [0, 1]."""
    scores = np.concatenate([same, different])
    centre, spread = float(scores.mean()), float(scores.std())
    if spread == 0:
        raise ValueError(f"a line needs scores that differ, got {len(scores)} times {centre}")
    design = np.column_stack([(scores - centre) / spread, np.ones(len(scores))])
    target = np.repeat([mated_target, nonmated_target], [len(same), len(different)])
    weights = np.repeat([0.5 / len(same), 0.5 / len(different)], [len(same), len(different)])
    slope, offset = _newton(design, target, weights)
    return AffineCalibration(slope / spread, offset - slope * centre / spread)


def _newton(design: NDArray[np.float64], target: ScoreArray, weights: ScoreArray) -> tuple[float, float]:
    """Minimum of the weighted logistic cost by Newton's method, with halved steps where a full one overshoots."""

    def cost(line: ScoreArray) -> float:
        ratio = design @ line
        return float(np.sum(weights * (np.logaddexp(0, ratio) - target * ratio)))

    line = np.zeros(2)
    now = cost(line)
    for _ in range(_MAX_STEPS):
        chance = 1 / (1 + np.exp(-(design @ line)))
        gradient = design.T @ (weights * (chance - target))
        curvature = (design * (weights * chance * (1 - chance))[:, None]).T @ design
        step = np.linalg.solve(curvature, gradient)
        while cost(line - step) > now and np.abs(step).max() > _TOLERANCE:
            step = step / 2
        line = line - step
        now = cost(line)
        if np.abs(step).max() <= _TOLERANCE * (1 + np.abs(line).max()):
            break
    return float(line[0]), float(line[1])
