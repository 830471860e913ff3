"""A product-quantised copy of the rows that is scanned whole in milliseconds."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray

_VALUES_PER_CODE = 4
_BITS = 4
_TRAINING_ROWS = 20_000
_ADD_ROWS = 65_536
_SEED = 20_240


class CoarseScan:
    """Nearest rows by quantised inner product; follows a growing matrix.

    Args:
        dimension: length of a row.
        threads: of adding rows and of a batch of queries; learning and one query take one thread.
    """

    def __init__(self, dimension: int, threads: int) -> None:
        self._dimension = dimension
        self._threads = threads
        self._index: Any = None
        self._trained_on = 0

    @property
    def fits(self) -> bool:
        """True when rows of this length can be quantised."""
        return self._dimension % _VALUES_PER_CODE == 0

    def follow(self, rows: NDArray[np.float16]) -> None:
        """Take in the rows that were appended; learn anew when they have doubled since learning.

        Args:
            rows: (N, D) all rows so far; those given before must not have changed.
        """
        import faiss

        if self._index is not None and self._index.ntotal == len(rows):
            return
        before = faiss.omp_get_max_threads()
        try:
            if self._index is None or len(rows) > 2 * self._trained_on:
                # Learning has thousands of short parallel steps: on a busy machine one thread is much faster.
                faiss.omp_set_num_threads(1)
                self._learn(rows)
            faiss.omp_set_num_threads(self._threads)
            for start in range(self._index.ntotal, len(rows), _ADD_ROWS):
                self._index.add(rows[start : start + _ADD_ROWS].astype(np.float32))
        finally:
            faiss.omp_set_num_threads(before)

    def _learn(self, rows: NDArray[np.float16]) -> None:
        import faiss

        chosen = np.random.default_rng(_SEED).choice(len(rows), min(len(rows), _TRAINING_ROWS), replace=False)
        self._index = faiss.IndexPQFastScan(
            self._dimension, self._dimension // _VALUES_PER_CODE, _BITS, faiss.METRIC_INNER_PRODUCT
        )
        self._index.train(rows[np.sort(chosen)].astype(np.float32))
        self._trained_on = len(rows)

    def search(self, queries: FloatArray, k: int) -> list[NDArray[np.int64]]:
        """For each of (Q, D) queries the numbers of about the ``k`` nearest rows."""
        import faiss

        if len(queries) == 0:
            return []
        before = faiss.omp_get_max_threads()
        # Threads share queries, not rows: a second one would only spin beside a single query.
        faiss.omp_set_num_threads(min(self._threads, len(queries)))
        try:
            near = self._index.search(np.ascontiguousarray(queries), min(k, self._index.ntotal))[1]
        finally:
            faiss.omp_set_num_threads(before)
        return [row[row >= 0] for row in near]
