"""The in-memory matrix of a gallery: a disposable cache that finds the rows worth an exact look.

Rows hold normalised templates: float32 for a small gallery, float16 for a large one. Rounding a row moves a
cosine by at most the norm of the rounding error, so every row that could be among the best lies within twice
the largest such norm (``slack``) of the last wanted subject. Those few rows are handed out, and whoever asks
compares the stored float32 templates: the answer of an exact search does not depend on the rounding.

Above :data:`EXACT_ROWS` rows, a product quantiser of 4 bits for each 4 values (Jégou, Douze and Schmid,
"Product quantization for nearest neighbor search", TPAMI 2011; fast scan after André, Kermarrec and
Le Scouarnec, "Cache locality is not enough", VLDB 2015) scans all rows and leaves 1024 to compare in float16.
"""

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray
from lineament.core.errors import GalleryCorrupt
from lineament.gallery.coarse import CoarseScan
from lineament.gallery.rows import STORED
from lineament.gallery.store import Store

EXACT_ROWS = 20_000
"""Up to this many rows everything is compared: a scan costs less than a millisecond."""
COARSE_ROWS = (1024, 16384)
"""Rows that the coarse scan leaves, first and when too few subjects are among them."""
_BLOCK_ROWS = 4096
_SCORES_AT_ONCE = 1 << 25
_ARITHMETIC_SLACK = 2e-6
_MIN_WORN_ROWS = 1024

IntArray = NDArray[np.int64]


def normalised(vectors: FloatArray) -> FloatArray:
    """(N, D) float32 rows scaled to unit length."""
    norms: FloatArray = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / norms


