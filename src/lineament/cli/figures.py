"""Figures of reports as tables for a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lineament.cli.output import print_table

if TYPE_CHECKING:
    from lineament.evaluation.detection import DetectionReport
    from lineament.evaluation.differences import FigureDifference, SystemDifference
    from lineament.evaluation.verification import RatePoint, VerificationReport


def print_verification(reports: "Sequence[VerificationReport]") -> None:
    """A table of all systems, and then each report in words."""
    rates = list(dict.fromkeys(point.asked for found in reports for point in found.points))
    rows = []
    for found in reports:
        folds = found.folds_end_to_end or found.folds
        points = {point.asked: point for point in found.points}
        rows.append(
            (
                found.system.name,
                f"{100 * folds.accuracy:.2f} ± {100 * folds.standard_error:.2f} %" if folds else "",
                f"{100 * found.eer:.2f} %",
                *(_tar(points[rate]) if rate in points else "not measurable" for rate in rates),
                f"{found.fta_rate:.4f}",
                f"{1e3 * found.wall_s / found.n_samples:.1f}",
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


def print_detection(reports: "Sequence[DetectionReport]") -> None:
    """A table of all detectors, turns and overlaps."""
    first = reports[0]
    print(f"{first.dataset}: {first.n_images:,} pictures, {first.n_faces:,} faces")
    print_table(
        ("detector", "turned", "IoU", "AP", "recall", "by size", "false a picture", "ms a picture"),
        [row for found in reports for row in found.rows()],
    )


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


def print_figures(base: str, other: str, figures: "Sequence[FigureDifference]") -> None:
    """Figures of two systems, the difference with its 95 % interval, and what it allows to say."""
    print_table(("figure", base, other, "difference [interval]", "statement"), [f.cells() for f in figures])
