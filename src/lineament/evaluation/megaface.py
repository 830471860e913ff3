"""The MegaFace protocol on own probes and distractors: rank-k and TAR at tiny FAR as the gallery grows.

Every photo of a probe person serves as the mate of each other photo of that person; only distractors compete. Sets of
10, 100, 1,000 ... distractors are drawn with a seed, three of each size, nested in each other and in the whole; then
all distractors compete. Photos that were refused are never found: their trials count as misses.

Source: I. Kemelmacher-Shlizerman, S. Seitz, D. Miller, E. Brossard, The MegaFace Benchmark: 1 Million Faces for
Recognition at Scale, CVPR 2016.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray
from lineament.core.errors import DataError
from lineament.evaluation.comparisons import without_errors
from lineament.evaluation.megaface_probes import Probes
from lineament.evaluation.vectors import RowArray, VectorPart, blocks
from lineament.metrics.bootstrap import Interval, Resampling, percentile_interval
from lineament.metrics.megaface import DistractorRun, megaface_cutoff, megaface_run
from lineament.metrics.verification import COUNT_RULE, allowed_errors

FARS = (1e-4, 1e-5, 1e-6)
LARGEST_FAR = 1e-3
"""Above it the largest similarities, which are kept, would be too many for a bounded memory."""
MAX_RANK = 20
SETS = 3
"""Random sets of each size below that of all distractors."""
Progress = Callable[[int, int], None]
"""Called with the number of distractors compared and the number of all that will be."""


@dataclass(frozen=True, slots=True)
class MegafacePoint:
    """True accept rate at one FAR, fractions.

    Attributes:
        asked: false accept rate that was asked for.
        false_accepts: probe-distractor comparisons that it lets pass, in each set.
        cutoffs: for each set, the similarity that a comparison must exceed.
        tar: true accept rate over all same-person pairs, mean of the sets.
        low: lower end of its 95 % interval.
        high: upper end of it.
    """

    asked: float
    false_accepts: int
    cutoffs: tuple[float, ...]
    tar: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class MegafaceSize:
    """Rates against one number of distractors, fractions.

    Attributes:
        n_distractors: distractors in each set.
        n_nonmated: probe-distractor comparisons in each set.
        rank1_of_sets: rank-1 identification rate of each set.
        cmc: identification rate at rank 1, 2, ... up to 20, mean of the sets.
        low: lower end of the 95 % interval of rank 1.
        high: upper end of it.
        points: true accept rates at the FARs that the counts support.
        not_supported: which asked FARs are not given, and what they would need.
    """

    n_distractors: int
    n_nonmated: int
    rank1_of_sets: tuple[float, ...]
    cmc: tuple[float, ...]
    low: float
    high: float
    points: tuple[MegafacePoint, ...]
    not_supported: tuple[str, ...]


class _People:
    """How often each probe person is drawn in each replicate, and rates from outcomes of trials."""

    def __init__(self, probes: Probes, plan: Resampling) -> None:
        self._trials = probes.trials
        self.n = int(np.count_nonzero(self._trials))
        self.total = int(self._trials.sum())
        mated = np.flatnonzero(self._trials)
        rng = np.random.default_rng(plan.seed)
        counts = rng.multinomial(self.n, np.full(self.n, 1 / self.n), size=plan.replicates)
        self._counts = np.zeros((plan.replicates, len(self._trials)), np.int64)
        self._counts[:, mated] = counts
        self._subjects = probes.subjects

    def rate(self, hits: Sequence[NDArray[np.bool_]]) -> float:
        """Hits over all trials, mean of the sets."""
        return sum(int(hit.sum()) for hit in hits) / (len(hits) * self.total)

    def interval(self, hits: Sequence[NDArray[np.bool_]], trial_probes: RowArray) -> Interval:
        """95 % interval of :meth:`rate`."""
        owner = self._subjects[trial_probes]
        per_person = np.mean([np.bincount(owner[hit], minlength=len(self._trials)) for hit in hits], axis=0)
        missed = self._trials - per_person
        rates = (self._counts @ missed) / (self._counts @ self._trials)
        ends = without_errors(percentile_interval(rates), math.ceil(missed.sum()), self.n)
        return Interval(1 - ends.high, 1 - ends.low)


def measure_megaface(
    probes: Probes,
    distractors: Sequence[VectorPart],
    fars: Sequence[float],
    plan: Resampling,
    progress: Progress | None = None,
) -> tuple[MegafaceSize, ...]:
    """Rates against 10, 100, 1,000 ... distractors and against all of them, exact, in bounded memory.

    Args:
        probes: photos of people.
        distractors: vectors of other people, of the same space; a block of them is in memory at a time.
        fars: false accept rates asked for, each at most :data:`LARGEST_FAR`.
        plan: bootstrap over the probe people; its seed also draws the sets.
        progress: told after every block.

    Raises:
        DataError: no person has two photos with a vector, no distractor, or another length of vectors.
        ValueError: a FAR out of range.
    """
    if any(not 0 < far <= LARGEST_FAR for far in fars):
        raise ValueError(f"a FAR must be above 0 and at most {LARGEST_FAR:g}, got {list(fars)}")
    total = sum(map(len, distractors))
    if total == 0:
        raise DataError("the protocol needs at least one distractor, got none")
    for part in distractors:
        if part.rows.shape[1] != probes.vectors.shape[1]:
            raise DataError(
                f"distractors {part.name}: expected vectors of {probes.vectors.shape[1]} numbers, as those of the "
                f"probes, got {part.rows.shape[1]}"
            )
    if np.bincount(probes.subjects).max(initial=0) < 2:
        raise DataError(
            f"{probes.name}: a trial needs two photos of one person that give a vector, no person has them"
        )
    people = _People(probes, plan)
    sizes = [10**k for k in range(1, 12) if 10**k < total]
    told = _Told(SETS * sum(sizes) + total, progress)
    rng = np.random.default_rng(plan.seed)
    orders = [rng.permutation(total)[: max(sizes, default=0)].copy() for _ in range(SETS)]
    found = []
    for size in (*sizes, total):
        chosen = [None] if size == total else [np.sort(order[:size]) for order in orders]
        tail = 1 + allowed_errors(max(fars, default=LARGEST_FAR), size * len(probes.vectors))
        runs = [
            megaface_run(
                probes.vectors, probes.subjects, told.count(blocks(distractors, rows)), MAX_RANK, tail
            )
            for rows in chosen
        ]
        found.append(_size(runs, people, fars))
    return tuple(found)


class _Told:
    """Counts the distractors that pass, for a bar."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total, self._progress, self._done = total, progress, 0

    def count(self, stream: Iterator[FloatArray]) -> Iterator[FloatArray]:
        for block in stream:
            yield block
            self._done += len(block)
            if self._progress is not None:
                self._progress(self._done, self._total)


