"""The key of an encrypted gallery: from a file, from the environment, or new."""

import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from lineament.core.errors import GalleryError

KEY_BYTES = 32
KEY_VARIABLE, KEY_FILE_VARIABLE = "LINEAMENT_GALLERY_KEY", "LINEAMENT_GALLERY_KEY_FILE"
_MAX_FILE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class GalleryKey:
    """The secret that opens an encrypted gallery; its text never shows the secret.

    Attributes:
        secret: 32 random bytes.
    """

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_BYTES:
            raise ValueError(f"a gallery key has {KEY_BYTES} bytes, got {len(self.secret)}")


def new_key(path: str | Path) -> GalleryKey:
    """Make a key and write it to a new file that only its owner may read.

    Raises:
        GalleryError: the file exists or cannot be written.
    """
    key = GalleryKey(secrets.token_bytes(KEY_BYTES))
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(key.secret.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise GalleryError(
            f"the key file {path} could not be made ({error.strerror}); choose a new name in a folder that may "
            "be written"
        ) from error
    return key


def read_key(path: str | Path) -> GalleryKey:
    """The key in a file of 64 hex digits.

    Raises:
        GalleryError: it cannot be read, holds something else, or others than its owner may read it.
    """
    try:
        with Path(path).open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_MAX_FILE_BYTES)
    except OSError as error:
        raise GalleryError(
            f"the key file {path} cannot be read ({error.strerror}); check its name"
        ) from error
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise GalleryError(f"others may read the key file {path}; run: chmod 600 '{path}'")
    return _parse(text.decode("ascii", "replace"), f"the key file {path}")


def key_from_environment() -> GalleryKey | None:
    """The key in ``LINEAMENT_GALLERY_KEY`` (64 hex digits) or in the file of ``LINEAMENT_GALLERY_KEY_FILE``.

    Returns: None when neither is set.

    Raises:
        GalleryError: what is set is no key.
    """
    text, path = os.environ.get(KEY_VARIABLE), os.environ.get(KEY_FILE_VARIABLE)
    if text:
        return _parse(text, KEY_VARIABLE)
    return read_key(path) if path else None


def _parse(text: str, where: str) -> GalleryKey:
    text = text.strip()
    try:
        return GalleryKey(bytes.fromhex(text))
    except ValueError as error:
        raise GalleryError(
            f"{where} must hold {2 * KEY_BYTES} hex digits, got {len(text)} characters; "
            'make a key with "lineament gallery new-key FILE"'
        ) from error
