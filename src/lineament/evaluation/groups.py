"""Do error rates differ between groups of people? Rates for each group at one threshold, and what equality costs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import ScoreArray
from lineament.core.errors import DataError
from lineament.evaluation.comparisons import LabelledScores, without_errors
from lineament.evaluation.pairlists import LabelledPairs
from lineament.evaluation.tables import read_table
from lineament.metrics.binomial import clopper_pearson
from lineament.metrics.bootstrap import Interval, Resampling
from lineament.metrics.rates import bootstrap_rates
from lineament.metrics.verification import COUNT_RULE, MeasuredPoint, allowed_errors, tar_at_far_protocol

FILE_COLUMNS = ("file", "path", "picture", "image")
PERSON_COLUMNS = ("person", "subject", "identity")
MAX_GROUPS = 200
"""More values than that are a measurement or a name, not groups."""


@dataclass(frozen=True, slots=True)
class GroupRate:
    """Error rates of the comparisons within one group, fractions.

    Attributes:
        group: its value in the column.
        n_subjects: people with comparisons within the group; None when people are not known.
        n_mated: mated comparisons made.
        misses: those below the threshold.
        fnmr: false non-match rate; None without mated comparisons.
        fnmr_low: lower end of its 95 % interval.
        fnmr_high: upper end of it.
        n_nonmated: non-mated comparisons made, both people of the group.
        false_matches: those at or above the threshold.
        fmr: false match rate; None without non-mated comparisons.
        fmr_low: lower end of its 95 % interval.
        fmr_high: upper end of it.
    """

    group: str
    n_subjects: int | None
    n_mated: int
    misses: int
    fnmr: float | None
    fnmr_low: float | None
    fnmr_high: float | None
    n_nonmated: int
    false_matches: int
    fmr: float | None
    fmr_low: float | None
    fmr_high: float | None


@dataclass(frozen=True, slots=True)
class BoundedThreshold:
    """The one threshold that keeps a false match rate in every group that is large enough to tell.

    Attributes:
        threshold: the largest of the groups' own thresholds, and not below the overall one.
        worst_group: the group with the largest threshold.
        fmr: overall false match rate at it.
        fnmr: overall false non-match rate at it.
        fnmr_before: overall false non-match rate at the global threshold.
        left_out: groups with too few non-mated comparisons for the rate; it may be higher in them.
    """

    threshold: float
    worst_group: str
    fmr: float
    fnmr: float
    fnmr_before: float
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GroupReport:
    """Error rates by group at the threshold of one overall false match rate.

    Attributes:
        column: column of the groups.
        asked: overall false match rate, a fraction.
        threshold: threshold at it.
        groups: rates of each group, by name.
        n_without_group: pictures of which the file says nothing.
        fmr_max_over_mean: largest FMR of a group over the geometric mean of the groups; None when it is not given.
        ratio_note: why it is not given, empty otherwise.
        bounded: the threshold that bounds the worst group; None when no group is large enough.
        intervals: how the intervals were made, in words.
    """

    column: str
    asked: float
    threshold: float
    groups: tuple[GroupRate, ...]
    n_without_group: int
    fmr_max_over_mean: float | None
    ratio_note: str
    bounded: BoundedThreshold | None
    intervals: str

    def text(self) -> str:
        """What stands beside the table of groups, a line for each statement."""
        lines = [
            f"groups by {self.column} at the overall FMR (FAR) {self.asked:g}, threshold {self.threshold:.4f}"
        ]
        if self.n_without_group:
            lines.append(f"{self.n_without_group:,} pictures have no group and are in no row")
        ratio = self.fmr_max_over_mean
        lines.append(
            f"largest FMR over geometric mean {ratio:.2f}"
            if ratio is not None
            else f"largest FMR over geometric mean is not given: {self.ratio_note}"
        )
        if self.bounded is None:
            lines.append(f"no group has the comparisons to bound its FMR at {self.asked:g}")
        else:
            b = self.bounded
            lines.append(
                f"threshold {b.threshold:.4f} keeps FMR {self.asked:g} in every group (worst: {b.worst_group}); the "
                f"overall FNMR {b.fnmr_before:.4f} becomes {b.fnmr:.4f}, the overall FMR {b.fmr:.3g}"
                + (f"; too small to tell: {', '.join(b.left_out)}" if b.left_out else "")
            )
        return "\n".join([*lines, self.intervals])


def read_groups(path: Path, column: str, samples: Mapping[str, str]) -> dict[str, str]:
    """The group of each picture.

    Args:
        path: CSV with a column of pictures (file, path, picture or image) or of people (person, subject or
            identity), or with both, when files are named within their person's folder.
        column: the column of the groups.
        samples: the person of each picture by its name; empty where people have no names.

    Returns: group by name of the picture; pictures without one are left out.

    Raises:
        DataError: a column is missing, a picture or person has two groups, no picture is named at all, or there are
            more groups than :data:`MAX_GROUPS`.
    """
    table = read_table(path)
    values = table.column(column)
    if (count := len(set(values) - {""})) > MAX_GROUPS:
        raise DataError(
            f"{path}: expected at most {MAX_GROUPS} groups, column {column!r} holds {count:,} values; put numbers and "
            "dates into ranges first"
        )
    files, people = (
        next((c for c in table.columns if c.lower() in names and c != column), "")
        for names in (FILE_COLUMNS, PERSON_COLUMNS)
    )
    if not files and not people:
        raise DataError(
            f"{path}: expected a column of pictures ({', '.join(FILE_COLUMNS)}) or of people "
            f"({', '.join(PERSON_COLUMNS)}), found {table.seen()}"
        )
    keys = list(table.column(files or people))
    if files and people:
        owners = table.column(people)
        keys = [
            key if key in samples else f"{person}/{key}" for key, person in zip(keys, owners, strict=True)
        ]
    group: dict[str, str] = {}
    wrong = [
        row
        for row, (key, value) in enumerate(zip(keys, values, strict=True))
        if group.setdefault(key, value) != value
    ]
    if wrong:
        raise table.fault(f"one {files or people} has two values of {column!r}", wrong)
    found = {
        sample: group[key]
        for sample, person in samples.items()
        if (key := sample if files else person) in group and group[key]
    }
    if not found:
        raise DataError(
            f"{path}: none of {len(samples):,} pictures is named in column {files or people!r}; it holds "
            f"{keys[0]!r}, a picture is called {next(iter(samples), '')!r}"
        )
    return found


def group_report(
    pairs: LabelledPairs,
    labelled: LabelledScores,
    group_of: Mapping[str, str],
    asked: tuple[str, float],
    plan: Resampling,
) -> GroupReport:
    """Rates of every group at the threshold of an overall false match rate.

    Comparisons across groups count in the overall rates only.

    Args:
        pairs: which pictures were compared.
        labelled: what came out.
        group_of: :func:`read_groups`.
        asked: name of the column, and the overall false match rate, a fraction.
        plan: bootstrap of the intervals.

    Raises:
        DataError: too few non-mated comparisons for the rate.

    Source: the ratio of the largest to the geometric mean is that of NIST IR 8429 (2022), measures of demographic
        differentials.
    """
    column, rate = asked
    made = labelled.made()
    same, different = made.scores[made.mated], made.scores[~made.mated]
    if not len(same) or allowed_errors(rate, len(different)) < COUNT_RULE:
        raise DataError(
            f"rates by group at FMR {rate:g} need mated comparisons and {math.ceil(COUNT_RULE / rate):,} non-mated "
            f"ones, there are {len(same):,} and {len(different):,}; ask for a higher rate"
        )
    point = tar_at_far_protocol(same, different, rate)
    names = sorted(set(group_of.values()))
    place = {name: i for i, name in enumerate(names)}
    number = np.array([place[group_of[s]] if s in group_of else -1 for s in pairs.samples])
    sides = number[pairs.pairs[labelled.compared]]
    within = np.where(sides[:, 0] == sides[:, 1], sides[:, 0], -1)
    groups = tuple(
        _rate(name, _some(made, within == i), point.threshold, plan) for i, name in enumerate(names)
    )
    ratio, note = _ratio(groups)
    by_people = made.subject_a is not None
    return GroupReport(
        column=column,
        asked=rate,
        threshold=point.threshold,
        groups=groups,
        n_without_group=int(np.count_nonzero(number < 0)),
        fmr_max_over_mean=ratio,
        ratio_note=note,
        bounded=_bounded(made, within, names, rate, point),
        intervals="95 % intervals at the fixed threshold from "
        + (
            f"resampled people of each group ({plan.replicates}, seed {plan.seed})"
            if by_people
            else "independent pairs (Clopper-Pearson): too narrow, as people are not known"
        ),
    )


def _some(made: LabelledScores, chosen: NDArray[np.bool_]) -> LabelledScores:
    a, b = (None if v is None else v[chosen] for v in (made.subject_a, made.subject_b))
    return LabelledScores(made.scores[chosen], made.mated[chosen], a, b)


def _rate(name: str, made: LabelledScores, threshold: float, plan: Resampling) -> GroupRate:
    above = made.scores >= threshold
    misses, false_matches = ~above & made.mated, above & ~made.mated
    n_mated, n_nonmated = int(made.mated.sum()), int((~made.mated).sum())
    a, b = made.subject_a, made.subject_b
    missed = _interval(made, misses, made.mated, plan)
    matched = _interval(made, false_matches, ~made.mated, plan)
    return GroupRate(
        group=name,
        n_subjects=None if a is None or b is None else len(np.union1d(a, b)),
        n_mated=n_mated,
        misses=int(misses.sum()),
        fnmr=int(misses.sum()) / n_mated if n_mated else None,
        fnmr_low=missed.low if missed else None,
        fnmr_high=missed.high if missed else None,
        n_nonmated=n_nonmated,
        false_matches=int(false_matches.sum()),
        fmr=int(false_matches.sum()) / n_nonmated if n_nonmated else None,
        fmr_low=matched.low if matched else None,
        fmr_high=matched.high if matched else None,
    )


def _interval(
    made: LabelledScores, errors: NDArray[np.bool_], kind: NDArray[np.bool_], plan: Resampling
) -> Interval | None:
    """Interval of a rate among the comparisons of one kind; None when there are none."""
    if not kind.any():
        return None
    if made.subject_a is None or made.subject_b is None:
        return clopper_pearson(int(errors.sum()), int(kind.sum()))
    a, b = made.subject_a[kind], made.subject_b[kind]
    (interval,) = bootstrap_rates([errors[kind]], a, b, plan)
    return without_errors(interval, int(errors.sum()), len(np.union1d(a, b)))


def _ratio(groups: tuple[GroupRate, ...]) -> tuple[float | None, str]:
    rates = [g.fmr for g in groups if g.fmr is not None]
    if len(rates) < 2:
        return None, "fewer than two groups have non-mated comparisons"
    clean = [g.group for g in groups if g.fmr == 0]
    if clean:
        return None, f"no false match was seen in {', '.join(clean)}"
    return max(rates) / math.exp(sum(map(math.log, rates)) / len(rates)), ""


def _bounded(
    made: LabelledScores, within: NDArray[np.integer], names: list[str], rate: float, overall: MeasuredPoint
) -> BoundedThreshold | None:
    same: ScoreArray = made.scores[made.mated]
    different: ScoreArray = made.scores[~made.mated]
    thresholds: dict[str, float] = {}
    for i, name in enumerate(names):
        inside = made.scores[~made.mated & (within == i)]
        if len(inside) and allowed_errors(rate, len(inside)) >= COUNT_RULE:
            thresholds[name] = tar_at_far_protocol(same, inside, rate).threshold
    if not thresholds:
        return None
    worst = max(thresholds, key=lambda name: thresholds[name])
    threshold = max(thresholds[worst], overall.threshold)
    return BoundedThreshold(
        threshold=threshold,
        worst_group=worst,
        fmr=float(np.mean(different >= threshold)),
        fnmr=float(np.mean(same < threshold)),
        fnmr_before=overall.fnmr,
        left_out=tuple(name for name in names if name not in thresholds),
    )