def _size(runs: Sequence[DistractorRun], people: _People, fars: Sequence[float]) -> MegafaceSize:
    first = runs[0]
    supported = [far for far in fars if allowed_errors(far, first.n_nonmated) >= COUNT_RULE]
    ranks = range(1, min(MAX_RANK, first.n_distractors) + 1)
    within = [[run.mate_ranks <= rank for run in runs] for rank in ranks]
    around = people.interval(within[0], first.trial_probes)
    return MegafaceSize(
        n_distractors=first.n_distractors,
        n_nonmated=first.n_nonmated,
        rank1_of_sets=tuple(people.rate([hit]) for hit in within[0]),
        cmc=tuple(people.rate(hits) for hits in within),
        low=around.low,
        high=around.high,
        points=tuple(_point(runs, people, far) for far in supported),
        not_supported=tuple(
            f"FAR {far:g} is not given: it needs {math.ceil(COUNT_RULE / far * (1 - 1e-12)):,} comparisons of probes "
            f"with distractors ({COUNT_RULE} false accepts), there are {first.n_nonmated:,}"
            for far in fars
            if far not in supported
        ),
    )


def _point(runs: Sequence[DistractorRun], people: _People, far: float) -> MegafacePoint:
    cutoffs = [megaface_cutoff(run, far) for run in runs]
    hits = [run.mate_scores > cutoff for run, cutoff in zip(runs, cutoffs, strict=True)]
    around = people.interval(hits, runs[0].trial_probes)
    return MegafacePoint(
        asked=far,
        false_accepts=allowed_errors(far, runs[0].n_nonmated),
        cutoffs=tuple(cutoffs),
        tar=people.rate(hits),
        low=around.low,
        high=around.high,
    )
