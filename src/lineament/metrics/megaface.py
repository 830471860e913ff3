"""The MegaFace protocol: rank-k and TAR at tiny FAR against up to millions of distractors, streamed and exact.

Every photo of a person serves as gallery image for every other photo of that person, so a person with M photos makes
M (M - 1) trials; only distractors compete. Ties go to the distractor: a mate must be strictly more similar.

Source: I. Kemelmacher-Shlizerman, S. Seitz, D. Miller, E. Brossard, The MegaFace Benchmark: 1 Million Faces for
Recognition at Scale, CVPR 2016.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray, check_floats, describe, frozen
from lineament.metrics.verification import allowed_errors

_PROBES_PER_BLOCK = 512


@dataclass(frozen=True, slots=True, eq=False)
class DistractorRun:
    """What remains of a run of probes against distractors.

    Attributes:
        trial_probes: (T,) int64 row of the probe of each trial.
        mate_scores: (T,) float32 similarity of the mate in each trial; every pair of photos appears twice.
        mate_ranks: (T,) int64 rank of the mate among the distractors, from 1; K + 1 for any rank beyond K.
        max_rank: K.
        tail: (L,) float32 the largest probe-distractor similarities, not increasing.
        n_nonmated: number of all probe-distractor comparisons.
        n_distractors: number of distractors.
    """

    trial_probes: NDArray[np.int64]
    mate_scores: FloatArray
    mate_ranks: NDArray[np.int64]
    max_rank: int
    tail: FloatArray
    n_nonmated: int
    n_distractors: int

    def __post_init__(self) -> None:
        for name in ("trial_probes", "mate_scores", "mate_ranks", "tail"):
            object.__setattr__(self, name, frozen(getattr(self, name)))


class _Tail:
    """The largest values of a stream."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept = np.zeros(0, np.float32)
        self._waiting: list[FloatArray] = []
        self._n_waiting = 0
        self.cutoff = np.float32(-np.inf)

    def add(self, values: FloatArray) -> None:
        candidates = values[values > self.cutoff]
        self._waiting.append(candidates)
        self._n_waiting += len(candidates)
        if self._n_waiting > self._size:
            self._shrink()

    def _shrink(self) -> None:
        self._kept = np.concatenate([self._kept, *self._waiting])
        self._waiting, self._n_waiting = [], 0
        if len(self._kept) > self._size:
            self._kept = np.partition(self._kept, len(self._kept) - self._size)[-self._size :]
            self.cutoff = self._kept.min()

    def values(self) -> FloatArray:
        self._shrink()
        return np.sort(self._kept)[::-1]


def _keep_best(best: FloatArray, block: FloatArray) -> None:
    """Put the values of ``block`` (B, n) that belong there into ``best`` (B, K), the K largest of each row so far.

    After the first blocks hardly a row changes, so one comparison with the largest value of each row decides.
    """
    floor = best.min(axis=1)
    rows = np.flatnonzero(block.max(axis=1) > floor)
    if len(rows) == 0:
        return
    together = np.concatenate([best[rows], block[rows]], axis=1)
    width = together.shape[1] - best.shape[1]
    best[rows] = np.partition(together, width, axis=1)[:, width:]


def _trials(probes: FloatArray, subjects: NDArray[np.int64]) -> tuple[NDArray[np.int64], FloatArray]:
    """Probe index and mate's similarity of every trial."""
    order = np.argsort(subjects, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(subjects[order])) + 1)
    trial_probes, scores = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    for group in groups:
        among = probes[group] @ probes[group].T
        first, second = np.nonzero(~np.eye(len(group), dtype=np.bool_))
        trial_probes.append(group[first])
        scores.append(among[first, second])
    return np.concatenate(trial_probes), np.concatenate(scores)


