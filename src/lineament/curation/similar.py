"""Exact similarities of very many vectors, a block of the product at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray, ScoreArray, check_floats
from lineament.core.errors import ConfigError
from lineament.packs import LabelArray

BLOCK = 4096
"""Rows and columns of one product: 64 MiB of similarities."""
MAX_PAIRS = 5_000_000
"""More pairs than people look at; a threshold that lets so many pass is a mistake."""


@dataclass(frozen=True, slots=True, eq=False)
class SimilarPairs:
    """Pairs of rows with their similarity, most similar first.

    Attributes:
        first: (P,) int64 rows of the first array.
        second: (P,) int64 rows of the second array, or of the first one when it is compared with itself.
        similarity: (P,) float32 cosines.
    """

    first: LabelArray
    second: LabelArray
    similarity: FloatArray

    def __len__(self) -> int:
        return len(self.similarity)


def pairs_between(a: FloatArray, b: FloatArray, above: float) -> SimilarPairs:
    """All pairs of a row of ``a`` and a row of ``b`` whose similarity is ``above`` or more.

    Args:
        a: (N, D) float32 unit vectors; a row of zeros is similar to nothing.
        b: (M, D) float32 unit vectors.
        above: cosine in (0, 1].

    Raises:
        ConfigError: more than :data:`MAX_PAIRS` pairs.
    """
    _check(a, b, above)
    return _gather(_blocks(a, b, above, within=False), above)


def pairs_within(a: FloatArray, above: float) -> SimilarPairs:
    """All pairs of two rows of ``a`` whose similarity is ``above`` or more, each pair once and first < second.

    Args:
        a: (N, D) float32 unit vectors; a row of zeros is similar to nothing.
        above: cosine in (0, 1].

    Raises:
        ConfigError: more than :data:`MAX_PAIRS` pairs.
    """
    _check(a, a, above)
    return _gather(_blocks(a, a, above, within=True), above)


_Block = tuple[NDArray[np.intp], NDArray[np.intp], FloatArray]


def _blocks(a: FloatArray, b: FloatArray, above: float, within: bool) -> Iterator[_Block]:
    for top in range(0, len(a), BLOCK):
        for left in range(top if within else 0, len(b), BLOCK):
            product = a[top : top + BLOCK] @ b[left : left + BLOCK].T
            rows, columns = np.nonzero(product >= above)
            if within and left == top:
                upper = rows < columns
                rows, columns = rows[upper], columns[upper]
            yield rows + top, columns + left, product[rows, columns]


def _gather(blocks: Iterator[_Block], above: float) -> SimilarPairs:
    found: list[_Block] = []
    total = 0
    for block in blocks:
        total += len(block[0])
        if total > MAX_PAIRS:
            raise ConfigError(
                f"more than {MAX_PAIRS:,} pairs have a similarity of {above:g} or more; raise the threshold"
            )
        found.append(block)
    if not found:
        return SimilarPairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    first, second, similarity = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((second, first, -similarity))
    return SimilarPairs(first[order], second[order], np.minimum(similarity[order], np.float32(1)))


def _check(a: FloatArray, b: FloatArray, above: float) -> None:
    check_floats(a, (None, None), "a")
    check_floats(b, (None, a.shape[1]), "b")
    if not 0 < above <= 1:
        raise ValueError(f"above must be a cosine in (0, 1], got {above:g}")


def subject_sums(vectors: FloatArray, labels: LabelArray, count: int) -> tuple[ScoreArray, LabelArray]:
    """Sum of the vectors of each subject, and how many there are.

    Args:
        vectors: (N, D) float32 unit vectors.
        labels: (N,) int64; below zero is nobody.
        count: number of subjects.

    Returns: (C, D) float64 and (C,) int64.
    """
    sums = np.zeros((count, vectors.shape[1]))
    for start in range(0, len(vectors), BLOCK):
        part = labels[start : start + BLOCK]
        np.add.at(sums, part[part >= 0], vectors[start : start + BLOCK][part >= 0])
    return sums, np.bincount(labels[labels >= 0], minlength=count).astype(np.int64)


def subject_centres(vectors: FloatArray, labels: LabelArray, count: int) -> FloatArray:
    """Mean direction of each subject.

    Args:
        vectors: (N, D) float32 unit vectors.
        labels: (N,) int64; below zero is nobody.
        count: number of subjects.

    Returns: (C, D) float32 unit vectors; zeros for a subject without vectors.
    """
    sums, _ = subject_sums(vectors, labels, count)
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.asarray(sums / np.where(norms > 0, norms, 1), np.float32)


def similarity_to_own(vectors: FloatArray, labels: LabelArray, count: int) -> FloatArray:
    """Similarity of each vector to the centre of the **other** vectors of its subject (leave-one-out).

    A vector that counts in the centre that it is judged by looks better than it is: by itself alone it would always
    have similarity one.

    Args:
        vectors: (N, D) float32 unit vectors.
        labels: (N,) int64; below zero is nobody.
        count: number of subjects.

    Returns: (N,) float32 cosines; NaN where nothing can be said: no subject, or no other vector of it.
    """
    sums, counts = subject_sums(vectors, labels, count)
    found = np.full(len(vectors), np.nan, np.float32)
    judged = np.flatnonzero(labels >= 0)
    judged = judged[counts[labels[judged]] > 1]
    for start in range(0, len(judged), BLOCK):
        rows = judged[start : start + BLOCK]
        own = vectors[rows].astype(np.float64)
        others = sums[labels[rows]] - own
        norms = np.linalg.norm(others, axis=1)
        found[rows] = np.einsum("nd,nd->n", own, others) / np.where(norms > 1e-9, norms, np.inf)
    return found


def nearest_other(
    vectors: FloatArray, labels: LabelArray, centres: FloatArray
) -> tuple[LabelArray, FloatArray]:
    """The centre of another subject that each vector is most similar to.

    Args:
        vectors: (N, D) float32 unit vectors.
        labels: (N,) int64, own subject, left out of the search; below zero is nobody.
        centres: (C, D) float32 unit vectors; a row of zeros has no subject.

    Returns: (N,) int64 subject, -1 where there is no other; (N,) float32 cosine, -1 there.
    """
    subject, best = np.full(len(vectors), -1), np.full(len(vectors), -1, np.float32)
    empty = np.asarray(~np.any(centres, axis=1), np.bool_)
    for top in range(0, len(vectors), BLOCK):
        for left in range(0, len(centres), BLOCK):
            product = vectors[top : top + BLOCK] @ centres[left : left + BLOCK].T
            product[:, empty[left : left + BLOCK]] = -2
            own = labels[top : top + BLOCK] - left
            inside = np.flatnonzero((own >= 0) & (own < product.shape[1]))
            product[inside, own[inside]] = -2
            place = product.argmax(axis=1)
            value = product[np.arange(len(product)), place]
            better = np.flatnonzero(value > best[top : top + BLOCK])
            best[top + better], subject[top + better] = value[better], left + place[better]
    return subject, best
