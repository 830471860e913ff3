"""Searches and groups of two reports on own data, and rates among distractors, side by side."""

from collections.abc import Iterator

from lineament.evaluation.differences import Ends, FigureDifference, separate
from lineament.evaluation.megaface_report import MegafaceReport
from lineament.evaluation.own import OwnReport


def own_figures(base: OwnReport, other: OwnReport) -> Iterator[FigureDifference]:
    """Every figure of searches and groups that both reports hold, compared by their separate intervals.

    Searches are matched by the people in the gallery, groups by column and name.

    Args:
        base: the first report.
        other: the second report.
    """
    yield from _separately(_figures(base), _figures(other))


def megaface_figures(base: MegafaceReport, other: MegafaceReport) -> Iterator[FigureDifference]:
    """Rank-1 rates and TAR at every number of distractors that both reports hold, by their separate intervals.

    Args:
        base: the first report.
        other: the second report.
    """
    yield from _separately(_among_distractors(base), _among_distractors(other))


def _separately(
    base: Iterator[tuple[str, Ends]], other: Iterator[tuple[str, Ends]]
) -> Iterator[FigureDifference]:
    """Figures of one name, in the order of the first report."""
    second = dict(other)
    for name, ends in base:
        if name in second:
            yield separate(name, ends, second[name])


def _among_distractors(report: MegafaceReport) -> Iterator[tuple[str, Ends]]:
    for size in report.sizes:
        among = f"among {size.n_distractors:,} distractors"
        yield f"rank 1 rate {among}", Ends(size.cmc[0], size.low, size.high)
        for point in size.points:
            yield f"TAR at FAR {point.asked:g} {among}", Ends(point.tar, point.low, point.high)


def _figures(report: OwnReport) -> Iterator[tuple[str, Ends]]:
    for search in report.searches:
        gallery = f"gallery of {search.failures.n_people:,}"
        for rank in search.ranks:
            yield f"rank {rank.rank} rate, {gallery}", Ends(rank.rate, rank.low, rank.high)
        for point in search.points:
            yield f"FNIR at FPIR {point.asked:g}, {gallery}", Ends(point.fnir, point.low, point.high)
    for rate in report.calibrated:
        at = f"at the calibrated threshold for {rate.asked:g}"
        yield f"FMR (FAR) {at}", Ends(rate.fmr, rate.fmr_low, rate.fmr_high)
        yield f"FNMR (FRR) {at}", Ends(rate.fnmr, rate.fnmr_low, rate.fnmr_high)
    if report.groups is None:
        return
    for group in report.groups.groups:
        where = f"{report.groups.column} {group.group}, overall FMR {report.groups.asked:g}"
        if group.fnmr is not None:
            yield f"FNMR of {where}", Ends(group.fnmr, group.fnmr_low, group.fnmr_high)
        if group.fmr is not None:
            yield f"FMR of {where}", Ends(group.fmr, group.fmr_low, group.fmr_high)
