"""Evaluation on the user's own data: folders of people, lists of pairs, packs of crops, scores of any system."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lineament.core.errors import NotCalibrated
from lineament.core.types import OperatingPoint
from lineament.evaluation.comparisons import (
    ComparisonReport,
    LabelledScores,
    comparison_report,
    without_errors,
)
from lineament.evaluation.groups import GroupReport, group_report, read_groups
from lineament.evaluation.jsonfile import dump_report, load_report
from lineament.evaluation.machine import Machine, this_machine
from lineament.evaluation.packs import read_pack
from lineament.evaluation.pairlists import LabelledPairs, linked_people
from lineament.evaluation.peoplefolder import people_pairs, read_people
from lineament.evaluation.samples import (
    BATCH,
    Acquisition,
    Progress,
    SampleEmbeddings,
    acquire_samples,
    collect_outcomes,
)
from lineament.evaluation.search import SearchReport, Templates, open_set_reports
from lineament.evaluation.sets import PictureSource
from lineament.evaluation.trials import N_FOLDS
from lineament.evaluation.verification import SystemUsed
from lineament.metrics.bootstrap import Resampling
from lineament.metrics.rates import bootstrap_rates


@dataclass(frozen=True, slots=True)
class Measured:
    """What is evaluated.

    Attributes:
        system: name and weights.
        space: id of its embedding space.
        how: how a vector is made from a picture, in words.
        acquisition: from the bytes of pictures to vectors.
        threshold: the calibrated operating point of a false match rate; None for a bare embedder.
    """

    system: SystemUsed
    space: str
    how: str
    acquisition: Acquisition
    threshold: Callable[[float], OperatingPoint] | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report shall say.

    Attributes:
        fmrs: false match rates.
        fpirs: false positive identification rates.
        plan: bootstrap; its seed also draws pairs and galleries.
        groups: CSV file and its column with the groups; None for no groups.
    """

    fmrs: tuple[float, ...]
    fpirs: tuple[float, ...]
    plan: Resampling
    groups: tuple[Path, str] | None = None


@dataclass(frozen=True, slots=True)
class CalibratedRate:
    """What the calibrated threshold of a rate gives on these data, fractions with 95 % intervals.

    Attributes:
        asked: false match rate that the threshold was calibrated for.
        threshold: the calibrated threshold.
        record: name of the calibration record.
        fmr: false match rate seen here.
        fmr_low: lower end of its interval.
        fmr_high: upper end of it.
        fnmr: false non-match rate seen here.
        fnmr_low: lower end of its interval.
        fnmr_high: upper end of it.
    """

    asked: float
    threshold: float
    record: str
    fmr: float
    fmr_low: float
    fmr_high: float
    fnmr: float
    fnmr_low: float
    fnmr_high: float

    def text(self) -> str:
        """One line."""
        return (
            f"calibrated threshold {self.threshold:.4f} for FMR (FAR) {self.asked:g} ({self.record}): here FMR "
            f"{self.fmr:.3g} [{self.fmr_low:.3g}, {self.fmr_high:.3g}], FNMR {self.fnmr:.4f} "
            f"[{self.fnmr_low:.4f}, {self.fnmr_high:.4f}]"
        )


@dataclass(frozen=True, slots=True)
class OwnReport:
    """Everything that an evaluation of own data found. Rates are fractions.

    Attributes:
        system: what was evaluated; None for scores of another system.
        space: id of the embedding space; empty for scores.
        dataset: name of the data.
        protocol: what was compared and how pictures were treated, in words.
        n_samples: pictures; None for scores.
        fta_rate: failure-to-acquire rate, refused over all pictures; None for scores.
        refusals: refused pictures by reason.
        notes: what was left out, counted once or inferred.
        comparisons: 1:1.
        calibrated: what the product's own thresholds give here.
        searches: 1:N, one for each gallery size.
        groups: rates by group; None when none were asked for.
        data_sha256: digest of the pictures, or of the file of scores.
        replicates: bootstrap replicates behind the intervals.
        seed: seed of every draw.
        machine: hardware and versions.
        wall_s: time for reading, decoding and embedding, s; short where the cache knew the pictures.
    """

    system: SystemUsed | None
    space: str
    dataset: str
    protocol: str
    n_samples: int | None
    fta_rate: float | None
    refusals: dict[str, int]
    notes: tuple[str, ...]
    comparisons: ComparisonReport
    calibrated: tuple[CalibratedRate, ...]
    searches: tuple[SearchReport, ...]
    groups: GroupReport | None
    data_sha256: str
    replicates: int
    seed: int
    machine: Machine
    wall_s: float

    def to_json(self) -> str:
        """The report as JSON."""
        return dump_report(self)

    @classmethod
    def from_json(cls, text: str) -> "OwnReport":
        """The report that :meth:`to_json` wrote.

        Raises:
            DataError: not such a report.
        """
        return load_report(cls, text)

    def text(self) -> str:
        """The report for people, without the table of groups."""
        lines = [f"{self.system.name if self.system else 'scores'} on {self.dataset}: {self.protocol}"]
        if self.n_samples is not None:
            refused = ", ".join(f"{reason} {count}" for reason, count in self.refusals.items())
            lines.append(
                f"{self.n_samples:,} pictures; failure to acquire {self.fta_rate:.4f}"
                + (f" ({refused})" if refused else "")
            )
        lines += [f"note: {words}" for words in self.notes]
        lines.append(self.comparisons.text())
        lines += [rate.text() for rate in self.calibrated]
        lines += [search.text() for search in self.searches]
        if self.groups is not None:
            lines.append(self.groups.text())
        return "\n".join(lines)


