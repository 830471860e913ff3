"""Report files: one report or a list of them, of whatever kind."""

import json
from collections.abc import Sequence
from pathlib import Path

from lineament.core.errors import DataError
from lineament.evaluation.detection import DetectionReport
from lineament.evaluation.jsonfile import load_report
from lineament.evaluation.megaface_report import MegafaceReport
from lineament.evaluation.one_to_one import OneToOne
from lineament.evaluation.own import OwnReport
from lineament.evaluation.verification import VerificationReport

Compared = VerificationReport | OwnReport
"""Reports that hold figures of 1:1 comparison."""
Report = Compared | DetectionReport | MegafaceReport
KINDS: dict[str, type[Report]] = {
    "verification": VerificationReport,
    "own data": OwnReport,
    "detection": DetectionReport,
    "megaface": MegafaceReport,
}
"""Class of a report by the kind that its JSON states."""
_UNSTATED = {"eer": "verification", "comparisons": "own data", "turns": "detection", "n_trials": "megaface"}
"""A key that only this kind has, for reports of versions that stated none."""


def name_of(report: Report) -> str:
    """How tables and pictures call what was evaluated."""
    return report.name if isinstance(report, OwnReport | MegafaceReport) else report.system.name


def one_to_one(report: Compared) -> OneToOne:
    """The figures of 1:1 comparison of a report."""
    return report.comparisons if isinstance(report, OwnReport) else report


def ms_a_picture(report: Compared) -> str:
    """Time a picture took, ms; no time where the cache knew pictures, as it would be no speed of the system."""
    if not report.n_samples:
        return ""
    return "from the cache" if report.n_from_cache else f"{1e3 * report.wall_s / report.n_samples:.1f}"


def read_reports(path: Path) -> list[Report]:
    """The reports of a file that ``lineament evaluate`` wrote.

    Args:
        path: JSON file with one report or a list of them.

    Raises:
        DataError: the file cannot be read, or holds a document of no known kind.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"report {path} cannot be read as JSON: {error}") from error
    listed = document if isinstance(document, list) else [document]
    if not listed:
        raise DataError(f"report {path}: expected at least one report, the list is empty")
    return [_report(item, path, number) for number, item in enumerate(listed, 1)]


def _report(item: object, path: Path, number: int) -> Report:
    stated = item.get("kind") if isinstance(item, dict) else None
    guessed = [kind for key, kind in _UNSTATED.items() if isinstance(item, dict) and key in item]
    kind = stated if stated in KINDS else guessed[0] if stated is None and len(guessed) == 1 else None
    if not isinstance(kind, str):
        raise DataError(
            f"report {number} of {path}: expected what `lineament evaluate` writes with --report, of the kind "
            f"{', '.join(KINDS)}; got {'another document' if stated is None else f'kind {stated!r}'}"
        )
    try:
        return load_report(KINDS[kind], json.dumps(item))
    except DataError as error:
        raise DataError(f"report {number} of {path}: {error}") from error


def same_kind(reports: Sequence[Report]) -> list[list[Report]]:
    """Reports grouped by kind, data and protocol: those that may stand side by side, in order of appearance."""
    groups: dict[tuple[object, ...], list[Report]] = {}
    for report in reports:
        words = "" if isinstance(report, DetectionReport) else report.protocol.partition(";")[0]
        groups.setdefault((type(report), report.dataset, words), []).append(report)
    return list(groups.values())
