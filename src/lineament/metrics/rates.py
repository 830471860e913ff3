"""The interval of an error rate at a fixed threshold, by resampling subjects."""

import numpy as np
from numpy.typing import NDArray

from lineament.metrics.bootstrap import Interval, Resampling, percentile_interval

_BLOCK_REPLICATES = 50


def bootstrap_rate(
    errors: NDArray[np.bool_],
    subject_a: NDArray[np.integer],
    subject_b: NDArray[np.integer],
    plan: Resampling,
) -> Interval:
    """Interval of the fraction of comparisons that are errors.

    Weights are those of :func:`lineament.metrics.bootstrap.bootstrap_fnmr_at_fmr`: a subject drawn n times lends
    mated comparisons the weight n, and a comparison of two subjects weighs n_a * n_b. Replicates without any weight
    say nothing and are left out.

    Args:
        errors: (P,) True for an error.
        subject_a: (P,) subject of the first sample.
        subject_b: (P,) subject of the second sample; equal for all comparisons, or for none.
        plan: number of replicates and seed.

    Raises:
        ValueError: no comparison, or mated and non-mated ones together.
    """
    mated = subject_a == subject_b
    if not len(errors) or mated.any() != mated.all():
        raise ValueError("a rate needs comparisons of one kind, mated or non-mated")
    subjects, numbers = np.unique(np.stack([subject_a, subject_b]), return_inverse=True)
    a, b = numbers.reshape(2, -1)
    n = len(subjects)
    rng = np.random.default_rng(plan.seed)
    rates: list[NDArray[np.float64]] = []
    for start in range(0, plan.replicates, _BLOCK_REPLICATES):
        size = min(_BLOCK_REPLICATES, plan.replicates - start)
        counts = rng.multinomial(n, np.full(n, 1 / n), size=size).astype(np.float64)
        if mated[0]:
            wrong = counts @ np.bincount(a[errors], minlength=n)
            total = counts @ np.bincount(a, minlength=n)
        else:
            wrong, total = _weights(counts, a[errors], b[errors]), _weights(counts, a, b)
        rates.append(wrong[total > 0] / total[total > 0])
    known = np.concatenate(rates)
    return percentile_interval(known) if len(known) else Interval(0.0, 1.0)


def _weights(
    counts: NDArray[np.float64], a: NDArray[np.integer], b: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Sum of n_a * n_b over the comparisons, for each row of counts (R, S)."""
    n = counts.shape[1]
    if n * n > 4 * len(a):
        return np.array([row[a] @ row[b] for row in counts])
    table = np.bincount(a * n + b, minlength=n * n).reshape(n, n).astype(np.float64)
    return np.asarray(np.einsum("rs,rs->r", counts @ table, counts))
