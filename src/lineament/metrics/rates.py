"""Intervals of error rates at fixed thresholds, by resampling subjects."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lineament.metrics.bootstrap import Interval, Resampling, percentile_interval

_BLOCK_REPLICATES = 50


def bootstrap_rates(
    errors: Sequence[NDArray[np.bool_]],
    subject_a: NDArray[np.integer],
    subject_b: NDArray[np.integer],
    plan: Resampling,
) -> list[Interval]:
    """Intervals of the fraction of comparisons that are errors, for several kinds of error.

    Weights are those of :func:`lineament.metrics.bootstrap.bootstrap_fnmr_at_fmr`: a subject drawn n times lends
    mated comparisons the weight n, and a comparison of two subjects weighs n_a * n_b. Replicates without any weight
    say nothing and are left out.

    Args:
        errors: for each kind, (P,) True for an error.
        subject_a: (P,) subject of the first sample.
        subject_b: (P,) subject of the second sample; equal for all comparisons, or for none.
        plan: number of replicates and seed.

    Returns: an interval for each kind, all from the same draws.

    Raises:
        ValueError: no comparison, or mated and non-mated ones together.
    """
    mated = subject_a == subject_b
    if not len(mated) or mated.any() != mated.all():
        raise ValueError("a rate needs comparisons of one kind, mated or non-mated")
    subjects, numbers = np.unique(np.stack([subject_a, subject_b]), return_inverse=True)
    a, b = numbers.reshape(2, -1)
    n = len(subjects)
    rng = np.random.default_rng(plan.seed)
    blocks = []
    for start in range(0, plan.replicates, _BLOCK_REPLICATES):
        size = min(_BLOCK_REPLICATES, plan.replicates - start)
        counts = rng.multinomial(n, np.full(n, 1 / n), size=size).astype(np.float64)
        weigh = _mated_weights if mated[0] else _weights
        total = weigh(counts, a, b)
        wrong = np.stack([weigh(counts, a[chosen], b[chosen]) for chosen in errors])
        blocks.append(wrong[:, total > 0] / total[total > 0])
    rates = np.concatenate(blocks, axis=1)
    return [percentile_interval(row) if len(row) else Interval(0.0, 1.0) for row in rates]


def _mated_weights(
    counts: NDArray[np.float64], a: NDArray[np.integer], _b: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Sum of n_a over the comparisons, for each row of counts (R, S)."""
    return np.asarray(counts @ np.bincount(a, minlength=counts.shape[1]))


def _weights(
    counts: NDArray[np.float64], a: NDArray[np.integer], b: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Sum of n_a * n_b over the comparisons, for each row of counts (R, S)."""
    n = counts.shape[1]
    if n * n > 4 * len(a):
        return np.array([row[a] @ row[b] for row in counts])
    table = np.bincount(a * n + b, minlength=n * n).reshape(n, n).astype(np.float64)
    return np.asarray(np.einsum("rs,rs->r", counts @ table, counts))
