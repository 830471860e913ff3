import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineament.metrics.lfw import accuracy_at, best_threshold, fold_accuracy


def count_right(scores, mated, threshold):
    return int(np.sum((scores >= threshold) == mated))


pairs = st.lists(st.tuples(st.integers(-20, 20), st.booleans()), min_size=1, max_size=40)


@given(pairs)
def test_the_threshold_is_the_mean_that_a_fine_grid_gives(drawn):
    scores, mated = np.array([s for s, _ in drawn]) / 20, np.array([m for _, m in drawn])
    grid = (np.arange(scores.min() * 20000, scores.max() * 20000) + 0.5) / 20000
    right = ((scores[None] >= grid[:, None]) == mated).sum(axis=1) if len(grid) else np.zeros(0)
    outside = max(count_right(scores, mated, scores.min()), count_right(scores, mated, math.inf))
    if len(grid) and right.max() >= outside:
        assert best_threshold(scores, mated) == pytest.approx(grid[right == right.max()].mean(), abs=1e-4)


def test_extremes_match_everything_or_nothing():
    scores = np.array([0.1, 0.2, 0.3])
    assert best_threshold(scores, np.array([True, True, True])) == 0.1
    assert best_threshold(scores, np.array([False, False, False])) == math.inf


def test_folds_are_judged_at_the_threshold_of_the_other_folds():
    scores = np.array([0.8, 0.2, 0.6, 0.0])
    mated = np.array([True, False, True, False])
    result = fold_accuracy(scores, mated, np.array([0, 0, 1, 1], np.int32))
    assert result.fold_thresholds == (pytest.approx(0.3), pytest.approx(0.5))
    assert result.fold_accuracies == (1.0, 1.0)
    assert (result.accuracy, result.standard_error) == (1.0, 0.0)


def test_the_spread_is_the_standard_error_of_the_mean():
    rng = np.random.default_rng(3)
    mated = np.tile(np.repeat([True, False], 30), 10)
    scores = rng.normal(mated * 1.5, 1.0)
    folds = np.repeat(np.arange(10, dtype=np.int32), 60)
    result = fold_accuracy(scores, mated, folds)
    again = [
        count_right(
            scores[folds == k], mated[folds == k], best_threshold(scores[folds != k], mated[folds != k])
        )
        / 60
        for k in range(10)
    ]
    assert result.fold_accuracies == pytest.approx(again)
    assert result.standard_error == pytest.approx(np.std(again, ddof=1) / np.sqrt(10))
    assert 0.65 < result.accuracy < 0.9


def test_random_scores_are_right_half_of_the_time():
    rng = np.random.default_rng(5)
    mated = np.tile([True, False], 3000)
    result = fold_accuracy(rng.normal(size=6000), mated, np.repeat(np.arange(10, dtype=np.int32), 600))
    assert abs(result.accuracy - 0.5) < 0.03


def test_pairs_that_were_not_compared_never_match():
    scores, mated = np.array([-math.inf, -math.inf]), np.array([True, False])
    assert accuracy_at(scores, mated, np.array([0, 1], np.int32), (-1.0, -1.0)) == (0.0, 1.0)


@pytest.mark.parametrize("folds", [[0, 0], [0, 2]])
def test_missing_folds_are_refused(folds):
    with pytest.raises(ValueError, match="none empty"):
        fold_accuracy(np.array([0.1, 0.2]), np.array([True, False]), np.array(folds, np.int32))
