"""Reading an audit log: is it whole, and what does it say?

A reader notes how long the files are while no writer is at work, and reads no further; it never waits for the end of
a log that grows.
"""

import csv
import errno
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TextIO

from lineament.core.errors import InputError, ServiceError
from lineament.service.audit_entries import (
    HEAD_NAME,
    MAX_LINE_BYTES,
    Anchor,
    AuditEntry,
    AuditEvent,
    Sealer,
    locked,
    method_of,
    segments,
)

MAX_FAULTS = 1000
"""Faults that a verdict spells out; it counts the others."""
COLUMNS = ("number", "at", *(column.name for column in fields(AuditEvent)), "previous", "seal")
"""Columns of an exported table."""


class FaultKind(StrEnum):
    """What can be wrong."""

    CHANGED = "changed"
    """An entry is not as it was written."""
    MISSING = "missing"
    """Entries were removed."""
    MISPLACED = "misplaced"
    """An entry stands where another one belongs: reordered, repeated or put in."""
    UNFINISHED = "unfinished"
    """Bytes of an entry that was never acknowledged; the next entry takes their place."""
    HEAD = "head"
    """The head is not there or not as it was written."""


@dataclass(frozen=True, slots=True)
class AuditFault:
    """One fault of a log.

    Attributes:
        kind: of the fault.
        number: the entry that is meant; for :attr:`FaultKind.MISSING` the first one. Counted from the neighbours
            where the entry itself cannot be read.
        detail: a sentence with the place.
    """

    kind: FaultKind
    number: int
    detail: str


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """What reading a whole log showed.

    Attributes:
        entries: entries that are as they were written.
        last: the last of them; worth keeping elsewhere.
        faults: the first :data:`MAX_FAULTS`, in the order of the log.
        fault_count: all of them.
    """

    entries: int
    last: Anchor
    faults: tuple[AuditFault, ...]
    fault_count: int


def walk(
    folder: Path, *, mac_key: bytes | None = None, anchor: Anchor | None = None
) -> Iterator[AuditEntry | AuditFault]:
    """All entries as they were written, and all faults, in the order of the log.

    Args:
        folder: of the log.
        mac_key: its key; None for a log without one.
        anchor: an entry that was noted earlier and must still be there.

    Raises:
        ServiceError: there is no log, it cannot be read, or it is sealed in another way (with or without key).
    """
    sealer = Sealer(mac_key)
    with reading(folder):
        files, head = noted(folder)
        last, unread, expected = Anchor(), 0, _Expected(sealer, head, anchor)
        for path, size in files:
            for place, line in lines(path, size):
                if line is None:
                    yield AuditFault(FaultKind.UNFINISHED, last.number + unread + 1, f"{place} has no end")
                    continue
                entry = sealer.parse(line)
                if entry is None:
                    if not last.number + unread:
                        _check_method(folder, sealer, line)
                    unread += 1
                    number = last.number + unread
                    yield AuditFault(FaultKind.CHANGED, number, f"entry {number}, {place}, was changed")
                    continue
                yield from _step(last, unread, entry, place)
                yield from expected.meet(entry)
                yield entry
                if entry.number > last.number:
                    last, unread = Anchor(entry.number, entry.seal), 0
        yield from expected.end(last.number + unread)


def _step(last: Anchor, unread: int, entry: AuditEntry, place: str) -> Iterator[AuditFault]:
    """Faults between the last sound entry and this one, with ``unread`` changed ones between them."""
    gap = entry.number - last.number - 1
    if gap < 0:
        detail = f"entry {entry.number}, {place}, stands behind entry {last.number}"
        yield AuditFault(FaultKind.MISPLACED, entry.number, detail)
    elif gap > unread:
        missing = gap - unread
        first = last.number + unread + 1
        span = f"entry {first} is" if missing == 1 else f"entries {first} to {first + missing - 1} are"
        yield AuditFault(FaultKind.MISSING, first, f"{span} missing before {place}")
    elif gap < unread:
        detail = f"{unread - gap} lines before {place} belong to no entry"
        yield AuditFault(FaultKind.MISPLACED, entry.number, detail)
    elif not gap and entry.previous != last.seal:
        detail = f"entry {last.number} is not the one that entry {entry.number}, {place}, was written behind"
        yield AuditFault(FaultKind.CHANGED, last.number, detail)


