"""Corrections: probes that somebody said are not a subject, kept and honoured by every later search.

A search leaves a subject out when the probe resembles such a correction at least as much as the subject's own best
sample. A correction has no other effect: it can hide its subject from probes that lie closer to it, and never
brings up another one.
"""

import json
import math
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lineament.core.arrays import FloatArray
from lineament.core.errors import SubjectNotFound
from lineament.core.types import Candidate, Embedding
from lineament.gallery.rows import STORED, cosine, require_space, template_label
from lineament.gallery.session import Session
from lineament.gallery.store import Store

DETAILS_LABEL = b"details"
"""What the sealed details of decisions and corrections are bound to."""
_UID_BYTES = 12


@dataclass(frozen=True, slots=True)
class Correction:
    """A probe that is not a subject.

    Attributes:
        number: by which it is withdrawn.
        subject_id: who the probe is not.
        at_s: when that was said, seconds since 1970 UTC.
        by: who said it.
        note: why.
    """

    number: int
    subject_id: str
    at_s: float
    by: str
    note: str


class Corrections:
    """The corrections of an open gallery."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, subject_id: str, embedding: Embedding, *, by: str = "", note: str = "") -> Correction:
        """Keep that the probe ``embedding`` is not this subject.

        Args:
            subject_id: who it is not.
            embedding: the probe's template.
            by: who says so.
            note: why.

        Raises:
            SubjectNotFound: there is no such subject.
            EmbeddingSpaceMismatch: the embedding is of another space or length.
        """
        session, store = self._session, self._session.store
        require_space(session.space, embedding)
        uid, at_s = secrets.token_bytes(_UID_BYTES), time.time()
        blob = embedding.vector.astype(STORED).tobytes()
        with session.transaction(write=True):
            subject = store.subject(subject_id)
            store.require_dimension(embedding.vector.size)
            details = store.codec.seal(json.dumps({"by": by, "note": note}).encode(), DETAILS_LABEL)
            number = store.connection.execute(
                "INSERT INTO corrections (subject, uid, space, at_s, details, vector) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    subject,
                    uid,
                    session.space,
                    at_s,
                    details,
                    store.codec.seal(blob, template_label(session.space, uid)),
                ),
            ).lastrowid
        return Correction(int(number or 0), subject_id, at_s, by, note)

    def of(self, subject_id: str) -> list[Correction]:
        """The corrections about one subject, oldest first.

        Raises:
            SubjectNotFound: there is no such subject.
        """
        store = self._session.store
        with self._session.transaction(write=False):
            found = store.connection.execute(
                "SELECT id, at_s, details FROM corrections WHERE subject = ? ORDER BY id",
                (store.subject(subject_id),),
            ).fetchall()
            return [
                Correction(number, subject_id, at_s, **json.loads(store.codec.open(details, DETAILS_LABEL)))
                for number, at_s, details in found
            ]

    def withdraw(self, number: int) -> None:
        """Forget a correction and overwrite its bytes.

        Raises:
            SubjectNotFound: there is no such correction.
        """
        with self._session.transaction(write=True):
            connection = self._session.store.connection
            if connection.execute("DELETE FROM corrections WHERE id = ?", (number,)).rowcount == 0:
                raise SubjectNotFound(f"no correction {number} in the gallery; list those of the subject")
        self._session.purge()


def kept(store: Store, query: FloatArray, ranked: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The candidates of ``ranked`` that no correction hides from ``query``, ranked anew.

    Args:
        store: what was searched.
        query: (D,) float32, any length but zero.
        ranked: what the search found.
    """
    if store.connection.execute("SELECT 1 FROM corrections LIMIT 1").fetchone() is None:
        return tuple(ranked)
    left = [c for c in ranked if c.similarity > _nearest(store, query, c.subject_id)]
    return tuple(replace(candidate, rank=rank) for rank, candidate in enumerate(left, start=1))


def _nearest(store: Store, query: FloatArray, subject_id: str) -> float:
    """Highest cosine of the query to a correction about the subject; minus infinity without any."""
    stored = store.connection.execute(
        "SELECT vector, uid FROM corrections WHERE subject = ? AND space = ?",
        (store.subject(subject_id), store.space),
    )
    return max((cosine(store.vector(blob, uid), query) for blob, uid in stored), default=-math.inf)
