"""``lineament audit``: what the service did, and whether its log is whole. Needs the extra ``serve``."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lineament.cli.common import require_folder
from lineament.cli.exits import Exit
from lineament.cli.keys import require_service
from lineament.cli.output import JsonFlag, note, print_json

if TYPE_CHECKING:
    from lineament.service.audit_check import AuditVerdict

app = typer.Typer(
    help="Check and export the audit log of the service.",
    no_args_is_help=True,
    context_settings={"max_content_width": 110},
)
SHOWN = 20
LOG = typer.Option(Path("lineament.audit"), "--log", envvar="LINEAMENT_AUDIT", help="Folder of the log.")
KEY_FILE = typer.Option(
    None,
    "--key-file",
    envvar="LINEAMENT_AUDIT_KEY_FILE",
    help="File with the key that the log is sealed with, when it has one.",
)


def _moment(value: str | None) -> str | None:
    """Check a date or a time while the command line is read."""
    if value is not None:
        try:
            datetime.fromisoformat(value)
        except ValueError as error:
            raise typer.BadParameter(
                f"{value!r} is no ISO 8601 date or time, like 2026-03-01T12:00Z"
            ) from error
    return value


def _table(value: Path) -> Path:
    if value.suffix not in {".csv", ".json"}:
        raise typer.BadParameter(f"{value} must end in .csv or .json", param_hint="FILE")
    require_folder(value)
    return value


@app.command()
def verify(
    log: Path = LOG,
    key_file: Path = KEY_FILE,
    anchor: str = typer.Option(
        None,
        "--anchor",
        metavar="NUMBER:SEAL",
        help="An entry that an earlier check named; it must still be there.",
        show_default=False,
    ),
    as_json: bool = JsonFlag,
) -> None:
    """Read the whole log and say which entries were changed, removed or moved.

    Keep the anchor that it prints away from the machine: with it, a later check also finds a log that was written
    anew or set back. Exit code 4 when something is wrong.

    Example: lineament audit verify --log lineament.audit --anchor 1841:9c2f...
    """
    require_service()
    from lineament.service.audit_check import verify_audit
    from lineament.service.audit_entries import Anchor

    try:
        known = None if anchor is None else Anchor.parse(anchor)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--anchor") from error
    verdict = verify_audit(log, mac_key=_mac_key(key_file), anchor=known)
    if as_json:
        print_json(_document(log, verdict) | {"entries": verdict.entries, "anchor": str(verdict.last)})
    elif not verdict.fault_count:
        print(f"{log} is whole: {verdict.entries:,} entries")
        print(f"anchor {verdict.last}")
    _finish(log, verdict)


@app.command()
def export(
    file: Path = typer.Argument(callback=_table, help="Table to write, .csv or .json."),
    since: str = typer.Option(
        None,
        "--since",
        callback=_moment,
        help="First moment, ISO 8601; UTC when it has no zone.",
        show_default=False,
    ),
    until: str = typer.Option(
        None, "--until", callback=_moment, help="First moment after the range.", show_default=False
    ),
    log: Path = LOG,
    key_file: Path = KEY_FILE,
    as_json: bool = JsonFlag,
) -> None:
    """Write the entries of a time range to a table, and check the whole log on the way.

    Exit code 4 when something is wrong with the log; entries that are as they were written are exported anyway.

    Example: lineament audit export march.csv --since 2026-03-01 --until 2026-04-01
    """
    require_service()
    from lineament.service.audit_check import export_audit

    verdict = export_audit(log, file, mac_key=_mac_key(key_file), since=_in_utc(since), until=_in_utc(until))
    if as_json:
        print_json(_document(log, verdict) | {"file": str(file), "entries": verdict.entries})
    else:
        print(f"wrote {verdict.entries:,} entries to {file}")
    _finish(log, verdict)


def _document(log: Path, verdict: "AuditVerdict") -> dict[str, Any]:
    faults = [{"kind": f.kind, "number": f.number, "detail": f.detail} for f in verdict.faults]
    return {"log": str(log), "fault_count": verdict.fault_count, "faults": faults}


def _finish(log: Path, verdict: "AuditVerdict") -> None:
    """Tell the faults, if any, and end with the code for them."""
    for fault in verdict.faults[:SHOWN]:
        note(f"{log}: {fault.detail}")
    if verdict.fault_count > SHOWN:
        note(f"{log}: and {verdict.fault_count - SHOWN:,} more faults; see them with --json")
    if verdict.fault_count:
        raise typer.Exit(Exit.INPUT)


def _in_utc(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _mac_key(path: Path | None) -> bytes | None:
    from lineament.service.audit_entries import read_mac_key

    return None if path is None else read_mac_key(path)
