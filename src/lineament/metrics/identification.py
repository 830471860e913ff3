"""Error rates of 1:N search (ISO/IEC 19795-1), one formula a function.

A mated search is one whose probe's subject is in the gallery; it is described by the similarity of its mate and
the mate's rank. A non-mated search is described by its top similarity. Candidates are subjects: of several
templates of one subject the best counts. Ties are pessimistic: another subject that is as similar as the mate
ranks before it. Nothing is interpolated: thresholds are similarities that were observed.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import ScoreArray, describe, frozen
from lineament.metrics.verification import allowed_errors, check_scores, fmr, tar_at_far_protocol

RankArray = NDArray[np.int64]
SubjectArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class SearchOutcomes:
    """What a set of searches gave.

    Attributes:
        mated_scores: (M,) float64 similarity of the best template of the mate.
        mated_ranks: (M,) int64 rank of the mate, 1 for the first candidate.
        nonmated_tops: (N,) float64 top similarity of each non-mated search.
        n_subjects: subjects in the gallery; open-set rates mean nothing without it.
    """

    mated_scores: ScoreArray
    mated_ranks: RankArray
    nonmated_tops: ScoreArray
    n_subjects: int

    def __post_init__(self) -> None:
        if self.mated_scores.shape != self.mated_ranks.shape:
            raise ValueError(
                f"each mated search has a score and a rank, got {describe(self.mated_scores)} "
                f"and {describe(self.mated_ranks)}"
            )
        for name in ("mated_scores", "mated_ranks", "nonmated_tops"):
            object.__setattr__(self, name, frozen(getattr(self, name)))


@dataclass(frozen=True, slots=True)
class SearchPoint:
    """Both error rates of a search at one threshold, and the counts behind them.

    Attributes:
        threshold: a candidate is returned when similarity >= threshold; +inf when none may be.
        fpir: false positive identification rate reached at the threshold, a fraction.
        fnir: false negative identification rate at the threshold, a fraction.
        max_rank: length of the candidate list.
        n_mated: mated searches.
        n_nonmated: non-mated searches.
        n_subjects: subjects in the gallery.
    """

    threshold: float
    fpir: float
    fnir: float
    max_rank: int
    n_mated: int
    n_nonmated: int
    n_subjects: int

    @property
    def tpir(self) -> float:
        """True positive identification rate, ``1 - fnir``."""
        return 1.0 - self.fnir


def _check_ranks(ranks: RankArray) -> RankArray:
    if (
        not isinstance(ranks, np.ndarray)
        or ranks.ndim != 1
        or ranks.size == 0
        or ranks.dtype.kind not in "iu"
    ):
        raise ValueError(f"ranks must be a non-empty (M,) array of integers, got {describe(ranks)}")
    if ranks.min() < 1:
        raise ValueError(f"the first candidate has rank 1, got a rank of {ranks.min()}")
    return ranks


def _check_rank(rank: int) -> int:
    if rank < 1:
        raise ValueError(f"a rank is 1 or more, got {rank}")
    return rank


def rank_rate(ranks: RankArray, rank: int) -> float:
    """CMC(k), also rank-k identification rate: the fraction of mated searches with the mate at rank k or better.

    Args:
        ranks: (M,) rank of the mate in each mated search, from 1.
        rank: k, at least 1.

    Source: ISO/IEC 19795-1, cumulative match characteristic of a closed-set search.
    """
    _check_rank(rank)
    return int(np.count_nonzero(_check_ranks(ranks) <= rank)) / len(ranks)


def cmc(ranks: RankArray, max_rank: int) -> ScoreArray:
    """CMC(1) .. CMC(max_rank): :func:`rank_rate` at every rank.

    Args:
        ranks: (M,) rank of the mate in each mated search, from 1.
        max_rank: last rank, at least 1.

    Returns:
        (max_rank,) float64, not decreasing.
    """
    counts = np.bincount(np.minimum(_check_ranks(ranks), _check_rank(max_rank) + 1), minlength=max_rank + 2)
    return np.asarray(np.cumsum(counts[1 : max_rank + 1]) / len(ranks))


def fpir(nonmated_tops: ScoreArray, threshold: float) -> float:
    """False positive identification rate: the fraction of non-mated searches that return anybody.

    Args:
        nonmated_tops: (N,) float64 top similarity of each non-mated search.
        threshold: a candidate is returned when similarity >= threshold.

    Source: ISO/IEC 19795-1. It grows about linearly with the size of the gallery at a fixed threshold.
    """
    return fmr(nonmated_tops, threshold)


def fnir(mated_scores: ScoreArray, ranks: RankArray, threshold: float, max_rank: int) -> float:
    """False negative identification rate: mates below the threshold or beyond the candidate list.

    Args:
        mated_scores: (M,) float64 similarity of the mate in each mated search.
        ranks: (M,) its rank, from 1.
        threshold: a candidate is returned when similarity >= threshold.
        max_rank: length of the candidate list, at least 1.

    Source: ISO/IEC 19795-1, FNIR(N, R, T).
    """
    scores = check_scores(mated_scores, "mated")
    if _check_ranks(ranks).shape != scores.shape:
        raise ValueError(
            f"each mated search has a score and a rank, got {describe(scores)} and {describe(ranks)}"
        )
    missed = (ranks > _check_rank(max_rank)) | (scores < threshold)
    return int(np.count_nonzero(missed)) / len(scores)


def tpir(mated_scores: ScoreArray, ranks: RankArray, threshold: float, max_rank: int) -> float:
    """True positive identification rate, ``1 - fnir``; see :func:`fnir` for the arguments."""
    return 1.0 - fnir(mated_scores, ranks, threshold, max_rank)


def threshold_at_fpir(mated_scores: ScoreArray, nonmated_tops: ScoreArray, fpir: float) -> float:
    """Smallest observed similarity (or +inf) whose false positive identification rate does not exceed ``fpir``.

    Args:
        mated_scores: (M,) float64 similarity of the mate in each mated search; candidates for the threshold too.
        nonmated_tops: (N,) float64 top similarity of each non-mated search.
        fpir: a fraction in (0, 1].

    Raises:
        ValueError: ``fpir`` is below one non-mated search and so cannot be measured at all.
    """
    tops = check_scores(nonmated_tops, "non-mated top")
    if allowed_errors(fpir, len(tops)) < 1:
        raise ValueError(
            f"FPIR {fpir:g} is not measurable with {len(tops):,} non-mated searches: one false positive "
            f"is already {1 / len(tops):.2g}; ask for a higher rate or bring more searches"
        )
    return tar_at_far_protocol(mated_scores, tops, fpir).threshold


def fnir_at_fpir(outcomes: SearchOutcomes, fpir: float, max_rank: int) -> SearchPoint:
    """False negative identification rate at the smallest observed threshold whose FPIR does not exceed ``fpir``.

    Args:
        outcomes: mated and non-mated searches of one gallery.
        fpir: a fraction in (0, 1].
        max_rank: length of the candidate list: 1 for DIR, 20 in IJB's lists.

    Raises:
        ValueError: too few non-mated searches to measure ``fpir``.

    Source: ISO/IEC 19795-1; with galleries of several sizes always state ``n_subjects``.
    """
    tops = outcomes.nonmated_tops
    threshold = threshold_at_fpir(outcomes.mated_scores, tops, fpir)
    return SearchPoint(
        threshold=threshold,
        fpir=fmr(tops, threshold),
        fnir=fnir(outcomes.mated_scores, outcomes.mated_ranks, threshold, max_rank),
        max_rank=max_rank,
        n_mated=len(outcomes.mated_scores),
        n_nonmated=len(tops),
        n_subjects=outcomes.n_subjects,
    )


def dir_at_far(outcomes: SearchOutcomes, far: float) -> float:
    """Detection and identification rate: mates at rank 1 and above the threshold of ``FPIR <= far``.

    Args:
        outcomes: mated and non-mated searches of one gallery.
        far: false alarm rate of the watch list, the FPIR; a fraction in (0, 1].

    Raises:
        ValueError: too few non-mated searches to measure ``far``.

    Source: P. Grother, R. Micheals, P. Phillips, Face Recognition Vendor Test 2002 performance metrics, 2003. Not
    the same as a threshold at a quantile of all non-mated similarities, which some code takes.
    """
    return fnir_at_fpir(outcomes, far, max_rank=1).tpir


def search_outcomes(
    similarities: Iterable[NDArray[np.floating]], probe_subjects: SubjectArray, gallery_subjects: SubjectArray
) -> SearchOutcomes:
    """Ranks and scores of searches, from their similarities streamed a block of probes at a time.

    A probe whose subject is in the gallery makes a mated search, any other one a non-mated search. Memory is that of
    one block.

    Args:
        similarities: blocks (B, G), finite, whose rows in order are the P probes; columns are all gallery templates.
        probe_subjects: (P,) integer subject of each probe.
        gallery_subjects: (G,) integer subject of each gallery template; several templates of a subject are allowed.

    Raises:
        ValueError: an empty gallery, blocks of another width, or fewer or more rows than probes.
    """
    subjects, column_subject = np.unique(gallery_subjects, return_inverse=True)
    if len(subjects) == 0:
        raise ValueError("a search needs at least one gallery template, got none")
    order = np.argsort(column_subject, kind="stable")
    starts = np.searchsorted(column_subject[order], np.arange(len(subjects)))
    places = np.searchsorted(subjects, probe_subjects)
    is_mated = subjects[np.minimum(places, len(subjects) - 1)] == probe_subjects
    scores, ranks, tops = np.zeros(len(is_mated)), np.zeros(len(is_mated), np.int64), np.zeros(len(is_mated))
    done = 0
    for block in similarities:
        _check_block(block, len(gallery_subjects), len(is_mated) - done)
        best = np.maximum.reduceat(block[:, order], starts, axis=1)
        rows = np.arange(done, done + len(block))
        tops[rows] = best.max(axis=1)
        inside = np.flatnonzero(is_mated[rows])
        mate = best[inside, places[rows[inside]]]
        scores[rows[inside]] = mate
        ranks[rows[inside]] = np.count_nonzero(best[inside] >= mate[:, None], axis=1)
        done += len(block)
    if done != len(is_mated):
        raise ValueError(f"there are {len(is_mated)} probes, but the blocks hold {done} rows")
    return SearchOutcomes(scores[is_mated], ranks[is_mated], tops[~is_mated], len(subjects))


def _check_block(block: NDArray[np.floating], width: int, rows_left: int) -> None:
    if block.ndim != 2 or block.shape[1] != width or len(block) > rows_left:
        raise ValueError(
            f"a block must be (B, {width}) with at most {rows_left} rows left, got {describe(block)}"
        )
    if not np.isfinite(block).all():
        raise ValueError("similarities must be finite; count failed probes apart")