class TemplateCache:
    """All templates of a gallery in memory.

    Args:
        store: where they are; inside a transaction, like in every other call that takes it.
        dimension: length of a template.
        threads: of the coarse scan.
    """

    def __init__(self, store: Store, dimension: int, threads: int) -> None:
        count = store.size().samples
        self._coarse = CoarseScan(dimension, threads) if count > EXACT_ROWS else None
        self._rows = np.empty((0, dimension), np.float32 if self._coarse is None else np.float16)
        self._samples = np.empty(0, np.int64)
        self._subjects = np.empty(0, np.int64)
        self._count = 0
        self._dead = 0
        self._last_sample = 0
        self._last_change = store.last_change()
        self._slack = _ARITHMETIC_SLACK
        self._reserve(count)
        self.refresh(store)

    @property
    def live(self) -> int:
        """Templates that can be found."""
        return self._count - self._dead

    @property
    def worn(self) -> bool:
        """True when making the cache anew is better than keeping it up to date."""
        outgrown = self._coarse is None and self.live > EXACT_ROWS
        return outgrown or self._dead > max(_MIN_WORN_ROWS, self._count // 8)

    def refresh(self, store: Store) -> None:
        """Take over what this and other processes changed; costs nothing when nothing did."""
        if store.last_sample() > self._last_sample:
            for numbers, blobs in store.templates_after(self._last_sample):
                self._append(numbers, blobs)
        last_change = store.last_change()
        if last_change > self._last_change:
            changes = np.array(store.changes_after(self._last_change), np.int64)
            at = np.searchsorted(self._samples[: self._count], changes[:, 0])
            known = at < self._count
            known[known] = self._samples[at[known]] == changes[known, 0]
            self._subjects[at[known]] = changes[known, 1]
            self._dead = int(np.count_nonzero(self._subjects[: self._count] < 0))
            self._last_change = last_change

    def _reserve(self, count: int) -> None:
        if count <= len(self._rows):
            return
        capacity = count + count // 8 + _BLOCK_ROWS
        for name in ("_rows", "_samples", "_subjects"):
            old = getattr(self, name)
            new = np.empty((capacity, *old.shape[1:]), old.dtype)
            new[: self._count] = old[: self._count]
            setattr(self, name, new)

    def _append(self, numbers: IntArray, blobs: list[bytes]) -> None:
        dimension = self._rows.shape[1]
        if any(len(blob) != dimension * STORED.itemsize for blob in blobs):
            raise GalleryCorrupt(
                f"a stored template does not have {dimension} float32 values; run the gallery's check to find it"
            )
        rows = normalised(np.frombuffer(b"".join(blobs), STORED).reshape(-1, dimension))
        end = self._count + len(rows)
        self._reserve(end)
        self._rows[self._count : end] = rows
        rounding = np.linalg.norm(self._rows[self._count : end].astype(np.float32) - rows, axis=1).max()
        self._slack = max(self._slack, float(rounding) + _ARITHMETIC_SLACK)
        self._samples[self._count : end], self._subjects[self._count : end] = numbers.T
        self._count, self._last_sample = end, int(numbers[-1, 0])

    def prepare(self) -> None:
        """Bring the coarse scan up to date now, not in the first search that needs it."""
        if self._coarse is not None and self._coarse.fits:
            self._coarse.follow(self._rows[: self._count])

    def shortlist(self, queries: FloatArray, want: int, exact: bool) -> list[IntArray]:
        """For each query the sample numbers that an exact comparison must look at to rank ``want`` subjects.

        Args:
            queries: (Q, D) float32 of unit length.
            want: subjects to find, at least 1.
            exact: compare every row, whatever the size.
        """
        if exact or self._coarse is None or not self._coarse.fits:
            return self._scan_all(queries, want)
        found: list[IntArray | None] = [None] * len(queries)
        self.prepare()
        for k in COARSE_ROWS:
            missing = [i for i, rows in enumerate(found) if rows is None]
            for i, near in zip(missing, self._coarse.search(queries[missing], k), strict=True):
                # A thousand rows are too few to share among the threads of a matrix product.
                scores = np.einsum("nd,d->n", self._rows[near].astype(np.float32), queries[i])
                found[i] = self._best(near, scores, want)
        missing = [i for i, rows in enumerate(found) if rows is None]
        for i, rows in zip(missing, self._scan_all(queries[missing], want), strict=True):
            found[i] = rows
        return [rows for rows in found if rows is not None]

    def _scan_all(self, queries: FloatArray, want: int) -> list[IntArray]:
        result = []
        step = max(1, _SCORES_AT_ONCE // max(1, self._count))
        for start in range(0, len(queries), step):
            for scores in self._scores(queries[start : start + step]):
                result.append(self._best_of_all(scores, want))  # noqa: PERF401  one comprehension hides the blocks
        return result

    def _scores(self, queries: FloatArray) -> FloatArray:
        if self._rows.dtype == np.float32:
            return queries @ self._rows[: self._count].T
        scores = np.empty((len(queries), self._count), np.float32)
        for start in range(0, self._count, _BLOCK_ROWS):
            block = self._rows[start : min(start + _BLOCK_ROWS, self._count)].astype(np.float32)
            scores[:, start : start + len(block)] = queries @ block.T
        return scores

    def _best_of_all(self, scores: FloatArray, want: int) -> IntArray:
        take = 64 * want
        while take < self._count:
            near = np.argpartition(scores, self._count - take)[self._count - take :]
            best = self._best(near, scores[near], want, float(scores[near].min()))
            if best is not None:
                return best
            take *= 16
        everything = np.arange(self._count)
        subjects = self._subjects[: self._count]
        best = self._best(everything, scores, min(want, len(np.unique(subjects[subjects >= 0]))))
        return everything[:0] if best is None else best

    def _best(
        self, rows: IntArray, scores: FloatArray, want: int, unseen: float = -np.inf
    ) -> IntArray | None:
        """Sample numbers to compare; None when ``rows`` may lack some.

        Args:
            rows: row numbers.
            scores: their cosines.
            want: subjects to find.
            unseen: no other row scores higher than this.
        """
        alive = self._subjects[rows] >= 0
        rows, scores = rows[alive], scores[alive]
        subjects, owner = np.unique(self._subjects[rows], return_inverse=True)
        if len(subjects) < max(want, 1):
            return None
        top = np.full(len(subjects), -np.inf, np.float32)
        np.maximum.at(top, owner, scores)
        cut = float(np.partition(top, len(top) - want)[len(top) - want]) - 2 * self._slack
        if unseen >= cut:
            return None
        keep = (scores >= cut) & (scores >= top[owner] - 2 * self._slack)
        return self._samples[rows[keep]]
