"""What changed from one report to another, and whether the data allow saying that two systems differ."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from lineament.evaluation.detection import DetectionReport
from lineament.evaluation.reading import Report
from lineament.evaluation.verification import ScoredTrials, VerificationReport
from lineament.metrics.bootstrap import PairScores, Resampling
from lineament.metrics.lfw import FoldAccuracy
from lineament.metrics.paired import (
    Difference,
    paired_difference,
    paired_fold_accuracy,
    paired_tar_at_far,
    student_quantile,
)

Judged = tuple[VerificationReport, ScoredTrials]
"""A report and the scores behind it."""
Basis = Literal["paired", "separate", "none"]
Verdict = Literal["same", "differ", "not shown", "no interval"]


@dataclass(frozen=True, slots=True)
class FigureDifference:
    """One figure of two systems.

    Attributes:
        name: what the figure is.
        base: the figure of the first system.
        other: the figure of the second system.
        low: lower end of the interval of ``other - base``; None without one.
        high: upper end of it.
        basis: "paired" for a 95 % interval of the difference on identical resamples (or folds); "separate" for the
            widest difference that the two separate 95 % intervals leave, which is conservative; "none".
    """

    name: str
    base: float
    other: float
    low: float | None
    high: float | None
    basis: Basis

    @property
    def difference(self) -> float:
        """``other - base``."""
        return self.other - self.base

    @property
    def verdict(self) -> Verdict:
        """What the interval allows to say."""
        if self.low is None or self.high is None:
            return "same" if self.base == self.other else "no interval"
        if self.low == self.high == 0:
            return "same"
        return "differ" if self.low > 0 or self.high < 0 else "not shown"

    def says(self) -> str:
        """The verdict as a sentence for people."""
        if self.verdict == "no interval":
            return "no interval: no statement"
        if self.verdict == "same":
            return "the same"
        if self.basis == "paired":
            return "they differ" if self.verdict == "differ" else "a difference is not shown"
        return (
            "they differ: the intervals do not overlap"
            if self.verdict == "differ"
            else "the intervals overlap: no statement"
        )

    def cells(self) -> tuple[str, str, str, str, str]:
        """A row for people: name, both figures, the difference with its interval, the statement."""
        interval = "" if self.low is None or self.high is None else f" [{self.low:+.4f}, {self.high:+.4f}]"
        return (
            self.name,
            f"{self.base:.4f}",
            f"{self.other:.4f}",
            f"{self.difference:+.4f}{interval}",
            self.says(),
        )


@dataclass(frozen=True, slots=True)
class SystemDifference:
    """Two systems of one run, judged on the comparisons that both could make.

    Attributes:
        base: name of the first system.
        other: name of the second system.
        n_mated: mated comparisons that both made.
        n_nonmated: non-mated comparisons that both made.
        figures: accuracy where there are folds, and TAR at each rate.
    """

    base: str
    other: str
    n_mated: int
    n_nonmated: int
    figures: tuple[FigureDifference, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A fact that is not the same in two reports."""

    what: str
    base: str
    other: str


