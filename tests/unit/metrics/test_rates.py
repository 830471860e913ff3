"""Resampled rates against a slow weighting of every comparison."""

import numpy as np
import pytest
from numpy.typing import NDArray

from lineament.metrics.bootstrap import Interval, Resampling, percentile_interval
from lineament.metrics.rates import bootstrap_rates

PLAN = Resampling(150, seed=9)


def slow(errors: NDArray[np.bool_], a: NDArray[np.int64], b: NDArray[np.int64], n: int) -> Interval:
    """The same draws, weighed pair by pair."""
    rng = np.random.default_rng(PLAN.seed)
    rates = []
    for _ in range(3):
        for counts in rng.multinomial(n, np.full(n, 1 / n), size=50):
            weights = [counts[x] if x == y else counts[x] * counts[y] for x, y in zip(a, b, strict=True)]
            if sum(weights):
                rates.append(sum(w for w, e in zip(weights, errors, strict=True) if e) / sum(weights))
    return percentile_interval(np.array(rates))


@pytest.mark.parametrize(("n", "n_pairs"), [(6, 40), (30, 60)])  # a table of all pairs, and the list itself
def test_intervals_equal_a_slow_weighting(n: int, n_pairs: int) -> None:
    rng = np.random.default_rng(n)
    a = rng.permutation(np.resize(np.arange(n), n_pairs))
    b = (a + rng.integers(1, n, n_pairs)) % n
    errors = rng.random(n_pairs) < 0.3
    for second in (a, b):
        kinds = [errors, ~errors, np.zeros_like(errors)]
        for found, kind in zip(bootstrap_rates(kinds, a, second, PLAN), kinds, strict=True):
            expected = slow(kind, a, second, n)
            assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_numbers_of_subjects_do_not_matter() -> None:
    a, b = np.array([0, 1, 2]), np.array([1, 2, 0])
    errors = np.array([True, False, False])
    assert bootstrap_rates([errors], a, b, PLAN) == bootstrap_rates([errors], a * 7 + 5, b * 7 + 5, PLAN)


def test_mixed_or_missing_comparisons_are_refused() -> None:
    with pytest.raises(ValueError, match="one kind"):
        bootstrap_rates([np.array([True, False])], np.array([0, 1]), np.array([0, 2]), PLAN)
    with pytest.raises(ValueError, match="one kind"):
        bootstrap_rates([np.zeros(0, bool)], np.zeros(0, int), np.zeros(0, int), PLAN)
