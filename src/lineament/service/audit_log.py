"""Writing the audit log: durable, from several threads and processes, on and on from file to file."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lineament.core.errors import ServiceError
from lineament.service.audit_entries import HEAD_NAME, Anchor, AuditEvent, Sealer, locked, segments

SEGMENT_BYTES = 64 << 20
"""Size from which a log goes on in another file."""


@dataclass(slots=True)
class _End:
    """Where the log ends: last entry, file that gets the next one, its length without an unfinished line."""

    anchor: Anchor = field(default_factory=Anchor)
    path: Path | None = None
    size: int = 0
    unfinished: int = 0


class AuditLog:
    """Writes an audit log. Threads and processes may share one; threads that come at once share one fsync.

    Args:
        folder: of the log; made when it is not there.
        mac_key: at least 32 bytes that lie elsewhere, to seal with HMAC-SHA-256; None for SHA-256. A log keeps the
            way it was begun with.
        segment_bytes: size from which the log goes on in another file.
        clock: gives s since 1970 UTC.

    Raises:
        ServiceError: the folder cannot be used, or the log does not end as its head says.
        ValueError: a key that is too short.
    """

    def __init__(
        self,
        folder: Path,
        *,
        mac_key: bytes | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder
        self.sealer = Sealer(mac_key)
        self._segment_bytes = segment_bytes
        self._clock = clock
        self._gate = threading.Lock()
        self._queue: list[tuple[AuditEvent, Future[int]]] = []
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="audit")
        self._end = _End()
        with self._disk():
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder):
                self._end = self._find_end()

    def append(self, event: AuditEvent) -> int:
        """Write one entry; it is on the disk when this returns.

        Returns:
            Its number.

        Raises:
            ServiceError: it could not be written; nothing of it stays.
        """
        number: Future[int] = Future()
        with self._gate:
            self._queue.append((event, number))
        self._writer.submit(self._write_queued)
        return number.result()

    @property
    def head(self) -> Anchor:
        """Number and seal of the last entry, other processes' too.

        Raises:
            ServiceError: the head cannot be read.
        """
        with self._disk(), locked(self.folder):
            return self._read_head()

    def _write_queued(self) -> None:
        """Write all that came while the writer was busy; later calls for the same entries find nothing to do."""
        with self._gate:
            batch, self._queue = self._queue, []
        if not batch:
            return
        try:
            with self._disk(), locked(self.folder):
                numbers = self._write([event for event, _ in batch])
        except Exception as error:
            self._end = _End()  # whatever is on the disk now is read again
            for _, number in batch:
                number.set_exception(error)
        else:
            for (_, number), written in zip(batch, numbers, strict=True):
                number.set_result(written)

    def _write(self, events: Sequence[AuditEvent]) -> range:
        """Write events behind the end, make them durable, then move the head; returns their numbers."""
        end = self._current_end()
        repair = []
        if end.unfinished and end.path is not None:
            os.truncate(end.path, end.size)
            outcome = f"{end.unfinished} bytes of an unfinished entry"
            repair.append(AuditEvent(action="audit.repair", outcome=outcome))
        lines, anchor = [], end.anchor
        for event in (*repair, *events):
            at = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="microseconds")
            line, seal = self.sealer.line(anchor.number + 1, at, event, anchor.seal)
            anchor = Anchor(anchor.number + 1, seal)
            lines.append(line)
        path, size, data = end.path, end.size, b"".join(lines)
        if path is None or size >= self._segment_bytes:
            path, size = self.folder / f"audit-{end.anchor.number + 1:016d}.jsonl", 0
        with _extending(path, size, data):
            self._move_head(anchor)
        self._end = _End(anchor, path, size + len(data))
        return range(anchor.number - len(events) + 1, anchor.number + 1)

    def _current_end(self) -> _End:
        """The end, read again when another process has written."""
        end, files = self._end, segments(self.folder)
        if end.path is not None and files and files[-1] == end.path and end.path.stat().st_size == end.size:
            return end
        return self._find_end()

    def _find_end(self) -> _End:
        """Read where the log ends, and begin a log where there is none."""
        files = segments(self.folder)
        if not files and not (self.folder / HEAD_NAME).exists():
            with _extending(self.folder / HEAD_NAME, 0, self.sealer.head(Anchor())):
                return _End()
        head = self._read_head()
        end = _End(path=files[-1] if files else None)
        for path in reversed(files):
            line, whole, unfinished = _last_line(path)
            if path == end.path:
                end.size, end.unfinished = whole, unfinished
            if line:
                entry = self.sealer.parse(line)
                if entry is None:
                    raise self._broken("its last entry was changed or sealed with another key")
                end.anchor = Anchor(entry.number, entry.seal)
                break
        if head.number > end.anchor.number or (head.number == end.anchor.number and head != end.anchor):
            raise self._broken(
                f"it must go on to entry {head.number}, but ends with entry {end.anchor.number}"
            )
        return end

    def _read_head(self) -> Anchor:
        try:
            found = self.sealer.parse_head((self.folder / HEAD_NAME).read_bytes())
        except FileNotFoundError as error:
            raise self._broken(f"{HEAD_NAME} is missing") from error
        if found is None:
            raise self._broken(f"{HEAD_NAME} was changed or sealed with another key")
        return found

    def _move_head(self, anchor: Anchor) -> None:
        """Overwrite the head in place: its length never changes, so a killed process leaves no half of it.

        It need not be durable: a head that a power cut set back says less than the log, which is no fault.
        """
        with (self.folder / HEAD_NAME).open("r+b", buffering=0) as stream:
            stream.write(self.sealer.head(anchor))

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ServiceError(
                f"the audit log {self.folder} cannot be written: {error.strerror or error}; nothing is decided or "
                "changed without it, so make room or mend the disk"
            ) from error

    def _broken(self, fault: str) -> ServiceError:
        return ServiceError(
            f'the audit log {self.folder} cannot go on: {fault}; see "lineament audit verify", keep the folder as it '
            "is, and begin a log in another one"
        )


@contextmanager
def _extending(path: Path, size: int, data: bytes) -> Iterator[None]:
    """Write ``data`` behind the first ``size`` bytes and make it durable; take it back when that or the block fails."""
    is_new = not path.exists()
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, 0o600), "ab", buffering=0) as stream:
        try:
            left = memoryview(data)
            while left:
                left = left[stream.write(left) :]
            os.fsync(stream.fileno())
            if is_new and os.name == "posix":
                _sync_folder(path.parent)
            yield
        except BaseException:
            with suppress(OSError):
                stream.truncate(size)
                os.fsync(stream.fileno())
            raise


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _last_line(path: Path) -> tuple[bytes, int, int]:
    """Last whole line of a file without its newline (empty when it has none), bytes up to there, bytes behind."""
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        tail, start = b"", size
        while start and tail.count(b"\n") < 2:
            start = max(0, start - (1 << 16))
            stream.seek(start)
            tail = stream.read(size - start)
    whole = tail.rfind(b"\n") + 1
    return tail[: whole - 1].rpartition(b"\n")[2] if whole else b"", start + whole, len(tail) - whole
