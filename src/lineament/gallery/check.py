"""Looks for faults in a gallery file that SQLite itself would not notice."""

import hashlib
import sqlite3

import numpy as np

from lineament.gallery.store import STORED

_NORM_TOLERANCE = 1e-3
_QUERIES = (
    ("sample {} has no template", "SELECT name FROM samples WHERE id NOT IN (SELECT sample FROM templates)"),
    (
        "template {} has no sample",
        "SELECT sample FROM templates WHERE sample NOT IN (SELECT id FROM samples)",
    ),
    ("subject {} has no sample", "SELECT name FROM subjects WHERE id NOT IN (SELECT subject FROM samples)"),
    ("sample {} has no subject", "SELECT name FROM samples WHERE subject NOT IN (SELECT id FROM subjects)"),
)


def find_faults(connection: sqlite3.Connection) -> list[str]:
    """Every fault in words; empty for a sound gallery. Reads the whole file.

    Checks SQLite's pages and indexes, that subjects, samples and templates belong together, and for each
    template its length, unit norm and the digest taken at enrollment.
    """
    try:
        structure = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        faults = [f"file structure: {line}" for line in structure if line != "ok"]
        for words, query in _QUERIES:
            faults += [words.format(repr(row[0])) for row in connection.execute(query)]
        dimension = connection.execute("SELECT dimension FROM gallery").fetchone()[0]
        stored = connection.execute(
            "SELECT s.name, s.digest, t.vector FROM templates t JOIN samples s ON s.id = t.sample ORDER BY t.sample"
        )
        for name, digest, blob in stored:
            faults += [f"template of {name!r} {fault}" for fault in _template_faults(digest, blob, dimension)]
    except sqlite3.DatabaseError as error:
        return [f"file structure: {error}"]
    return faults


def _template_faults(digest: bytes, blob: bytes, dimension: int | None) -> list[str]:
    if dimension is None or len(blob) != dimension * STORED.itemsize:
        return [f"has {len(blob)} bytes, expected {dimension} float32 values"]
    faults = []
    if hashlib.sha256(blob).digest() != digest:
        faults.append("is not what was enrolled: its digest differs")
    norm = float(np.linalg.norm(np.frombuffer(blob, STORED)))
    if not abs(norm - 1.0) < _NORM_TOLERANCE:
        faults.append(f"has norm {norm:.4f}, expected 1")
    return faults
