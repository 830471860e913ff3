"""From shortlists of samples to ranked subjects, by the stored float32 templates."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray
from lineament.core.types import Candidate
from lineament.gallery.index import normalised
from lineament.gallery.store import Row, Store, StoredTemplate
from lineament.gallery.types import EnrollmentRefusal, EnrollmentRefusalKind

_ROWS_AT_ONCE = 1024


def ranked(
    store: Store, queries: FloatArray, shortlists: Sequence[NDArray[np.int64]], want: int
) -> list[tuple[Candidate, ...]]:
    """For each of (Q, D) queries its ``want`` best subjects among the short-listed samples, in double precision."""
    numbers = np.unique(np.concatenate(shortlists)) if shortlists else np.empty(0, np.int64)
    stored = store.templates(numbers.tolist())
    return [
        _rank(query, [stored[n] for n in np.sort(near)], want)
        for query, near in zip(queries, shortlists, strict=True)
    ]


def _rank(query: FloatArray, near: list[StoredTemplate], want: int) -> tuple[Candidate, ...]:
    if not near:
        return ()
    vectors = np.stack([template.vector for template in near]).astype(np.float64)
    probe = query.astype(np.float64)
    similarities = vectors @ probe / np.sqrt((vectors * vectors).sum(1) * (probe @ probe))
    best: dict[str, tuple[float, str]] = {}
    for i in np.argsort(-similarities, kind="stable"):
        best.setdefault(near[i].subject_id, (float(np.clip(similarities[i], -1.0, 1.0)), near[i].sample_id))
    return tuple(
        Candidate(rank, subject_id, similarity, sample_id)
        for rank, (subject_id, (similarity, sample_id)) in enumerate(list(best.items())[:want], start=1)
    )


def nearest_conflict(
    rows: Sequence[Row], found: Sequence[Sequence[Candidate]], threshold: float
) -> EnrollmentRefusal | None:
    """The first of ``rows`` that resembles another subject, or None.

    Args:
        rows: what is to be enrolled.
        found: for each the two best subjects of the gallery, so that at least one is another subject.
        threshold: similarity from which on two samples conflict.
    """
    unit = normalised(np.stack([row.vector for row in rows]))
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        # Only earlier samples of the batch count: of two that conflict, the later one is refused.
        among = unit[start : start + _ROWS_AT_ONCE] @ unit[: start + _ROWS_AT_ONCE].T
        for position in range(start, min(start + _ROWS_AT_ONCE, len(rows))):
            near = [(c.similarity, c.subject_id, c.sample_id) for c in found[position]]
            near += [
                (min(float(among[position - start, i]), 1.0), rows[i].subject_id, rows[i].sample_id)
                for i in np.flatnonzero(among[position - start, :position] >= threshold).tolist()
            ]
            others = [
                entry for entry in near if entry[1] != rows[position].subject_id and entry[0] >= threshold
            ]
            if others:
                similarity, subject_id, sample_id = max(others)
                kind = EnrollmentRefusalKind.IDENTITY_CONFLICT
                return EnrollmentRefusal(kind, subject_id, sample_id, similarity, position)
    return None