class _Expected:
    """Entries that the head and an anchor vouch for."""

    def __init__(self, sealer: Sealer, head: bytes | None, anchor: Anchor | None) -> None:
        self._has_head = head is not None
        self._head = None if head is None else sealer.parse_head(head)
        named = ((self._head, HEAD_NAME), (anchor, "the anchor"))
        self._vouched = [(vouched, who) for vouched, who in named if vouched is not None]

    def meet(self, entry: AuditEntry) -> Iterator[AuditFault]:
        """Compare an entry with what is vouched for."""
        for vouched, who in self._vouched:
            if vouched.number == entry.number and vouched.seal != entry.seal:
                detail = f"entry {entry.number} is not the one that {who} names"
                yield AuditFault(FaultKind.CHANGED, entry.number, detail)

    def end(self, last_number: int) -> Iterator[AuditFault]:
        """Faults at the end of the log."""
        if self._head is None:
            state = "was changed" if self._has_head else "is missing"
            yield AuditFault(FaultKind.HEAD, last_number, f"{HEAD_NAME} {state}")
        for vouched, who in self._vouched:
            if vouched.number > last_number:
                detail = f"the log ends with entry {last_number}, but {who} names entry {vouched.number}"
                yield AuditFault(FaultKind.MISSING, last_number + 1, detail)


def verify_audit(
    folder: Path,
    *,
    mac_key: bytes | None = None,
    anchor: Anchor | None = None,
    on_entry: Callable[[AuditEntry], None] = lambda _entry: None,
) -> AuditVerdict:
    """Read a whole log and find every entry that was changed, removed or moved.

    Without a key, somebody who may write to the folder can make a new log that is whole in itself; only ``anchor``
    shows that. With a key, he cannot, but he can put back an older state of the whole folder; only ``anchor`` shows
    that, too.

    Args:
        folder: of the log.
        mac_key: its key; None for a log without one.
        anchor: an entry that was noted earlier, from :attr:`AuditVerdict.last` for example.
        on_entry: called with every sound entry.

    Raises:
        ServiceError: as :func:`walk`.
    """
    entries, count, last = 0, 0, Anchor()
    faults: list[AuditFault] = []
    for found in walk(folder, mac_key=mac_key, anchor=anchor):
        if isinstance(found, AuditFault):
            count += 1
            if len(faults) < MAX_FAULTS:
                faults.append(found)
        else:
            entries += 1
            on_entry(found)
            if found.number > last.number:
                last = Anchor(found.number, found.seal)
    return AuditVerdict(entries, last, tuple(faults), count)


