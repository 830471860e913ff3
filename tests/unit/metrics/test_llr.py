import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from lineament.metrics import llr as m

few_scores = st.lists(st.integers(0, 8), min_size=1, max_size=15).map(lambda v: np.array(v) / 4)


def normal_scores(seed=0, n=400, separation=2.0):
    """Similarities whose true log-likelihood ratio is separation * (score - separation / 2)."""
    rng = np.random.default_rng(seed)
    return rng.normal(separation, 1, n), rng.normal(0, 1, 3 * n)


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=8), st.lists(st.floats(-9, 9), min_size=1, max_size=8))
def test_cost_equals_the_sum_of_the_paper(same, different):
    costs = sum(math.log2(1 + math.exp(-x)) for x in same) / len(same)
    costs += sum(math.log2(1 + math.exp(x)) for x in different) / len(different)
    assert m.cllr(np.array(same), np.array(different)) == pytest.approx(costs / 2)


def test_cost_of_known_ratios():
    assert m.cllr(np.zeros(3), np.zeros(5)) == 1
    assert m.cllr(np.array([math.inf]), np.array([-math.inf])) == 0
    assert m.cllr(np.array([-math.inf]), np.array([-1.0])) == math.inf
    assert m.cllr(np.array([math.log(3)]), np.array([math.log(3)])) == pytest.approx(
        (math.log2(4 / 3) + 2) / 2
    )


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(1, 4)), min_size=1, max_size=30))
def test_isotonic_means_equal_scikit_learn(rows):
    values, weights = np.array(rows, float).T
    expected = IsotonicRegression().fit_transform(np.arange(len(rows)), values, sample_weight=weights)
    assert m.isotonic_means(values, weights) == pytest.approx(expected, abs=1e-12)


def slow_pav(values, weights):
    """Pool one pair of neighbours at a time."""
    blocks = [[v, w, 1] for v, w in zip(values, weights, strict=True)]
    i = 0
    while i + 1 < len(blocks):
        (v1, w1, n1), (v2, w2, n2) = blocks[i], blocks[i + 1]
        if v1 > v2:
            blocks[i : i + 2] = [[(v1 * w1 + v2 * w2) / (w1 + w2), w1 + w2, n1 + n2]]
            i = max(i - 1, 0)
        else:
            i += 1
    return [v for v, _, n in blocks for _ in range(n)]


@given(st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_isotonic_means_equal_pooling_one_pair_at_a_time(n, seed):
    rng = np.random.default_rng(seed)
    values, weights = rng.normal(size=n) + np.linspace(0, 1, n), rng.uniform(0.5, 3, n)
    assert m.isotonic_means(values, weights) == pytest.approx(slow_pav(values, weights), abs=1e-12)


@settings(deadline=None)
@given(few_scores, few_scores)
def test_pav_ratios_equal_scikit_learn(same, different):
    scores, target = np.concatenate([same, different]), np.repeat([1, 0], [len(same), len(different)])
    posterior = IsotonicRegression(y_min=0, y_max=1).fit(scores, target).predict(scores)
    with np.errstate(divide="ignore"):
        expected = np.log(posterior) - np.log(1 - posterior) - math.log(len(same) / len(different))
    got = m.pav_ratios(same, different)
    assert np.concatenate([got.mated, got.nonmated]) == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(few_scores, few_scores)
def test_least_cost_is_reached_by_no_other_monotone_calibration(same, different):
    least = m.min_cllr(same, different)
    assert 0 <= least <= 1 + 1e-12
    for slope, offset in ((1.0, 0.0), (3.0, -2.0), (0.2, 0.1)):
        assert least <= m.cllr(slope * same + offset, slope * different + offset) + 1e-12
    assert m.min_cllr(np.exp(same), np.exp(different)) == pytest.approx(least)


def test_separated_scores_cost_nothing_and_equal_ones_everything():
    assert m.min_cllr(np.array([0.8, 0.9]), np.array([0.1, 0.2])) == 0
    assert m.min_cllr(np.array([0.5, 0.5]), np.array([0.5])) == pytest.approx(1)


def test_line_equals_scikit_learn():
    same, different = normal_scores()
    got = m.fit_affine(same, different)
    scores = np.concatenate([same, different])[:, None]
    target = np.repeat([1, 0], [len(same), len(different)])
    model = LogisticRegression(C=1e9, class_weight="balanced", tol=1e-10, max_iter=1000).fit(scores, target)
    assert got.slope == pytest.approx(model.coef_[0, 0], rel=1e-4)
    assert got.offset == pytest.approx(model.intercept_[0], rel=1e-4)
    assert got.slope == pytest.approx(2, rel=0.15)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-2, 4), st.floats(0.01, 100), st.floats(-50, 50))
def test_line_has_the_least_cost_of_all_lines_on_any_scale(seed, separation, scale, shift):
    same, different = normal_scores(seed, 40, separation)
    same, different = scale * same + shift, scale * different + shift
    if same.min() >= different.max() or same.max() <= different.min():
        return
    line = m.fit_affine(same, different)
    cost = m.cllr(line(same), line(different))
    for slope in (0.97, 1.03):
        for offset in (-0.03, 0.0, 0.03):
            other = m.AffineCalibration(line.slope * slope, line.offset + offset)
            assert cost <= m.cllr(other(same), other(different)) + 1e-12
    if line.slope > 0:  # a falling line of reversed scores is no monotone calibration
        assert m.min_cllr(same, different) <= cost + 1e-12
    assert cost <= 1 + 1e-12


def test_smoothed_line_equals_scikit_learn_with_each_comparison_counted_both_ways():
    same, different = np.array([0.7, 0.8, 0.9]), np.array([0.1, 0.2, 0.3, 0.25, 0.15])
    got = m.fit_affine_smoothed(same, different)
    scores = np.tile(np.concatenate([same, different]), 2)[:, None]
    hit = np.repeat([4 / 5, 1 / 7], [3, 5])
    share = np.repeat([0.5 / 3, 0.5 / 5], [3, 5])
    weights = np.concatenate([hit * share, (1 - hit) * share])
    model = LogisticRegression(C=1e9, tol=1e-12, max_iter=10_000)
    model.fit(scores, np.repeat([1, 0], 8), sample_weight=weights)
    assert got.slope == pytest.approx(model.coef_[0, 0], rel=1e-3)
    assert got.offset == pytest.approx(model.intercept_[0], rel=1e-3)


def test_smoothing_vanishes_with_the_number_of_comparisons():
    same, different = normal_scores(n=20_000)
    plain, smoothed = m.fit_affine(same, different), m.fit_affine_smoothed(same, different)
    assert smoothed.slope == pytest.approx(plain.slope, rel=2e-3)
    assert smoothed.slope < plain.slope


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="without NaN"):
        m.cllr(np.array([np.nan]), np.zeros(2))
    with pytest.raises(ValueError, match="overlap"):
        m.fit_affine(np.array([0.8, 0.9]), np.array([0.1, 0.8]))
    with pytest.raises(ValueError, match="scores that differ"):
        m.fit_affine_smoothed(np.full(3, 0.5), np.full(2, 0.5))
    with pytest.raises(ValueError, match="finite"):
        m.min_cllr(np.array([np.inf]), np.zeros(2))
