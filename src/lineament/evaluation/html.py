"""Reports as one HTML file that opens offline: figures, curves, refusals, and what they rest on."""

from collections.abc import Iterator, Sequence
from functools import partial

from lineament.evaluation.detection import DetectionReport
from lineament.evaluation.differences import SystemDifference
from lineament.evaluation.html_megaface import megaface_section
from lineament.evaluation.html_one_to_one import compared_section
from lineament.evaluation.html_own import own_section
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
from lineament.evaluation.megaface_report import MegafaceReport
from lineament.evaluation.own import OwnReport
from lineament.evaluation.reading import Compared, Report, name_of, same_kind
from lineament.evaluation.verification import VerificationReport
from lineament.evaluation.worst import WorstErrors, WorstPair

TITLES = {
    "verification": "Verification",
    "own data": "Own data",
    "detection": "Detection",
    "megaface": "People among distractors",
}


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
    names = ", ".join(dict.fromkeys(map(name_of, reports)))
    sections = [
        (f"data-{number}", f"{TITLES[group[0].kind]}: {group[0].dataset}", list(_group(group)))
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


def _contents(sections: Sequence[tuple[str, str, list[Markup]]]) -> Markup:
    items = "".join(f'<li><a href="#{anchor}">{safe(title)}</a></li>' for anchor, title, _ in sections)
    return Markup(f'<nav aria-label="Contents"><ul>{items}</ul></nav>')


def _group(group: Sequence[Report]) -> Iterator[Markup]:
    compared = [report for report in group if isinstance(report, Compared)]
    if compared:
        yield from compared_section(compared)
    own = [report for report in compared if isinstance(report, OwnReport)]
    if own:
        yield from own_section(own)
    detection = [report for report in group if isinstance(report, DetectionReport)]
    if detection:
        yield _detection(detection)
    yield from megaface_section([report for report in group if isinstance(report, MegafaceReport)])


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
        listed = report.system.weights if report.system else ()
        weights = Markup("<br>".join(f"{safe(w.name)} {code(w.sha256)}" for w in listed))
        space = "" if isinstance(report, DetectionReport) or not report.space else code(report.space)
        digest = _data_sha256(report)
        rows.append((name_of(report), weights, space, report.dataset, code(digest) if digest else "not kept"))
    columns = ("System", "Weights, sha256", "Embedding space", "Data", "Data, sha256")
    return table("Systems, weights and data", columns, rows)


def _data_sha256(report: Report) -> str:
    if isinstance(report, OwnReport):
        return report.data_sha256
    if isinstance(report, MegafaceReport):
        return report.probes_sha256
    kept = report.evidence if isinstance(report, VerificationReport) else None
    return kept.data_sha256 if kept is not None else ""


def _machines(reports: Sequence[Report]) -> Markup:
    grouped: dict[tuple[str, ...], list[str]] = {}
    for report in reports:
        machine = report.machine
        versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
        facts = machine.processor, str(machine.cores), machine.system, versions
        grouped.setdefault(facts, []).append(name_of(report))
    rows = [(", ".join(dict.fromkeys(names)), *facts) for facts, names in grouped.items()]
    return table(
        "Where the figures were measured",
        ("System", "Processor", "Cores", "Operating system", "Versions"),
        rows,
    )
