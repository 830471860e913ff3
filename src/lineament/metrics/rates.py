"""Intervals of error rates at fixed thresholds, by resampling subjects."""

from collections.abc import Iterator, Sequence

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
    rates = _rate_replicates(errors, subject_a, subject_b, plan)
    return [percentile_interval(row) if len(row) else Interval(0.0, 1.0) for row in rates]


def bootstrap_cross_rates(
    errors: Sequence[tuple[NDArray[np.integer], NDArray[np.integer]]],
    rows: NDArray[np.integer],
    columns: NDArray[np.integer],
    plan: Resampling,
) -> NDArray[np.float64]:
    """Rates over all comparisons of a sample of ``rows`` with one of ``columns`` of another subject, resampled.

    Only the errors are listed, so that millions of comparisons can be resampled. Weights as in
    :func:`bootstrap_rates`.

    Args:
        errors: for each kind, the subjects of the rows' and of the columns' samples of the comparisons that are
            errors.
        rows: (S,) number of samples of each subject on one side.
        columns: (S,) number of samples of each subject on the other side.
        plan: number of replicates and seed.

    Returns: (K, B) rate of each kind in each replicate, all from the same draws; replicates without any comparison
        are left out.

    Raises:
        ValueError: counts of different length, or an error that is a mated comparison.
    """
    if rows.shape != columns.shape or any(np.any(a == b) for a, b in errors):
        raise ValueError(
            f"expected counts for the same subjects and non-mated errors, got {rows.shape} and {columns.shape}"
        )
    blocks = []
    for counts in _draws(len(rows), plan):
        total = (counts @ rows) * (counts @ columns) - counts**2 @ (rows * columns)
        wrong = np.stack([_weights(counts, a, b) for a, b in errors])
        blocks.append(wrong[:, total > 0] / total[total > 0])
    return np.concatenate(blocks, axis=1)


def bootstrap_rate_difference(
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    subject_a: NDArray[np.integer],
    subject_b: NDArray[np.integer],
    plan: Resampling,
) -> Interval:
    """Interval of ``rate of first - rate of second``, two kinds of error of the same comparisons.

    Args:
        first: (P,) True for an error of the first system.
        second: (P,) True for one of the second.
        subject_a: (P,) subject of the first sample.
        subject_b: (P,) subject of the second sample; equal for all comparisons, or for none.
        plan: number of replicates and seed.

    Raises:
        ValueError: no comparison, or mated and non-mated ones together.
    """
    rates = _rate_replicates([first, second], subject_a, subject_b, plan)
    return percentile_interval(rates[0] - rates[1]) if rates.size else Interval(-1.0, 1.0)


def _rate_replicates(
    errors: Sequence[NDArray[np.bool_]],
    subject_a: NDArray[np.integer],
    subject_b: NDArray[np.integer],
    plan: Resampling,
) -> NDArray[np.float64]:
    """(K, B) fraction of errors in each replicate that has any weight."""
    mated = subject_a == subject_b
    if not len(mated) or mated.any() != mated.all():
        raise ValueError("a rate needs comparisons of one kind, mated or non-mated")
    subjects, numbers = np.unique(np.stack([subject_a, subject_b]), return_inverse=True)
    a, b = numbers.reshape(2, -1)
    weigh = _mated_weights if mated[0] else _weights
    blocks = []
    for counts in _draws(len(subjects), plan):
        total = weigh(counts, a, b)
        wrong = np.stack([weigh(counts, a[chosen], b[chosen]) for chosen in errors])
        blocks.append(wrong[:, total > 0] / total[total > 0])
    return np.concatenate(blocks, axis=1)


def _draws(n_subjects: int, plan: Resampling) -> Iterator[NDArray[np.float64]]:
    """(R, S) how often each subject is drawn, a block of replicates at a time."""
    rng = np.random.default_rng(plan.seed)
    for start in range(0, plan.replicates, _BLOCK_REPLICATES):
        size = min(_BLOCK_REPLICATES, plan.replicates - start)
        yield rng.multinomial(n_subjects, np.full(n_subjects, 1 / n_subjects), size=size).astype(np.float64)


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
