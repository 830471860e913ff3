"""The SQL of the gallery: samples in, out, counted, moved and checked. Knows no search."""

import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineament.core.errors import GalleryError, SubjectNotFound
from lineament.gallery.rows import (
    STORED,
    Refused,
    Row,
    StoredTemplate,
    cosine,
    crop_label,
    space_mismatch,
    template_label,
)
from lineament.gallery.sealing import Codec
from lineament.gallery.types import (
    Enrolled,
    EnrollmentRefusal,
    EnrollmentRefusalKind,
    GallerySize,
    SampleRecord,
    SampleState,
    SubjectSummary,
)

_FETCH_ROWS = 4096
_UID_BYTES = 12
_BATCH_IDS = 500


class Store:
    """Statements on one connection; every call belongs inside :meth:`transaction`.

    Args:
        connection: to the gallery file.
        space: id of the embedding space of its templates.
        codec: how names and bytes are stored.
    """

    def __init__(self, connection: sqlite3.Connection, space: str, codec: Codec) -> None:
        self.connection = connection
        self.space = space
        self.codec = codec

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
            self.connection.execute("UPDATE gallery SET dimension = ?", (dimension,))
        elif known != dimension:
            raise space_mismatch(f"{known} values", f"{dimension} values")

    def calibration(self) -> str:
        """Name of the calibration record in use."""
        return str(self._one("SELECT calibration FROM gallery"))

    def set_calibration(self, name: str) -> None:
        """Note which calibration record is in use."""
        self.connection.execute("UPDATE gallery SET calibration = ?", (name,))

    def created_s(self) -> float:
        """When the gallery was made."""
        return float(self._one("SELECT created_s FROM gallery"))

    def generation(self) -> int:
        """Changes when all that a connection knows of the file is void."""
        return int(self._one("SELECT generation FROM gallery"))

    # Adding

    def insert(self, row: Row, position: int, state: SampleState = SampleState.ACTIVE) -> Enrolled:
        """Add a sample with its template.

        Raises:
            Refused: the same picture, vector or sample id is there.
        """
        self.require_new(row, position)
        name, blob, uid = self.codec.seal_name, row.blob, secrets.token_bytes(_UID_BYTES)
        subject = name(row.subject_id, "subject")
        self.connection.execute("INSERT INTO subjects (name) VALUES (?) ON CONFLICT DO NOTHING", (subject,))
        sample = self.connection.execute(
            "INSERT INTO samples (subject, name, source_sha256, created_s, digest, uid, state, quality) "
            "VALUES ((SELECT id FROM subjects WHERE name = ?), ?, ?, ?, ?, ?, ?, ?)",
            (
                subject,
                name(row.sample_id, "sample"),
                name(row.source_sha256, "source"),
                row.created_s,
                self.codec.digest(blob),
                uid,
                state,
                row.quality,
            ),
        ).lastrowid
        sealed = self.codec.seal(blob, template_label(self.space, uid))
        self.connection.execute("INSERT INTO templates VALUES (?, ?)", (sample, sealed))
        if row.crop:
            picture = self.codec.seal(row.crop, crop_label(uid))
            self.connection.execute("INSERT INTO crops VALUES (?, ?)", (sample, picture))
        return Enrolled(row.subject_id, row.sample_id)

    def require_new(self, row: Row, position: int) -> None:
        """Do nothing when the sample can be added.

        Raises:
            Refused: the same picture, vector or sample id is there, or was rejected.
        """
        duplicate = EnrollmentRefusalKind.DUPLICATE_SAMPLE
        name = self.codec.seal_name
        rules = (
            (duplicate, "digest = ?", self.codec.digest(row.blob)),
            # Repeating the condition of the partial index lets SQLite use it.
            (duplicate, "source_sha256 <> '' AND source_sha256 = ?", name(row.source_sha256, "source")),
            (EnrollmentRefusalKind.SAMPLE_ID_TAKEN, "name = ?", name(row.sample_id, "sample")),
        )
        for kind, condition, value in rules:
            found = self.connection.execute(
                f"SELECT s.id, s.state, s.name, u.name FROM samples s JOIN subjects u ON u.id = s.subject "  # noqa: S608
                f"WHERE {condition.replace('name =', 's.name =')}",
                (value,),
            ).fetchone()
            if found is not None:
                raise Refused(self._refusal(kind, found, row, position))

    def _refusal(
        self, kind: EnrollmentRefusalKind, found: tuple[int, str, str, str], row: Row, position: int
    ) -> EnrollmentRefusal:
        sample, state, sample_id, subject_id = found
        names = self.codec.open_name(subject_id, "subject"), self.codec.open_name(sample_id, "sample")
        if state == SampleState.REJECTED:
            return EnrollmentRefusal(EnrollmentRefusalKind.REJECTED_BEFORE, *names, 1.0, position)
        similarity = cosine(self.templates([sample])[sample].vector, row.vector)
        return EnrollmentRefusal(kind, *names, similarity, position)

    # Looking

    def size(self) -> GallerySize:
        """How many subjects and samples a search can find."""
        # Almost all samples are active: counting the others costs nothing.
        hidden = self._one(
            "SELECT count(*) FROM (SELECT DISTINCT subject FROM samples WHERE state <> 'active') h "
            "WHERE NOT EXISTS (SELECT 1 FROM samples s WHERE s.subject = h.subject AND s.state = 'active')"
        )
        return GallerySize(self._count("subjects") - hidden, self._count("samples") - self.held())

    def held(self) -> int:
        """How many samples are not searched."""
        return int(self._one("SELECT count(*) FROM samples WHERE state <> 'active'"))

    def subjects(self) -> list[SubjectSummary]:
        """All subjects that a search can find, in the order of their ids."""
        found = self.connection.execute(
            "SELECT u.name, count(*), min(s.created_s), u.seen_s FROM subjects u JOIN samples s "
            "ON s.subject = u.id WHERE s.state = 'active' GROUP BY u.id"
        )
        subjects = [SubjectSummary(self.codec.open_name(row[0], "subject"), *row[1:]) for row in found]
        return sorted(subjects, key=lambda subject: subject.subject_id)

    def samples_of(self, subject_id: str) -> list[SampleRecord]:
        """The samples of one subject in any state, oldest first.

        Raises:
            SubjectNotFound: there is no such subject.
        """
        return self._records("s.subject = ?", self.subject(subject_id))

    def samples_in(self, state: SampleState) -> list[SampleRecord]:
        """The samples of all subjects in one state, oldest first."""
        return self._records("s.state = ?", state)

    def _records(self, condition: str, value: int | str) -> list[SampleRecord]:
        found = self.connection.execute(
            "SELECT s.name, u.name, s.source_sha256, s.created_s, s.state, s.quality FROM samples s "  # noqa: S608
            f"JOIN subjects u ON u.id = s.subject WHERE {condition} ORDER BY s.id",
            (value,),
        )
        name = self.codec.open_name
        return [
            SampleRecord(
                name(sample_id, "sample"),
                name(subject_id, "subject"),
                name(source, "source"),
                created_s,
                SampleState(state),
                quality,
            )
            for sample_id, subject_id, source, created_s, state, quality in found
        ]

    def rows(self) -> Iterator[Row]:
        """All samples that a search can find, in the order of enrollment."""
        found = self.connection.execute(
            "SELECT u.name, s.name, t.vector, s.source_sha256, s.created_s, s.uid FROM samples s "
            "JOIN subjects u ON u.id = s.subject JOIN templates t ON t.sample = s.id "
            "WHERE s.state = 'active' ORDER BY s.id"
        )
        name = self.codec.open_name
        for subject_id, sample_id, blob, source, created_s, uid in found:
            names = name(subject_id, "subject"), name(sample_id, "sample")
            yield Row(*names, self.vector(blob, uid), name(source, "source"), created_s)

    def vector(self, blob: bytes, uid: bytes) -> NDArray[np.float32]:
        """The template that was stored as ``blob`` for the sample ``uid``."""
        return np.frombuffer(self.codec.open(blob, template_label(self.space, uid)), STORED)

    def templates(self, samples: Sequence[int]) -> dict[int, StoredTemplate]:
        """Templates and names of the numbered samples; those without a template are left out."""
        result = {}
        name = self.codec.open_name
        for start in range(0, len(samples), _BATCH_IDS):
            part = [int(sample) for sample in samples[start : start + _BATCH_IDS]]
            found = self.connection.execute(
                "SELECT s.id, s.name, u.name, t.vector, s.uid FROM samples s "  # noqa: S608
                "JOIN subjects u ON u.id = s.subject JOIN templates t ON t.sample = s.id "
                f"WHERE s.id IN ({','.join('?' * len(part))})",
                part,
            )
            for sample, sample_id, subject_id, blob, uid in found:
                names = name(sample_id, "sample"), name(subject_id, "subject")
                result[sample] = StoredTemplate(*names, self.vector(blob, uid))
        return result

    def owner(self, sample: int) -> str:
        """Id of the subject of a numbered sample."""
        (stored,) = self.connection.execute(
            "SELECT u.name FROM samples s JOIN subjects u ON u.id = s.subject WHERE s.id = ?", (sample,)
        ).fetchone()
        return self.codec.open_name(stored, "subject")

    # What a cache needs to stay fresh

    def last_sample(self) -> int:
        """Highest number of an active sample."""
        newest = "SELECT id FROM samples WHERE state = 'active' ORDER BY id DESC LIMIT 1"
        return int(self._one(f"SELECT coalesce(({newest}), 0)"))

    def last_change(self) -> int:
        """Highest number in the journal of removed and moved samples."""
        return int(self._one("SELECT coalesce(max(seq), 0) FROM changes"))

    def changes_after(self, seq: int) -> list[tuple[int, int]]:
        """Numbers of samples removed, held back or moved after ``seq``, each with its subject's number or -1."""
        return self.connection.execute(
            "SELECT c.sample, coalesce(s.subject, -1) FROM changes c LEFT JOIN samples s ON s.id = c.sample "
            "AND s.state = 'active' WHERE c.seq > ?",
            (seq,),
        ).fetchall()

    def templates_after(self, sample: int) -> Iterator[tuple[NDArray[np.int64], list[bytes]]]:
        """Blocks of ((N, 2) sample and subject numbers, N templates' bytes), for active samples above ``sample``."""
        cursor = self.connection.execute(
            "SELECT t.sample, s.subject, t.vector, s.uid FROM templates t JOIN samples s ON s.id = t.sample "
            "WHERE t.sample > ? AND s.state = 'active' ORDER BY t.sample",
            (sample,),
        )
        opened, space = self.codec.open, self.space
        while block := cursor.fetchmany(_FETCH_ROWS):
            blobs = [opened(row[2], template_label(space, row[3])) for row in block]
            yield np.array([row[:2] for row in block], np.int64), blobs

    # Removing and moving

    def remove_subject(self, subject_id: str) -> list[tuple[str, bytes]]:
        """Remove a subject with all its samples; returns their ids with the numbers that backups know them by.

        Raises:
            SubjectNotFound: there is no such subject.
        """
        subject = self.subject(subject_id)
        found = self.connection.execute("SELECT id FROM samples WHERE subject = ? ORDER BY id", (subject,))
        gone = self.remove_samples([row[0] for row in found.fetchall()])
        self.connection.execute("DELETE FROM subjects WHERE id = ?", (subject,))
        return gone

    def remove_samples(self, samples: Iterable[int]) -> list[tuple[str, bytes]]:
        """Remove numbered samples, and subjects that have no other; returns like :meth:`remove_subject`."""
        gone = []
        for sample in samples:
            stored, uid, subject = self.connection.execute(
                "SELECT name, uid, subject FROM samples WHERE id = ?", (sample,)
            ).fetchone()
            self.note_change(sample)
            self.connection.execute("INSERT OR IGNORE INTO removed VALUES (?)", (uid,))
            for table in ("templates", "other_templates"):  # an older layout's do not follow by themselves
                self.connection.execute(f"DELETE FROM {table} WHERE sample = ?", (sample,))  # noqa: S608
            self.connection.execute("DELETE FROM samples WHERE id = ?", (sample,))
            self.connection.execute(
                "DELETE FROM subjects WHERE id = ? AND NOT EXISTS (SELECT 1 FROM samples WHERE subject = ?)",
                (subject, subject),
            )
            gone.append((self.codec.open_name(stored, "sample"), uid))
        return gone

    def merge(self, into: str, source: str) -> int:
        """Give all samples of ``source`` to ``into``; returns how many.

        Raises:
            SubjectNotFound: there is no such subject.
            GalleryError: both are the same.
        """
        target, origin = self.subject(into), self.subject(source)
        if target == origin:
            raise GalleryError(f"cannot merge {into!r} into itself; name two subjects")
        self.connection.execute(
            "INSERT INTO changes (sample) SELECT id FROM samples WHERE subject = ? ORDER BY id", (origin,)
        )
        count = self.connection.execute(
            "UPDATE samples SET subject = ? WHERE subject = ?", (target, origin)
        ).rowcount
        self.connection.execute("UPDATE corrections SET subject = ? WHERE subject = ?", (target, origin))
        self.connection.execute(
            "UPDATE subjects SET seen_s = (SELECT max(seen_s) FROM subjects WHERE id IN (?, ?)) WHERE id = ?",
            (target, origin, target),
        )
        self.connection.execute("DELETE FROM subjects WHERE id = ?", (origin,))
        return count

    def rename(self, old: str, new: str) -> None:
        """Give a subject another id.

        Raises:
            SubjectNotFound: there is no such subject.
            GalleryError: ``new`` is taken.
        """
        subject, stored = self.subject(old), self.codec.seal_name(new, "subject")
        taken = self.connection.execute("SELECT id FROM subjects WHERE name = ?", (stored,)).fetchone()
        if taken is not None:
            raise GalleryError(
                f"there is a subject {new!r} already; merge {old!r} into it if they are the same person"
            )
        self.connection.execute("UPDATE subjects SET name = ? WHERE id = ?", (stored, subject))

    def note_change(self, sample: int) -> None:
        """Tell caches that a numbered sample was removed, held back or moved."""
        self.connection.execute("INSERT INTO changes (sample) VALUES (?)", (sample,))

    def subject(self, subject_id: str) -> int:
        """Number of a subject.

        Raises:
            SubjectNotFound: there is no such subject.
        """
        stored = self.codec.seal_name(subject_id, "subject")
        found = self.connection.execute("SELECT id FROM subjects WHERE name = ?", (stored,)).fetchone()
        if found is None:
            raise SubjectNotFound(
                f"no subject {subject_id!r} in the gallery; list the subjects to see their ids"
            )
        return int(found[0])

    def sample(self, sample_id: str) -> int:
        """Number of a sample.

        Raises:
            SubjectNotFound: there is no such sample.
        """
        stored = self.codec.seal_name(sample_id, "sample")
        found = self.connection.execute("SELECT id FROM samples WHERE name = ?", (stored,)).fetchone()
        if found is None:
            raise SubjectNotFound(
                f"no sample {sample_id!r} in the gallery; list a subject to see its samples"
            )
        return int(found[0])

    def _count(self, table: str) -> int:
        return int(self._one(f"SELECT count(*) FROM {table}"))  # noqa: S608  table names come from this file

    def _one(self, statement: str) -> Any:
        return self.connection.execute(statement).fetchone()[0]
