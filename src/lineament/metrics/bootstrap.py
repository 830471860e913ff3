"""Confidence intervals of error rates by resampling subjects.

Comparisons share subjects, so they are not independent and binomial intervals are too narrow. Whole subjects are
drawn with replacement instead: a subject drawn n times lends each of its mated comparisons the weight n, and a
non-mated comparison of a and b weighs n_a * n_b; comparisons of a subject with its own copy are dropped. The
threshold is chosen anew inside each replicate, so its uncertainty is part of the interval.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import ScoreArray, frozen
from lineament.metrics.verification import allowed_errors, check_scores

IndexArray = NDArray[np.int32]
CONFIDENCE = 0.95
_BLOCK_REPLICATES = 50


@dataclass(frozen=True, slots=True, eq=False)
class PairScores:
    """Similarities of comparisons whose subjects are known.

    Attributes:
        scores: (P,) float64 similarities, finite.
        subject_a: (P,) int32 index of the first sample's subject, 0-based.
        subject_b: (P,) int32 index of the second sample's subject; equal to ``subject_a`` for a mated pair.
    """

    scores: ScoreArray
    subject_a: IndexArray
    subject_b: IndexArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", frozen(check_scores(self.scores, "pair")))
        for name in ("subject_a", "subject_b"):
            subjects = np.asarray(getattr(self, name), np.int32)
            if subjects.shape != self.scores.shape or subjects.min() < 0:
                raise ValueError(
                    f"{name} must hold one index >= 0 for each of {len(self.scores)} scores, "
                    f"got shape {subjects.shape}"
                )
            object.__setattr__(self, name, frozen(subjects))

    @property
    def mated(self) -> NDArray[np.bool_]:
        """(P,) True where both samples are of one subject."""
        return np.asarray(self.subject_a == self.subject_b)

    @property
    def n_subjects(self) -> int:
        """Number of different subjects that take part."""
        return len(_present(self))


def _present(pairs: PairScores) -> NDArray[np.int64]:
    """Indices of the subjects that take part, increasing."""
    length = 1 + max(int(pairs.subject_a.max()), int(pairs.subject_b.max()))
    seen = np.zeros(length, np.bool_)
    seen[pairs.subject_a] = True
    seen[pairs.subject_b] = True
    return np.flatnonzero(seen)


@dataclass(frozen=True, slots=True)
class Resampling:
    """How intervals are made.

    Attributes:
        replicates: number of bootstrap replicates, at least 100.
        seed: seed of the draws.
    """

    replicates: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.replicates < 100:
            raise ValueError(f"an interval needs at least 100 bootstrap replicates, got {self.replicates}")


DEFAULT_RESAMPLING = Resampling()


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided 95 % percentile interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Replicates:
    """Operating points of every replicate, one column for each rate asked for.

    Attributes:
        thresholds: (B, F) float64 smallest observed threshold that keeps the rate; +inf when none does.
        fnmr: (B, F) float64 false non-match rate at it.
    """

    thresholds: ScoreArray
    fnmr: ScoreArray

    def threshold_interval(self, column: int) -> Interval:
        """95 % interval of the threshold of the rate in ``column``."""
        return percentile_interval(self.thresholds[:, column])

    def fnmr_interval(self, column: int) -> Interval:
        """95 % interval of the FNMR of the rate in ``column``."""
        return percentile_interval(self.fnmr[:, column])


@dataclass(frozen=True, slots=True, eq=False)
class SeparationReplicates:
    """How well similarities tell subjects apart, in every replicate.

    Attributes:
        eer: (B,) float64 equal error rate.
        auc: (B,) float64 area under the ROC.
    """

    eer: ScoreArray
    auc: ScoreArray


def percentile_interval(values: ScoreArray) -> Interval:
    """The central 95 % of bootstrap values; ends are replicate values themselves, so +inf is admitted.

    Args:
        values: (B,) float64.
    """
    tail = (1 - CONFIDENCE) / 2
    low = np.quantile(values, tail, method="lower")
    high = np.quantile(values, 1 - tail, method="higher")
    return Interval(float(low), float(high))


@dataclass(frozen=True, slots=True, eq=False)
class _Sorted:
    """Pairs of one kind by decreasing score, the negated scores to search in, and the subjects as dense indices."""

    scores: ScoreArray
    rising: ScoreArray
    a: IndexArray
    b: IndexArray


def _split(pairs: PairScores) -> tuple[_Sorted, _Sorted, int]:
    """Mated and non-mated pairs, sorted, and the number of subjects."""
    known = _present(pairs)
    dense = np.zeros(known[-1] + 1, np.int32)
    dense[known] = np.arange(len(known))
    mated = pairs.mated
    kinds = []
    for chosen in (mated, ~mated):
        places = np.flatnonzero(chosen)
        if not len(places):
            raise ValueError(
                "a bootstrap of error rates needs mated and non-mated pairs, one kind is missing"
            )
        places = places[np.argsort(-pairs.scores[places], kind="stable")]
        scores = pairs.scores[places]
        kinds.append(_Sorted(scores, -scores, dense[pairs.subject_a[places]], dense[pairs.subject_b[places]]))
    return kinds[0], kinds[1], len(known)


def _pair_table(pairs: _Sorted, n_subjects: int) -> NDArray[np.float64] | None:
    """(S, S) number of pairs of each two subjects; None where such a table is larger than the list itself."""
    if n_subjects**2 > 4 * len(pairs.scores):
        return None
    cells = pairs.a.astype(np.int64) * n_subjects + pairs.b
    counted = np.bincount(cells, minlength=n_subjects**2).reshape(n_subjects, n_subjects)
    return counted.astype(np.float64)


def _total_weights(
    pairs: _Sorted, table: NDArray[np.float64] | None, counts: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Exact sum of n_a * n_b over all non-mated pairs, for each row of counts (R, S).

    All values are whole numbers far below 2**53, so products of float64 are exact.
    """
    if table is not None:
        totals = np.einsum("rs,rs->r", counts @ table, counts)
    else:
        totals = np.array([float(row[pairs.a] @ row[pairs.b]) for row in counts])
    return np.asarray(np.rint(totals), np.int64)


