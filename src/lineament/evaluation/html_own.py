"""What reports on own data hold beside 1:1 comparison: calibrated thresholds, searches, groups."""

from collections.abc import Iterator, Sequence

import numpy as np

from lineament.evaluation.groups import GroupRate, GroupReport
from lineament.evaluation.html_curves import drawn, figures_of
from lineament.evaluation.html_parts import Markup, figure, heading, paragraph, picture, table
from lineament.evaluation.own import OwnReport
from lineament.evaluation.plots import plot_cmc, plot_group_rates
from lineament.evaluation.search import SearchReport


def own_section(group: Sequence[OwnReport]) -> Iterator[Markup]:
    """Notes, calibrated thresholds, searches and groups, as far as the reports have them.

    Args:
        group: reports of the same data and protocol.
    """
    notes = dict.fromkeys(note for report in group for note in report.notes)
    if notes:
        yield heading(3, "Notes on the data")
        yield from (paragraph(f"{note}.") for note in notes)
    if any(report.calibrated for report in group):
        yield heading(3, "Calibrated thresholds on these data")
        yield _calibrated(group)
    if any(report.searches for report in group):
        yield heading(3, "Search, 1:N")
        yield from _searches(group)
    for report in group:
        if report.groups is not None:
            yield heading(3, f"Groups by {report.groups.column}: {report.name}")
            yield from _groups(report.groups)


def _calibrated(group: Sequence[OwnReport]) -> Markup:
    rows = [
        (
            report.name,
            f"{rate.asked:g}",
            f"{rate.threshold:.4f}",
            rate.record,
            f"{rate.fmr:.3g} [{rate.fmr_low:.3g}, {rate.fmr_high:.3g}]",
            f"{rate.fnmr:.4f} [{rate.fnmr_low:.4f}, {rate.fnmr_high:.4f}]",
        )
        for report in group
        for rate in report.calibrated
    ]
    columns = ("System", "FMR (FAR) promised", "Threshold", "Record", "FMR here [95 %]", "FNMR here [95 %]")
    return table("What the thresholds of the calibration record give here", columns, rows)


def _searches(group: Sequence[OwnReport]) -> Iterator[Markup]:
    listed = [(report.name, search) for report in group for search in report.searches]
    yield _galleries(listed)
    yield _search_points(listed)
    said = dict.fromkeys(
        f"Gallery of {search.failures.n_people:,}: {words}"
        for _, search in listed
        for words in search.not_supported
    )
    yield from (paragraph(f"{words}.") for words in said)
    yield from (paragraph(f"{words}.", soft=True) for words in dict.fromkeys(s.intervals for _, s in listed))
    curves = {
        f"{name}, {search.failures.n_people:,} people": np.array(search.cmc)
        for name, search in listed
        if len(search.cmc) > 1
    }
    if curves:
        alt = "CMC. " + "; ".join(f"{name}: rank 1 {rates[0]:.4f}" for name, rates in curves.items())
        image = picture(drawn(plot_cmc, curves), "png", alt)
        yield figures_of(iter([figure(image, "CMC: mated searches with the mate within the rank.")]))


def _galleries(listed: Sequence[tuple[str, SearchReport]]) -> Markup:
    ranks = list(dict.fromkeys(rank.rank for _, search in listed for rank in search.ranks))

    def cells(name: str, search: SearchReport) -> Iterator[str]:
        failures, found = search.failures, {rank.rank: rank for rank in search.ranks}
        yield name
        yield f"{failures.n_people:,} people, {failures.n_templates:,} templates"
        yield f"{search.n_mated:,} of {search.n_mated_people:,} people"
        yield f"{search.n_nonmated:,} of {search.n_nonmated_people:,} people"
        for rank in ranks:
            r = found.get(rank)
            yield "not given" if r is None else f"{r.rate:.4f} [{r.low:.4f}, {r.high:.4f}]"
        yield f"{failures.fte_rate:.4f}"
        yield f"{failures.mated_fta_rate:.4f}, {failures.nonmated_fta_rate:.4f}"

    columns = (
        "System",
        "Gallery",
        "Mated searches",
        "Non-mated searches",
        *(f"Rank {rank} [95 %]" for rank in ranks),
        "Failure to enroll (FTE)",
        "Failure to acquire: mated, non-mated",
    )
    rows = [tuple(cells(name, search)) for name, search in listed]
    return table("Galleries, searches and identification rates; failures count in the rates", columns, rows)


def _search_points(listed: Sequence[tuple[str, SearchReport]]) -> Markup:
    rows = [
        (
            name,
            f"{search.failures.n_people:,} people",
            f"{point.asked:g}",
            f"{point.threshold:.4f}",
            f"{point.fpir:.2e}",
            f"{point.false_positives}",
            f"{point.fnir:.4f} [{point.low:.4f}, {point.high:.4f}]",
            f"{1 - point.fnir:.4f}",
        )
        for name, search in listed
        for point in search.points
    ]
    columns = (
        "System",
        "Gallery",
        "FPIR asked",
        "Threshold",
        "FPIR reached",
        "False positives",
        "FNIR [95 %]",
        "DIR",
    )
    return table("Open-set search, candidate lists of one", columns, rows)


def _groups(found: GroupReport) -> Iterator[Markup]:
    columns = ("Group", "People", "Mated", "FNMR (FRR) [95 %]", "Non-mated", "FMR (FAR) [95 %]")
    rows = [
        (
            group.group,
            "not known" if group.n_subjects is None else f"{group.n_subjects:,}",
            f"{group.n_mated:,}",
            _rate(group.fnmr, group.fnmr_low, group.fnmr_high),
            f"{group.n_nonmated:,}",
            _rate(group.fmr, group.fmr_low, group.fmr_high),
        )
        for group in found.groups
    ]
    yield table(f"Comparisons within each group, threshold {found.threshold:.4f}", columns, rows)
    yield from (paragraph(f"{line}.") for line in found.text().splitlines())
    images = (
        figure(picture(_bars(found.groups, kind), "png", _alt(found.groups, kind)), f"{kind} by group.")
        for kind in ("FNMR", "FMR")
    )
    yield figures_of(images)


def _ends(group: GroupRate, kind: str) -> tuple[float | None, float | None, float | None]:
    if kind == "FMR":
        return group.fmr, group.fmr_low, group.fmr_high
    return group.fnmr, group.fnmr_low, group.fnmr_high


def _bars(groups: Sequence[GroupRate], kind: str) -> bytes:
    return drawn(plot_group_rates, {group.group: _ends(group, kind) for group in groups}, kind)


def _alt(groups: Sequence[GroupRate], kind: str) -> str:
    said = "; ".join(f"{group.group}: {_rate(*_ends(group, kind))}" for group in groups)
    return f"{kind} by group with 95 % intervals. {said}."


def _rate(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return "no comparison"
    return f"{value:.3g} [{low:.3g}, {high:.3g}]"
