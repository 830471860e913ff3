"""Digests, atomic writes and what to say when the disk says no."""

import contextlib
import hashlib
import logging
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from lineament.core.errors import WeightsMissing

logger = logging.getLogger(__name__)
CHUNK = 1 << 20


class SourceFailed(Exception):
    """One source could not give a file; the text says why, without credentials.

    Attributes:
        wrong_digest: it had the file, but with other bytes.
    """

    def __init__(self, reason: str, *, wrong_digest: bool = False) -> None:
        super().__init__(reason)
        self.wrong_digest = wrong_digest


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` so that readers see the old file or the new one, never a part.

    The bytes are on the disk before the name appears.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = beside(path)
    try:
        with part.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def beside(path: Path) -> Path:
    """A hidden name in the same folder that nobody else uses; what is made there keeps the usual rights."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}")


def publish(part: Path, path: Path) -> None:
    """Give a finished partial file its name, after its bytes have reached the disk."""
    with part.open("rb+") as stream:
        os.fsync(stream.fileno())
    part.replace(path)


def set_aside(path: Path, found: str, expected: str) -> None:
    """Move a cached file with the wrong digest away, so that it is fetched again and can still be looked at."""
    logger.warning(
        "cached file %s is damaged: sha256 expected %s, found %s; kept as %s.damaged",
        path,
        expected,
        found,
        path.name,
    )
    path.replace(path.with_name(f"{path.name}.damaged"))


@contextlib.contextmanager
def disk_errors(folder: Path, what: str = "model cache", variable: str = "LINEAMENT_CACHE") -> Iterator[None]:
    """Turn what the file system refuses (no right, full, read-only) into an error that says what to do.

    Args:
        folder: where is written.
        what: what the folder is.
        variable: environment variable that names another one.

    Raises:
        WeightsMissing: a file under ``folder`` could not be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        reason = os.strerror(error.errno).lower()
        raise WeightsMissing(
            f"the {what} {folder} cannot be used: {reason}; "
            f"make room or set {variable} to a folder that can be written"
        ) from error
