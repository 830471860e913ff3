"""People among distractors on a page: rates by number of distractors, what was refused, and the picture."""

from collections.abc import Iterator, Sequence

from lineament.evaluation.html_curves import drawn, figures_of
from lineament.evaluation.html_parts import Markup, figure, heading, paragraph, picture, table
from lineament.evaluation.megaface_report import MegafaceReport, plot_megaface


def megaface_section(group: Sequence[MegafaceReport]) -> Iterator[Markup]:
    """Rates of each system, its counts, notes and picture.

    Args:
        group: reports of the same data and protocol; may be empty.
    """
    for report in group:
        yield heading(3, report.name)
        yield paragraph(report.protocol, soft=True)
        yield _rates(report)
        yield from (paragraph(f"{line}.") for line in report.text().splitlines())
        yield figures_of(iter([_picture(report)]))


def _rates(report: MegafaceReport) -> Markup:
    heads, rows = report.table()
    return table("Rates by number of distractors; refused photos are misses", heads, rows)


def _picture(report: MegafaceReport) -> Markup:
    said = "; ".join(f"{size.n_distractors:,} distractors: rank 1 {size.cmc[0]:.4f}" for size in report.sizes)
    image = picture(
        drawn(plot_megaface, report), "png", f"Rank-1 rate and CMC by number of distractors. {said}."
    )
    return figure(image, f"{report.name}: rank-1 rate with its intervals, and CMC, by number of distractors.")
