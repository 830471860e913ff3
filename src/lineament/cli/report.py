"""``lineament report``: look at reports of ``lineament evaluate``, compare them, put them on a page."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lineament.cli.figures import (
    print_detection,
    print_figures,
    print_megaface,
    print_own,
    print_verification,
)
from lineament.cli.output import JsonFlag, note, print_json, print_pairs, print_table, save_text

if TYPE_CHECKING:
    from lineament.evaluation.reading import Report
    from lineament.evaluation.report_diff import ReportDiff

app = typer.Typer(
    help="Look at reports of `lineament evaluate`, compare them, put them on a page.",
    no_args_is_help=True,
    context_settings={"max_content_width": 110},
)


@app.command()
def show(report: Path = typer.Argument(..., metavar="REPORT", help="JSON file of --report.")) -> None:
    """A report in words: figures with their intervals, weights, machine.

    Example: lineament report show lfw.json
    """
    from lineament.evaluation.detection import DetectionReport
    from lineament.evaluation.megaface_report import MegafaceReport
    from lineament.evaluation.own import OwnReport
    from lineament.evaluation.reading import read_reports, same_kind
    from lineament.evaluation.verification import VerificationReport

    reports = read_reports(report)
    for group in same_kind(reports):
        verification = [r for r in group if isinstance(r, VerificationReport)]
        if verification:
            print_verification(verification)
        print_own([r for r in group if isinstance(r, OwnReport)])
        detection = [r for r in group if isinstance(r, DetectionReport)]
        if detection:
            print_detection(detection)
        print_megaface([r for r in group if isinstance(r, MegafaceReport)])
    for found in reports:
        _print_provenance(found)


def _print_provenance(report: "Report") -> None:
    from lineament.evaluation.reading import name_of

    machine = report.machine
    weights = report.system.weights if report.system else ()
    print_pairs(
        [
            ("system", name_of(report)),
            *((f"weights {w.name}", f"sha256 {w.sha256}") for w in weights),
            ("measured on", f"{machine.processor}, {machine.cores} cores, {machine.system}"),
            ("versions", ", ".join(f"{name} {version}" for name, version in machine.versions.items())),
        ]
    )
    print()


@app.command()
def html(
    reports: list[Path] = typer.Argument(..., metavar="REPORT...", help="JSON files of --report."),
    out: Path = typer.Option(..., "--out", "-o", help="HTML file to write."),
) -> None:
    """One page that opens offline: tables, ROC, DET, CMC, similarities, groups, refusals, provenance.

    Systems that were measured on the same data stand side by side.

    Example: lineament report html lfw.json -o lfw.html
    """
    from lineament.evaluation.html import reports_page
    from lineament.evaluation.reading import read_reports
    from lineament.evaluation.report_diff import compare_reports

    if not out.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {out.parent}", param_hint="--out")
    found = [report for path in reports for report in read_reports(path)]
    save_text(out, reports_page(found, compare_reports(found)), "page")


@app.command()
def diff(
    base: Path = typer.Argument(..., metavar="A", help="JSON file of --report."),
    other: Path = typer.Argument(..., metavar="B", help="JSON file to compare with it."),
    as_json: bool = JsonFlag,
) -> None:
    """What changed from A to B, and whether the intervals allow saying that the figures differ.

    Reports of the same data, comparisons and draws are compared in pairs. Of several systems in a file, those
    of one name and data belong together. Example: lineament report diff before.json after.json
    """
    from lineament.core.errors import DataError
    from lineament.evaluation.reading import name_of, read_reports
    from lineament.evaluation.report_diff import diff_reports, match_reports

    pairs, alone = match_reports(read_reports(base), read_reports(other))
    if not pairs:
        raise DataError(
            f"{base} and {other} hold no report of the same kind, system and data; "
            "give files with one report each to compare two systems"
        )
    found = [diff_reports(first, second) for first, second in pairs]
    if as_json:
        print_json([one.document() for one in found])
    else:
        for one in found:
            _print_diff(one)
    if alone:
        note(f"in one file only: {', '.join(map(name_of, alone))}")


def _print_diff(found: "ReportDiff") -> None:
    print(f"A {found.base} · B {found.other}")
    if found.changes:
        print_table(("changed", "A", "B"), [(c.what, c.base, c.other) for c in found.changes])
    else:
        print("System, weights, data, protocol, machine and versions are the same.\n")
    for text in found.notes:
        print(text)
    print_figures("A", "B", found.figures)
