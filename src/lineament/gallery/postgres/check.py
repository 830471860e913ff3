"""Looks for faults in a gallery that the server itself would not notice."""

import hashlib

import numpy as np
from numpy.typing import NDArray
from psycopg import sql

from lineament.gallery.index import normalised
from lineament.gallery.postgres.server import know_vectors
from lineament.gallery.postgres.store import Store
from lineament.gallery.rows import STORED
from lineament.gallery.types import GallerySize

_NORM_TOLERANCE = 1e-3
_FETCH_ROWS = 1024


def find_faults(store: Store) -> list[str]:
    """Every fault in words; empty for a sound gallery. Reads everything.

    Checks that the counts agree, that every subject has a sample and every sample a template, and for each
    template its length, unit norm, the digest taken at enrollment and its half-precision copy.
    """
    faults = []
    counted = GallerySize(
        *store.run(
            "SELECT (SELECT count(*) FROM {s}.subjects), (SELECT count(*) FROM {s}.samples)"
        ).fetchall()[0]
    )
    if counted != store.size():
        faults.append(f"the record says {store.size()}, the tables hold {counted}")
    lonely = store.run(
        "SELECT name FROM {s}.subjects WHERE id NOT IN (SELECT subject FROM {s}.samples) ORDER BY 1"
    )
    faults += [f"subject {name!r} has no sample" for (name,) in lonely]
    know_vectors(store.connection)
    dimension = store.dimension()
    statement = sql.SQL(
        "SELECT s.name, s.digest, s.vector, t.half FROM {s}.samples s LEFT JOIN {s}.templates t ON t.sample = s.id "
        "ORDER BY s.id"
    )
    with store.connection.cursor("faults", binary=True) as cursor:
        cursor.itersize = _FETCH_ROWS
        for name, digest, vector, half in cursor.execute(statement.format(s=store.schema)):
            copy = None if half is None else half.to_numpy()
            faults += [f"template of {name!r} {fault}" for fault in _faults(digest, vector, copy, dimension)]
    return faults


def _faults(
    digest: bytes, stored: bytes, half: NDArray[np.float16] | None, dimension: int | None
) -> list[str]:
    if dimension is None or len(stored) != dimension * STORED.itemsize:
        return [f"has {len(stored)} bytes, expected {dimension} float32 values"]
    vector = np.frombuffer(stored, STORED)
    faults = []
    if hashlib.sha256(stored).digest() != digest:
        faults.append("is not what was enrolled: its digest differs")
    norm = float(np.linalg.norm(vector))
    if not abs(norm - 1.0) < _NORM_TOLERANCE:
        faults.append(f"has norm {norm:.4f}, expected 1")
    elif half is None:
        faults.append("is in no search: its half-precision copy is missing")
    elif not np.array_equal(normalised(vector[None])[0].astype(np.float16), half):
        faults.append("differs from its half-precision copy")
    return faults
