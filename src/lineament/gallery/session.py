"""One connection to a gallery file with its lock, its codec and its transactions."""

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lineament.core.errors import GalleryError
from lineament.gallery.keys import KEY_FILE_VARIABLE, KEY_VARIABLE, GalleryKey, key_from_environment
from lineament.gallery.ledger import signing_seed
from lineament.gallery.receipts import RemovalReceipt
from lineament.gallery.schema import committed, explained, open_connection
from lineament.gallery.sealing import Codec, unwrap
from lineament.gallery.store import Store
from lineament.gallery.types import Removal

_log = logging.getLogger(__name__)


class Session:
    """What the parts of an open gallery share; every use of :attr:`store` belongs inside :meth:`transaction`.

    Args:
        path: the gallery file.
        space: id of the embedding space of its templates.
        create: make the gallery when nothing or an empty file is there, encrypted when there is a key.
        busy_timeout_s: how long to wait for other processes.
        key: of an encrypted gallery; None takes the one of the environment.

    Raises:
        GalleryError: as ``Gallery.open`` says.
    """

    def __init__(
        self, path: Path, space: str, create: bool, busy_timeout_s: float, key: GalleryKey | None
    ) -> None:
        self.path = path
        self.space = space
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._closed = False
        at_hand = key or key_from_environment()
        self._connection = open_connection(path, space, create, busy_timeout_s, at_hand)
        try:
            with explained(path):
                codec, self._generation = _codec(self._connection, path, key, at_hand)
        except BaseException:
            self._connection.close()
            raise
        self.store = Store(self._connection, space, codec)

    @contextmanager
    def transaction(self, write: bool) -> Iterator[None]:
        """One snapshot for reading, or one change that happens wholly or not at all."""
        with self._lock, explained(self.path):
            self._require_usable()
            with committed(self._connection, write):
                if self.store.generation() != self._generation:
                    raise GalleryError(
                        f"{self.path} was restored, encrypted anew or switched to another embedding space since "
                        "it was opened; open it again"
                    )
                yield

    def purge(self) -> bool:
        """Move the write-ahead log, which holds what was removed, into the file and empty it.

        What was committed stays committed either way, so a reader in the way or a full disk is no error: False.
        """
        with self._lock, explained(self.path):
            self._require_usable()
            try:
                busy: int = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            except sqlite3.OperationalError as error:
                _log.warning("the write-ahead log could not be emptied: %s", error)
                return False
            return busy == 0

    def signed(self, receipts: Sequence[RemovalReceipt]) -> list[RemovalReceipt]:
        """Overwrite what was removed, and sign the receipts of it."""
        purged = self.purge()
        with self.transaction(write=False):
            seed = signing_seed(self.store)
        return [replace(receipt, purged=purged).signed(seed) for receipt in receipts]

    def removal(self, receipt: RemovalReceipt) -> Removal:
        """Overwrite what was removed, and sign the receipt of it."""
        (signed,) = self.signed([receipt])
        return Removal(len(signed.sample_ids), signed.purged, signed)

    def close(self) -> bool:
        """Close the connection; False when it was closed before."""
        with self._lock:
            if self._closed:
                return False
            self._closed = True
            self._connection.close()
            return True

    def _require_usable(self) -> None:
        if self._closed:
            raise GalleryError(f"the gallery {self.path} is closed; open it again")
        if os.getpid() != self._process:
            raise GalleryError(f"the gallery {self.path} was opened before a fork; open it in each process")


def _codec(
    connection: sqlite3.Connection, path: Path, given: GalleryKey | None, at_hand: GalleryKey | None
) -> tuple[Codec, int]:
    wrapped, generation = connection.execute("SELECT wrapped_key, generation FROM gallery").fetchone()
    if wrapped is None:
        if given is not None:
            raise GalleryError(
                f'{path} is not encrypted, and a key was given; encrypt it first with "lineament gallery encrypt", '
                "or open it without a key"
            )
        return Codec(), generation
    if at_hand is None:
        raise GalleryError(
            f"{path} is encrypted; give its key, or set {KEY_FILE_VARIABLE} to its key file or {KEY_VARIABLE}"
        )
    return unwrap(wrapped, at_hand), generation