def measure_people(
    source: PictureSource, measured: Measured, asked: Asked, progress: Progress | None = None
) -> OwnReport:
    """1:1 over all pairs (or a drawn part of millions) and open-set 1:N, from a folder of people.

    Args:
        source: ``person/photo.jpg``.
        measured: the system.
        asked: rates, seed, groups.
        progress: told after every batch.

    Raises:
        DataError: the folder, or the file of groups, cannot be used.
    """
    people = read_people(source)
    found = acquire_samples(people.samples, source, measured.acquisition, measured.space, progress)
    pairs = people_pairs(people, asked.plan.seed)
    report = report_of(pairs, found, measured, asked, (source.path.name, people.data_sha256))
    templates = Templates(found.vectors, found.acquired, people.subject_of_sample.astype(np.int64))
    searches = open_set_reports(templates, asked.fpirs, asked.plan)
    return replace(report, searches=searches)


def measure_pairs(
    pairs: LabelledPairs,
    source: PictureSource,
    measured: Measured,
    asked: Asked,
    progress: Progress | None = None,
) -> OwnReport:
    """1:1 over a list of pairs.

    Args:
        pairs: the list.
        source: its pictures.
        measured: the system.
        asked: rates, seed, groups.
        progress: told after every batch.

    Raises:
        DataError: pictures of the list are missing, or the file of groups cannot be used.
    """
    found = acquire_samples(pairs.samples, source, measured.acquisition, measured.space, progress)
    return report_of(pairs, found, measured, asked, (source.path.name, source.digest(pairs.samples)))


def measure_pack(path: Path, measured: Measured, asked: Asked, progress: Progress | None = None) -> OwnReport:
    """1:1 over a pack of aligned crops; in ten folds of the file's order where their number allows it.

    Args:
        path: the pack.
        measured: the embedder, its acquisition for aligned crops.
        asked: rates and seed.
        progress: told after every batch.

    Raises:
        DataError: not such a pack.
    """
    encoded, mated = read_pack(path)
    digests = [hashlib.sha256(data).hexdigest() for data in encoded]
    samples = tuple(dict.fromkeys(digests))
    place = {digest: i for i, digest in enumerate(samples)}
    every = np.array([place[digest] for digest in digests], np.int32).reshape(-1, 2)
    start_s, unique = time.perf_counter(), dict(zip(digests, encoded, strict=True))
    outcomes = []
    for start in range(0, len(samples), BATCH):
        names = samples[start : start + BATCH]
        outcomes += measured.acquisition.outcomes([(name[:12], unique[name]) for name in names])
        if progress is not None:
            progress(start + len(names), len(samples))
    found = collect_outcomes(outcomes, measured.space, str(path), time.perf_counter() - start_s)
    subjects, said = linked_people(len(samples), every, mated)
    folds = np.arange(len(mated)) * N_FOLDS // len(mated)
    pairs = LabelledPairs(
        f"{len(mated):,} pairs of aligned crops",
        samples,
        every,
        mated,
        subjects,
        folds.astype(np.int32) if len(mated) % N_FOLDS == 0 and mated.any() and not mated.all() else None,
        (said,),
    )
    return report_of(
        pairs, found, measured, asked, (path.name, hashlib.sha256(path.read_bytes()).hexdigest())
    )


