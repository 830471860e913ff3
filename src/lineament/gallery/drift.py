"""How two embedding spaces judge the same samples: the report to read before a gallery is switched."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray

_MAX_SAMPLES = 4000
_MAX_LISTED = 100
_SEED = 7


@dataclass(frozen=True, slots=True)
class SpaceFigures:
    """One space on the samples that both hold.

    Attributes:
        space: its id.
        mated_mean: mean cosine of two samples of one subject; NaN without such pairs, like the next.
        mated_low: 5th percentile of these.
        other_mean: mean cosine of two samples of different subjects; NaN without such pairs, like the next.
        other_high: 99.9th percentile of these.
        first: of the samples that have another one of their subject, the fraction whose nearest other sample is of
            their own subject; NaN when there is none.
    """

    space: str
    mated_mean: float
    mated_low: float
    other_mean: float
    other_high: float
    first: float


@dataclass(frozen=True, slots=True)
class DriftReport:
    """The present space and the new one, on samples that have a template in both.

    Similarities of two spaces cannot be compared with each other, and a threshold of one means nothing in the
    other: compare how far mated and other pairs are apart in each, and look at the samples that changed.

    Attributes:
        samples: how many were compared, at most 4000, drawn with a fixed seed.
        subjects: of how many subjects.
        old: the present space.
        new: the other one.
        changed: (sample id, subject of its nearest other sample in the old space, in the new one), of those where
            these differ; at most 100.
        changes: how many differ.
    """

    samples: int
    subjects: int
    old: SpaceFigures
    new: SpaceFigures
    changed: tuple[tuple[str, str, str], ...]
    changes: int


@dataclass(frozen=True, slots=True, eq=False)
class SpaceTemplates:
    """N templates of one space.

    Attributes:
        space: its id.
        vectors: (N, D) float32, any length but zero.
    """

    space: str
    vectors: FloatArray


def drift(
    sample_ids: list[str], subject_ids: list[str], old: SpaceTemplates, new: SpaceTemplates
) -> DriftReport:
    """Compare two spaces on N samples.

    Args:
        sample_ids: of the N samples.
        subject_ids: whose they are.
        old: their templates in the present space.
        new: their templates in the other space, in the same order.
    """
    count = len(sample_ids)
    kept = np.arange(count)
    if count > _MAX_SAMPLES:
        kept = np.sort(np.random.default_rng(_SEED).choice(count, _MAX_SAMPLES, replace=False))
    names, owners = np.unique([subject_ids[i] for i in kept], return_inverse=True)
    before, first_before = _judge(old.space, old.vectors[kept], owners)
    after, first_after = _judge(new.space, new.vectors[kept], owners)
    moved = np.flatnonzero(first_before != first_after)
    changed = tuple(
        (sample_ids[kept[i]], str(names[first_before[i]]), str(names[first_after[i]]))
        for i in moved[:_MAX_LISTED]
    )
    return DriftReport(len(kept), len(names), before, after, changed, len(moved))


def _judge(
    space: str, vectors: FloatArray, owners: NDArray[np.int64]
) -> tuple[SpaceFigures, NDArray[np.int64]]:
    """The figures of a space, and for each sample the subject of its nearest other sample."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    if len(unit) < 2:
        nan = float("nan")
        return SpaceFigures(space, nan, nan, nan, nan, nan), owners
    cosines = unit @ unit.T
    upper = np.triu_indices(len(unit), 1)
    mated = owners[upper[0]] == owners[upper[1]]
    pairs = cosines[upper]
    np.fill_diagonal(cosines, -np.inf)
    nearest = owners[cosines.argmax(1)]
    has_mate = np.bincount(owners)[owners] > 1
    first = float((nearest[has_mate] == owners[has_mate]).mean()) if has_mate.any() else float("nan")
    return SpaceFigures(space, *_mean_and(pairs[mated], 5.0), *_mean_and(pairs[~mated], 99.9), first), nearest


def _mean_and(values: FloatArray, percentile: float) -> tuple[float, float]:
    if not len(values):
        return float("nan"), float("nan")
    return float(values.mean()), float(np.percentile(values, percentile))
