"""Embeddings on disk, so that an interrupted evaluation goes on where it stopped and a second one is quick.

A record belongs to the bytes of a picture (sha256), to an embedding space and to the way in which the face was taken
from the picture; a change of any of them makes another record. Refusals are records too. Names of files and people
are never stored, but embeddings are biometric data: only the user who made them may read the folder.
"""

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from lineament.core.arrays import FloatArray
from lineament.core.errors import DataError

Outcome = FloatArray | str
"""(D,) float32 unit vector of a sample, or the reason why there is none."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS outcomes (
    how TEXT NOT NULL, picture TEXT NOT NULL, vector BLOB, reason TEXT,
    PRIMARY KEY (how, picture), CHECK ((vector IS NULL) <> (reason IS NULL))
) WITHOUT ROWID
"""


class EmbeddingCache:
    """Outcomes of one embedding space and one way of extraction.

    Every :meth:`store` is one transaction, so that a killed process loses the batch at hand only. Several processes
    and threads may share a folder; nothing stays open between calls.
    """

    def __init__(self, folder: Path, space: str, how: str) -> None:
        """Open the cache; made when it is not there.

        Args:
            folder: where caches are kept, one file for each space.
            space: id of the embedding space.
            how: all that decides which vector a picture gives, beside the space: models, rules, versions.

        Raises:
            DataError: the file there is not such a cache, or cannot be written.
        """
        self.path = folder / f"{hashlib.sha256(space.encode()).hexdigest()[:32]}.sqlite"
        self._how = hashlib.sha256(how.encode()).hexdigest()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path.touch(mode=0o600)
        except OSError as error:
            raise self._broken(error) from error
        with self._open() as rows:
            rows.execute(_SCHEMA)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """One transaction; the file is closed after it.

        Raises:
            DataError: the file is damaged or cannot be written.
        """
        try:
            with closing(sqlite3.connect(self.path, timeout=60)) as rows, rows:
                yield rows
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def find(self, pictures: Sequence[str]) -> dict[str, Outcome]:
        """What is known of pictures.

        Args:
            pictures: sha256 of their bytes, hex; at most some hundred at a time.

        Raises:
            DataError: the file is damaged.
        """
        marks = ",".join("?" * len(pictures))
        query = f"SELECT picture, vector, reason FROM outcomes WHERE how = ? AND picture IN ({marks})"  # noqa: S608
        with self._open() as rows:
            found = rows.execute(query, (self._how, *pictures)).fetchall()
        return {
            picture: reason if vector is None else np.frombuffer(vector, "<f4").astype(np.float32)
            for picture, vector, reason in found
        }

    def store(self, outcomes: Mapping[str, Outcome]) -> None:
        """Keep outcomes; those that are there already stay as they are.

        Args:
            outcomes: by sha256 of the picture's bytes.

        Raises:
            DataError: the file cannot be written.
        """
        kept = [
            (self._how, picture, None, outcome)
            if isinstance(outcome, str)
            else (self._how, picture, np.ascontiguousarray(outcome, "<f4").tobytes(), None)
            for picture, outcome in outcomes.items()
        ]
        with self._open() as rows:
            rows.executemany("INSERT OR IGNORE INTO outcomes VALUES (?, ?, ?, ?)", kept)

    def _broken(self, error: Exception) -> DataError:
        return DataError(
            f"the cache of embeddings {self.path} cannot be used: {error}; delete the file, or name another "
            "folder with LINEAMENT_CACHE"
        )
