import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from lineament.metrics.assignment import best_assignment


@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_total_equals_scipy(n, m, levels, seed):
    weights = np.random.default_rng(seed).integers(-levels, levels + 1, (n, m)) / 4
    rows, columns = best_assignment(weights)
    assert len(rows) == len(columns) == min(n, m)
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert len(set(columns.tolist())) == len(columns)
    assert weights[rows, columns].sum() == weights[linear_sum_assignment(weights, maximize=True)].sum()


@pytest.mark.parametrize("shape", [(60, 60), (40, 90), (90, 40)])
def test_larger_matrices_equal_scipy_pair_by_pair(shape):
    weights = np.random.default_rng(3).normal(size=shape)  # no ties, so the assignment is unique
    rows, columns = best_assignment(weights)
    expected_rows, expected_columns = linear_sum_assignment(weights, maximize=True)
    assert rows.tolist() == expected_rows.tolist()
    assert columns.tolist() == expected_columns.tolist()


@pytest.mark.parametrize("weights", [np.zeros(3), np.array([[np.nan]]), np.array([[np.inf]])])
def test_other_than_finite_matrices_are_refused(weights):
    with pytest.raises(ValueError, match="finite"):
        best_assignment(weights)