def megaface_run(
    probes: FloatArray,
    subjects: NDArray[np.int64],
    distractors: Iterable[FloatArray],
    max_rank: int = 10,
    tail: int = 1_000_000,
) -> DistractorRun:
    """Compare all probes with all distractors, keeping only what the rates need.

    Args:
        probes: (P, D) float32 of unit length.
        subjects: (P,) integer subject of each probe; a subject with one photo makes no trial but is compared.
        distractors: blocks (B, D) float32 of unit length; a few thousand rows each keep memory small.
        max_rank: K, largest rank that is told apart.
        tail: how many of the largest non-mated similarities are kept; TAR is available at any FAR that allows fewer
            false matches than this.

    Raises:
        ValueError: no trial, no distractor, or numbers below one.
        BadArray: wrong shapes or dtypes.
    """
    check_floats(probes, (None, None), "probes")
    if subjects.shape != probes.shape[:1]:
        raise ValueError(f"subjects must be ({len(probes)},), got {describe(subjects)}")
    if max_rank < 1 or tail < 1:
        raise ValueError(f"max_rank and tail are at least 1, got {max_rank} and {tail}")
    trial_probes, mate_scores = _trials(probes, subjects)
    if len(mate_scores) == 0:
        raise ValueError("a trial needs two photos of one person, got none")
    best = np.full((len(probes), max_rank), -np.inf, np.float32)
    largest = _Tail(tail)
    n_distractors = 0
    for distractor_block in distractors:
        block = check_floats(distractor_block, (None, probes.shape[1]), "distractors")
        if len(block) == 0:
            continue
        n_distractors += len(block)
        for start in range(0, len(probes), _PROBES_PER_BLOCK):
            scores = probes[start : start + _PROBES_PER_BLOCK] @ block.T
            _keep_best(best[start : start + _PROBES_PER_BLOCK], scores)
            largest.add(scores)
    if n_distractors == 0:
        raise ValueError("the protocol needs at least one distractor, got none")
    ranks = 1 + np.count_nonzero(best[trial_probes] >= mate_scores[:, None], axis=1)
    n_nonmated = len(probes) * n_distractors
    return DistractorRun(
        trial_probes, mate_scores, ranks, max_rank, largest.values(), n_nonmated, n_distractors
    )


def megaface_rank_rate(run: DistractorRun, rank: int) -> float:
    """Fraction of trials whose mate is strictly more similar than the k-th best distractor of the probe.

    Args:
        run: from :func:`megaface_run`.
        rank: k, from 1 to ``run.max_rank``.

    Raises:
        ValueError: a rank that the run did not keep.
    """
    if not 1 <= rank <= run.max_rank:
        raise ValueError(
            f"the run tells ranks 1 to {run.max_rank} apart, got {rank}; run it with a larger max_rank"
        )
    return int(np.count_nonzero(run.mate_ranks <= rank)) / len(run.mate_ranks)


def megaface_cutoff(run: DistractorRun, far: float) -> float:
    """The similarity that a comparison must exceed to be accepted at a FAR: that of the best distractor refused.

    Args:
        run: from :func:`megaface_run`.
        far: a fraction in (0, 1]; the rate is over ``run.n_nonmated`` comparisons.

    Returns:
        The similarity; -inf where every comparison may be accepted.

    Raises:
        ValueError: ``far`` is below one comparison, or allows more false matches than the run kept.
    """
    allowed = allowed_errors(far, run.n_nonmated)
    if allowed < 1:
        raise ValueError(
            f"FAR {far:g} is not measurable with {run.n_nonmated:,} comparisons: one false match is already "
            f"{1 / run.n_nonmated:.2g}"
        )
    if allowed >= run.n_nonmated:
        return float("-inf")
    if allowed >= len(run.tail):
        raise ValueError(
            f"FAR {far:g} allows {allowed:,} false matches, but the run kept the {len(run.tail):,} largest "
            "similarities; run it with a larger tail"
        )
    return float(run.tail[allowed])


def megaface_tar_at_far(run: DistractorRun, far: float) -> float:
    """True accept rate over all same-person pairs at the smallest observed threshold whose FAR is at most ``far``.

    Args:
        run: from :func:`megaface_run`.
        far: a fraction in (0, 1]; the rate is over ``run.n_nonmated`` comparisons.

    Raises:
        ValueError: ``far`` is below one comparison, or allows more false matches than the run kept.
    """
    # Any threshold above this similarity keeps the rate, and the next observed one accepts the same mates.
    accepted = run.mate_scores > megaface_cutoff(run, far)
    return int(np.count_nonzero(accepted)) / len(run.mate_scores)
