"""``lineament report``: look at reports of ``lineament evaluate``, compare them, put them on a page."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lineament.cli.figures import print_detection, print_figures, print_verification
from lineament.cli.output import JsonFlag, note, print_json, print_pairs, print_table

if TYPE_CHECKING:
    from lineament.evaluation.differences import ReportDiff
    from lineament.evaluation.reading import Report

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
    from lineament.evaluation.reading import read_reports, same_kind
    from lineament.evaluation.verification import VerificationReport

    reports = read_reports(report)
    for group in same_kind(reports):
        verification = [r for r in group if isinstance(r, VerificationReport)]
        if verification:
            print_verification(verification)
        detection = [r for r in group if isinstance(r, DetectionReport)]
        if detection:
            print_detection(detection)
    for found in reports:
        _print_provenance(found)


def _print_provenance(report: "Report") -> None:
    machine = report.machine
    print_pairs(
        [
            ("system", report.system.name),
            *((f"weights {w.name}", f"sha256 {w.sha256}") for w in report.system.weights),
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
    """One page that opens offline: tables, ROC, DET, similarities, refusals, provenance; systems side by side.

    Example: lineament report html lfw.json -o lfw.html
    """
    from lineament.evaluation.differences import compare_reports
    from lineament.evaluation.html import reports_page
    from lineament.evaluation.reading import read_reports

    if not out.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {out.parent}", param_hint="--out")
    found = [report for path in reports for report in read_reports(path)]
    out.write_text(reports_page(found, compare_reports(found)), encoding="utf-8")
    note(f"page written to {out}")


@app.command()
def diff(
    base: Path = typer.Argument(..., metavar="A", help="JSON file of --report."),
    other: Path = typer.Argument(..., metavar="B", help="JSON file to compare with it."),
    as_json: bool = JsonFlag,
) -> None:
    """What changed from A to B, and whether the intervals allow saying that the figures differ.

    Reports of the same pictures, comparisons and draws are compared in pairs. Of several systems in a file, those
    of one name and data belong together. Example: lineament report diff before.json after.json
    """
    from lineament.core.errors import DataError
    from lineament.evaluation.differences import diff_reports, match_reports
    from lineament.evaluation.reading import read_reports

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
        note(f"in one file only: {', '.join(report.system.name for report in alone)}")


def _print_diff(found: "ReportDiff") -> None:
    print(f"A {found.base} · B {found.other}")
    if found.changes:
        print_table(("changed", "A", "B"), [(c.what, c.base, c.other) for c in found.changes])
    else:
        print("System, weights, data, protocol, machine and versions are the same.\n")
    for text in found.notes:
        print(text)
    print_figures("A", "B", found.figures)
