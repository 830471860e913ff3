"""Adding samples: what is there already, or looks like somebody else, is refused."""

from collections.abc import Sequence

import numpy as np

from lineament.gallery.conflict import nearest_conflict
from lineament.gallery.postgres.search import Searcher
from lineament.gallery.postgres.store import Store, digest_of
from lineament.gallery.rows import Refused, Row, StoredTemplate, cosine
from lineament.gallery.types import Enrolled, EnrollmentRefusal, EnrollmentRefusalKind

_RULES = (
    EnrollmentRefusalKind.DUPLICATE_SAMPLE,
    EnrollmentRefusalKind.DUPLICATE_SAMPLE,
    EnrollmentRefusalKind.SAMPLE_ID_TAKEN,
)
"""What stands in the way when digest, picture or id are there, asked in this order."""
_Keys = tuple[tuple[int, bytes | str], ...]


def insert_new(store: Store, rows: Sequence[Row], position: int) -> tuple[Enrolled, ...]:
    """Add all rows, of which the first was offered as number ``position``.

    Raises:
        Refused: a row has the picture, the vector or the id of a sample that is there or of an earlier row.
    """
    duplicate = _first_duplicate(store, rows, position, among_rows=True)
    if duplicate is not None:
        raise Refused(duplicate)
    return store.insert(rows)


def require_no_conflict(store: Store, rows: Sequence[Row], threshold: float, ef: int | None) -> None:
    """Do nothing when no row resembles another subject.

    Args:
        store: the gallery, inside a change.
        rows: what is to be added.
        threshold: similarity from which on two samples conflict.
        ef: width of the search in the graph; None compares everything.

    Raises:
        Refused: a row resembles another subject of the gallery or of an earlier row, or is there already.
    """
    # A sample that is there already is a duplicate, not a conflict with itself.
    refusal = _first_duplicate(store, rows, 0, among_rows=False)
    if refusal is None:
        vectors = np.stack([row.vector for row in rows])
        refusal = nearest_conflict(rows, Searcher(store, ef).search(vectors, 2, exact=False), threshold)
    if refusal is not None:
        raise Refused(refusal)


def _first_duplicate(
    store: Store, rows: Sequence[Row], position: int, *, among_rows: bool
) -> EnrollmentRefusal | None:
    """The first of ``rows`` that is in the gallery, or earlier in ``rows``; None when all are new.

    Args:
        store: the gallery, inside a change.
        rows: what is to be added.
        position: index of the first row among those that were offered.
        among_rows: also look for a row earlier in ``rows``.
    """
    digests = [digest_of(row) for row in rows]
    held = store.held(digests, [row.source_sha256 for row in rows], [row.sample_id for row in rows])
    known: dict[tuple[int, bytes | str], StoredTemplate] = {}
    for digest, source, template in held:
        known.update(dict.fromkeys(_keys(digest, source, template.sample_id), template))
    for i, (digest, row) in enumerate(zip(digests, rows, strict=True)):
        keys = _keys(digest, row.source_sha256, row.sample_id)
        for key in keys:
            if (other := known.get(key)) is not None:
                similarity = cosine(other.vector, row.vector)
                return EnrollmentRefusal(
                    _RULES[key[0]], other.subject_id, other.sample_id, similarity, position + i
                )
        if among_rows:
            template = StoredTemplate(row.sample_id, row.subject_id, row.vector)
            known.update(dict.fromkeys(keys, template))
    return None


def _keys(digest: bytes, source_sha256: str, sample_id: str) -> _Keys:
    keys = ((0, digest), (1, source_sha256), (2, sample_id))
    # Two samples without the digest of a picture are not of one picture.
    return tuple(key for key in keys if key[1] != "")
