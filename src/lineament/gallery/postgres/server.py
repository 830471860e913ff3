"""The PostgreSQL server behind a gallery: pooled connections, and the server's errors in plain words."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from pgvector.psycopg import register_vector
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from lineament.core.errors import GalleryCorrupt, GalleryError

Connection = psycopg.Connection[Any]

_LOST = ("08", "57")
_WORDS: tuple[tuple[tuple[type[psycopg.Error], ...], str], ...] = (
    (
        (errors.LockNotAvailable, errors.DeadlockDetected),
        "{name} stayed locked by another writer; nothing was changed, try again later",
    ),
    (
        (errors.ReadOnlySqlTransaction,),
        "{name} is a replica that cannot be written; nothing was changed, use the primary",
    ),
    (
        (errors.InsufficientPrivilege,),
        "{name} does not allow it ({text}); nothing was changed, grant the right",
    ),
    (
        (errors.DiskFull, errors.OutOfMemory, errors.TooManyConnections, errors.InsufficientResources),
        "{name} lacks room ({text}); nothing was changed, check its disk, memory and connections",
    ),
    (
        (errors.UndefinedTable, errors.InvalidSchemaName),
        "the gallery is gone from {name} ({text}); open it again with create=True",
    ),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one gallery may ask of the server.

    Attributes:
        connections: open at once, hence calls that run at once; further calls wait.
        wait_s: how long to wait for a connection, and for another writer.
    """

    connections: int = 4
    wait_s: float = 10.0

    def __post_init__(self) -> None:
        if self.connections < 1 or not self.wait_s > 0:
            raise ValueError(
                f"connections must be at least 1 and wait_s above 0, got {self.connections} and {self.wait_s}"
            )


class Server:
    """Connections to one database; shared by threads, not by processes.

    Args:
        dsn: a libpq connection string or URI.
        limits: connections and waiting.

    Raises:
        GalleryError: the string cannot be understood or the server cannot be reached.
    """

    def __init__(self, dsn: str, limits: Limits) -> None:
        self._name = _without_secrets(dsn)
        self._wait_s = limits.wait_s
        self._process = os.getpid()
        # The pool tries again and again; one plain attempt says at once what is wrong.
        with explained(self._name):
            psycopg.connect(dsn, connect_timeout=max(2, round(limits.wait_s))).close()
        self._pool = ConnectionPool(
            dsn,
            min_size=0,
            max_size=limits.connections,
            timeout=limits.wait_s,
            # After that, the next call tries at once; the pool's own pauses grow to minutes.
            reconnect_timeout=limits.wait_s,
            kwargs={"autocommit": True},
            check=ConnectionPool.check_connection,
            open=True,
        )

    @property
    def name(self) -> str:
        """Host and database for messages; never a password."""
        return self._name

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One snapshot of the database."""
        with self._connection() as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            with connection.transaction():
                yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One change that happens wholly or not at all; every statement sees what was committed before it."""
        with self._connection() as connection:
            connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
            connection.read_only = None
            with connection.transaction():
                connection.execute(
                    "SELECT set_config('lock_timeout', %s, true)", (f"{round(self._wait_s * 1e3)}ms",)
                )
                yield connection

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        if os.getpid() != self._process:
            raise GalleryError(
                f"the gallery on {self._name} was opened before a fork; open it in each process"
            )
        with explained(self._name), self._pool.connection() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections; closing twice does nothing."""
        if os.getpid() == self._process:
            self._pool.close()


def know_vectors(connection: Connection) -> None:
    """Let ``connection`` exchange vectors; a connection that knows them already asks nothing."""
    if connection.adapters.types.get("halfvec") is None:
        register_vector(connection)


def _without_secrets(dsn: str) -> str:
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # The cause would repeat the string, and with it the password.
        raise GalleryError(
            "the address of the database is no connection string; expected one like "
            "postgresql://user@host/database"
        ) from None
    host = parts.get("host") or parts.get("hostaddr") or "the local server"
    return f"{host}, database {parts.get('dbname') or 'of the user'}"


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn the errors of the server and the pool inside the block into gallery errors."""
    try:
        yield
    except PoolTimeout as error:
        raise GalleryError(
            f"no connection to {name} within the time to wait; see whether the server runs, or allow more connections"
        ) from error
    except PoolClosed as error:
        raise GalleryError(f"the gallery on {name} is closed; open it again") from error
    except psycopg.Error as error:
        raise explain(error, name) from error


def explain(error: psycopg.Error, name: str) -> GalleryError:
    """The server's error as a gallery error that says what to do."""
    text = " ".join(str(error).split())
    for kinds, words in _WORDS:
        if isinstance(error, kinds):
            return GalleryError(words.format(name=name, text=text))
    if isinstance(error, errors.DataCorrupted | errors.IndexCorrupted):
        return GalleryCorrupt(f"{name} holds damaged pages ({text}); restore a backup")
    if isinstance(error, psycopg.OperationalError) and (error.sqlstate or "08")[:2] in _LOST:
        return GalleryError(
            f"{name} cannot be reached ({text}); a change that was under way may or may not have been made: "
            "try again, a sample that is there is refused"
        )
    return GalleryError(f"{name} refused ({text}); nothing was changed")
