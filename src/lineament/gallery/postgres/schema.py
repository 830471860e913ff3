"""The gallery's tables: layout, making and migrating under an advisory lock, and checks at opening."""

import re
import secrets
import time

from psycopg import sql

from lineament.core.errors import EmbeddingSpaceMismatch, GalleryError, GalleryNotFound
from lineament.gallery.postgres.server import Connection, Server

MAX_DIMENSION = 4000
"""Values of a template: a page of the server holds no longer one, and its index takes no longer one."""
_PREFIX = "lineament_"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")
_LOCK = 0x4C4E4D47
_PGVECTOR = (0, 7)

# One row of `templates` is what a scan reads: half precision, never out of line. The float32 values, which
# decide, lie beside the names in `samples`, out of line. Numbers come from the row of `gallery`, which every
# writer locks: they follow the order of commits and are never used twice. Names sort by their bytes.
_FIRST = """
CREATE TABLE {s}.gallery (
    id integer PRIMARY KEY CHECK (id = 1),
    version integer NOT NULL,
    space text NOT NULL,
    dimension integer,
    calibration text NOT NULL,
    created_s double precision NOT NULL,
    gallery_id text NOT NULL,
    signing_key bytea NOT NULL,
    last_sample bigint NOT NULL,
    subjects bigint NOT NULL,
    samples bigint NOT NULL
);
CREATE TABLE {s}.subjects (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE
);
CREATE TABLE {s}.samples (
    id bigint PRIMARY KEY,
    subject bigint NOT NULL REFERENCES {s}.subjects (id),
    name text COLLATE "C" NOT NULL UNIQUE,
    source_sha256 text COLLATE "C" NOT NULL,
    created_s double precision NOT NULL,
    quality double precision,
    uid bytea NOT NULL,
    digest bytea NOT NULL UNIQUE,
    vector bytea NOT NULL
);
ALTER TABLE {s}.samples ALTER vector SET STORAGE EXTERNAL;
CREATE INDEX samples_of_subject ON {s}.samples (subject);
CREATE UNIQUE INDEX samples_by_source ON {s}.samples (source_sha256) WHERE source_sha256 <> '';
CREATE TABLE {s}.templates (
    sample bigint PRIMARY KEY REFERENCES {s}.samples (id) ON DELETE CASCADE,
    half halfvec NOT NULL
);
ALTER TABLE {s}.templates ALTER half SET STORAGE PLAIN;
"""
_STEPS = (_FIRST,)
"""Each brings a gallery from the layout of its position to the next one; what was released never changes."""


def schema_version() -> int:
    """Layout that this code reads and writes."""
    return len(_STEPS)


def schema_of(name: str) -> sql.Identifier:
    """The PostgreSQL schema that holds the gallery ``name``.

    Raises:
        ValueError: not 1 to 50 of a-z, 0-9, _ and -, a letter or digit first.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"a gallery's name must have 1 to 50 of a-z, 0-9, _ and -, a letter or digit first, got {name!r}"
        )
    return sql.Identifier(_PREFIX + name)


def names(connection: Connection) -> list[str]:
    """Names of all galleries in the database, sorted."""
    found = connection.execute(
        "SELECT n.nspname FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'gallery' "
        "WHERE starts_with(n.nspname, %s)",
        (_PREFIX,),
    )
    return sorted(row[0].removeprefix(_PREFIX) for row in found)


def prepare(server: Server, name: str, space: str, create: bool) -> None:
    """Find the gallery ``name``, or make it when ``create`` is set; bring an older layout up to date.

    Both happen in one transaction that holds an advisory lock: processes that start together do it once.

    Raises:
        GalleryNotFound: it is not there and ``create`` is False.
        EmbeddingSpaceMismatch: it holds templates of another space.
        GalleryError: a newer layout, or a server that would not keep what it acknowledges.
    """
    with server.read() as connection:
        _require_durable(connection, server.name)
        there = found(connection, name)
    if there is None and not create:
        raise GalleryNotFound(
            f"no gallery {name!r} on {server.name}; check the name, or make one with create=True"
        )
    if there is None or there[0] < schema_version():
        with server.write() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            there = found(connection, name) or _make(connection, name, space, server.name)
            _migrate(connection, name, there[0])
        there = schema_version(), there[1]
    version, held = there
    if version > schema_version():
        raise GalleryError(
            f"the gallery {name!r} on {server.name} has layout {version}, this program knows layout "
            f"{schema_version()}; use a newer lineament"
        )
    if held != space:
        raise EmbeddingSpaceMismatch(
            f"the gallery {name!r} on {server.name} holds templates of {held}, got {space}; use the pipeline "
            "that made them, or another name"
        )


def found(connection: Connection, name: str) -> tuple[int, str] | None:
    """Layout and embedding space of the gallery ``name``; None when it is not there."""
    # A lookup by name could answer from what this session knew before it waited for the lock.
    there = connection.execute(
        "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %s AND c.relname = 'gallery'",
        (_PREFIX + name,),
    ).fetchone()
    if there is None:
        return None
    statement = sql.SQL("SELECT version, space FROM {}.gallery").format(schema_of(name))
    version, space = connection.execute(statement).fetchone() or (0, "")
    return int(version), str(space)


def _make(connection: Connection, name: str, space: str, where: str) -> tuple[int, str]:
    schema = schema_of(name)
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    found = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
    version = found[0] if found else "none"
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < _PGVECTOR:
        raise GalleryError(
            f"{where} has pgvector {version}, expected 0.7 or newer; ALTER EXTENSION vector UPDATE"
        )
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
    connection.execute(sql.SQL(_STEPS[0]).format(s=schema))
    connection.execute(
        sql.SQL("INSERT INTO {}.gallery VALUES (1, 1, %s, NULL, '', %s, %s, %s, 0, 0, 0)").format(schema),
        (space, time.time(), secrets.token_hex(16), secrets.token_bytes(32)),
    )
    return 1, space


def _migrate(connection: Connection, name: str, version: int) -> None:
    schema = schema_of(name)
    for step in _STEPS[version:]:
        connection.execute(sql.SQL(step).format(s=schema))
    if version < schema_version():
        statement = sql.SQL("UPDATE {}.gallery SET version = %s").format(schema)
        connection.execute(statement, (schema_version(),))


def _require_durable(connection: Connection, where: str) -> None:
    settings = dict(
        connection.execute(
            "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit', 'server_encoding')"
        ).fetchall()
    )
    lax = [name for name in ("fsync", "synchronous_commit") if settings[name] == "off"]
    if lax:
        raise GalleryError(
            f"{where} has {' and '.join(lax)} off and may lose what it acknowledged; turn it on"
        )
    if settings["server_encoding"] != "UTF8":
        raise GalleryError(
            f"{where} keeps text as {settings['server_encoding']}, expected UTF8; use another database"
        )
