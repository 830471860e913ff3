"""Report files: one report or a list of them, of whatever kind."""

import json
from collections.abc import Sequence
from pathlib import Path

from lineament.core.errors import DataError
from lineament.evaluation.detection import DetectionReport
from lineament.evaluation.jsonfile import load_report
from lineament.evaluation.verification import VerificationReport

Report = VerificationReport | DetectionReport
# A key that only this kind of report has.
_KINDS: dict[str, type[VerificationReport] | type[DetectionReport]] = {
    "eer": VerificationReport,
    "turns": DetectionReport,
}


def read_reports(path: Path) -> list[Report]:
    """The reports of a file that ``lineament evaluate`` wrote.

    Args:
        path: JSON file with one report or a list of them.

    Raises:
        DataError: the file cannot be read, or holds no verification or detection report.
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
    kinds = [kind for key, kind in _KINDS.items() if isinstance(item, dict) and key in item]
    if len(kinds) != 1:
        raise DataError(
            f"report {number} of {path}: expected what `lineament evaluate verification` or "
            "`lineament evaluate detection` writes with --report, got another document"
        )
    try:
        return load_report(kinds[0], json.dumps(item))
    except DataError as error:
        raise DataError(f"report {number} of {path}: {error}") from error


def same_kind(reports: Sequence[Report]) -> list[list[Report]]:
    """Reports grouped by kind, data and protocol: those that may stand side by side, in order of appearance."""
    groups: dict[tuple[object, ...], list[Report]] = {}
    for report in reports:
        words = report.protocol.partition(";")[0] if isinstance(report, VerificationReport) else ""
        groups.setdefault((type(report), report.dataset, words), []).append(report)
    return list(groups.values())