def measure_scores(labelled: LabelledScores, path: Path, asked: Asked) -> OwnReport:
    """1:1 rates of scores that another program made.

    Args:
        labelled: scores and answers.
        path: where they came from.
        asked: rates and seed.

    Raises:
        DataError: only mated or only non-mated scores.
    """
    return OwnReport(
        system=None,
        space="",
        dataset=path.name,
        protocol=f"{len(labelled.scores):,} scores as listed",
        n_samples=None,
        fta_rate=None,
        refusals={},
        notes=(),
        comparisons=comparison_report(labelled, asked.fmrs, asked.plan),
        calibrated=(),
        searches=(),
        groups=None,
        data_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        replicates=asked.plan.replicates,
        seed=asked.plan.seed,
        machine=this_machine(),
        wall_s=0.0,
    )


def report_of(
    pairs: LabelledPairs, found: SampleEmbeddings, measured: Measured, asked: Asked, data: tuple[str, str]
) -> OwnReport:
    """The 1:1 part of a report.

    Args:
        pairs: what is compared.
        found: a vector for each sample of ``pairs``.
        measured: the system.
        asked: rates, seed, groups.
        data: name and digest of the pictures.

    Raises:
        DataError: one kind of comparison could not be made, or the file of groups cannot be used.
    """
    labelled = pairs.score(found)
    comparisons = comparison_report(labelled, asked.fmrs, asked.plan)
    calibrated, unknown = _calibrated(labelled, measured, asked)
    return OwnReport(
        system=measured.system,
        space=found.space,
        dataset=data[0],
        protocol=f"{pairs.protocol}; {measured.how}",
        n_samples=len(pairs.samples),
        fta_rate=found.fta_rate,
        refusals=found.refusals,
        notes=(*pairs.notes, *unknown),
        comparisons=comparisons,
        calibrated=calibrated,
        searches=(),
        groups=_groups(pairs, labelled, comparisons, asked),
        data_sha256=data[1],
        replicates=asked.plan.replicates,
        seed=asked.plan.seed,
        machine=this_machine(),
        wall_s=found.wall_s,
    )


def _groups(
    pairs: LabelledPairs, labelled: LabelledScores, comparisons: ComparisonReport, asked: Asked
) -> GroupReport | None:
    """Rates by group at the first rate that was asked for and is supported."""
    if asked.groups is None:
        return None
    path, column = asked.groups
    people = pairs.subjects or ("",) * len(pairs.samples)
    group_of = read_groups(path, column, dict(zip(pairs.samples, people, strict=True)))
    rate = comparisons.points[0].asked if comparisons.points else asked.fmrs[0]
    return group_report(pairs, labelled, group_of, (column, rate), asked.plan)


def _calibrated(
    labelled: LabelledScores, measured: Measured, asked: Asked
) -> tuple[tuple[CalibratedRate, ...], tuple[str, ...]]:
    """The product's thresholds on these comparisons, and notes on rates without one."""
    made = labelled.made()
    if measured.threshold is None or made.subject_a is None:
        return (), ()
    points, notes = [], []
    for rate in asked.fmrs:
        try:
            points.append(measured.threshold(rate))
        except NotCalibrated as error:
            notes.append(f"no calibrated threshold for FMR {rate:g}: {error}")
    above = [made.scores >= point.threshold for point in points]
    matched = _rates([accepted[~made.mated] for accepted in above], made, ~made.mated, asked.plan)
    missed = _rates([~accepted[made.mated] for accepted in above], made, made.mated, asked.plan)
    return tuple(
        CalibratedRate(point.fmr, point.threshold, point.record, *fmr, *fnmr)
        for point, fmr, fnmr in zip(points, matched, missed, strict=True)
    ), tuple(notes)


def _rates(
    errors: Sequence[NDArray[np.bool_]], made: LabelledScores, kind: NDArray[np.bool_], plan: Resampling
) -> list[tuple[float, float, float]]:
    """Rate of each kind of error among the comparisons of one kind, with the ends of its interval."""
    if made.subject_a is None or made.subject_b is None or not errors:
        return []
    a, b = made.subject_a[kind], made.subject_b[kind]
    counts = [int(wrong.sum()) for wrong in errors]
    people = len(np.union1d(a, b))
    ends = [
        without_errors(interval, count, people)
        for interval, count in zip(bootstrap_rates(errors, a, b, plan), counts, strict=True)
    ]
    return [(count / len(a), end.low, end.high) for count, end in zip(counts, ends, strict=True)]
