"""The file of a job: where it lies, its tables, and the key that opens it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lineament.core.errors import GalleryError, ServiceError
from lineament.gallery import GalleryKey
from lineament.gallery.sealing import Codec, unwrap

FOLDER = ".jobs"
"""Where the jobs of a folder of galleries lie, those of each gallery in a folder that has its name."""
SUFFIX = ".job"
_VERSION = 1
_BUSY_S = 30.0
LAYOUT = f"""
PRAGMA auto_vacuum=INCREMENTAL;
PRAGMA journal_mode=WAL;
BEGIN;
CREATE TABLE job (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    settings TEXT NOT NULL,
    cancelled INTEGER NOT NULL DEFAULT 0,
    stuck INTEGER NOT NULL DEFAULT 0,
    wrapped_key BLOB,
    generation INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE items (
    position INTEGER PRIMARY KEY,
    digest BLOB UNIQUE,
    subject BLOB,
    details BLOB,
    picture BLOB,
    status TEXT,
    found BLOB
);
CREATE INDEX waiting ON items (position) WHERE status IS NULL;
CREATE INDEX of_subject ON items (subject);
PRAGMA user_version={_VERSION};
COMMIT;
"""
"""Tables of a new file; the generation changes when everything is sealed anew."""
DETAILS, PICTURE, FOUND = b"job details", b"job picture", b"job outcome"
"""Labels of what is sealed."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection to a file that is there; what is removed is overwritten."""
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=_BUSY_S,
        isolation_level=None,
        check_same_thread=False,
    )
    for setting in ("synchronous=FULL", "fullfsync=ON", "secure_delete=ON", "temp_store=MEMORY"):
        db.execute(f"PRAGMA {setting}")
    return db


def codec_of(wrapped: bytes | None, key: GalleryKey | None) -> Codec:
    """What seals a job.

    Args:
        wrapped: its data key; None for a job that is not sealed.
        key: of encrypted galleries.

    Raises:
        GalleryError: it is sealed with another key.
    """
    if wrapped is None:
        return Codec()
    if key is None:
        raise GalleryError("the job is sealed and the service has no key; give it the one of its galleries")
    return unwrap(wrapped, key)


def subject_digest(codec: Codec, subject_id: str) -> bytes:
    """What the pictures of a subject are found by."""
    return codec.digest(subject_id.encode())


def picture_digest(codec: Codec, subject_id: str, sample_id: str) -> bytes:
    """What a picture that comes twice is known by."""
    return codec.digest(f"{subject_id}\0{sample_id}".encode())


@contextmanager
def explained() -> Iterator[None]:
    """Turn what SQLite and the disk say inside the block into an error for clients, who learn no path."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise ServiceError(f"the jobs cannot be read or written: {_words(error)}; try again later") from error


def _words(error: sqlite3.Error | OSError) -> str:
    return str(error.strerror if isinstance(error, OSError) else error)
