"""The identity-conflict check: does a sample that is to be enrolled resemble somebody else?"""

from collections.abc import Sequence

import numpy as np

from lineament.core.types import Candidate
from lineament.gallery.index import normalised
from lineament.gallery.rows import Row
from lineament.gallery.types import EnrollmentRefusal, EnrollmentRefusalKind

_ROWS_AT_ONCE = 1024


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
