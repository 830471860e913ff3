"""Agreement of a clustering of faces with their subjects: pairwise and B-cubed precision, recall and F."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import describe

LabelArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well clusters agree with subjects.

    Attributes:
        precision: falls when a cluster holds several subjects.
        recall: falls when a subject is spread over several clusters.
    """

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Harmonic mean of both; 0 when both are."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """Sizes of clusters, of subjects, and of their non-empty intersections."""

    shared: NDArray[np.int64]
    cluster: NDArray[np.int64]
    subject: NDArray[np.int64]


def _table(clusters: LabelArray, subjects: LabelArray) -> _Table:
    if clusters.ndim != 1 or clusters.shape != subjects.shape or clusters.size == 0:
        raise ValueError(
            f"clusters and subjects must be non-empty (N,) arrays, got {describe(clusters)} and {describe(subjects)}"
        )
    _, cluster, cluster_sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    _, subject, subject_sizes = np.unique(subjects, return_inverse=True, return_counts=True)
    cells, shared = np.unique(cluster.astype(np.int64) * len(subject_sizes) + subject, return_counts=True)
    return _Table(
        shared.astype(np.int64),
        cluster_sizes[cells // len(subject_sizes)].astype(np.int64),
        subject_sizes[cells % len(subject_sizes)].astype(np.int64),
    )


def _pairs(sizes: NDArray[np.int64]) -> int:
    return int(np.sum(sizes * (sizes - 1) // 2))


def pairwise_agreement(clusters: LabelArray, subjects: LabelArray) -> Agreement:
    """Precision and recall over pairs of faces: two of one cluster should be of one subject, and the other way round.

    A clustering without any pair makes no mistake (precision 1), and subjects of one face each leave nothing to find
    (recall 1). Memory and time grow with N log N, not with the number of pairs.

    Args:
        clusters: (N,) integer cluster of each face; give every face that belongs to none a number of its own.
        subjects: (N,) integer subject of each face.

    Raises:
        ValueError: arrays of different length, or empty ones.
    """
    table = _table(clusters, subjects)
    right = _pairs(table.shared)
    joined = _pairs(np.unique(clusters, return_counts=True)[1])
    belonging = _pairs(np.unique(subjects, return_counts=True)[1])
    return Agreement(right / joined if joined else 1.0, right / belonging if belonging else 1.0)


def bcubed_agreement(clusters: LabelArray, subjects: LabelArray) -> Agreement:
    """B-cubed precision and recall: means over faces, so that large subjects do not weigh by the square.

    Args:
        clusters: (N,) integer cluster of each face; give every face that belongs to none a number of its own.
        subjects: (N,) integer subject of each face.

    Raises:
        ValueError: arrays of different length, or empty ones.

    Source: A. Bagga, B. Baldwin, Entity-Based Cross-Document Coreferencing Using the Vector Space Model, 1998.
    """
    table = _table(clusters, subjects)
    # Each of the faces in a cell has the cell's share of its cluster and of its subject.
    squares = table.shared.astype(np.float64) ** 2
    return Agreement(
        float(np.sum(squares / table.cluster)) / len(clusters),
        float(np.sum(squares / table.subject)) / len(clusters),
    )
