"""Evaluation on the user's own data: folders of people, lists of pairs, packs of crops, scores of any system."""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from lineament.core.types import OperatingPoint
from lineament.evaluation.comparisons import ComparisonReport, LabelledScores, comparison_report
from lineament.evaluation.evidence import comparisons_digest
from lineament.evaluation.groups import GroupReport, group_report, read_groups
from lineament.evaluation.jsonfile import dump_report, load_report
from lineament.evaluation.machine import Machine, this_machine
from lineament.evaluation.pairlists import LabelledPairs, linked_people
from lineament.evaluation.peoplefolder import alike_people, people_pairs, read_people
from lineament.evaluation.product_rates import CalibratedRate, calibrated_rates
from lineament.evaluation.samples import (
    Acquisition,
    Progress,
    SampleEmbeddings,
    acquire_all,
    acquire_samples,
    collect_outcomes,
)
from lineament.evaluation.search import SearchReport, Templates, open_set_reports
from lineament.evaluation.sets import PictureSource
from lineament.evaluation.trials import N_FOLDS
from lineament.evaluation.verification import SystemUsed
from lineament.metrics.bootstrap import Resampling
from lineament.packs import read_pair_pack


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
class OwnReport:
    """Everything that an evaluation of own data found. Rates are fractions.

    Attributes:
        system: what was evaluated; None for scores in reports of older versions.
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
        n_from_cache: pictures whose outcome an earlier run had kept; ``wall_s`` is no speed then.
        kind: tells this report from others in a file.
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
    n_from_cache: int = 0
    kind: Literal["own data"] = "own data"

    @property
    def name(self) -> str:
        """How tables and pictures call what was evaluated."""
        return self.system.name if self.system else "scores"

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
        lines = [f"{self.name} on {self.dataset}: {self.protocol}"]
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
    pairs = people_pairs(people, asked.plan.seed)
    pairs.check_kinds()
    group_of = _group_of(pairs, asked)
    found = acquire_samples(people.samples, source, measured.acquisition, measured.space, progress)
    alike = alike_people(found.vectors[found.acquired], people.subject_of_sample[found.acquired])
    if alike:
        said = f"{alike:,} times two people are as alike as one: a person may have two names, or folders are mixed"
        pairs = replace(pairs, notes=(*pairs.notes, said))
    report = report_of(pairs, found, measured, asked, (source.path.name, people.data_sha256), group_of)
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
    pairs.check_kinds()
    group_of = _group_of(pairs, asked)
    found = acquire_samples(pairs.samples, source, measured.acquisition, measured.space, progress)
    return report_of(
        pairs, found, measured, asked, (source.path.name, source.digest(pairs.samples)), group_of
    )


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
    encoded, mated = read_pair_pack(path)
    digests = [hashlib.sha256(data).hexdigest() for data in encoded]
    samples = tuple(dict.fromkeys(digests))
    place = {digest: i for i, digest in enumerate(samples)}
    every = np.array([place[digest] for digest in digests], np.int32).reshape(-1, 2)
    start_s, unique = time.perf_counter(), dict(zip(digests, encoded, strict=True))
    outcomes, known = acquire_all(samples, unique.__getitem__, measured.acquisition, progress)
    found = replace(
        collect_outcomes(outcomes, measured.space, str(path), time.perf_counter() - start_s),
        n_from_cache=known,
    )
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


def measure_scores(labelled: LabelledScores, path: Path, asked: Asked, name: str = "scores") -> OwnReport:
    """1:1 rates of scores that another program made.

    Two columns of one file with the same answers can be compared in pairs.

    Args:
        labelled: scores and answers.
        path: where they came from.
        asked: rates and seed.
        name: how the report calls their system.

    Raises:
        DataError: only mated or only non-mated scores.
    """
    data_sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    rows = hashlib.sha256(labelled.mated.tobytes())
    for people in (labelled.subject_a, labelled.subject_b):
        rows.update(b"" if people is None else people.tobytes())
    return OwnReport(
        system=SystemUsed(name, ()),
        space="",
        dataset=path.name,
        protocol=f"{len(labelled.scores):,} scores as listed",
        n_samples=None,
        fta_rate=None,
        refusals={},
        notes=(),
        comparisons=comparison_report(labelled, asked.fmrs, asked.plan, (data_sha256, rows.hexdigest())),
        calibrated=(),
        searches=(),
        groups=None,
        data_sha256=data_sha256,
        replicates=asked.plan.replicates,
        seed=asked.plan.seed,
        machine=this_machine(),
        wall_s=0.0,
    )


def report_of(
    pairs: LabelledPairs,
    found: SampleEmbeddings,
    measured: Measured,
    asked: Asked,
    data: tuple[str, str],
    group_of: Mapping[str, str] | None = None,
) -> OwnReport:
    """The 1:1 part of a report.

    Args:
        pairs: what is compared.
        found: a vector for each sample of ``pairs``.
        measured: the system.
        asked: rates, seed, column of the groups.
        data: name and digest of the pictures.
        group_of: group by name of the picture; None when no groups were asked for.

    Raises:
        DataError: one kind of comparison could not be made.
    """
    labelled = pairs.score(found)
    digests = data[1], comparisons_digest(pairs, labelled.compared)
    comparisons = comparison_report(labelled, asked.fmrs, asked.plan, digests)
    calibrated, unknown = calibrated_rates(labelled, measured.threshold, asked.fmrs, asked.plan)
    groups, withheld = _groups(pairs, labelled, comparisons, asked, group_of)
    return OwnReport(
        system=measured.system,
        space=found.space,
        dataset=data[0],
        protocol=f"{pairs.protocol}; {measured.how}",
        n_samples=len(pairs.samples),
        fta_rate=found.fta_rate,
        refusals=found.refusals,
        notes=(*pairs.notes, *unknown, *withheld),
        comparisons=comparisons,
        calibrated=calibrated,
        searches=(),
        groups=groups,
        data_sha256=data[1],
        replicates=asked.plan.replicates,
        seed=asked.plan.seed,
        machine=this_machine(),
        wall_s=found.wall_s,
        n_from_cache=found.n_from_cache,
    )


def _group_of(pairs: LabelledPairs, asked: Asked) -> dict[str, str] | None:
    """The group of each picture; read before pictures are, so that a wrong file costs no time."""
    if asked.groups is None:
        return None
    path, column = asked.groups
    people = pairs.subjects or ("",) * len(pairs.samples)
    return read_groups(path, column, dict(zip(pairs.samples, people, strict=True)))


def _groups(
    pairs: LabelledPairs,
    labelled: LabelledScores,
    comparisons: ComparisonReport,
    asked: Asked,
    group_of: Mapping[str, str] | None,
) -> tuple[GroupReport | None, tuple[str, ...]]:
    """Rates by group at the first rate that the counts support; else why there are none."""
    if asked.groups is None or group_of is None:
        return None, ()
    _, column = asked.groups
    if not comparisons.points:
        said = f"rates by {column} are not given: the comparisons support none of the asked false match rates"
        return None, (said,)
    rate = comparisons.points[0].asked
    return group_report(pairs, labelled, group_of, (column, rate), asked.plan), ()
