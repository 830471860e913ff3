"""What changed from one report to another, and whether the data allow saying that the figures differ."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lineament.evaluation.detection import DetectionReport
from lineament.evaluation.differences import (
    Ends,
    FigureDifference,
    SystemDifference,
    paired,
    plain,
    rate_name,
    separate,
)
from lineament.evaluation.megaface_report import MegafaceReport
from lineament.evaluation.own import OwnReport
from lineament.evaluation.own_differences import megaface_figures, own_figures
from lineament.evaluation.reading import Compared, Report, name_of, one_to_one
from lineament.evaluation.verification import VerificationReport
from lineament.metrics.lfw import FoldAccuracy
from lineament.metrics.paired import paired_difference, paired_fold_accuracy, student_quantile


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


def compare_reports(reports: Sequence[Report]) -> list[SystemDifference]:
    """Paired comparisons from the replicates that reports keep: each with the first that it can be paired with.

    Args:
        reports: of any kinds and data; those that cannot be paired are passed over.
    """
    found: list[SystemDifference] = []
    firsts: list[Compared] = []
    for report in reports:
        if not isinstance(report, Compared):
            continue
        base = next(
            (
                first
                for first in firsts
                if type(first) is type(report) and not not_paired_because(first, report)
            ),
            None,
        )
        if base is None:
            firsts.append(report)
            continue
        figures = tuple(f for f in diff_reports(base, report).figures if f.basis == "paired")
        counts = one_to_one(report).n_mated_compared, one_to_one(report).n_nonmated_compared
        found.append(SystemDifference(name_of(base), name_of(report), *counts, figures))
    return found


def diff_reports(base: Report, other: Report) -> ReportDiff:
    """What changed from one report to another.

    Figures of 1:1 comparison are compared in pairs, from the replicates that the reports keep, when pictures,
    comparisons, bootstrap and NumPy (whose generator drew the subjects) are the same; else by their separate
    intervals, as searches and groups always are.

    Args:
        base: the first report.
        other: the second report, of the same kind.

    Raises:
        TypeError: reports of different kinds.
    """
    notes: list[str] = []
    if isinstance(base, DetectionReport) and isinstance(other, DetectionReport):
        figures = _detection_figures(base, other)
    elif isinstance(base, VerificationReport) and isinstance(other, VerificationReport):
        figures = _one_to_one_figures(base, other)
    elif isinstance(base, OwnReport) and isinstance(other, OwnReport):
        figures = [*_one_to_one_figures(base, other), *own_figures(base, other)]
    elif isinstance(base, MegafaceReport) and isinstance(other, MegafaceReport):
        figures = list(megaface_figures(base, other))
        notes.append(_how("reports on distractors keep no replicates"))
    else:
        raise TypeError("only two reports of one kind can be compared")
    if isinstance(base, Compared) and isinstance(other, Compared):
        notes.append(_how(not_paired_because(base, other)))
    if base.dataset != other.dataset:
        notes.insert(0, "The data differ: a difference may be one of the data and not of the systems.")
    facts, others = _facts(base), _facts(other)
    changes = tuple(
        Change(what, facts.get(what, "not stated"), others.get(what, "not stated"))
        for what in {**facts, **others}
        if facts.get(what) != others.get(what)
    )
    return ReportDiff(name_of(base), name_of(other), changes, tuple(figures), tuple(notes))


def _facts(report: Report) -> dict[str, str]:
    """What a report rests on, by name."""
    weights = report.system.weights if report.system else ()
    facts = {
        "system": name_of(report),
        "weights": ", ".join(f"{w.name} sha256 {w.sha256[:12]}" for w in weights),
        "data": report.dataset,
    }
    if isinstance(report, DetectionReport):
        facts |= {"pictures": f"{report.n_images:,}", "faces": f"{report.n_faces:,}"}
    elif isinstance(report, MegafaceReport):
        facts |= _megaface_facts(report)
    else:
        figures = one_to_one(report)
        people = figures.n_subjects
        facts |= {
            "embedding space": report.space,
            "protocol": report.protocol,
            "subjects": "not known" if people is None else f"{people:,}",
            "pictures": "none" if report.n_samples is None else f"{report.n_samples:,}",
            "pairs": f"{figures.n_mated:,} mated, {figures.n_nonmated:,} non-mated",
            "comparisons made": f"{figures.n_mated_compared:,} mated, {figures.n_nonmated_compared:,} non-mated",
            "refusals": ", ".join(f"{why} {n}" for why, n in report.refusals.items()) or "none",
            "bootstrap": f"{report.replicates} replicates, seed {report.seed}",
        }
        if figures.evidence is not None:
            facts["data sha256"] = figures.evidence.data_sha256
            facts["comparisons sha256"] = figures.evidence.comparisons_sha256
    machine = report.machine
    facts |= {"processor": machine.processor, "cores": str(machine.cores), "operating system": machine.system}
    return facts | {f"version of {name}": version for name, version in machine.versions.items()}


def _megaface_facts(report: MegafaceReport) -> dict[str, str]:
    parts = zip(report.n_by_part, report.distractors, strict=True)
    refused = {"probes": report.probe_refusals, "distractors": report.distractor_refusals}
    return {
        "embedding space": report.space or "not known",
        "protocol": report.protocol,
        "people": f"{report.n_people:,}",
        "photos": f"{report.n_photos:,}",
        "trials made": f"{report.n_trials_made:,} of {report.n_trials:,}",
        "distractors": ", ".join(f"{n:,} of {name}" for n, (name, _) in parts),
        "probes sha256": report.probes_sha256,
        "distractors sha256": ", ".join(digest for _, digest in report.distractors),
        "refusals": ", ".join(
            f"{why} {n} ({of})" for of, found in refused.items() for why, n in found.items()
        )
        or "none",
        "bootstrap": f"{report.replicates} replicates, seed {report.seed}",
    }


def not_paired_because(base: Compared, other: Compared) -> str:
    """Why two reports cannot be compared replicate by replicate; empty when they can."""
    kept, also = one_to_one(base).evidence, one_to_one(other).evidence
    if kept is None or also is None:
        return "a report keeps no replicates (it comes from an older version)"
    if not kept.data_sha256 or kept.data_sha256 != also.data_sha256:
        return "the data are not known to be the same"
    if kept.comparisons_sha256 != also.comparisons_sha256:
        return "the comparisons made are not the same"
    if (base.replicates, base.seed) != (other.replicates, other.seed):
        return "the bootstraps differ"
    if base.machine.versions.get("numpy") != other.machine.versions.get("numpy"):
        return "versions of NumPy differ, which may draw other subjects from one seed"
    return ""


def _how(why_not: str) -> str:
    if not why_not:
        return "Same data, comparisons and draws: paired intervals of the difference."
    return (
        f"Not paired: {why_not}. Separate 95 % intervals are compared, which is conservative: where they overlap, "
        "nothing is said."
    )


def _one_to_one_figures(base: Compared, other: Compared) -> list[FigureDifference]:
    """Accuracy, TAR at the rates of both, EER, AUC and failures to acquire."""
    alike = not not_paired_because(base, other)
    first, second = one_to_one(base), one_to_one(other)
    figures = _accuracies(base, other, alike)
    for column, point in enumerate(first.points):
        for other_column, also in enumerate(second.points):
            if point.asked == also.asked:
                drawn = [
                    [1 - fnmr for fnmr in kept.fnmr_replicates[place]]
                    if kept and kept.fnmr_replicates
                    else ()
                    for kept, place in ((first.evidence, column), (second.evidence, other_column))
                ]
                ends = [Ends(1 - p.fnmr, 1 - p.fnmr_high, 1 - p.fnmr_low) for p in (point, also)]
                figures.append(_figure(rate_name(point.asked), ends, drawn if alike else ((), ())))
    eers = [Ends(f.eer, f.eer_low, f.eer_high) for f in (first, second)]
    aucs = [Ends(f.auc, f.auc_low, f.auc_high) for f in (first, second)]
    kept = [f.evidence for f in (first, second) if alike and f.evidence is not None]
    figures.append(_figure("EER", eers, [k.eer_replicates for k in kept]))
    figures.append(_figure("AUC", aucs, [k.auc_replicates for k in kept]))
    if base.fta_rate is not None and other.fta_rate is not None:
        figures.append(plain("failure to acquire (FTA)", base.fta_rate, other.fta_rate))
    return figures


def _figure(name: str, ends: Sequence[Ends], drawn: Sequence[Sequence[float]]) -> FigureDifference:
    """A figure compared by replicates where both reports have them, else by intervals, else not at all."""
    base, other = ends
    if len(drawn) == 2 and len(drawn[0]) and len(drawn[0]) == len(drawn[1]):
        replicates = [np.asarray(values) for values in drawn]
        return paired(name, paired_difference(other.value, base.value, replicates[1], replicates[0]))
    return separate(name, base, other)


def _accuracies(base: Compared, other: Compared, alike: bool) -> list[FigureDifference]:
    named = [("accuracy", one_to_one(base).folds, one_to_one(other).folds)]
    whole = [report.folds_end_to_end for report in (base, other) if isinstance(report, VerificationReport)]
    if len(whole) == 2 and (base.fta_rate or other.fta_rate):
        named.append(("accuracy end to end", whole[0], whole[1]))
    return [
        _accuracy(name, first, second, alike)
        for name, first, second in named
        if first is not None and second is not None
    ]


def _accuracy(name: str, base: FoldAccuracy, other: FoldAccuracy, alike: bool) -> FigureDifference:
    if alike:
        return paired(name, paired_fold_accuracy(other.fold_accuracies, base.fold_accuracies))

    def ends(folds: FoldAccuracy) -> Ends:
        half = student_quantile(len(folds.fold_accuracies) - 1) * folds.standard_error
        return Ends(folds.accuracy, folds.accuracy - half, folds.accuracy + half)

    return separate(name, ends(base), ends(other))


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
    return [plain(name, first[name], second[name]) for name in first if name in second]


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
    left = {(type(report), name_of(report), report.dataset): report for report in other}
    pairs, alone = [], []
    for report in base:
        partner = left.pop((type(report), name_of(report), report.dataset), None)
        if partner is None:
            alone.append(report)
        else:
            pairs.append((report, partner))
    return pairs, [*alone, *left.values()]
