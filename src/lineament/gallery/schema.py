"""The gallery's SQLite file: layout, opening, making, and SQLite's errors in plain words."""

import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from lineament.core.errors import EmbeddingSpaceMismatch, GalleryCorrupt, GalleryError, GalleryNotFound
from lineament.gallery.keys import GalleryKey
from lineament.gallery.migrate import to_layout_2
from lineament.gallery.sealing import new_codec

APPLICATION_ID = 0x4C4E4D47
"""``PRAGMA application_id`` of a gallery: "LNMG"."""
SCHEMA_VERSION = 2
"""``PRAGMA user_version`` that this code reads and writes; it brings a file of layout 1 to layout 2."""
PAGE_BYTES = 16384
"""A page of 4096 bytes would hold one 512-value template and be half empty; this one holds seven."""
LOGS = ("-wal", "-shm", "-journal")
"""Endings of the files that SQLite keeps beside an open gallery, and leaves there when it is not closed."""
SIGNING_LABEL = b"signing key"
"""What the sealed key of removal receipts is bound to."""

_log = logging.getLogger(__name__)

# Ids are never used twice (AUTOINCREMENT), so rows above the highest id seen are exactly the new ones. The
# table `changes` names samples that were removed or given to another subject; it holds numbers only.
_LAYOUT = """
CREATE TABLE gallery (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    space TEXT NOT NULL,
    dimension INTEGER,
    calibration TEXT NOT NULL,
    created_s REAL NOT NULL
) STRICT;
CREATE TABLE subjects (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE samples (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    subject INTEGER NOT NULL REFERENCES subjects (id),
    name TEXT NOT NULL UNIQUE,
    source_sha256 TEXT NOT NULL,
    created_s REAL NOT NULL,
    digest BLOB NOT NULL UNIQUE
) STRICT;
CREATE INDEX samples_of_subject ON samples (subject, created_s);
CREATE UNIQUE INDEX samples_by_source ON samples (source_sha256) WHERE source_sha256 <> '';
CREATE TABLE templates (
    sample INTEGER PRIMARY KEY REFERENCES samples (id),
    vector BLOB NOT NULL
) STRICT;
CREATE TABLE changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    sample INTEGER NOT NULL
) STRICT;
"""
_WAL_TRIES = 500
_WAL_WAIT_S = 0.01


def explain(error: sqlite3.Error, path: Path) -> GalleryError:
    """SQLite's error as a gallery error that says what to do."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return GalleryCorrupt(
            f"{path} is not a sound gallery ({error}); import an export or restore a backup, and keep this file "
            "for examination"
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return GalleryError(f"{path} stayed locked by another process; nothing was changed, try again later")
    if code == sqlite3.SQLITE_READONLY:
        return GalleryError(
            f"{path} cannot be written; nothing was changed, allow writing to it and its folder"
        )
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return GalleryError(
            f"{path} could not be read or written ({error}); nothing was changed, check the free space and the disk"
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return GalleryError(
            f"{path} cannot be opened; a gallery needs a file that may be read in a folder that may be written"
        )
    return GalleryError(f"{path}: the store refused ({error}); nothing was changed")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors inside the block into gallery errors."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, path) from error


def open_connection(
    path: Path, space: str, create: bool, busy_timeout_s: float, key: GalleryKey | None = None
) -> sqlite3.Connection:
    """Open the gallery file at ``path``; with ``create``, make it when nothing or an empty file is there.

    Making is one transaction, so a process killed during it leaves an empty file, never half a gallery; so is
    bringing an older layout to the present one. A gallery that is made with ``key`` is encrypted.

    Raises:
        GalleryNotFound: nothing is there and ``create`` is False.
        GalleryCorrupt: something else than a gallery is there, or a damaged one.
        EmbeddingSpaceMismatch: it holds templates of another space.
        GalleryError: a folder, a newer layout, or the file cannot be opened.
    """
    _check_path(path, create)
    with explained(path):
        connection = connect(path, create, busy_timeout_s)
        try:
            _prepare(connection, path, space, create, key)
        except BaseException:
            connection.close()
            raise
    return connection


def stored_space(path: Path, busy_timeout_s: float = 10.0) -> str:
    """Id of the embedding space of the gallery at ``path``, for callers that have no model at hand.

    Raises:
        GalleryNotFound: nothing is there.
        GalleryCorrupt: something else than a gallery is there, or a damaged one.
        GalleryError: a folder, a newer layout, or the file cannot be opened.
    """
    _check_path(path, create=False)
    with explained(path), closing(connect(path, False, busy_timeout_s)) as connection:
        if _pragma(connection, "page_count") == 0:
            raise GalleryCorrupt(f"{path} is empty, expected a gallery")
        _check_kind(connection, path)
        return _space(connection, path)


def connect(path: Path, create: bool, busy_timeout_s: float) -> sqlite3.Connection:
    """A connection without any check or setting."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}",
        uri=True,
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,
    )


def _check_path(path: Path, create: bool) -> None:
    if path.is_dir():
        raise GalleryError(f"{path} is a folder, expected a gallery file; give a name inside it")
    if not path.parent.is_dir():
        raise GalleryNotFound(f"the folder {path.parent} does not exist; make it first")
    if not path.exists() and not create:
        raise GalleryNotFound(f"no gallery at {path}; check the name, or make one with create=True")


