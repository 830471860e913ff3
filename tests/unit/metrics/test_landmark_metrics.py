import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineament.metrics import landmarks as m

TRUTH = np.array([[(0, 0), (10, 0), (5, 5), (5, 10)]], np.float32)
FOUND = TRUTH + np.array([(1, 0), (0, 1), (0, 0), (3, 4)], np.float32)
ERRORS = np.array([0.02, 0.03, 0.04, 0.05, 0.10])


def test_golden_errors():
    assert m.nme(FOUND, TRUTH, m.point_distance(TRUTH, [0], [1])) == pytest.approx([0.175])
    assert m.nme(FOUND, TRUTH, m.box_diagonal(TRUTH)) == pytest.approx([0.12374], abs=1e-5)
    assert m.nme(FOUND, TRUTH, m.box_size(TRUTH)) == pytest.approx([0.175])


def test_golden_distribution():
    assert m.auc_at(ERRORS, 0.08) == pytest.approx(0.45, abs=1e-12)
    assert m.failure_rate(ERRORS, 0.08) == 0.2
    assert m.failure_rate(ERRORS, 0.10) == 0
    assert m.mean_error(ERRORS) == pytest.approx(0.048)
    assert m.ced(ERRORS, np.array([0.0, 0.02, 0.045, 0.1])).tolist() == [0, 0.2, 0.6, 1]


@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_error_equals_a_plain_loop(n, k, seed):
    rng = np.random.default_rng(seed)
    truth, found = rng.normal(size=(n, k, 2)), rng.normal(size=(n, k, 2))
    truth[rng.random((n, k)) < 0.3] = np.nan
    truth[:, 0] = 1.0
    found[rng.random((n, k)) < 0.1] = np.nan
    scale = rng.uniform(0.5, 2, n)
    expected = []
    for i in range(n):
        distances = []
        for j in range(k):
            if not math.isnan(truth[i, j, 0]):
                d = math.dist(truth[i, j], found[i, j])
                distances.append(math.inf if math.isnan(d) else d)
        expected.append(sum(distances) / len(distances) / scale[i])
    assert m.nme(found, truth, scale) == pytest.approx(expected)


@given(st.integers(2, 6), st.integers(0, 2**32 - 1), st.floats(0.1, 50))
def test_scaling_picture_and_points_changes_nothing(k, seed, factor):
    rng = np.random.default_rng(seed)
    truth, found = rng.normal(size=(3, k, 2)), rng.normal(size=(3, k, 2))
    for normaliser in (m.box_size, m.box_diagonal, lambda t: m.point_distance(t, [0], [1])):
        before, after = (m.nme(c * found, c * truth, normaliser(c * truth)) for c in (1, factor))
        assert before == pytest.approx(after)


@given(
    st.lists(st.one_of(st.floats(0, 0.3), st.just(math.inf)), min_size=1, max_size=9).map(np.array),
    st.floats(0.02, 0.2),
)
def test_area_is_the_limit_of_sampling_the_distribution(errors, limit):
    n = 20_000
    middles = (np.arange(n) + 0.5) * limit / n
    assert m.auc_at(errors, limit) == pytest.approx(m.ced(errors, middles).mean(), abs=1.5 / n * len(errors))
    assert m.failure_rate(errors, limit) == pytest.approx(1 - m.ced(errors, np.array([limit]))[0])
    assert m.ced(errors, np.array([limit]))[0] == sum(e <= limit + 1e-12 for e in errors) / len(errors)


def test_a_picture_without_points_fails():
    found = np.concatenate([FOUND, np.full_like(FOUND, np.nan)])
    errors = m.nme(found, np.concatenate([TRUTH, TRUTH]), np.array([10.0, 10.0]))
    assert errors[1] == math.inf
    assert m.failure_rate(errors, 0.2) == 0.5
    assert m.auc_at(errors, 0.35) == pytest.approx(0.25)
    assert math.isnan(m.mean_error(errors))


def test_centres_of_the_eyes_and_visible_points():
    truth = np.array([[(0, 0), (2, 0), (8, 3), (10, 5)]], np.float32)
    assert m.point_distance(truth, range(2), range(2, 4)) == pytest.approx([math.hypot(8, 4)])
    visible = m.visible_only(TRUTH, np.array([[False, False, False, True]]))
    assert m.nme(FOUND, visible, np.array([10.0])) == pytest.approx([2 / 30])
    assert np.isfinite(TRUTH).all()


def test_jitter_is_the_error_of_the_motion():
    truth = np.array([[(0, 0)], [(1, 0)], [(2, 0)]], np.float32)
    assert m.jitter(truth + 7, truth, np.full(3, 10.0)) == 0  # a constant shift does not tremble
    found = truth + np.array([[(0, 0)], [(0, 1)], [(0, 0)]], np.float32)
    assert m.jitter(found, truth, np.full(3, 10.0)) == pytest.approx(0.1)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"\(N, K, 2\)"):
        m.nme(FOUND[0], TRUTH[0], np.ones(1))
    with pytest.raises(ValueError, match="of one set"):
        m.nme(FOUND[:, :2], TRUTH, np.ones(1))
    with pytest.raises(ValueError, match="above 0 px"):
        m.nme(FOUND, TRUTH, np.zeros(1))
    with pytest.raises(ValueError, match="at least one annotated point"):
        m.nme(FOUND, np.full_like(TRUTH, np.nan), np.ones(1))
    with pytest.raises(ValueError, match="limit must be above 0"):
        m.auc_at(ERRORS, 0)
    with pytest.raises(ValueError, match="two frames"):
        m.jitter(FOUND, TRUTH, np.ones(1))
    for errors in (np.zeros(0), np.array([np.nan]), np.array([-1.0])):
        with pytest.raises(ValueError, match=r"\(N,\) array of numbers"):
            m.failure_rate(errors, 0.1)
