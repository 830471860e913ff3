"""The galleries of one database: which there are, whose templates they hold, and how one is dropped."""

from psycopg import sql

from lineament.core.errors import GalleryNotFound
from lineament.gallery.postgres import schema
from lineament.gallery.postgres.server import Connection, Limits, Server

_LIMITS = Limits(connections=1)


def gallery_names(dsn: str) -> list[str]:
    """Names of all galleries in the database, sorted.

    Raises:
        GalleryError: the server cannot be reached.
    """
    server = Server(dsn, _LIMITS)
    try:
        with server.read() as connection:
            return schema.names(connection)
    finally:
        server.close()


def stored_space(dsn: str, name: str) -> str:
    """Id of the embedding space of the gallery ``name``, for callers that have no model at hand.

    Raises:
        GalleryNotFound: there is no such gallery.
        GalleryError: the server cannot be reached.
    """
    server = Server(dsn, _LIMITS)
    try:
        with server.read() as connection:
            return _require(connection, name, server.name)
    finally:
        server.close()


def drop_gallery(dsn: str, name: str) -> None:
    """Drop the gallery ``name`` with everything in it, in one transaction; its files are deleted.

    Raises:
        GalleryNotFound: there is no such gallery.
        GalleryError: the server cannot be reached, or others are using the gallery.
    """
    server = Server(dsn, _LIMITS)
    try:
        with server.write() as connection:
            _require(connection, name, server.name)
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(schema.schema_of(name)))
    finally:
        server.close()


def _require(connection: Connection, name: str, where: str) -> str:
    schema.schema_of(name)
    there = schema.found(connection, name)
    if there is None:
        raise GalleryNotFound(f"no gallery {name!r} on {where}; list the galleries to see their names")
    return there[1]
