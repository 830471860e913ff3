"""The SQL of the gallery: samples in, out, counted, moved and checked. Knows no search."""

import hashlib
import logging
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray
from lineament.core.errors import EmbeddingSpaceMismatch, GalleryError, SubjectNotFound
from lineament.gallery.types import (
    Enrolled,
    EnrollmentRefusal,
    EnrollmentRefusalKind,
    GallerySize,
    SampleRecord,
    SubjectSummary,
)

STORED = np.dtype("<f4")
"""Templates are stored as little-endian float32, bit for bit as they came."""
_FETCH_ROWS = 4096
_log = logging.getLogger(__name__)
_BATCH_IDS = 500


class Refused(Exception):
    """Carries a refusal out of a transaction, so that nothing of it stays."""

    def __init__(self, refusal: EnrollmentRefusal) -> None:
        super().__init__(refusal.kind)
        self.refusal = refusal


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """What is stored of one sample."""

    subject_id: str
    sample_id: str
    vector: FloatArray
    source_sha256: str
    created_s: float


@dataclass(frozen=True, slots=True, eq=False)
class StoredTemplate:
    """A template with the names that belong to it."""

    sample_id: str
    subject_id: str
    vector: FloatArray


def new_row(subject_id: str, sample_id: str | None, vector: FloatArray, source_sha256: str) -> Row:
    """A row for a sample that is enrolled now; chooses its id when there is none."""
    return Row(subject_id, sample_id or f"sample-{secrets.token_hex(8)}", vector, source_sha256, time.time())


def space_mismatch(held: str, offered: str) -> EmbeddingSpaceMismatch:
    """The error for templates that cannot be compared with those of the gallery."""
    return EmbeddingSpaceMismatch(
        f"the gallery holds templates of {held}, got {offered}; use the pipeline that made them"
    )


