"""One template of a subject from several samples, to which no single sample may add much.

Huber's estimate of location (Huber, "Robust estimation of a location parameter", Annals of Mathematical
Statistics 1964) on unit vectors: a sample farther from the centre than the median distance pulls only as hard as
one at that distance. Up to half of the samples may be of somebody else before the template leaves the subject.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray
from lineament.core.errors import SubjectNotFound
from lineament.gallery.store import Store

_ROUNDS = 50
_SETTLED = 1e-7
_WEIGHT_LIMITS = (0.5, 2.0)


@dataclass(frozen=True, slots=True, eq=False)
class SubjectTemplate:
    """A subject's samples as one vector.

    Attributes:
        vector: (D,) float32 of unit length.
        sample_ids: the N samples that it was made from, oldest first.
        shares: (N,) float64, how much each sample adds; they sum to one.
        agreement: (N,) float64 in [-1, 1], cosine of each sample to the template of the others; 1 for a single one.
    """

    vector: FloatArray
    sample_ids: tuple[str, ...]
    shares: NDArray[np.float64]
    agreement: NDArray[np.float64]


def fuse(
    sample_ids: Sequence[str], vectors: FloatArray, qualities: Sequence[float | None] | None = None
) -> SubjectTemplate:
    """The robust template of one subject.

    Args:
        sample_ids: of the N samples, at least one.
        vectors: (N, D) float32, any length but zero.
        qualities: of the N samples, higher is better. A sample weighs its quality over the median quality, but
            never less than half or more than twice as much as a sample of median quality. None, and the quality
            of a sample that has none or less than zero, weighs one.
    """
    if len(vectors) != len(sample_ids) or not len(sample_ids):
        raise ValueError(f"expected a vector for each of at least one sample, got {len(vectors)}")
    points = vectors.astype(np.float64)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    pulls = weights = _weights(qualities, len(points))
    centre = weights @ points / weights.sum()
    for _ in range(_ROUNDS):
        distances = np.linalg.norm(points - centre, axis=1)
        reach = max(float(np.median(distances)), _SETTLED)
        pulls = weights * np.minimum(1.0, reach / np.maximum(distances, _SETTLED))
        moved = pulls @ points / pulls.sum()
        if np.linalg.norm(moved - centre) < _SETTLED:
            break
        centre = moved
    total = pulls @ points
    others = total - pulls[:, None] * points
    lengths = np.linalg.norm(others, axis=1)
    agreement = (others * points).sum(1) / np.maximum(lengths, _SETTLED)
    if len(points) == 1:
        agreement = np.ones(1)
    vector = (total / np.linalg.norm(total)).astype(np.float32)
    return SubjectTemplate(vector, tuple(sample_ids), pulls / pulls.sum(), np.clip(agreement, -1.0, 1.0))


def _weights(qualities: Sequence[float | None] | None, count: int) -> NDArray[np.float64]:
    known = [q for q in qualities or () if q is not None and q > 0]
    if not known or qualities is None:
        return np.ones(count)
    middle = float(np.median(known))
    ratios = [1.0 if q is None or q < 0 else q / middle for q in qualities]
    return np.clip(ratios, *_WEIGHT_LIMITS)


@dataclass(frozen=True, slots=True, eq=False)
class SubjectSamples:
    """The samples of a subject that a search can find, oldest first.

    Attributes:
        sample_ids: of the N samples, at least one.
        vectors: (N, D) float32 of unit length.
        qualities: of the N samples; None for one that has none.
    """

    sample_ids: tuple[str, ...]
    vectors: FloatArray
    qualities: tuple[float | None, ...]

    def template(self) -> SubjectTemplate:
        """All samples as one vector; see :func:`fuse`."""
        return fuse(self.sample_ids, self.vectors, self.qualities)


def searched_samples(store: Store, subject_id: str) -> SubjectSamples:
    """The samples of a subject that a search can find.

    Raises:
        SubjectNotFound: there is no such subject, or none of its samples is searched.
    """
    found = store.connection.execute(
        "SELECT s.name, t.vector, s.uid, s.quality FROM samples s JOIN templates t ON t.sample = s.id "
        "WHERE s.subject = ? AND s.state = 'active' ORDER BY s.id",
        (store.subject(subject_id),),
    ).fetchall()
    if not found:
        raise SubjectNotFound(f"no sample of {subject_id!r} is searched; release or approve one first")
    return SubjectSamples(
        tuple(store.codec.open_name(row[0], "sample") for row in found),
        np.stack([store.vector(blob, uid) for _, blob, uid, _ in found]),
        tuple(row[3] for row in found),
    )