def _prepare(
    connection: sqlite3.Connection, path: Path, space: str, create: bool, key: GalleryKey | None
) -> None:
    # Before the first page exists, the file is neither a gallery nor anything else.
    if _pragma(connection, "page_count") == 0:
        if not create:
            raise GalleryCorrupt(f"{path} is empty, expected a gallery; create=True makes one there")
        _make(connection, path, space, key)
    _check_kind(connection, path)
    _use_wal(connection, path)
    # fullfsync matters on macOS only, where a plain fsync may leave data in the drive's cache.
    for setting in (
        "synchronous=FULL",
        "fullfsync=ON",
        "foreign_keys=ON",
        "secure_delete=ON",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {setting}")
    found = _space(connection, path)
    _check_length(connection, path)
    if found != space:
        raise EmbeddingSpaceMismatch(
            f"{path} holds templates of {found}, this pipeline makes {space}; "
            "use the pipeline that made them, or enroll anew into another gallery"
        )
    _migrate(connection)


def _space(connection: sqlite3.Connection, path: Path) -> str:
    try:
        (found,) = connection.execute("SELECT space FROM gallery WHERE id = 1").fetchone()
    except (sqlite3.OperationalError, TypeError) as error:
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) != sqlite3.SQLITE_ERROR:
            raise
        raise GalleryCorrupt(f"{path} lacks the gallery's own record; restore a backup") from error
    return str(found)


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _make(connection: sqlite3.Connection, path: Path, space: str, key: GalleryKey | None) -> None:
    connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
    connection.execute("PRAGMA synchronous=FULL")
    with committed(connection, write=True):
        # Another process may have made it while this one waited for the lock.
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            for statement in _LAYOUT.split(";\n"):
                connection.execute(statement)
            connection.execute("INSERT INTO gallery VALUES (1, ?, NULL, '', ?)", (space, time.time()))
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            to_layout_2(connection)
            if key is not None:
                _encrypt_empty(connection, key)
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    sync_folder(path.parent)
    _log.info("made a gallery with layout %d", SCHEMA_VERSION)


def _encrypt_empty(connection: sqlite3.Connection, key: GalleryKey) -> None:
    """Give a gallery that holds nothing yet a data key, wrapped by ``key``."""
    codec = new_codec()
    (seed,) = connection.execute("SELECT signing_key FROM gallery").fetchone()
    connection.execute(
        "UPDATE gallery SET wrapped_key = ?, signing_key = ?",
        (codec.wrapped(key), codec.seal(seed, SIGNING_LABEL)),
    )


def _migrate(connection: sqlite3.Connection) -> None:
    if _pragma(connection, "user_version") == SCHEMA_VERSION:
        return
    with committed(connection, write=True):
        # Another process may have done it while this one waited for the lock.
        if _pragma(connection, "user_version") != SCHEMA_VERSION:
            to_layout_2(connection)
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            _log.info("brought a gallery to layout %d", SCHEMA_VERSION)


@contextmanager
def committed(connection: sqlite3.Connection, write: bool) -> Iterator[None]:
    """One snapshot for reading, or one change that happens wholly or not at all."""
    connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
    try:
        yield
        if write:
            connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")


def _check_kind(connection: sqlite3.Connection, path: Path) -> None:
    if _pragma(connection, "application_id") != APPLICATION_ID:
        raise GalleryCorrupt(
            f"{path} is a SQLite file of another program, expected a gallery; check the name"
        )
    version = _pragma(connection, "user_version")
    if not 1 <= version <= SCHEMA_VERSION:
        raise GalleryError(
            f"{path} has layout {version}, this program knows layout {SCHEMA_VERSION}; use a newer lineament"
        )


def _check_length(connection: sqlite3.Connection, path: Path) -> None:
    # SQLite itself reads a page that is cut off as zeros. Pages may still be in the log, which nobody can empty
    # while this transaction reads.
    connection.execute("BEGIN")
    connection.execute("SELECT 1 FROM gallery").fetchone()
    expected = _pragma(connection, "page_count") * _pragma(connection, "page_size")
    log = path.with_name(path.name + "-wal")
    logged = log.stat().st_size if log.exists() else 0
    found = path.stat().st_size
    connection.execute("ROLLBACK")
    if not logged and found < expected:
        raise GalleryCorrupt(f"{path} is cut off: expected {expected} bytes, got {found}; restore a backup")


def _use_wal(connection: sqlite3.Connection, path: Path) -> None:
    # SQLite does not wait for locks when it changes the journal mode, and two processes may do it at once.
    for _ in range(_WAL_TRIES):
        try:
            if connection.execute("PRAGMA journal_mode=WAL").fetchone()[0] == "wal":
                return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
        time.sleep(_WAL_WAIT_S)
    raise GalleryError(f"{path} cannot be kept with a write-ahead log; move it to a local disk")


def sync_folder(folder: Path) -> None:
    """Make the folder's entries durable, so that a new file survives a loss of power."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
