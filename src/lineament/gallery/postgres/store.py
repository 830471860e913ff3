"""The SQL of a gallery on PostgreSQL: samples in, out, counted, moved. Knows no ranking."""

import hashlib
import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Any, LiteralString

import numpy as np
from pgvector import HalfVector
from psycopg import Cursor, sql

from lineament.core.errors import GalleryError, InputError, SubjectNotFound
from lineament.gallery.index import normalised
from lineament.gallery.postgres.schema import MAX_DIMENSION
from lineament.gallery.postgres.server import Connection, know_vectors
from lineament.gallery.receipts import RemovalReceipt
from lineament.gallery.rows import STORED, Row, StoredTemplate, space_mismatch
from lineament.gallery.types import Enrolled, GallerySize, SampleRecord, SubjectSummary

_UID_BYTES = 12


def digest_of(row: Row) -> bytes:
    """SHA-256 of the template's bytes."""
    return hashlib.sha256(row.blob).digest()


class Store:
    """Statements inside one transaction.

    Args:
        connection: inside a transaction.
        schema: where the gallery's tables are.
    """

    def __init__(self, connection: Connection, schema: sql.Identifier) -> None:
        self.connection = connection
        self.schema = schema

    def run(self, statement: LiteralString, *values: Any) -> Cursor[Any]:
        """Execute ``statement``, in which ``{s}`` stands for the schema."""
        return self.connection.execute(sql.SQL(statement).format(s=self.schema), values or None, binary=True)

    def lock(self) -> None:
        """Wait until no other writer is under way, and keep others waiting; the first call of every change."""
        self.run("SELECT 1 FROM {s}.gallery FOR UPDATE")

    # The gallery's own record

    def dimension(self) -> int | None:
        """Length of a template; None before the first."""
        value: int | None = self._one("SELECT dimension FROM {s}.gallery")
        return value

    def require_dimension(self, dimension: int) -> None:
        """Take ``dimension`` as the gallery's when it has none.

        Raises:
            EmbeddingSpaceMismatch: it has another.
            InputError: longer than the server can keep in a page.
        """
        known = self.dimension()
        if known is None and dimension > MAX_DIMENSION:
            raise InputError(
                f"a gallery on PostgreSQL takes templates of up to {MAX_DIMENSION} values, got {dimension}; "
                "use the embedded gallery"
            )
        if known is None:
            self.run("UPDATE {s}.gallery SET dimension = %s", dimension)
        elif known != dimension:
            raise space_mismatch(f"{known} values", f"{dimension} values")

    def size(self) -> GallerySize:
        """How many subjects and samples there are."""
        return GallerySize(*self.run("SELECT subjects, samples FROM {s}.gallery").fetchall()[0])

    def calibration(self) -> str:
        """Name of the calibration record in use."""
        return str(self._one("SELECT calibration FROM {s}.gallery"))

    def set_calibration(self, name: str) -> None:
        """Note which calibration record is in use."""
        self.run("UPDATE {s}.gallery SET calibration = %s", name)

    def created_s(self) -> float:
        """When the gallery was made."""
        return float(self._one("SELECT created_s FROM {s}.gallery"))

    def signing_seed(self) -> bytes:
        """The secret that signs receipts."""
        return bytes(self._one("SELECT signing_key FROM {s}.gallery"))

    def bytes_on_disk(self) -> int:
        """Tables, what lies out of line, and indexes."""
        statement = (
            "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c "
            "WHERE c.relnamespace = %s::regnamespace AND c.relkind = 'r'"
        )
        return int(self.connection.execute(statement, (self.schema.as_string(),)).fetchall()[0][0])

    # Adding

    def insert(self, rows: Sequence[Row]) -> tuple[Enrolled, ...]:
        """Add samples that are known to be new, with their templates."""
        people = list(dict.fromkeys(row.subject_id for row in rows))
        new = self.run(
            "INSERT INTO {s}.subjects (name) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING", people
        ).rowcount
        subjects = dict(
            self.run("SELECT name, id FROM {s}.subjects WHERE name = ANY(%s::text[])", people).fetchall()
        )
        last: int = self.run(
            "UPDATE {s}.gallery SET last_sample = last_sample + %s, samples = samples + %s, subjects = subjects + %s "
            "RETURNING last_sample",
            len(rows),
            len(rows),
            new,
        ).fetchall()[0][0]
        first = last - len(rows) + 1
        samples = sql.SQL(
            "COPY {s}.samples (id, subject, name, source_sha256, created_s, quality, uid, digest, vector) "
            "FROM STDIN (FORMAT BINARY)"
        )
        with self.connection.cursor().copy(samples.format(s=self.schema)) as copy:
            copy.set_types(["int8", "int8", "text", "text", "float8", "float8", "bytea", "bytea", "bytea"])
            for number, row in enumerate(rows, first):
                names = (subjects[row.subject_id], row.sample_id, row.source_sha256)
                known = (row.created_s, row.quality, secrets.token_bytes(_UID_BYTES))
                copy.write_row((number, *names, *known, digest_of(row), row.blob))
        know_vectors(self.connection)
        halves = normalised(np.stack([row.vector for row in rows]))
        templates = sql.SQL("COPY {s}.templates (sample, half) FROM STDIN (FORMAT BINARY)")
        with self.connection.cursor().copy(templates.format(s=self.schema)) as copy:
            copy.set_types(["int8", "halfvec"])
            for number, half in enumerate(halves, first):
                copy.write_row((number, HalfVector(half)))
        return tuple(Enrolled(row.subject_id, row.sample_id) for row in rows)

    def held(
        self, digests: Sequence[bytes], sources: Sequence[str], names: Sequence[str]
    ) -> list[tuple[bytes, str, StoredTemplate]]:
        """Samples that are there with one of these digests, pictures or ids, as (digest, picture, template)."""
        found = self.run(
            "SELECT s.digest, s.source_sha256, s.name, u.name, s.vector FROM {s}.samples s "
            "JOIN {s}.subjects u ON u.id = s.subject WHERE s.id IN ("
            "SELECT id FROM {s}.samples WHERE digest = ANY(%s::bytea[]) "
            "UNION SELECT id FROM {s}.samples WHERE source_sha256 <> '' AND source_sha256 = ANY(%s::text[]) "
            "UNION SELECT id FROM {s}.samples WHERE name = ANY(%s::text[]))",
            list(digests),
            list(sources),
            list(names),
        )
        return [
            (digest, source, StoredTemplate(sample_id, subject_id, np.frombuffer(vector, STORED)))
            for digest, source, sample_id, subject_id, vector in found
        ]

    # Looking

    def subjects(self) -> list[SubjectSummary]:
        """All subjects in the order of their ids."""
        found = self.run(
            "SELECT u.name, count(*), min(s.created_s) FROM {s}.subjects u JOIN {s}.samples s ON s.subject = u.id "
            "GROUP BY u.id ORDER BY u.name"
        )
        return [SubjectSummary(*row) for row in found]

    def samples_of(self, subject_id: str) -> list[SampleRecord]:
        """The samples of one subject, oldest first.

        Raises:
            SubjectNotFound: there is no such subject.
        """
        found = self.run(
            "SELECT name, source_sha256, created_s, quality FROM {s}.samples WHERE subject = %s ORDER BY id",
            self._subject(subject_id),
        )
        return [
            SampleRecord(name, subject_id, source, created_s, quality=quality)
            for name, source, created_s, quality in found
        ]

    def templates(self, samples: Sequence[int]) -> Iterator[tuple[int, StoredTemplate]]:
        """The numbered samples with names and float32 templates, in the order of enrollment."""
        found = self.run(
            "SELECT s.id, s.name, u.name, s.vector FROM {s}.samples s JOIN {s}.subjects u ON u.id = s.subject "
            "WHERE s.id = ANY(%s::bigint[]) ORDER BY s.id",
            list(samples),
        )
        for number, sample_id, subject_id, vector in found:
            yield number, StoredTemplate(sample_id, subject_id, np.frombuffer(vector, STORED))

    def build_graph(self, dimension: int, m: int, ef_construction: int) -> None:
        """Make the graph over all templates of that length anew."""
        self.run("DROP INDEX IF EXISTS {s}.templates_graph")
        statement = sql.SQL(
            "CREATE INDEX templates_graph ON {s}.templates USING hnsw "
            "((half::halfvec({dimension})) halfvec_ip_ops) WITH (m = {m}, ef_construction = {ef_construction})"
        )
        numbers = {"dimension": dimension, "m": m, "ef_construction": ef_construction}
        self.connection.execute(
            statement.format(s=self.schema, **{k: sql.Literal(v) for k, v in numbers.items()})
        )

    # Removing and moving

    def remove_subject(self, subject_id: str) -> RemovalReceipt:
        """Remove a subject with all its samples; returns the signed receipt.

        Raises:
            SubjectNotFound: there is no such subject.
        """
        return self._remove(
            "DELETE FROM {s}.samples WHERE subject = %s RETURNING id, name, uid, subject",
            self._subject(subject_id),
        )

    def remove_sample(self, sample_id: str) -> RemovalReceipt:
        """Remove a sample, and its subject when it was the last one; returns the signed receipt.

        Raises:
            SubjectNotFound: there is no such sample.
        """
        return self._remove(
            "DELETE FROM {s}.samples WHERE name = %s RETURNING id, name, uid, subject", sample_id
        )

    def _remove(self, statement: LiteralString, value: int | str) -> RemovalReceipt:
        gone = sorted(self.run(statement, value).fetchall())
        if not gone:
            raise SubjectNotFound(f"no sample {value!r} in the gallery; list a subject to see its samples")
        subject = gone[0][3]
        subject_id = self._one("SELECT name FROM {s}.subjects WHERE id = %s", subject)
        self._drop_subject(subject)
        self.run("UPDATE {s}.gallery SET samples = samples - %s", len(gone))
        return RemovalReceipt(
            gallery_id=self._one("SELECT gallery_id FROM {s}.gallery"),
            subject_id=subject_id,
            sample_ids=tuple(row[1] for row in gone),
            uids=tuple(row[2].hex() for row in gone),
            removed_s=time.time(),
            purged=False,
            copies=(),
        ).signed(self.signing_seed())

    def merge(self, into: str, source: str) -> int:
        """Give all samples of ``source`` to ``into``; returns how many.

        Raises:
            SubjectNotFound: there is no such subject.
            GalleryError: both are the same.
        """
        target, origin = self._subject(into), self._subject(source)
        if target == origin:
            raise GalleryError(f"cannot merge {into!r} into itself; name two subjects")
        count = self.run("UPDATE {s}.samples SET subject = %s WHERE subject = %s", target, origin).rowcount
        self._drop_subject(origin)
        return count

    def rename(self, old: str, new: str) -> None:
        """Give a subject another id.

        Raises:
            SubjectNotFound: there is no such subject.
            GalleryError: ``new`` is taken.
        """
        subject = self._subject(old)
        if self.run("SELECT 1 FROM {s}.subjects WHERE name = %s", new).fetchone() is not None:
            raise GalleryError(
                f"there is a subject {new!r} already; merge {old!r} into it if they are the same person"
            )
        self.run("UPDATE {s}.subjects SET name = %s WHERE id = %s", new, subject)

    def _drop_subject(self, subject: int) -> None:
        gone = self.run(
            "DELETE FROM {s}.subjects WHERE id = %s AND NOT EXISTS (SELECT 1 FROM {s}.samples WHERE subject = %s)",
            subject,
            subject,
        ).rowcount
        self.run("UPDATE {s}.gallery SET subjects = subjects - %s", gone)

    def _subject(self, subject_id: str) -> int:
        found = self.run("SELECT id FROM {s}.subjects WHERE name = %s", subject_id).fetchone()
        if found is None:
            raise SubjectNotFound(
                f"no subject {subject_id!r} in the gallery; list the subjects to see their ids"
            )
        return int(found[0])

    def _one(self, statement: LiteralString, *values: Any) -> Any:
        return self.run(statement, *values).fetchall()[0][0]