def export_audit(
    folder: Path,
    file: Path,
    *,
    mac_key: bytes | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> AuditVerdict:
    """Write the entries of a time range to a table, and check the whole log on the way.

    Args:
        folder: of the log.
        file: to write, whole or not at all: ``.csv`` (texts of a list stand one a line; a text that a spreadsheet
            would run as a formula gets a quote in front) or ``.json`` (a list of objects).
        mac_key: key of the log; None for a log without one.
        since: first moment, with a time zone.
        until: first moment after the range, with a time zone.

    Returns:
        What :func:`verify_audit` says of the whole log; ``entries`` counts those that were written.

    Raises:
        ServiceError: as :func:`walk`.
        InputError: the file cannot be written.
        ValueError: a name that ends otherwise.
    """
    # OpenCV and the manifests come with it; commands that only read do without
    from lineament.zoo.files import beside, publish

    writers = {".csv": _csv_writer, ".json": _json_writer}
    if file.suffix not in writers:
        raise ValueError(f"the file must end in {' or '.join(writers)}, got {file.name}")
    written = 0
    part = beside(file)
    try:
        with part.open("x", encoding="utf-8", newline="") as stream, writers[file.suffix](stream) as write:

            def keep(entry: AuditEntry) -> None:
                nonlocal written
                if within(entry, since, until):
                    write(flat(entry))
                    written += 1

            verdict = verify_audit(folder, mac_key=mac_key, on_entry=keep)
        publish(part, file)
    except OSError as error:
        raise InputError(
            f"{file} cannot be written: {error.strerror}; check the folder and its space"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return AuditVerdict(written, verdict.last, verdict.faults, verdict.fault_count)


def flat(entry: AuditEntry) -> dict[str, object]:
    """An entry as one level of names and values, in the order of :data:`COLUMNS`."""
    row = asdict(entry)
    event = row.pop("event")
    return {name: (row | event)[name] for name in COLUMNS}


def within(entry: AuditEntry, since: datetime | None, until: datetime | None) -> bool:
    """Whether an entry was written at or after ``since`` and before ``until``."""
    at = datetime.fromisoformat(entry.at)
    return (since is None or at >= since) and (until is None or at < until)


Row = dict[str, object]


@contextmanager
def _csv_writer(stream: TextIO) -> Iterator[Callable[[Row], None]]:
    writer = csv.writer(stream)
    writer.writerow(COLUMNS)
    yield lambda row: writer.writerow([_cell(value) for value in row.values()])


def _cell(value: object) -> object:
    text = "\n".join(value) if isinstance(value, tuple) else value
    if isinstance(text, str) and text.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{text}"
    return "" if text is None else text


@contextmanager
def _json_writer(stream: TextIO) -> Iterator[Callable[[Row], None]]:
    separator = "[\n"

    def write(row: Row) -> None:
        nonlocal separator
        stream.write(separator + json.dumps(row, allow_nan=False))
        separator = ",\n"

    yield write
    stream.write("[]\n" if separator == "[\n" else "\n]\n")


def _check_method(folder: Path, sealer: Sealer, line: bytes) -> None:
    """Tell a log with a key from one without, instead of calling every entry changed."""
    method = method_of(line)
    if method and method != sealer.method:
        wrong = (
            "was written with a key; give it with --key-file"
            if method != "sha256"
            else "was written without a key"
        )
        raise ServiceError(f"the audit log {folder} {wrong}")


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Turn what the file system refuses into a :class:`ServiceError`."""
    try:
        yield
    except OSError as error:
        raise ServiceError(f"the audit log {folder} cannot be read: {error.strerror or error}") from error


def noted(folder: Path) -> tuple[list[tuple[Path, int]], bytes | None]:
    """Files with their lengths, and the head, at one moment."""

    def look() -> tuple[list[tuple[Path, int]], bytes | None]:
        head = folder / HEAD_NAME
        return [(p, p.stat().st_size) for p in segments(folder)], head.read_bytes() if head.exists() else None

    if not folder.is_dir():
        raise ServiceError(f"there is no folder {folder}; say where the audit log is with --log")
    try:
        with locked(folder):
            files, head = look()
    except OSError as error:  # a copy that may only be read is written to by nobody
        if error.errno not in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise
        files, head = look()
    if not files and head is None:
        raise ServiceError(f"{folder} holds no audit log; say where it is with --log")
    return files, head


def lines(path: Path, size: int) -> Iterator[tuple[str, bytes | None]]:
    """Places and lines of the first ``size`` bytes of a file; None for bytes at the end without a newline."""
    with path.open("rb") as stream:
        number, left = 0, size
        while left > 0:
            line = stream.readline(min(left, MAX_LINE_BYTES))
            if not line:
                return
            left -= len(line)
            number += 1
            place = f"{path.name} line {number}"
            yield place, line[:-1] if line.endswith(b"\n") else (b"" if left else None)
