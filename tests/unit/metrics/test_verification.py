import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from lineament.metrics import verification as v

MATED = np.array([0.9, 0.8, 0.7, 0.55, 0.4])
NONMATED = np.array([0.6, 0.5, 0.3, 0.2, 0.1, 0.05, 0.0, -0.1, -0.2, -0.3])

coarse_scores = st.lists(st.integers(-20, 20), min_size=1, max_size=60).map(lambda xs: np.array(xs) / 20)
rates = st.one_of(st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.7, 1.0]), st.floats(0, 1))


def slow_threshold(observed, nonmated, rate):
    fits = [t for t in [*observed, math.inf] if sum(s >= t for s in nonmated) / len(nonmated) <= rate]
    return min(fits)


@pytest.mark.parametrize(("far", "threshold", "tar"), [(0.1, 0.55, 0.8), (0.2, 0.4, 1.0)])
def test_tar_at_far_of_the_toy_lists(far, threshold, tar):
    point = v.tar_at_far_protocol(MATED, NONMATED, far)
    assert (point.threshold, point.tar) == (threshold, pytest.approx(tar))
    assert point.false_matches <= far * 10


def test_rates_count_the_threshold_as_a_match():
    assert v.fmr(NONMATED, 0.5) == 0.2
    assert v.fnmr(MATED, 0.55) == 0.2
    assert v.fmr(NONMATED, math.inf) == 0.0


def test_the_equal_error_rate_of_the_toy_lists():
    assert v.eer(MATED, NONMATED) == pytest.approx(0.2)
    assert v.eer_point(MATED, NONMATED).threshold == 0.5


@given(coarse_scores, coarse_scores)
def test_the_equal_error_point_is_the_best_of_all_observed_thresholds(mated, nonmated):
    def gap(t):
        return abs(v.fmr(nonmated, t) - v.fnmr(mated, t))

    observed = [*mated, *nonmated, math.inf]
    point = v.eer_point(mated, nonmated)
    assert point.threshold in observed
    assert gap(point.threshold) == pytest.approx(min(map(gap, observed)), abs=1e-12)


@given(coarse_scores, rates)
def test_the_threshold_is_the_smallest_that_keeps_the_rate(nonmated, rate):
    assert v.threshold_at_fmr(nonmated, rate) == slow_threshold(nonmated, nonmated, rate)


@given(coarse_scores, coarse_scores, st.floats(0.001, 1))
def test_a_protocol_point_uses_the_scores_of_both_lists(mated, nonmated, rate):
    if rate < 1 / len(nonmated):
        with pytest.raises(ValueError, match="not measurable"):
            v.tar_at_far_protocol(mated, nonmated, rate)
        return
    point = v.tar_at_far_protocol(mated, nonmated, rate)
    assert point.threshold == slow_threshold([*mated, *nonmated], nonmated, rate)
    assert point.fmr <= rate
    assert point.fnmr == sum(s < point.threshold for s in mated) / len(mated)


@given(st.integers(1, 400), st.integers(0, 400))
def test_allowed_errors_is_exact_at_every_fraction(total, count):
    rate = min(count / total, 1.0)
    assert v.allowed_errors(rate, total) == min(count, total)
    if rate < 1:
        assert v.allowed_errors(math.nextafter(rate, -1) if rate else 0.0, total) == max(
            min(count, total) - 1, 0
        )


def test_a_rate_that_the_counts_cannot_support_is_refused_with_the_number_needed():
    with pytest.raises(ValueError, match=r"at least 10,000 non-mated .* got 9,999"):
        v.fnmr_at_fmr(MATED, np.zeros(9999), 1e-3)
    assert v.fnmr_at_fmr(MATED, np.linspace(-1, 0, 10_000), 1e-3).false_matches == 10


@pytest.mark.parametrize("bad", [np.zeros(0), np.zeros((2, 2)), np.array([0.1, np.nan]), np.array([np.inf])])
def test_scores_that_cannot_be_counted_are_refused(bad):
    with pytest.raises(ValueError, match="non-mated scores must be"):
        v.fmr(bad, 0.5)


@given(coarse_scores, coarse_scores)
def test_area_agrees_with_scikit_learn(mated, nonmated):
    truth = np.repeat([1, 0], [len(mated), len(nonmated)])
    expected = roc_auc_score(truth, np.concatenate([mated, nonmated]))
    assert v.auc(mated, nonmated) == pytest.approx(expected, abs=1e-12)


@given(coarse_scores, coarse_scores)
def test_curve_agrees_with_scikit_learn(mated, nonmated):
    truth = np.repeat([1, 0], [len(mated), len(nonmated)])
    far, tar, thresholds = roc_curve(truth, np.concatenate([mated, nonmated]), drop_intermediate=False)
    curve = v.roc(mated, nonmated)
    np.testing.assert_allclose(curve.thresholds[::-1], thresholds)
    np.testing.assert_allclose(curve.fmr[::-1], far)
    np.testing.assert_allclose(1 - curve.fnmr[::-1], tar)


def test_a_thinned_curve_stays_exact_and_keeps_both_ends():
    rng = np.random.default_rng(0)
    mated, nonmated = rng.normal(1, 1, 50_000), rng.normal(0, 1, 80_000)
    curve = v.roc(mated, nonmated, max_points=400)
    assert 200 < len(curve.thresholds) <= 401
    for i in (0, 1, 57, -2, -1):
        assert curve.fmr[i] == v.fmr(nonmated, curve.thresholds[i])
        assert curve.fnmr[i] == v.fnmr(mated, curve.thresholds[i])
    assert np.any(curve.fmr == 1 / 80_000)
    assert (curve.fmr[0], curve.fnmr[-1]) == (1.0, 1.0)
