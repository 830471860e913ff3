"""Reports as one HTML file that opens offline: figures, curves, refusals, and what they rest on."""

import io
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from lineament.evaluation.detection import DetectionReport
from lineament.evaluation.differences import SystemDifference
from lineament.evaluation.html_parts import (
    Markup,
    code,
    figure,
    heading,
    page,
    paragraph,
    picture,
    safe,
    table,
)
from lineament.evaluation.plots import Curve, Histogram, plot_det_curves, plot_histogram, plot_roc_curves
from lineament.evaluation.reading import Report, same_kind
from lineament.evaluation.verification import RatePoint, VerificationReport
from lineament.evaluation.worst import WorstErrors, WorstPair


def reports_page(
    reports: Sequence[Report],
    differences: Sequence[SystemDifference] = (),
    worst: Sequence[WorstErrors] = (),
) -> str:
    """One page with all reports; those of the same data and protocol stand side by side.

    Args:
        reports: at least one.
        differences: paired comparisons of the systems.
        worst: worst errors with pictures of people, only where somebody asked for them.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    groups = same_kind(reports)
    names = ", ".join(dict.fromkeys(report.system.name for report in reports))
    sections = [
        (f"data-{number}", f"{_kind(group[0])}: {group[0].dataset}", list(_group(group)))
        for number, group in enumerate(groups, 1)
    ]
    if differences:
        sections.append(("differences", "Do the systems differ?", list(_differences(differences))))
    if worst:
        sections.append(("worst", "Worst errors", list(_worst(worst))))
    sections.append(("systems", "What was evaluated", [_systems(reports)]))
    sections.append(("machine", "Machine and versions", [_machines(reports)]))
    parts = [heading(1, "Face recognition: evaluation report"), paragraph(names), _contents(sections)]
    for anchor, title, body in sections:
        parts += [heading(2, title, anchor), *body]
    return page(f"Evaluation report: {names}", parts)


def _kind(report: Report) -> str:
    return "Verification" if isinstance(report, VerificationReport) else "Detection"


def _contents(sections: Sequence[tuple[str, str, list[Markup]]]) -> Markup:
    items = "".join(f'<li><a href="#{anchor}">{safe(title)}</a></li>' for anchor, title, _ in sections)
    return Markup(f'<nav aria-label="Contents"><ul>{items}</ul></nav>')


def _group(group: Sequence[Report]) -> Iterator[Markup]:
    verification = [report for report in group if isinstance(report, VerificationReport)]
    if verification:
        yield from _verification(verification)
    detection = [report for report in group if isinstance(report, DetectionReport)]
    if detection:
        yield _detection(detection)


def _verification(group: Sequence[VerificationReport]) -> Iterator[Markup]:
    first = group[0]
    protocols: dict[str, list[str]] = {}
    for report in group:
        protocols.setdefault(report.protocol, []).append(report.system.name)
    for words, names in protocols.items():
        whose = f" of {', '.join(names)}" if len(protocols) > 1 else ""
        yield paragraph(f"Protocol{whose}: {words}.")
    yield paragraph(
        f"{first.n_mated:,} mated and {first.n_nonmated:,} non-mated pairs, {first.n_samples:,} pictures, "
        f"{first.n_subjects:,} subjects. 95 % intervals in brackets: {first.replicates:,} replicates of resampled "
        f"subjects, seed {first.seed}; the threshold is chosen anew in every replicate."
    )
    yield heading(3, "Results")
    yield _summary(group)
    yield _points(group)
    yield paragraph(
        "FMR and FNMR count the comparisons that were made; FAR and FRR count the whole transaction, in which a "
        "refused picture is a rejection. TAR = 1 - FNMR. A point that rests on fewer than ten false matches is "
        "marked: read its interval, not its figure.",
        soft=True,
    )
    yield heading(3, "Curves")
    yield from _pictures(group)
    yield heading(3, "Refusals")
    yield _refusals(group)


def _summary(group: Sequence[VerificationReport]) -> Markup:
    rates = list(dict.fromkeys(point.asked for report in group for point in report.points))
    refused = any(report.fta_rate for report in group)

    def cells(report: VerificationReport) -> Iterator[str]:
        yield report.system.name
        for folds in (report.folds, report.folds_end_to_end) if refused else (report.folds,):
            yield (
                f"{100 * folds.accuracy:.2f} ± {100 * folds.standard_error:.2f} %" if folds else "no folds"
            )
        yield f"{100 * report.eer:.2f} %"
        yield f"{report.auc:.5f}"
        points = {point.asked: point for point in report.points}
        for rate in rates:
            yield _tar(points[rate]) if rate in points else "not measurable"
        yield f"{report.fta_rate:.4f}"
        yield f"{1e3 * report.wall_s / report.n_samples:.1f}"

    columns = (
        "System",
        "Accuracy ± s.e.",
        *(["Accuracy end to end"] if refused else []),
        "EER",
        "AUC",
        *(f"TAR at FAR {rate:g} (1 - FNMR at FMR)" for rate in rates),
        "Failure to acquire (FTA)",
        "ms a picture",
    )
    return table("Accuracy, equal error rate and true accept rates", columns, map(tuple, map(cells, group)))


def _tar(point: RatePoint) -> str:
    text = f"{1 - point.fnmr:.4f} [{1 - point.fnmr_high:.4f}, {1 - point.fnmr_low:.4f}]"
    return text if point.well_supported else f"{text} *"


def _points(group: Sequence[VerificationReport]) -> Markup:
    rows: list[tuple[str, ...]] = [
        (
            report.system.name,
            f"{point.asked:g}",
            f"{point.threshold:.4f}",
            f"{point.fmr:.2e}",
            f"{point.false_matches}" + ("" if point.well_supported else " *"),
            f"{point.fnmr:.4f} [{point.fnmr_low:.4f}, {point.fnmr_high:.4f}]",
            f"{point.far:.2e}",
            f"{point.frr:.4f}",
        )
        for report in group
        for point in report.points
    ]
    rows += [
        (report.system.name, f"{rate:g}", "not measurable: below one false match", *[""] * 5)
        for report in group
        for rate in report.not_measurable
    ]
    columns = (
        "System",
        "FMR (FAR) asked",
        "Threshold",
        "FMR reached",
        "False matches",
        "FNMR [95 %]",
        "FAR",
        "FRR",
    )
    return table("Operating points; * fewer than ten false matches", columns, rows)


def _pictures(group: Sequence[VerificationReport]) -> Iterator[Markup]:
    without = [report.system.name for report in group if report.evidence is None]
    if without:
        yield paragraph(
            f"No curves for {', '.join(without)}: the report comes from a version that did not keep them. "
            "Evaluate again to have them."
        )
    curves = {
        report.system.name: Curve(
            np.array(report.evidence.fmr),
            np.array(report.evidence.fnmr),
            report.n_mated_compared,
            report.n_nonmated_compared,
        )
        for report in group
        if report.evidence is not None
    }
    if not curves:
        return
    described = "; ".join(
        f"{report.system.name}: EER {100 * report.eer:.2f} %"
        for report in group
        if report.evidence is not None
    )
    figures = [
        figure(
            picture(
                _png(plot_roc_curves, curves), "png", f"ROC curves. {described}. The tables hold the figures."
            ),
            "ROC: true accept rate over false match rate (FAR), logarithmic.",
        ),
        figure(
            picture(
                _png(plot_det_curves, curves), "png", f"DET curves. {described}. The tables hold the figures."
            ),
            "DET: false non-match rate (FRR) over false match rate (FAR), normal-deviate axes.",
        ),
        *(_histogram(report) for report in group if report.evidence is not None),
    ]
    yield Markup(f'<div class="figures">{"".join(figures)}</div>')


def _png(draw: object, *arguments: object) -> bytes:
    buffer = io.BytesIO()
    draw(buffer, *arguments)  # type: ignore[operator]
    return buffer.getvalue()


def _histogram(report: VerificationReport) -> Markup:
    kept = report.evidence
    if kept is None:
        return Markup("")
    counts = Histogram(np.array(kept.bin_edges), np.array(kept.mated_counts), np.array(kept.nonmated_counts))
    thresholds = {f"FMR {point.asked:g}": point.threshold for point in report.points}
    said = ", ".join(f"threshold {value:.3f} at {name}" for name, value in thresholds.items())
    alt = (
        f"Histogram of similarities of {report.system.name}: {report.n_mated_compared:,} mated and "
        f"{report.n_nonmated_compared:,} non-mated comparisons from {kept.bin_edges[0]:.2f} to "
        f"{kept.bin_edges[-1]:.2f}; {said or 'no threshold drawn'}."
    )
    return figure(
        picture(_png(plot_histogram, counts, thresholds), "png", alt),
        f"Similarities of {report.system.name}, with the thresholds of the table.",
    )


def _refusals(group: Sequence[VerificationReport]) -> Markup:
    reasons = sorted({reason for report in group for reason in report.refusals})
    if not reasons:
        return paragraph("No picture was refused.")
    rows = [
        (
            report.system.name,
            f"{report.fta_rate:.4f}",
            *(f"{report.refusals.get(reason, 0):,}" for reason in reasons),
            f"{report.n_mated - report.n_mated_compared:,}",
            f"{report.n_nonmated - report.n_nonmated_compared:,}",
        )
        for report in group
    ]
    columns = ("System", "FTA", *reasons, "Mated pairs lost", "Non-mated pairs lost")
    return table("Pictures refused, by reason, and comparisons that could not be made", columns, rows)


def _detection(group: Sequence[DetectionReport]) -> Markup:
    rows = [row for report in group for row in report.rows()]
    columns = ("Detector", "Pictures turned", "IoU", "AP", "Recall", "Found by size", "False a picture",
               "ms a picture")  # fmt: skip
    first = group[0]
    return table(f"{first.n_images:,} pictures, {first.n_faces:,} faces", columns, rows)


def _differences(differences: Sequence[SystemDifference]) -> Iterator[Markup]:
    yield paragraph(
        "Both systems judge the same comparisons on the same resampled subjects; accuracy is paired by fold "
        "(Student). Each interval holds 95 % by itself: among many comparisons, some differ by chance."
    )
    for found in differences:
        yield table(
            f"{found.other} minus {found.base}: {found.n_mated:,} mated and {found.n_nonmated:,} non-mated "
            "comparisons that both made",
            ("Figure", found.base, found.other, "Difference [95 %]", "Statement"),
            [f.cells() for f in found.figures],
        )


def _worst(worst: Sequence[WorstErrors]) -> Iterator[Markup]:
    yield paragraph("These are pictures of people. Keep this file as you keep the data set itself.")
    for errors in worst:
        for name, pairs in (
            ("False matches", errors.false_matches),
            ("False non-matches", errors.false_nonmatches),
        ):
            yield heading(3, f"{errors.system}: {name.lower()} at threshold {errors.threshold:.4f}")
            if pairs:
                yield Markup(f'<ul class="pairs">{"".join(map(partial(_worst_pair, name), pairs))}</ul>')
            else:
                yield paragraph("None.")


def _worst_pair(name: str, pair: WorstPair) -> str:
    images = " ".join(
        picture(data, "jpeg", f"{name}, pair {pair.pair}, picture {number} of 2")
        for number, data in enumerate(pair.pictures, 1)
    )
    return f"<li>{figure(Markup(images), f'pair {pair.pair}, similarity {pair.similarity:.3f}')}</li>"


def _systems(reports: Sequence[Report]) -> Markup:
    rows = []
    for report in reports:
        weights = Markup("<br>".join(f"{safe(w.name)} {code(w.sha256)}" for w in report.system.weights))
        space = code(report.space) if isinstance(report, VerificationReport) else ""
        kept = report.evidence if isinstance(report, VerificationReport) else None
        digest = code(kept.data_sha256) if kept is not None and kept.data_sha256 else "not kept"
        rows.append((report.system.name, weights, space, report.dataset, digest))
    columns = ("System", "Weights, sha256", "Embedding space", "Data", "Pictures, sha256")
    return table("Systems, weights and data", columns, rows)


def _machines(reports: Sequence[Report]) -> Markup:
    grouped: dict[tuple[str, ...], list[str]] = {}
    for report in reports:
        machine = report.machine
        versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
        grouped.setdefault((machine.processor, str(machine.cores), machine.system, versions), []).append(
            report.system.name
        )
    rows = [(", ".join(dict.fromkeys(names)), *facts) for facts, names in grouped.items()]
    return table(
        "Where the figures were measured",
        ("System", "Processor", "Cores", "Operating system", "Versions"),
        rows,
    )
