"""Backups while the gallery serves, and the list of all copies that a removal does not reach."""

import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lineament.core.errors import GalleryError
from lineament.gallery import ledger
from lineament.gallery.receipts import Copy, RemovalReceipt
from lineament.gallery.schema import LOGS, explained, sync_folder
from lineament.gallery.session import Session
from lineament.gallery.verify import ReceiptVerdict, verify_receipt

_PAGES_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class KnownCopy:
    """A copy that the gallery has made.

    Attributes:
        copy: what, where and when.
        found: True when a file is there now.
    """

    copy: Copy
    found: bool


class Copies:
    """The copies of an open gallery."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def back_up(self, path: str | Path) -> Path:
        """Write the gallery as it is now to a new file, whole or not at all; reading and writing go on.

        The copy is a gallery of the same id, sealed with the same key when this one is.

        Returns: where it lies, absolute.

        Raises:
            GalleryError: ``path`` exists or cannot be written.
        """
        path = Path(path).absolute()
        with self.published("backup", path) as part:
            write_copy(self._session.path, part)
        return path

    def known(self) -> list[KnownCopy]:
        """Backups and exports that were made, oldest first, and whether they are still where they were."""
        with self._session.transaction(write=False):
            made = ledger.copies(self._session.store)
        return [KnownCopy(copy, _is_there(Path(copy.path))) for copy in made]

    def forget(self, path: str | Path) -> None:
        """Take a copy that was destroyed off the list.

        Raises:
            GalleryError: it is not on the list, or still there.
        """
        path = Path(path).absolute()
        if _is_there(path):
            raise GalleryError(f"{path} is still there; destroy it first")
        with self._session.transaction(write=True):
            if not ledger.forget_copy(self._session.store, str(path)):
                raise GalleryError(f"{path} is not on the list of copies; see the list for the exact name")

    def verify(self, receipt: RemovalReceipt) -> ReceiptVerdict:
        """Whether what ``receipt`` says is gone is gone, from the gallery and every known copy."""
        return verify_receipt(self._session, receipt)

    @contextmanager
    def published(self, kind: str, path: Path) -> Iterator[Path]:
        """Give a private name to write a copy to; then make it durable, put it on the list, and give it its name.

        In this order, a copy that fails changes nothing in the gallery, and a crash leaves no copy that has its name
        and is not on the list.

        Args:
            kind: "backup" or "export".
            path: where the copy is to lie.

        Raises:
            GalleryError: ``path`` exists or cannot be written.
        """
        if path.exists():
            raise GalleryError(f"{path} exists; choose another name or remove it first")
        if not path.parent.is_dir():
            raise GalleryError(f"the folder {path.parent} does not exist; make it first")
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise GalleryError(
                f"the name {str(path)!r} is no text and cannot be put on the list of copies; choose another"
            ) from error
        begun_s, part = time.time(), path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.part")
        try:
            with explained(path):
                yield part
            self._list_and_name(kind, part, path, begun_s)
        except OSError as error:
            raise GalleryError(
                f"{path} could not be written ({error.strerror}); check the folder and its space"
            ) from error
        finally:
            for suffix in ("", *LOGS):
                part.with_name(part.name + suffix).unlink(missing_ok=True)

    def _list_and_name(self, kind: str, part: Path, path: Path, begun_s: float) -> None:
        session, target = self._session, str(path.absolute())
        handle = os.open(part, os.O_RDWR)  # Windows flushes only what may be written
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        with session.transaction(write=True):
            ledger.note_copy(session.store, kind, target, begun_s)
        try:
            part.replace(path)
        except OSError:
            with session.transaction(write=True):
                ledger.forget_copy(session.store, target)
            raise
        sync_folder(path.parent)


def _is_there(path: Path) -> bool:
    """True also for a file that may not be looked at."""
    try:
        return path.exists()
    except OSError:
        return True


def write_copy(source: Path, path: Path) -> None:
    """Copy a gallery file to a new one with SQLite's online backup, in one piece without a log beside it.

    Raises:
        sqlite3.Error: it cannot be read or written.
    """
    with (
        # A connection of its own: it holds up neither the gallery's searches nor other writers.
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True)) as reader,
        closing(sqlite3.connect(path)) as writer,
    ):
        reader.execute("BEGIN")
        # Without something read there is no snapshot, and every write of somebody else begins the copy anew.
        reader.execute("SELECT 1 FROM sqlite_master").fetchone()
        reader.backup(writer, pages=_PAGES_AT_ONCE)
        writer.execute("PRAGMA journal_mode=DELETE")