def _draw(
    mated: _Sorted, nonmated: _Sorted, n_subjects: int, plan: Resampling
) -> Iterator[tuple[NDArray[np.int32], int, int]]:
    """Subject counts of each replicate, with the total mated and non-mated weight, both above zero."""
    rng = np.random.default_rng(plan.seed)
    per_subject = np.bincount(mated.a, minlength=n_subjects).astype(np.float64)
    even = np.full(n_subjects, 1 / n_subjects)
    table = _pair_table(nonmated, n_subjects)
    made = drawn = 0
    while made < plan.replicates:
        if drawn > 20 * plan.replicates:
            raise ValueError(
                f"{n_subjects} subjects are too few to resample: most draws hold no mated or no non-mated pair"
            )
        block = rng.multinomial(n_subjects, even, size=_BLOCK_REPLICATES)
        drawn += _BLOCK_REPLICATES
        weights = block.astype(np.float64)
        mated_totals = np.rint(weights @ per_subject).astype(np.int64)
        nonmated_totals = _total_weights(nonmated, table, weights)
        for row, n_mated, n_nonmated in zip(block, mated_totals, nonmated_totals, strict=True):
            if n_mated and n_nonmated and made < plan.replicates:
                made += 1
                yield row.astype(np.int32), int(n_mated), int(n_nonmated)


def _next_above(
    pairs: _Sorted, matched: NDArray[np.int64], limits: ScoreArray
) -> tuple[ScoreArray, NDArray[np.int64]]:
    """For each limit: the next larger score of positive weight (or +inf), and the weight above the limit.

    Args:
        pairs: of one kind.
        matched: running sum of the weights, for the head of the list at least down to the limits.
        limits: where to look.
    """
    above = np.searchsorted(pairs.rising[: len(matched)], -limits, side="left")
    weight = np.where(above > 0, matched[above - 1], 0)
    # The running sum reaches the weight above the limit first at the last score that has any weight.
    last = np.searchsorted(matched, weight, side="left")
    return np.where(weight > 0, pairs.scores[last], math.inf), weight


def _weighted_limits(
    nonmated: _Sorted, counts: NDArray[np.int32], allowed: NDArray[np.int64], head: int
) -> tuple[ScoreArray, ScoreArray]:
    """For each allowed weight: the largest inadmissible score, and the next larger score of positive weight."""
    matched = np.cumsum(counts[nonmated.a[:head]] * counts[nonmated.b[:head]], dtype=np.int64)
    if head < len(nonmated.scores) and matched[-1] <= allowed.max():
        return _weighted_limits(nonmated, counts, allowed, min(2 * head, len(nonmated.scores)))
    place = np.searchsorted(matched, allowed, side="right")
    limits = np.where(place < head, nonmated.scores[np.minimum(place, head - 1)], -math.inf)
    return limits, _next_above(nonmated, matched, limits)[0]


def _at_limits(
    mated: _Sorted, counts: NDArray[np.int32], limits: ScoreArray
) -> tuple[ScoreArray, NDArray[np.int64]]:
    """For each limit: the next larger mated score of positive weight, and the mated weight up to the limit."""
    matched = np.cumsum(counts[mated.a], dtype=np.int64)
    above, accepted = _next_above(mated, matched, limits)
    return above, matched[-1] - accepted


