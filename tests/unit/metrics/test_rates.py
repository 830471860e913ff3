"""Resampled rates against a slow weighting of every comparison."""

import numpy as np
import pytest
from numpy.typing import NDArray

from lineament.metrics.bootstrap import Interval, Resampling, percentile_interval
from lineament.metrics.rates import bootstrap_cross_rates, bootstrap_rate_difference, bootstrap_rates

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


def test_the_difference_of_two_rates_equals_a_slow_weighting() -> None:
    rng = np.random.default_rng(3)
    a = rng.permutation(np.resize(np.arange(12), 50))
    b = (a + rng.integers(1, 12, 50)) % 12
    first, second = rng.random(50) < 0.4, rng.random(50) < 0.2
    draws = np.random.default_rng(PLAN.seed)
    differences = []
    for _ in range(3):
        for counts in draws.multinomial(12, np.full(12, 1 / 12), size=50):
            weights = counts[a] * counts[b]
            if weights.sum():
                differences.append((weights @ first - weights @ second) / weights.sum())
    expected = percentile_interval(np.array(differences))
    found = bootstrap_rate_difference(first, second, a, b, PLAN)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    alike = bootstrap_rate_difference(first, first, a, b, PLAN)
    assert (alike.low, alike.high) == (0, 0)


def test_rates_of_all_crossed_comparisons_equal_a_slow_weighting() -> None:
    rng = np.random.default_rng(4)
    n = 7
    rows, columns = rng.integers(0, n, 11), rng.integers(0, n, 16)
    similar = rng.random((2, 11, 16)) < 0.3
    apart = rows[:, None] != columns
    errors = []
    for one in similar:
        i, j = np.nonzero(one & apart)
        errors.append((rows[i], columns[j]))
    found = bootstrap_cross_rates(
        errors, np.bincount(rows, minlength=n), np.bincount(columns, minlength=n), PLAN
    )
    draws = np.random.default_rng(PLAN.seed)
    expected = []
    for _ in range(3):
        for counts in draws.multinomial(n, np.full(n, 1 / n), size=50):
            weight = np.where(apart, counts[rows][:, None] * counts[columns], 0)
            if weight.sum():
                expected.append([(weight * one).sum() / weight.sum() for one in similar])
    assert found == pytest.approx(np.array(expected).T)


def test_crossed_comparisons_of_one_subject_are_no_false_matches() -> None:
    counts = np.ones(3, np.int64)
    with pytest.raises(ValueError, match="non-mated errors"):
        bootstrap_cross_rates([(np.array([1]), np.array([1]))], counts, counts, PLAN)
    with pytest.raises(ValueError, match="same subjects"):
        bootstrap_cross_rates([], counts, np.ones(4, np.int64), PLAN)
