"""Looks for faults in a gallery file that SQLite itself would not notice."""

import sqlite3
from collections.abc import Iterator

import numpy as np

from lineament.core.errors import GalleryCorrupt
from lineament.gallery.corrections import DETAILS_LABEL
from lineament.gallery.ledger import other_space
from lineament.gallery.rows import STORED, crop_label, template_label
from lineament.gallery.store import Store

_NORM_TOLERANCE = 1e-3
# Words, the kind of the name that the query gives (empty for a number), and the query.
_QUERIES = (
    (
        "sample {} has no template",
        "sample",
        "SELECT name FROM samples WHERE state <> 'rejected' AND id NOT IN (SELECT sample FROM templates)",
    ),
    (
        "template {} has no sample",
        "",
        "SELECT sample FROM templates WHERE sample NOT IN (SELECT id FROM samples)",
    ),
    (
        "subject {} has no sample",
        "subject",
        "SELECT name FROM subjects WHERE id NOT IN (SELECT subject FROM samples)",
    ),
    (
        "sample {} has no subject",
        "sample",
        "SELECT name FROM samples WHERE subject NOT IN (SELECT id FROM subjects)",
    ),
)


_NAMES = (
    ("subject", "SELECT name FROM subjects"),
    ("sample", "SELECT name FROM samples"),
    ("source", "SELECT source_sha256 FROM samples"),
    ("path", "SELECT path FROM copies"),
)


def find_faults(store: Store) -> list[str]:
    """Every fault in words; empty for a sound gallery. Reads the whole file.

    Checks SQLite's pages and indexes, that subjects, samples and templates belong together, that everything sealed
    opens, for each template of both spaces its length and unit norm, and for each of the present one the digest taken
    at enrollment.
    """
    connection = store.connection
    try:
        structure = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        faults = [f"file structure: {line}" for line in structure if line != "ok"]
        for words, kind, query in _QUERIES:
            faults += [words.format(_name(store, row[0], kind)) for row in connection.execute(query)]
        for kind, query in _NAMES:
            altered = [row[0] for row in connection.execute(query) if not _opens(store, row[0], kind)]
            faults += [f"a {kind} {_name(store, name, kind)}" for name in altered]
        return [*faults, *_sample_faults(store), *_other_faults(store), *_note_faults(store)]
    except sqlite3.DatabaseError as error:
        return [f"file structure: {error}"]


def _sample_faults(store: Store) -> Iterator[str]:
    """Faults of templates of the present space, and of crops."""
    stored = store.connection.execute(
        "SELECT s.name, s.digest, t.vector, s.uid, c.picture FROM templates t "
        "JOIN samples s ON s.id = t.sample LEFT JOIN crops c ON c.sample = s.id ORDER BY t.sample"
    )
    dimension = store.dimension()
    for name, digest, blob, uid, crop in stored:
        faults = _vector_faults(store, blob, template_label(store.space, uid), dimension, digest)
        if crop is not None and not _unseals(store, crop, crop_label(uid)):
            faults.append("has a crop that does not open with the gallery's key")
        yield from (f"template of {_name(store, name, 'sample')} {fault}" for fault in faults)


def _other_faults(store: Store) -> Iterator[str]:
    """Faults of templates of the space beside the present one."""
    space = other_space(store)
    (dimension,) = store.connection.execute("SELECT other_dimension FROM gallery").fetchone()
    for name, blob, uid in store.connection.execute(
        "SELECT s.name, o.vector, s.uid FROM other_templates o JOIN samples s ON s.id = o.sample ORDER BY o.sample"
    ):
        for fault in _vector_faults(store, blob, template_label(space, uid), dimension):
            yield f"template in {space} of {_name(store, name, 'sample')} {fault}"


def _note_faults(store: Store) -> Iterator[str]:
    """Faults of corrections and decisions."""
    dimension = store.dimension()
    for number, uid, space, blob, details in store.connection.execute(
        "SELECT id, uid, space, vector, details FROM corrections ORDER BY id"
    ):
        length = dimension if space == store.space else len(blob) // STORED.itemsize
        faults = _vector_faults(store, blob, template_label(space, uid), length)
        if not _unseals(store, details, DETAILS_LABEL):
            faults.append("has a note that does not open with the gallery's key")
        yield from (f"correction {number} {fault}" for fault in faults)
    for number, details in store.connection.execute("SELECT id, details FROM decisions ORDER BY id"):
        if not _unseals(store, details, DETAILS_LABEL):
            yield f"decision {number} does not open with the gallery's key"


def _name(store: Store, stored: str | int, kind: str) -> str:
    if not kind or not isinstance(stored, str):
        return repr(stored)
    return repr(store.codec.open_name(stored, kind)) if _opens(store, stored, kind) else "with an altered id"


def _opens(store: Store, stored: str, kind: str) -> bool:
    try:
        store.codec.open_name(stored, kind)
    except GalleryCorrupt:
        return False
    return True


def _unseals(store: Store, stored: bytes, label: bytes) -> bool:
    try:
        store.codec.open(stored, label)
    except GalleryCorrupt:
        return False
    return True


def _vector_faults(
    store: Store, blob: bytes, label: bytes, dimension: int | None, digest: bytes | None = None
) -> list[str]:
    """Faults of one stored vector; ``digest`` is what was taken of it before."""
    try:
        blob = store.codec.open(blob, label)
    except GalleryCorrupt:
        return ["does not open with the gallery's key"]
    if dimension is None or len(blob) != dimension * STORED.itemsize:
        return [f"has {len(blob)} bytes, expected {dimension} float32 values"]
    faults = []
    if digest is not None and store.codec.digest(blob) != digest:
        faults.append("is not what was enrolled: its digest differs")
    norm = float(np.linalg.norm(np.frombuffer(blob, STORED)))
    if not abs(norm - 1.0) < _NORM_TOLERANCE:
        faults.append(f"has norm {norm:.4f}, expected 1")
    return faults
