"""1:1 comparison on a page: figures of systems on the same data side by side, operating points, curves, refusals."""

from collections.abc import Iterator, Sequence

from lineament.evaluation.html_curves import curve_pictures
from lineament.evaluation.html_parts import Markup, heading, paragraph, table
from lineament.evaluation.one_to_one import RatePoint, bracketed
from lineament.evaluation.reading import Compared, ms_a_picture, name_of, one_to_one
from lineament.evaluation.verification import VerificationReport


def compared_section(group: Sequence[Compared]) -> Iterator[Markup]:
    """Everything about 1:1 comparison.

    Args:
        group: reports of the same data and protocol.
    """
    yield from _protocols(group)
    yield heading(3, "Results")
    yield _summary(group)
    yield _points(group)
    yield from map(paragraph, _withheld(group))
    yield paragraph(
        "FMR and FNMR count the comparisons that were made; FAR and FRR count the whole transaction, in which a "
        "refused picture is a rejection. TAR = 1 - FNMR. A point that rests on fewer than ten false matches is "
        "marked: read its interval, not its figure.",
        soft=True,
    )
    yield heading(3, "Curves")
    yield from curve_pictures({name_of(report): one_to_one(report) for report in group})
    if any(report.n_samples is not None for report in group):
        yield heading(3, "Refusals")
        yield _refusals(group)


def _protocols(group: Sequence[Compared]) -> Iterator[Markup]:
    protocols: dict[str, list[str]] = {}
    for report in group:
        protocols.setdefault(report.protocol, []).append(name_of(report))
    for words, names in protocols.items():
        whose = f" of {', '.join(names)}" if len(protocols) > 1 else ""
        yield paragraph(f"Protocol{whose}: {words}.")
    first = group[0]
    found = one_to_one(first)
    counts = [f"{found.n_mated:,} mated and {found.n_nonmated:,} non-mated pairs"]
    if first.n_samples is not None:
        counts.append(f"{first.n_samples:,} pictures")
    if found.n_subjects is not None:
        counts.append(f"{found.n_subjects:,} subjects")
    how = (
        f"{first.replicates:,} replicates of resampled subjects, seed {first.seed}; the threshold is chosen anew in "
        "every replicate"
        if isinstance(first, VerificationReport)
        else first.comparisons.intervals
    )
    yield paragraph(f"{', '.join(counts)}. 95 % intervals in brackets: {how}.")


def _summary(group: Sequence[Compared]) -> Markup:
    rates = list(dict.fromkeys(point.asked for report in group for point in one_to_one(report).points))
    refused = any(report.fta_rate for report in group if isinstance(report, VerificationReport))

    def cells(report: Compared) -> Iterator[str]:
        found = one_to_one(report)
        yield name_of(report)
        folds = [found.folds]
        if refused:
            folds.append(report.folds_end_to_end if isinstance(report, VerificationReport) else None)
        for kept in folds:
            yield f"{100 * kept.accuracy:.2f} ± {100 * kept.standard_error:.2f} %" if kept else "no folds"
        low, high = (None if end is None else 100 * end for end in (found.eer_low, found.eer_high))
        yield f"{100 * found.eer:.2f}{bracketed(low, high, '.2f')} %"
        yield f"{found.auc:.5f}{bracketed(found.auc_low, found.auc_high, '.5f')}"
        points = {point.asked: point for point in found.points}
        for rate in rates:
            yield _tar(points[rate]) if rate in points else "not given"
        yield "" if report.fta_rate is None else f"{report.fta_rate:.4f}"
        yield ms_a_picture(report)

    columns = (
        "System",
        "Accuracy ± s.e.",
        *(["Accuracy end to end"] if refused else []),
        "EER [95 %]",
        "AUC [95 %]",
        *(f"TAR at FAR {rate:g} (1 - FNMR at FMR)" for rate in rates),
        "Failure to acquire (FTA)",
        "ms a picture",
    )
    return table("Accuracy, equal error rate and true accept rates", columns, map(tuple, map(cells, group)))


def _tar(point: RatePoint) -> str:
    text = f"{1 - point.fnmr:.4f} [{1 - point.fnmr_high:.4f}, {1 - point.fnmr_low:.4f}]"
    return text if point.well_supported else f"{text} *"


def _points(group: Sequence[Compared]) -> Markup:
    rows = [
        (
            name_of(report),
            f"{point.asked:g}",
            f"{point.threshold:.4f}",
            f"{point.fmr:.2e}",
            f"{point.false_matches}" + ("" if point.well_supported else " *"),
            f"{point.fnmr:.4f} [{point.fnmr_low:.4f}, {point.fnmr_high:.4f}]",
            f"{point.far:.2e}",
            f"{point.frr:.4f}",
        )
        for report in group
        for point in one_to_one(report).points
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


def _withheld(group: Sequence[Compared]) -> Iterator[str]:
    """Which rates are not given, and why."""
    said: dict[str, list[str]] = {}
    for report in group:
        reasons = (
            [f"FMR (FAR) {rate:g} is not measurable: below one false match" for rate in report.not_measurable]
            if isinstance(report, VerificationReport)
            else report.comparisons.not_supported
        )
        for reason in reasons:
            said.setdefault(reason, []).append(name_of(report))
    for reason, names in said.items():
        yield f"{reason}." if len(names) == len(group) else f"{', '.join(names)}: {reason}."


def _refusals(group: Sequence[Compared]) -> Markup:
    reasons = sorted({reason for report in group for reason in report.refusals})
    if not reasons:
        return paragraph("No picture was refused.")
    rows = [
        (
            name_of(report),
            "" if report.fta_rate is None else f"{report.fta_rate:.4f}",
            *(f"{report.refusals.get(reason, 0):,}" for reason in reasons),
            f"{found.n_mated - found.n_mated_compared:,}",
            f"{found.n_nonmated - found.n_nonmated_compared:,}",
        )
        for report in group
        for found in [one_to_one(report)]
    ]
    columns = ("System", "FTA", *reasons, "Mated pairs lost", "Non-mated pairs lost")
    return table("Pictures refused, by reason, and comparisons that could not be made", columns, rows)
