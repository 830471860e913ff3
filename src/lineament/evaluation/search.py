"""Open-set 1:N: who is enrolled, what searches give, and error rates with failures to enroll and acquire inside."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray
from lineament.core.errors import DataError
from lineament.evaluation.comparisons import without_errors
from lineament.metrics.bootstrap import Interval, Resampling, percentile_interval
from lineament.metrics.identification import SearchOutcomes, SubjectArray, cmc, fnir_at_fpir, search_outcomes
from lineament.metrics.verification import COUNT_RULE, allowed_errors

FPIRS = (1e-1, 1e-2, 1e-3)
RANKS = (1, 5, 10)
CMC_LENGTH = 20
MAX_ENROLLED = 3
"""Most pictures of a person that are enrolled."""
REFUSED = -2.0
"""Stands for the similarity of a search that could not be made; below every cosine."""
_NO_RANK = np.iinfo(np.int64).max
_BLOCK = 512


@dataclass(frozen=True, slots=True, eq=False)
class Templates:
    """Templates of known subjects, those that could not be made included.

    Attributes:
        vectors: (T, D) float32 unit vectors; zeros where there is none.
        made: (T,) bool, False for a template that could not be made.
        subjects: (T,) int64 subject of each.
    """

    vectors: FloatArray
    made: NDArray[np.bool_]
    subjects: SubjectArray

    def __post_init__(self) -> None:
        if not len(self.vectors) == len(self.made) == len(self.subjects):
            raise ValueError(
                f"{len(self.vectors)} vectors need as many flags and subjects, got {len(self.made)} and "
                f"{len(self.subjects)}"
            )

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> "Templates":
        """Some of them."""
        return Templates(self.vectors[rows], self.made[rows], self.subjects[rows])


@dataclass(frozen=True, slots=True, eq=False)
class OpenSet:
    """Which samples are enrolled and which are searched for.

    Attributes:
        enrolled: (G,) rows of the samples that are enrolled, in the order in which people join the gallery.
        probes: (P,) rows of all other samples.
    """

    enrolled: NDArray[np.int64]
    probes: NDArray[np.int64]


def split_open_set(subjects: SubjectArray, seed: int) -> OpenSet | None:
    """Enroll half of the people with one to three pictures each; everything else is searched for.

    Only people with two pictures or more can be enrolled, and each leaves at least one picture for a mated search.
    All pictures of the other people make non-mated searches.

    Args:
        subjects: (S,) subject of each sample.
        seed: of the draws.

    Returns: the split; None when nobody has two pictures or nobody is left over.
    """
    rng = np.random.default_rng(seed)
    people, counts = np.unique(subjects, return_counts=True)
    able = rng.permutation(people[counts >= 2])
    chosen = able[: max(1, len(people) // 2)]
    if not len(chosen) or len(chosen) == len(people):
        return None
    enrolled = []
    for person in chosen:
        rows = rng.permutation(np.flatnonzero(subjects == person))
        enrolled.append(rows[: rng.integers(1, min(MAX_ENROLLED, len(rows) - 1) + 1)])
    gallery = np.concatenate(enrolled)
    return OpenSet(gallery, np.setdiff1d(np.arange(len(subjects)), gallery))


@dataclass(frozen=True, slots=True, eq=False)
class Searches:
    """Outcomes of searches, with the subjects that intervals are made from.

    Attributes:
        outcomes: a mated search without result has similarity :data:`REFUSED` and the last rank, a non-mated one
            the top similarity :data:`REFUSED`.
        mated_subjects: (M,) subject of each mated search.
        nonmated_subjects: (N,) subject of each non-mated search.
        report_counts: failures, for the report.
    """

    outcomes: SearchOutcomes
    mated_subjects: SubjectArray
    nonmated_subjects: SubjectArray
    report_counts: "FailureCounts"


@dataclass(frozen=True, slots=True)
class FailureCounts:
    """Failures inside the rates of a search report.

    Attributes:
        n_people: people in the gallery's list.
        n_templates: templates that were made of their pictures.
        fte_rate: failure-to-enroll rate: people of the list without any template.
        mated_fta_rate: failure-to-acquire rate of mated searches; each is a false negative.
        nonmated_fta_rate: the same of non-mated searches; none is a false positive.
    """

    n_people: int
    n_templates: int
    fte_rate: float
    mated_fta_rate: float
    nonmated_fta_rate: float


def run_searches(gallery: Templates, probes: Templates) -> Searches:
    """Search for every probe in a gallery, exactly.

    A probe of a person in the gallery's list makes a mated search even if that person could not be enrolled.

    Args:
        gallery: templates of the people to enroll; of several templates of a person the best counts.
        probes: what is searched for.

    Raises:
        DataError: nobody could be enrolled, or one kind of search is missing.
    """
    enrolled = gallery.take(gallery.made)
    mated = np.isin(probes.subjects, gallery.subjects)
    if not len(enrolled.subjects) or mated.all() or not mated.any():
        raise DataError(
            f"a search needs an enrolled person, mated and non-mated probes; {len(enrolled.subjects)} templates were "
            f"enrolled, {int(mated.sum())} probes are mated and {int((~mated).sum())} are not"
        )
    present = np.isin(probes.subjects, enrolled.subjects)
    asked = probes.made & (present | ~mated)
    found = search_outcomes(
        _blocks(probes.vectors[asked], enrolled.vectors), probes.subjects[asked], enrolled.subjects
    )
    scores, ranks = np.full(len(mated), REFUSED), np.full(len(mated), _NO_RANK)
    scores[asked & mated], ranks[asked & mated] = found.mated_scores, found.mated_ranks
    scores[asked & ~mated] = found.nonmated_tops
    people = np.unique(gallery.subjects)
    counts = FailureCounts(
        n_people=len(people),
        n_templates=len(enrolled.subjects),
        fte_rate=1 - found.n_subjects / len(people),
        mated_fta_rate=1 - float(probes.made[mated].mean()),
        nonmated_fta_rate=1 - float(probes.made[~mated].mean()),
    )
    outcomes = SearchOutcomes(scores[mated], ranks[mated], scores[~mated], found.n_subjects)
    return Searches(outcomes, probes.subjects[mated], probes.subjects[~mated], counts)


def _blocks(probes: FloatArray, gallery: FloatArray) -> Iterator[FloatArray]:
    for start in range(0, len(probes), _BLOCK):
        yield probes[start : start + _BLOCK] @ gallery.T


@dataclass(frozen=True, slots=True)
class RankRate:
    """Rank-k identification rate with its 95 % interval; mates that were not enrolled or seen are misses."""

    rank: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SearchRate:
    """Error rates of open-set search at one FPIR.

    Attributes:
        asked: false positive identification rate that was asked for, a fraction.
        threshold: smallest observed similarity that keeps it.
        fpir: rate reached.
        false_positives: non-mated searches that returned somebody.
        fnir: false negative identification rate for candidate lists of one; 1 - DIR.
        low: lower end of its 95 % interval.
        high: upper end of it.
    """

    asked: float
    threshold: float
    fpir: float
    false_positives: int
    fnir: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SearchReport:
    """One gallery, its searches and their rates, fractions.

    Attributes:
        failures: gallery size, failures to enroll and to acquire.
        n_mated: mated searches.
        n_nonmated: non-mated searches.
        n_mated_people: people behind the mated searches.
        n_nonmated_people: people behind the non-mated searches.
        ranks: identification rates at ranks below the gallery size, intervals with them.
        cmc: identification rate at rank 1, 2, ... up to 20 or the gallery size.
        points: FNIR and DIR at the FPIRs that are supported.
        not_supported: which asked rates are not given, and what they would need.
        intervals: how the intervals were made, in words.
    """

    failures: FailureCounts
    n_mated: int
    n_nonmated: int
    n_mated_people: int
    n_nonmated_people: int
    ranks: tuple[RankRate, ...]
    cmc: tuple[float, ...]
    points: tuple[SearchRate, ...]
    not_supported: tuple[str, ...]
    intervals: str

    def text(self) -> str:
        """For people, a line for each figure."""
        f = self.failures
        lines = [
            f"1:N in a gallery of {f.n_people:,} people, {f.n_templates:,} templates: {self.n_mated:,} mated searches "
            f"of {self.n_mated_people:,} people, {self.n_nonmated:,} non-mated ones of {self.n_nonmated_people:,}; "
            f"failure to enroll {f.fte_rate:.4f}, to acquire {f.mated_fta_rate:.4f} (mated) and "
            f"{f.nonmated_fta_rate:.4f} (non-mated), counted in the rates"
        ]
        lines += [f"rank {r.rank}: {r.rate:.4f} [{r.low:.4f}, {r.high:.4f}]" for r in self.ranks]
        lines += [
            f"FPIR {p.asked:g}: FNIR {p.fnir:.4f} [{p.low:.4f}, {p.high:.4f}], DIR {1 - p.fnir:.4f}, threshold "
            f"{p.threshold:.4f}, {p.false_positives} false positives"
            for p in self.points
        ]
        return "\n".join([*lines, *self.not_supported, self.intervals])


def search_report(searches: Searches, fpirs: Sequence[float], plan: Resampling) -> SearchReport:
    """Measure searches.

    A rate is given when the non-mated searches let at least ten false positives pass; else it is explained.

    Args:
        searches: :func:`run_searches`.
        fpirs: false positive identification rates asked for, fractions.
        plan: bootstrap over the people of the probes; the gallery stays as it is.
    """
    outcomes = searches.outcomes
    n_nonmated, n_people = len(outcomes.nonmated_tops), searches.report_counts.n_people
    supported = [rate for rate in fpirs if allowed_errors(rate, n_nonmated) >= COUNT_RULE]
    drawn = _Draws(searches, plan)
    ranks = [rank for rank in RANKS if rank < n_people]
    return SearchReport(
        failures=searches.report_counts,
        n_mated=len(outcomes.mated_scores),
        n_nonmated=n_nonmated,
        n_mated_people=len(drawn.mated_people),
        n_nonmated_people=len(drawn.nonmated_people),
        ranks=tuple(_rank_rate(outcomes, drawn, rank) for rank in ranks),
        cmc=tuple(cmc(outcomes.mated_ranks, min(CMC_LENGTH, n_people)).tolist()),
        points=tuple(_search_rate(outcomes, drawn, rate) for rate in supported),
        not_supported=tuple(
            f"FPIR {rate:g} is not given: it needs {math.ceil(COUNT_RULE / rate * (1 - 1e-12)):,} non-mated "
            f"searches ({COUNT_RULE} false positives), there are {n_nonmated:,}"
            for rate in fpirs
            if rate not in supported
        )
        + tuple(
            f"rank {rank} is not given: the gallery holds {n_people} people"
            for rank in RANKS
            if rank not in ranks
        ),
        intervals=f"95 % intervals from resampled people of the searches, the gallery as it is ({plan.replicates}, "
        f"seed {plan.seed})",
    )


class _Draws:
    """Weights of every search in every replicate: how often its person was drawn."""

    def __init__(self, searches: Searches, plan: Resampling) -> None:
        rng = np.random.default_rng(plan.seed)
        self.mated_people, mated = np.unique(searches.mated_subjects, return_inverse=True)
        self.nonmated_people, nonmated = np.unique(searches.nonmated_subjects, return_inverse=True)
        self._mated, self._nonmated = mated, nonmated
        self._counts = [
            rng.multinomial(len(people), np.full(len(people), 1 / len(people)), size=plan.replicates)
            for people in (self.mated_people, self.nonmated_people)
        ]

    def missed(self, hit: NDArray[np.bool_], hits: int) -> Interval:
        """Interval of the rate of misses among mated searches, for one decision on each."""
        n = len(self.mated_people)
        per_person = np.bincount(self._mated[~hit], minlength=n)
        rates = self._counts[0] @ per_person / (self._counts[0] @ np.bincount(self._mated, minlength=n))
        return without_errors(percentile_interval(rates), len(hit) - hits, n)

    def missed_at(self, outcomes: SearchOutcomes, fpir: float, errors: int) -> Interval:
        """Interval of FNIR at an FPIR, the threshold chosen anew in each replicate."""
        order = np.argsort(-outcomes.nonmated_tops, kind="stable")
        tops, owner = outcomes.nonmated_tops[order], self._nonmated[order]
        first = outcomes.mated_ranks == 1
        rates = np.empty(len(self._counts[0]))
        for i, (mated_counts, nonmated_counts) in enumerate(zip(*self._counts, strict=True)):
            passed = np.cumsum(nonmated_counts[owner])
            allowed = allowed_errors(fpir, int(passed[-1]))
            place = int(np.searchsorted(passed, allowed, side="right"))
            limit = tops[place] if place < len(tops) else -math.inf
            weights = mated_counts[self._mated]
            rates[i] = 1 - weights[first & (outcomes.mated_scores > limit)].sum() / weights.sum()
        return without_errors(percentile_interval(rates), errors, len(self.mated_people))


def _rank_rate(outcomes: SearchOutcomes, drawn: _Draws, rank: int) -> RankRate:
    hit = outcomes.mated_ranks <= rank
    hits = int(hit.sum())
    missed = drawn.missed(hit, hits)
    return RankRate(rank, hits / len(hit), 1 - missed.high, 1 - missed.low)


def _search_rate(outcomes: SearchOutcomes, drawn: _Draws, rate: float) -> SearchRate:
    point = fnir_at_fpir(outcomes, rate, max_rank=1)
    interval = drawn.missed_at(outcomes, rate, round(point.fnir * point.n_mated))
    return SearchRate(
        asked=rate,
        threshold=point.threshold,
        fpir=point.fpir,
        false_positives=round(point.fpir * point.n_nonmated),
        fnir=point.fnir,
        low=interval.low,
        high=interval.high,
    )


def open_set_reports(
    samples: Templates, fpirs: Sequence[float], plan: Resampling
) -> tuple[SearchReport, ...]:
    """Enroll half of the people, and search for everything else in galleries that grow.

    The non-mated searches are the same for every gallery: people who are in none of them.

    Args:
        samples: one template a picture.
        fpirs: false positive identification rates asked for, fractions.
        plan: bootstrap of the intervals; its seed also draws who is enrolled.

    Returns: a report for each gallery size; none when nobody has two pictures or nobody is left over.

    Raises:
        DataError: none of the people to enroll gave a template.
    """
    split = split_open_set(samples.subjects, plan.seed)
    if split is None:
        return ()
    whole, probes = samples.take(split.enrolled), samples.take(split.probes)
    strangers = ~np.isin(probes.subjects, whole.subjects)
    reports = []
    for gallery in nested_galleries(whole):
        asked = probes.take(strangers | np.isin(probes.subjects, gallery.subjects))
        reports.append(search_report(run_searches(gallery, asked), fpirs, plan))
    return tuple(reports)


def nested_galleries(gallery: Templates) -> Iterator[Templates]:
    """Galleries of the first 10, 100, 1,000 ... people, and at last of all; each holds those before it.

    Args:
        gallery: templates in the order in which people join.
    """
    people = list(dict.fromkeys(gallery.subjects.tolist()))
    size = 10
    while size < len(people):
        yield gallery.take(np.isin(gallery.subjects, people[:size]))
        size *= 10
    yield gallery