@dataclass(frozen=True, slots=True)
class ReportDiff:
    """Two reports side by side.

    Attributes:
        base: name of the first system.
        other: name of the second system.
        changes: facts that differ: system, weights, data, protocol, versions.
        figures: every figure of both, with what may be said of the difference.
        notes: what to know before reading the figures.
    """

    base: str
    other: str
    changes: tuple[Change, ...]
    figures: tuple[FigureDifference, ...]
    notes: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Everything as plain values for JSON, differences and verdicts included."""
        figures = [
            asdict(figure) | {"difference": figure.difference, "verdict": figure.verdict}
            for figure in self.figures
        ]
        return asdict(self) | {"figures": figures}


def compare_systems(base: Judged, other: Judged) -> SystemDifference:
    """Paired comparison of two systems that judged the same trials.

    Accuracy is that of all pairs (a refused picture is a non-match); TAR is that of the comparisons that both
    systems made, at the rates of the first report that those can measure.

    Args:
        base: report and scores of the first system; its bootstrap is used.
        other: report and scores of the second one, for the same trials.

    Raises:
        ValueError: different trials.
    """
    scored = (base[1], other[1])
    trials = scored[0].trials
    if not all(np.array_equal(trials.pairs, s.trials.pairs) for s in scored):
        raise ValueError("systems can be compared on the same trials only")
    figures = []
    folds = [report.folds_end_to_end for report, _ in (base, other)]
    if folds[0] is not None and folds[1] is not None:
        figures.append(_accuracy("accuracy, all pairs", folds[0], folds[1], paired=True))
    both = scored[0].compared & scored[1].compared
    n_mated, n_nonmated = (int((kind & both).sum()) for kind in (trials.mated, ~trials.mated))
    rates = [point.asked for point in base[0].points if n_mated and point.asked * n_nonmated >= 1]
    if rates:
        number = trials.subject_of_sample
        a, b = trials.pairs[both].T
        pairs = [PairScores(s.scores[both], number[a], number[b]) for s in scored]
        found = paired_tar_at_far(pairs[1], pairs[0], rates, Resampling(base[0].replicates, base[0].seed))
        figures += [_paired(_rate_name(rate), d) for rate, d in zip(rates, found, strict=True)]
    return SystemDifference(base[0].system.name, other[0].system.name, n_mated, n_nonmated, tuple(figures))


def compare_reports(reports: Sequence[Report]) -> list[SystemDifference]:
    """Paired comparisons from the replicates that reports keep: each with the first that it can be paired with.

    Args:
        reports: of any kinds and data; those that cannot be paired are passed over.
    """
    found: list[SystemDifference] = []
    firsts: list[VerificationReport] = []
    for report in reports:
        if not isinstance(report, VerificationReport):
            continue
        base = next((first for first in firsts if not not_paired_because(first, report)), None)
        if base is None:
            firsts.append(report)
            continue
        figures = tuple(f for f in diff_reports(base, report).figures if f.basis == "paired")
        counts = report.n_mated_compared, report.n_nonmated_compared
        found.append(SystemDifference(base.system.name, report.system.name, *counts, figures))
    return found


def _rate_name(rate: float) -> str:
    return f"TAR at FAR {rate:g} (1 - FNMR at FMR)"


def _paired(name: str, found: Difference) -> FigureDifference:
    """A figure from the difference ``other - base``."""
    return FigureDifference(name, found.second, found.first, found.low, found.high, "paired")


def _separate(
    name: str, base: tuple[float, float, float], other: tuple[float, float, float]
) -> FigureDifference:
    """A figure from (value, low, high) of each report: all that the two intervals leave possible."""
    return FigureDifference(name, base[0], other[0], other[1] - base[2], other[2] - base[1], "separate")


def _plain(name: str, base: float, other: float) -> FigureDifference:
    return FigureDifference(name, base, other, None, None, "none")


def diff_reports(base: Report, other: Report) -> ReportDiff:
    """What changed from one report to another.

    Verification reports are compared in pairs, from the replicates that they keep, when pictures, comparisons,
    bootstrap and NumPy (whose generator drew the subjects) are the same; else by their separate intervals.

    Args:
        base: the first report.
        other: the second report, of the same kind.

    Raises:
        TypeError: reports of different kinds.
    """
    if isinstance(base, VerificationReport) and isinstance(other, VerificationReport):
        figures, notes = _verification_figures(base, other)
    elif isinstance(base, DetectionReport) and isinstance(other, DetectionReport):
        figures, notes = _detection_figures(base, other), []
    else:
        raise TypeError("only two reports of one kind can be compared")
    if base.dataset != other.dataset:
        notes.insert(0, "The data differ: a difference may be one of the data and not of the systems.")
    facts, others = _facts(base), _facts(other)
    changes = tuple(
        Change(what, facts.get(what, "not stated"), others.get(what, "not stated"))
        for what in {**facts, **others}
        if facts.get(what) != others.get(what)
    )
    return ReportDiff(base.system.name, other.system.name, changes, tuple(figures), tuple(notes))


def _facts(report: Report) -> dict[str, str]:
    """What a report rests on, by name."""
    facts = {
        "system": report.system.name,
        "weights": ", ".join(f"{w.name} sha256 {w.sha256[:12]}" for w in report.system.weights),
        "data": report.dataset,
    }
    if isinstance(report, VerificationReport):
        facts |= {
            "embedding space": report.space,
            "protocol": report.protocol,
            "subjects": f"{report.n_subjects:,}",
            "pictures": f"{report.n_samples:,}",
            "pairs": f"{report.n_mated:,} mated, {report.n_nonmated:,} non-mated",
            "comparisons made": f"{report.n_mated_compared:,} mated, {report.n_nonmated_compared:,} non-mated",
            "refusals": ", ".join(f"{why} {n}" for why, n in report.refusals.items()) or "none",
            "bootstrap": f"{report.replicates} replicates, seed {report.seed}",
        }
        if report.evidence is not None:
            facts["pictures sha256"] = report.evidence.data_sha256
            facts["comparisons sha256"] = report.evidence.comparisons_sha256
    else:
        facts |= {"pictures": f"{report.n_images:,}", "faces": f"{report.n_faces:,}"}
    machine = report.machine
    facts |= {"processor": machine.processor, "cores": str(machine.cores), "operating system": machine.system}
    return facts | {f"version of {name}": version for name, version in machine.versions.items()}


def not_paired_because(base: VerificationReport, other: VerificationReport) -> str:
    """Why two reports cannot be compared replicate by replicate; empty when they can."""
    kept, also = base.evidence, other.evidence
    if kept is None or also is None:
        return "a report keeps no replicates (it comes from an older version)"
    if not kept.data_sha256 or kept.data_sha256 != also.data_sha256:
        return "the pictures are not known to be the same"
    if kept.comparisons_sha256 != also.comparisons_sha256:
        return "the comparisons made are not the same"
    if (base.replicates, base.seed) != (other.replicates, other.seed):
        return "the bootstraps differ"
    if base.machine.versions.get("numpy") != other.machine.versions.get("numpy"):
        return "versions of NumPy differ, which may draw other subjects from one seed"
    return ""


def _verification_figures(
    base: VerificationReport, other: VerificationReport
) -> tuple[list[FigureDifference], list[str]]:
    why_not = not_paired_because(base, other)
    paired = not why_not
    figures = []
    accuracies = [("accuracy", base.folds, other.folds)]
    if base.fta_rate or other.fta_rate:
        accuracies.append(("accuracy end to end", base.folds_end_to_end, other.folds_end_to_end))
    for name, first, second in accuracies:
        if first is not None and second is not None:
            figures.append(_accuracy(name, first, second, paired))
    for column, point in enumerate(base.points):
        for other_column, also in enumerate(other.points):
            if point.asked != also.asked:
                continue
            name = _rate_name(point.asked)
            if paired and base.evidence is not None and other.evidence is not None:
                drawn = base.evidence.fnmr_replicates[column], other.evidence.fnmr_replicates[other_column]
                tars = [1 - np.asarray(d) for d in drawn]
                found = paired_difference(1 - also.fnmr, 1 - point.fnmr, tars[1], tars[0])
                figures.append(_paired(name, found))
            else:
                ends = [(1 - p.fnmr, 1 - p.fnmr_high, 1 - p.fnmr_low) for p in (point, also)]
                figures.append(_separate(name, ends[0], ends[1]))
    figures += [
        _plain("EER", base.eer, other.eer),
        _plain("AUC", base.auc, other.auc),
        _plain("failure to acquire (FTA)", base.fta_rate, other.fta_rate),
    ]
    how = (
        "Same pictures, comparisons and draws: paired intervals of the difference."
        if paired
        else f"Not paired: {why_not}. Separate 95 % intervals are compared, which is conservative: "
        "where they overlap, nothing is said."
    )
    return figures, [how]


def _accuracy(name: str, base: FoldAccuracy, other: FoldAccuracy, paired: bool) -> FigureDifference:
    if paired:
        return _paired(name, paired_fold_accuracy(other.fold_accuracies, base.fold_accuracies))

    def ends(folds: FoldAccuracy) -> tuple[float, float, float]:
        half = student_quantile(len(folds.fold_accuracies) - 1) * folds.standard_error
        return folds.accuracy, folds.accuracy - half, folds.accuracy + half

    return _separate(name, ends(base), ends(other))


def _detection_figures(base: DetectionReport, other: DetectionReport) -> list[FigureDifference]:
    def figures(report: DetectionReport) -> dict[str, float]:
        found = {}
        for turned in report.turns:
            for result in turned.overlaps:
                at = f"turned {turned.turn_deg}°, IoU {result.iou:g}"
                found[f"AP, {at}"] = result.average_precision
                found[f"recall, {at}"] = result.recall
                found[f"false detections a picture, {at}"] = result.false_positives_per_image
        return found

    first, second = figures(base), figures(other)
    return [_plain(name, first[name], second[name]) for name in first if name in second]


def match_reports(
    base: Sequence[Report], other: Sequence[Report]
) -> tuple[list[tuple[Report, Report]], list[Report]]:
    """Which report of one file belongs to which of another.

    One report in each file: these two. Else reports of one kind, system and data belong together.

    Returns:
        The pairs, and the reports of both files that found no partner.
    """
    if len(base) == len(other) == 1 and type(base[0]) is type(other[0]):
        return [(base[0], other[0])], []
    left = {(type(report), report.system.name, report.dataset): report for report in other}
    pairs, alone = [], []
    for report in base:
        partner = left.pop((type(report), report.system.name, report.dataset), None)
        if partner is None:
            alone.append(report)
        else:
            pairs.append((report, partner))
    return pairs, [*alone, *left.values()]