def bootstrap_fnmr_at_fmr(pairs: PairScores, fmrs: Sequence[float], plan: Resampling) -> Replicates:
    """Threshold and FNMR at each false match rate, in each bootstrap replicate.

    In a replicate the weighted rates take the place of counts; with all weights one the values are those of
    :func:`lineament.metrics.verification.tar_at_far_protocol`. Draws without a mated or without a non-mated
    pair are made again.

    Args:
        pairs: comparisons with the subjects of both samples; both kinds must be there.
        fmrs: target false match rates, fractions in (0, 1].
        plan: number of replicates and seed.

    Returns: replicate values; take intervals with its methods.

    Raises:
        ValueError: one kind of pairs is missing, or a rate outside [0, 1].

    Source: cluster bootstrap over subjects; R. M. Bolle, N. K. Ratha, S. Pankanti, "Error analysis of pattern
    recognition systems: the subsets bootstrap", CVIU 93, 2004 (subsets = subjects), with product weights for
    comparisons of two subjects.
    """
    mated, nonmated, n_subjects = _split(pairs)
    thresholds = np.empty((plan.replicates, len(fmrs)))
    fnmr = np.empty_like(thresholds)
    # Only the head of the non-mated list can hold a threshold; it is widened where a replicate needs more.
    head = min(len(nonmated.scores), math.ceil(1.5 * max(fmrs) * len(nonmated.scores)) + 100)
    for i, (counts, n_mated, n_nonmated) in enumerate(_draw(mated, nonmated, n_subjects, plan)):
        allowed = np.array([allowed_errors(rate, n_nonmated) for rate in fmrs], np.int64)
        limits, next_nonmated = _weighted_limits(nonmated, counts, allowed, head)
        next_mated, rejected = _at_limits(mated, counts, limits)
        thresholds[i] = np.minimum(next_nonmated, next_mated)
        fnmr[i] = rejected / n_mated
    return Replicates(thresholds, fnmr)


def _positions(pairs: _Sorted, scores: ScoreArray, side: Literal["left", "right"]) -> NDArray[np.int64]:
    """How many places of the list lie above each score ("left"), or at or above it ("right")."""
    return np.searchsorted(pairs.rising, -scores, side=side)


def _running(weights: NDArray[np.int32]) -> NDArray[np.int64]:
    """(P + 1,) sum of the weights of the first 0, 1, ... P places."""
    sums = np.zeros(len(weights) + 1, np.int64)
    np.cumsum(weights, out=sums[1:])
    return sums


def _weighted_eer(
    matched: NDArray[np.int64],
    accepted: NDArray[np.int64],
    places: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> float:
    """EER from running weights of non-mated and mated places, at the places of the rising observed scores."""
    n_nonmated, n_mated = int(matched[-1]), int(accepted[-1])

    def errors(k: int) -> tuple[int, int]:
        return int(matched[places[0][k]]), n_mated - int(accepted[places[1][k]])

    def excess(k: int) -> int:
        false_matches, false_nonmatches = errors(k)
        return false_matches * n_mated - false_nonmatches * n_nonmated

    crossing = bisect_left(range(len(places[0])), 0, key=lambda k: -excess(k))
    best = min(range(max(crossing - 1, 0), crossing + 1), key=lambda k: abs(excess(k)))
    false_matches, false_nonmatches = errors(best)
    return (false_matches / n_nonmated + false_nonmatches / n_mated) / 2


def bootstrap_eer_auc(pairs: PairScores, plan: Resampling) -> SeparationReplicates:
    """Equal error rate and area under the ROC in each bootstrap replicate.

    Weights take the place of counts; with all weights one the values are those of
    :func:`lineament.metrics.verification.eer` and :func:`lineament.metrics.verification.auc`. Subjects are drawn as
    in :func:`bootstrap_fnmr_at_fmr`, so that systems on the same comparisons are resampled alike.

    Args:
        pairs: comparisons with the subjects of both samples; both kinds must be there.
        plan: number of replicates and seed.

    Raises:
        ValueError: one kind of pairs is missing.

    Source: as :func:`bootstrap_fnmr_at_fmr`; the AUC is the weighted rank statistic.
    """
    mated, nonmated, n_subjects = _split(pairs)
    above, at_or_above = (_positions(nonmated, mated.scores, side) for side in ("left", "right"))
    observed = np.append(np.unique(pairs.scores), math.inf)
    places = _positions(nonmated, observed, "right"), _positions(mated, observed, "right")
    eer, auc = np.empty((2, plan.replicates))
    for i, (counts, n_mated, n_nonmated) in enumerate(_draw(mated, nonmated, n_subjects, plan)):
        matched = _running(counts[nonmated.a] * counts[nonmated.b])
        weights = counts[mated.a]
        eer[i] = _weighted_eer(matched, _running(weights), places)
        # non-mated weight above each mated score, and half of that at the same score
        lost = int(weights @ (matched[above] + matched[at_or_above]))
        every = 2 * n_mated * n_nonmated
        auc[i] = (every - lost) / every
    return SeparationReplicates(eer, auc)
