"""Layouts of the gallery file after the first, as statements that lead from one to the next.

Layout 2 adds states of samples, decisions, corrections, crops, a second embedding space, encryption, known
copies, and the random number (``uid``) by which a removed sample is recognised in a backup. The samples of a
layout-1 file get numbers that are made from their row, so that copies of that file have the same ones.
"""

import secrets
import sqlite3

LAYOUT_2 = """
ALTER TABLE gallery ADD COLUMN gallery_id TEXT NOT NULL DEFAULT '';
ALTER TABLE gallery ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE gallery ADD COLUMN wrapped_key BLOB;
ALTER TABLE gallery ADD COLUMN signing_key BLOB NOT NULL DEFAULT x'';
ALTER TABLE gallery ADD COLUMN other_space TEXT NOT NULL DEFAULT '';
ALTER TABLE gallery ADD COLUMN other_dimension INTEGER;
ALTER TABLE subjects ADD COLUMN seen_s REAL;
ALTER TABLE samples ADD COLUMN uid BLOB NOT NULL DEFAULT x'';
ALTER TABLE samples ADD COLUMN state TEXT NOT NULL DEFAULT 'active';
ALTER TABLE samples ADD COLUMN quality REAL;
UPDATE samples SET uid = CAST('layout-1-' || id AS BLOB);
CREATE INDEX samples_held ON samples (state) WHERE state <> 'active';
CREATE TABLE other_templates (
    sample INTEGER PRIMARY KEY REFERENCES samples (id) ON DELETE CASCADE ON UPDATE CASCADE,
    vector BLOB NOT NULL
) STRICT;
CREATE TABLE crops (
    sample INTEGER PRIMARY KEY REFERENCES samples (id) ON DELETE CASCADE ON UPDATE CASCADE,
    picture BLOB NOT NULL
) STRICT;
CREATE TABLE decisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sample INTEGER NOT NULL REFERENCES samples (id) ON DELETE CASCADE ON UPDATE CASCADE,
    state TEXT NOT NULL,
    at_s REAL NOT NULL,
    details BLOB NOT NULL
) STRICT;
CREATE INDEX decisions_of_sample ON decisions (sample);
CREATE TABLE corrections (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    subject INTEGER NOT NULL REFERENCES subjects (id) ON DELETE CASCADE,
    uid BLOB NOT NULL,
    space TEXT NOT NULL,
    at_s REAL NOT NULL,
    details BLOB NOT NULL,
    vector BLOB NOT NULL
) STRICT;
CREATE INDEX corrections_of_subject ON corrections (subject);
CREATE TABLE removed (uid BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE copies (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    path TEXT NOT NULL,
    made_s REAL NOT NULL
) STRICT;
"""
_GENERATION_BITS = 62


def new_generation() -> int:
    """A number that tells connections that all they know of the file is void."""
    return secrets.randbits(_GENERATION_BITS)


def to_layout_2(connection: sqlite3.Connection) -> None:
    """Bring a layout-1 file to layout 2; inside the caller's transaction."""
    for statement in LAYOUT_2.split(";\n"):
        connection.execute(statement)
    connection.execute(
        "UPDATE gallery SET gallery_id = ?, generation = ?, signing_key = ?",
        (secrets.token_hex(16), new_generation(), secrets.token_bytes(32)),
    )
