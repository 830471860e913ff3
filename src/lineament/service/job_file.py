"""A job: pictures that wait to be enrolled and what became of each, in one SQLite file.

What :meth:`JobFile.add` has taken survives a crash. A picture leaves the file, overwritten, in the transaction that
writes down what became of it; a process that is killed in between offers it again, and the gallery says that it is
there already. With the key of encrypted galleries, pictures and names are sealed.
"""

import json
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lineament.core.errors import GalleryError
from lineament.gallery import GalleryKey
from lineament.gallery.schema import sync_folder
from lineament.gallery.sealing import new_codec
from lineament.service.archives import Upload
from lineament.service.job_layout import (
    DETAILS,
    FOUND,
    LAYOUT,
    PICTURE,
    SUFFIX,
    codec_of,
    connect,
    explained,
    picture_digest,
    subject_digest,
)
from lineament.service.job_types import Item, ItemState, JobSettings, Progress


class JobFile:
    """An open job. May be shared by threads; several processes may have it open.

    All calls raise :class:`~lineament.core.errors.ServiceError` when the file cannot be read or written.
    """

    def __init__(self, path: Path, key: GalleryKey | None) -> None:
        """Open a file; :meth:`make` makes one.

        Args:
            path: the file.
            key: of encrypted galleries.

        Raises:
            FileNotFoundError: it is not there.
            GalleryError: it is sealed with another key.
        """
        if not path.exists():
            raise FileNotFoundError(path)
        self.path = path
        self._lock = threading.RLock()
        with explained():
            self._db = connect(path)
        try:
            with explained():
                settings, wrapped, self._generation = self._row(
                    "SELECT settings, wrapped_key, generation FROM job"
                )
            self.settings = JobSettings(**json.loads(settings))
            self._codec = codec_of(wrapped, key)
        except BaseException:
            self._db.close()
            raise

    @property
    def job_id(self) -> str:
        """Its id."""
        return self.path.name.removesuffix(SUFFIX)

    @classmethod
    def make(cls, path: Path, settings: JobSettings, key: GalleryKey | None) -> "JobFile":
        """A new job; the file appears whole."""
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        wrapped = None if key is None else new_codec().wrapped(key)
        try:
            with explained():
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                db = connect(part)
                try:
                    db.executescript(LAYOUT)
                    row = (json.dumps(asdict(settings)), wrapped)
                    db.execute("INSERT INTO job (id, settings, wrapped_key) VALUES (1, ?, ?)", row)
                finally:
                    db.close()
                part.replace(path)
                sync_folder(path.parent)
        finally:
            for suffix in ("", "-wal", "-shm"):
                part.with_name(part.name + suffix).unlink(missing_ok=True)
        return cls(path, key)

    def close(self) -> None:
        """Close the file; the last one to close it leaves no log beside it."""
        with self._lock, explained():
            self._db.close()

    def __enter__(self) -> "JobFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Taking

    def add(self, uploads: Iterable[Upload]) -> tuple[int, int]:
        """Take all pictures, or none; they are on the disk when this returns.

        Args:
            uploads: read one by one.

        Returns: how many were taken, and how many were there before (same subject, file name and bytes).

        Raises:
            GalleryError: the job was cancelled.
            Exception: what reading the uploads raises; nothing was taken.
        """
        taken = known = 0
        with self.changing():
            if self._row("SELECT cancelled FROM job")[0]:
                raise GalleryError("the job was cancelled and takes no more pictures; make another one")
            (position,) = self._row("SELECT coalesce(max(position), 0) FROM items")
            for upload in uploads:
                details = {"subject": upload.subject_id, "sample": upload.sample_id, "name": upload.name}
                digest = picture_digest(self._codec, upload.subject_id, upload.sample_id)
                position += 1
                changed = self._db.execute(
                    "INSERT OR IGNORE INTO items (position, digest, subject, details, picture) VALUES (?, ?, ?, ?, ?)",
                    (
                        position,
                        digest,
                        subject_digest(self._codec, upload.subject_id),
                        self._codec.seal(json.dumps(details).encode(), DETAILS),
                        self._codec.seal(upload.picture, PICTURE),
                    ),
                ).rowcount
                taken, known = taken + changed, known + 1 - changed
                position -= 1 - changed
        return taken, known

    # Working

    def waiting(self) -> Iterator[Item]:
        """The pictures that wait, one by one, those too that come meanwhile."""
        position = 0
        while True:
            with self._lock, explained():
                row = self._db.execute(
                    "SELECT position, details, picture FROM items WHERE status IS NULL AND position > ? "
                    "ORDER BY position LIMIT 1",
                    (position,),
                ).fetchone()
                self._require_current()
            if row is None:
                return
            position = row[0]
            details = json.loads(self._codec.open(row[1], DETAILS))
            yield Item(position, details["subject"], details["sample"], self._codec.open(row[2], PICTURE))

    def is_waiting(self, item: Item) -> bool:
        """Whether a picture still waits, as one of that subject; true until the end of a :meth:`changing` block."""
        found = self._row(
            "SELECT count(*) FROM items WHERE position = ? AND status IS NULL AND subject = ?",
            item.position,
            subject_digest(self._codec, item.subject_id),
        )
        return bool(found[0])

    def settle(self, position: int, status: str, found: dict[str, Any]) -> None:
        """Write down what became of a picture, inside a :meth:`changing` block; its bytes go.

        Args:
            position: of the picture.
            status: what became of it.
            found: what was found, as it goes out.
        """
        self._db.execute(
            "UPDATE items SET status = ?, found = ?, picture = NULL WHERE position = ?",
            (status, self._codec.seal(json.dumps(found).encode(), FOUND), position),
        )

    def note_stuck(self, stuck: bool) -> None:
        """Write down whether the job can go on."""
        with self.changing():
            self._db.execute("UPDATE job SET stuck = ?", (int(stuck),))

    def tidy(self) -> None:
        """Give room back and empty the log, where bytes of pictures may still stand."""
        with self._lock, explained():
            self._db.execute("PRAGMA incremental_vacuum").fetchall()
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    # Ending

    def cancel(self) -> None:
        """Enroll nothing more; the pictures that wait go. Cancelling twice does nothing."""
        with self.changing():
            self._db.execute("UPDATE job SET cancelled = 1")
            self._db.execute("UPDATE items SET status = 'cancelled', picture = NULL WHERE status IS NULL")
        self.tidy()

    def forget(self, subject_id: str) -> None:
        """Forget a subject: its pictures that wait are not enrolled, and no name of it stays."""
        with self.changing():
            gone = self._db.execute(
                "UPDATE items SET digest = NULL, subject = NULL, details = NULL, picture = NULL, found = NULL, "
                "status = 'forgotten' WHERE subject = ?",
                (subject_digest(self._codec, subject_id),),
            ).rowcount
            gone += self._rename_in_found(subject_id, "")
        if gone:
            self.tidy()

    @contextmanager
    def moving(self, old: str, new: str) -> Iterator[bool]:
        """Have what the job knows of one subject be of another one, together with the change in the block.

        Nothing of the job is enrolled meanwhile; when the block fails, nothing has changed.

        Args:
            old: the id until now.
            new: the id from now on.

        Returns: whether the job knows anything of the subject.
        """
        with self.changing():
            moved = self._move_items(old, new) + self._rename_in_found(old, new)
            yield bool(moved)
        if moved:
            self.tidy()

    def _move_items(self, old: str, new: str) -> int:
        """Make pictures of one subject those of another one; returns how many."""
        rows = self._db.execute(
            "SELECT position, details FROM items WHERE subject = ?", (subject_digest(self._codec, old),)
        ).fetchall()
        for position, sealed in rows:
            details = json.loads(self._codec.open(sealed, DETAILS)) | {"subject": new}
            digest = picture_digest(self._codec, new, details["sample"])
            # of two equal pictures the other one is known by its digest; the gallery takes only one of them
            is_twice = self._row("SELECT count(*) FROM items WHERE digest = ?", digest)[0]
            self._db.execute(
                "UPDATE items SET digest = ?, subject = ?, details = ? WHERE position = ?",
                (
                    None if is_twice else digest,
                    subject_digest(self._codec, new),
                    self._codec.seal(json.dumps(details).encode(), DETAILS),
                    position,
                ),
            )
        return len(rows)

    def _rename_in_found(self, old: str, new: str) -> int:
        """Name a subject otherwise, or not at all, in what was found about any picture; returns in how many."""
        rows = self._db.execute("SELECT position, found FROM items WHERE found IS NOT NULL").fetchall()
        changed = 0
        for position, sealed in rows:
            found = json.loads(self._codec.open(sealed, FOUND))
            if _rename_in(found, old, new):
                changed += 1
                self._db.execute(
                    "UPDATE items SET found = ? WHERE position = ?",
                    (self._codec.seal(json.dumps(found).encode(), FOUND), position),
                )
        return changed

    # Looking

    def progress(self) -> Progress:
        """How far it is."""
        with self._lock, explained():
            statuses = dict(
                self._db.execute("SELECT coalesce(status, ''), count(*) FROM items GROUP BY 1").fetchall()
            )
            cancelled, stuck = self._row("SELECT cancelled, stuck FROM job")
        waiting = statuses.pop("", 0)
        total = waiting + sum(statuses.values())
        return Progress(total, waiting, statuses, bool(cancelled), bool(stuck and waiting))

    def items(self, after: int, limit: int) -> list[ItemState]:
        """What became of pictures, in order.

        Args:
            after: position of the last one that is known; 0 for none.
            limit: how many at most.
        """
        with self._lock, explained():
            rows = self._db.execute(
                "SELECT position, details, status, found FROM items WHERE position > ? ORDER BY position LIMIT ?",
                (after, limit),
            ).fetchall()
            self._require_current()
        return [self._state(*row) for row in rows]

    def _state(
        self, position: int, details: bytes | None, status: str | None, found: bytes | None
    ) -> ItemState:
        said = {} if details is None else json.loads(self._codec.open(details, DETAILS))
        names = (said.get("name", ""), said.get("subject", ""), said.get("sample", ""))
        what = {} if found is None else json.loads(self._codec.open(found, FOUND))
        return ItemState(position, *names, status or "waiting", what)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """One change that happens wholly or not at all, with no other one beside it."""
        with self._lock, explained():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._require_current()
                yield
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    with suppress(sqlite3.Error):
                        self._db.execute("ROLLBACK")

    def _require_current(self) -> None:
        if self._row("SELECT generation FROM job")[0] != self._generation:
            raise GalleryError(
                "the job was encrypted anew since it was opened; start the service again with the new key"
            )

    def _row(self, statement: str, *values: object) -> tuple[Any, ...]:
        row: tuple[Any, ...] = self._db.execute(statement, values).fetchone()
        return row


def _rename_in(found: dict[str, Any], old: str, new: str) -> bool:
    """Name a subject otherwise in what was found, or not at all when ``new`` is empty; whether it was named."""
    findings = [f for f in found.get("findings", []) if f["subject"] == old]
    for finding in findings:
        finding.update({"subject": new} if new else {"subject": "", "sample": ""})
    is_in_the_way = "conflict" in found and found["conflict"]["subject"] == old
    if is_in_the_way and new:
        found["conflict"]["subject"] = new
    elif is_in_the_way:
        del found["conflict"]
    return bool(findings) or is_in_the_way
