"""Figures of reports as tables for a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lineament.cli.output import print_table

if TYPE_CHECKING:
    from lineament.evaluation.detection import DetectionReport
    from lineament.evaluation.differences import FigureDifference, SystemDifference
    from lineament.evaluation.groups import GroupReport
    from lineament.evaluation.megaface_report import MegafaceReport
    from lineament.evaluation.one_to_one import RatePoint
    from lineament.evaluation.own import OwnReport
    from lineament.evaluation.report_diff import ReportDiff
    from lineament.evaluation.verification import VerificationReport


def print_verification(reports: "Sequence[VerificationReport]") -> None:
    """A table of all systems, and then each report in words."""
    from lineament.evaluation.reading import ms_a_picture

    rates = list(dict.fromkeys(point.asked for found in reports for point in found.points))
    rows = []
    for found in reports:
        folds = found.folds_end_to_end or found.folds
        points = {point.asked: point for point in found.points}
        rows.append(
            (
                found.system.name,
                f"{100 * folds.accuracy:.2f} ± {100 * folds.standard_error:.2f} %" if folds else "",
                f"{100 * found.eer:.2f}{_percents(found.eer_low, found.eer_high)} %",
                *(_tar(points[rate]) if rate in points else "not measurable" for rate in rates),
                f"{found.fta_rate:.4f}",
                ms_a_picture(found),
            )
        )
    print_table(
        (
            "system",
            "accuracy ± s.e.",
            "EER",
            *(f"TAR at FAR {rate:g} (1 - FNMR at FMR)" for rate in rates),
            "FTA",
            "ms a picture",
        ),
        rows,
    )
    for found in reports:
        print(found.text(), end="\n\n")


def _tar(point: "RatePoint") -> str:
    low, high = 1 - point.fnmr_high, 1 - point.fnmr_low
    return f"{1 - point.fnmr:.4f} [{low:.4f}, {high:.4f}]"


def _percents(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{100 * low:.2f}, {100 * high:.2f}]"


def print_own(reports: "Sequence[OwnReport]") -> None:
    """Reports on own data in words, each with its table of groups."""
    for found in reports:
        print(found.text())
        if found.groups is not None:
            _print_groups(found.groups)
        if len(reports) > 1:
            print()


def _print_groups(groups: "GroupReport") -> None:
    columns = (
        "group",
        "people",
        "mated",
        "FNMR (FRR)",
        "95 % interval",
        "non-mated",
        "FMR (FAR)",
        "95 % interval",
    )
    rows = [
        (
            g.group,
            "" if g.n_subjects is None else f"{g.n_subjects:,}",
            f"{g.n_mated:,}",
            _number(g.fnmr),
            f"{_number(g.fnmr_low)} to {_number(g.fnmr_high)}",
            f"{g.n_nonmated:,}",
            _number(g.fmr),
            f"{_number(g.fmr_low)} to {_number(g.fmr_high)}",
        )
        for g in groups.groups
    ]
    print_table(columns, rows)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def print_detection(reports: "Sequence[DetectionReport]") -> None:
    """A table of all detectors, turns and overlaps."""
    first = reports[0]
    print(f"{first.dataset}: {first.n_images:,} pictures, {first.n_faces:,} faces")
    print_table(
        ("detector", "turned", "IoU", "AP", "recall", "by size", "false a picture", "ms a picture"),
        [row for found in reports for row in found.rows()],
    )


def print_megaface(reports: "Sequence[MegafaceReport]") -> None:
    """Reports on people among distractors in words, each with its table of sizes."""
    for found in reports:
        print(found.text())
        print_table(*found.table())


def print_differences(differences: "Sequence[SystemDifference]") -> None:
    """Paired comparisons of systems: a table for each."""
    for found in differences:
        print(
            f"{found.other} minus {found.base}, paired: {found.n_mated:,} mated and {found.n_nonmated:,} non-mated "
            "comparisons that both made; 95 % intervals"
        )
        print_figures(found.base, found.other, found.figures)
    if len(differences) > 1:
        print("Each interval holds 95 % by itself: among many comparisons, some differ by chance.")


def print_report_diff(found: "ReportDiff") -> None:
    """Every figure of two reports, and how they were compared."""
    print(f"{found.other} minus {found.base}")
    for text in found.notes:
        print(text)
    print_figures(found.base, found.other, found.figures)


def print_figures(base: str, other: str, figures: "Sequence[FigureDifference]") -> None:
    """Figures of two systems, the difference with its 95 % interval, and what it allows to say."""
    print_table(("figure", base, other, "difference [interval]", "statement"), [f.cells() for f in figures])