def cosine(a: FloatArray, b: FloatArray) -> float:
    """Cosine similarity of two vectors in double precision, in [-1, 1]."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1.0, 1.0))


def _blob(row: Row) -> bytes:
    return row.vector.astype(STORED).tobytes()


def _digest(row: Row) -> bytes:
    return hashlib.sha256(_blob(row)).digest()


class Store:
    """Statements on one connection; every call belongs inside :meth:`transaction`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @contextmanager
    def transaction(self, write: bool) -> Iterator[None]:
        """One snapshot for reading, or one change that happens wholly or not at all."""
        self._connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        try:
            yield
            if write:
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")

    def purge_log(self) -> bool:
        """Move the write-ahead log into the file and empty it; False when that is not possible now.

        What was committed stays committed either way, so a reader in the way or a full disk is no error.
        """
        try:
            busy: int = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.OperationalError as error:
            _log.warning("the write-ahead log could not be emptied: %s", error)
            return False
        return busy == 0

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    # The gallery's own record

    def dimension(self) -> int | None:
        """Length of a template; None before the first."""
        value: int | None = self._one("SELECT dimension FROM gallery")
        return value

    def require_dimension(self, dimension: int) -> None:
        """Take ``dimension`` as the gallery's when it has none.

        Raises:
            EmbeddingSpaceMismatch: it has another.
        """
        known = self.dimension()
        if known is None:
            self._connection.execute("UPDATE gallery SET dimension = ?", (dimension,))
        elif known != dimension:
            raise space_mismatch(f"{known} values", f"{dimension} values")

    def calibration(self) -> str:
        """Name of the calibration record in use."""
        return str(self._one("SELECT calibration FROM gallery"))

    def set_calibration(self, name: str) -> None:
        """Note which calibration record is in use."""
        self._connection.execute("UPDATE gallery SET calibration = ?", (name,))

    def created_s(self) -> float:
        """When the gallery was made."""
        return float(self._one("SELECT created_s FROM gallery"))

    # Adding

    def insert(self, row: Row, position: int) -> Enrolled:
        """Add a sample with its template.

        Raises:
            Refused: the same picture, vector or sample id is there.
        """
        self.require_new(row, position)
        self._connection.execute(
            "INSERT INTO subjects (name) VALUES (?) ON CONFLICT DO NOTHING", (row.subject_id,)
        )
        sample = self._connection.execute(
            "INSERT INTO samples (subject, name, source_sha256, created_s, digest) VALUES (?, ?, ?, ?, ?)",
            (self._subject(row.subject_id), row.sample_id, row.source_sha256, row.created_s, _digest(row)),
        ).lastrowid
        self._connection.execute("INSERT INTO templates VALUES (?, ?)", (sample, _blob(row)))
        return Enrolled(row.subject_id, row.sample_id)

    def require_new(self, row: Row, position: int) -> None:
        """Do nothing when the sample can be added.

        Raises:
            Refused: the same picture, vector or sample id is there.
        """
        rules = (
            (EnrollmentRefusalKind.DUPLICATE_SAMPLE, "digest = ?", _digest(row)),
            # Repeating the condition of the partial index lets SQLite use it.
            (
                EnrollmentRefusalKind.DUPLICATE_SAMPLE,
                "source_sha256 <> '' AND source_sha256 = ?",
                row.source_sha256,
            ),
            (EnrollmentRefusalKind.SAMPLE_ID_TAKEN, "name = ?", row.sample_id),
        )
        for kind, condition, value in rules:
            found = self._connection.execute(
                f"SELECT id FROM samples WHERE {condition}",  # noqa: S608  the conditions are the ones above
                (value,),
            ).fetchone()
            if found is not None:
                other = self.templates([found[0]])[found[0]]
                similarity = cosine(other.vector, row.vector)
                raise Refused(
                    EnrollmentRefusal(kind, other.subject_id, other.sample_id, similarity, position)
                )

    # Looking

    def size(self) -> GallerySize:
        """How many subjects and samples there are."""
        return GallerySize(self._count("subjects"), self._count("samples"))

    def subjects(self) -> list[SubjectSummary]:
        """All subjects in the order of their ids."""
        found = self._connection.execute(
            "SELECT u.name, count(*), min(s.created_s) FROM subjects u JOIN samples s ON s.subject = u.id "
            "GROUP BY u.id ORDER BY u.name"
        )
        return [SubjectSummary(*row) for row in found]

    def samples_of(self, subject_id: str) -> list[SampleRecord]:
        """The samples of one subject, oldest first.

        Raises:
            SubjectNotFound: there is no such subject.
        """
        found = self._connection.execute(
            "SELECT name, source_sha256, created_s FROM samples WHERE subject = ? ORDER BY id",
            (self._subject(subject_id),),
        )
        return [SampleRecord(name, subject_id, source, created_s) for name, source, created_s in found]

    def rows(self) -> Iterator[Row]:
        """Everything that is stored, in the order of enrollment."""
        found = self._connection.execute(
            "SELECT u.name, s.name, t.vector, s.source_sha256, s.created_s FROM samples s "
            "JOIN subjects u ON u.id = s.subject JOIN templates t ON t.sample = s.id ORDER BY s.id"
        )
        for subject_id, sample_id, blob, source, created_s in found:
            yield Row(subject_id, sample_id, np.frombuffer(blob, STORED), source, created_s)

    def templates(self, samples: Sequence[int]) -> dict[int, StoredTemplate]:
        """Templates and names of the numbered samples."""
        result = {}
        for start in range(0, len(samples), _BATCH_IDS):
            part = [int(sample) for sample in samples[start : start + _BATCH_IDS]]
            found = self._connection.execute(
                "SELECT s.id, s.name, u.name, t.vector FROM samples s JOIN subjects u ON u.id = s.subject "  # noqa: S608
                f"JOIN templates t ON t.sample = s.id WHERE s.id IN ({','.join('?' * len(part))})",
                part,
            )
            for sample, sample_id, subject_id, blob in found:
                result[sample] = StoredTemplate(sample_id, subject_id, np.frombuffer(blob, STORED))
        return result

    # What a cache needs to stay fresh

    def last_sample(self) -> int:
        """Highest sample number."""
        return int(self._one("SELECT coalesce(max(id), 0) FROM samples"))

    def last_change(self) -> int:
        """Highest number in the journal of removed and moved samples."""
        return int(self._one("SELECT coalesce(max(seq), 0) FROM changes"))

    def changes_after(self, seq: int) -> list[tuple[int, int]]:
        """Numbers of samples removed or moved after ``seq``, each with its subject's number, -1 when removed."""
        return self._connection.execute(
            "SELECT c.sample, coalesce(s.subject, -1) FROM changes c LEFT JOIN samples s ON s.id = c.sample "
            "WHERE c.seq > ?",
            (seq,),
        ).fetchall()

    def templates_after(self, sample: int) -> Iterator[tuple[NDArray[np.int64], list[bytes]]]:
        """Blocks of ((N, 2) sample and subject numbers, N template blobs), for samples above ``sample``."""
        cursor = self._connection.execute(
            "SELECT t.sample, s.subject, t.vector FROM templates t JOIN samples s ON s.id = t.sample "
            "WHERE t.sample > ? ORDER BY t.sample",
            (sample,),
        )
        while block := cursor.fetchmany(_FETCH_ROWS):
            yield np.array([row[:2] for row in block], np.int64), [row[2] for row in block]

    # Removing and moving

    def remove_subject(self, subject_id: str) -> int:
        """Remove a subject with all its samples; returns how many.

        Raises:
            SubjectNotFound: there is no such subject.
        """
        subject = self._subject(subject_id)
        self._note_change(subject)
        self._connection.execute(
            "DELETE FROM templates WHERE sample IN (SELECT id FROM samples WHERE subject = ?)", (subject,)
        )
        count = self._connection.execute("DELETE FROM samples WHERE subject = ?", (subject,)).rowcount
        self._connection.execute("DELETE FROM subjects WHERE id = ?", (subject,))
        return count

    def remove_sample(self, sample_id: str) -> None:
        """Remove a sample, and its subject when it was the last one.

        Raises:
            SubjectNotFound: there is no such sample.
        """
        found = self._connection.execute(
            "SELECT id, subject FROM samples WHERE name = ?", (sample_id,)
        ).fetchone()
        if found is None:
            raise SubjectNotFound(
                f"no sample {sample_id!r} in the gallery; list a subject to see its samples"
            )
        sample, subject = found
        self._connection.execute("INSERT INTO changes (sample) VALUES (?)", (sample,))
        self._connection.execute("DELETE FROM templates WHERE sample = ?", (sample,))
        self._connection.execute("DELETE FROM samples WHERE id = ?", (sample,))
        self._connection.execute(
            "DELETE FROM subjects WHERE id = ? AND NOT EXISTS (SELECT 1 FROM samples WHERE subject = ?)",
            (subject, subject),
        )

    def merge(self, into: str, source: str) -> int:
        """Give all samples of ``source`` to ``into``; returns how many.

        Raises:
            SubjectNotFound: there is no such subject.
            GalleryError: both are the same.
        """
        target, origin = self._subject(into), self._subject(source)
        if target == origin:
            raise GalleryError(f"cannot merge {into!r} into itself; name two subjects")
        self._note_change(origin)
        count = self._connection.execute(
            "UPDATE samples SET subject = ? WHERE subject = ?", (target, origin)
        ).rowcount
        self._connection.execute("DELETE FROM subjects WHERE id = ?", (origin,))
        return count

    def rename(self, old: str, new: str) -> None:
        """Give a subject another id.

        Raises:
            SubjectNotFound: there is no such subject.
            GalleryError: ``new`` is taken.
        """
        subject = self._subject(old)
        taken = self._connection.execute("SELECT id FROM subjects WHERE name = ?", (new,)).fetchone()
        if taken is not None:
            raise GalleryError(
                f"there is a subject {new!r} already; merge {old!r} into it if they are the same person"
            )
        self._connection.execute("UPDATE subjects SET name = ? WHERE id = ?", (new, subject))

    def _note_change(self, subject: int) -> None:
        self._connection.execute(
            "INSERT INTO changes (sample) SELECT id FROM samples WHERE subject = ? ORDER BY id", (subject,)
        )

    def _subject(self, subject_id: str) -> int:
        found = self._connection.execute("SELECT id FROM subjects WHERE name = ?", (subject_id,)).fetchone()
        if found is None:
            raise SubjectNotFound(
                f"no subject {subject_id!r} in the gallery; list the subjects to see their ids"
            )
        return int(found[0])

    def _count(self, table: str) -> int:
        return int(self._one(f"SELECT count(*) FROM {table}"))  # noqa: S608  table names come from this file

    def _one(self, statement: str) -> Any:
        return self._connection.execute(statement).fetchone()[0]
