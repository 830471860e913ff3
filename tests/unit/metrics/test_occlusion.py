import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_score, recall_score

from lineament.metrics import occlusion as m

flags = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=25).filter(
    lambda rows: any(flag for flag, _ in rows)
)


def test_toy():
    occluded = np.array([[True, True, False], [True, False, False]])
    rates = m.occlusion_rates(np.array([[True, False, False], [True, True, False]]), occluded)
    assert (rates.precision, rates.recall) == (2 / 3, 2 / 3)
    assert rates.f1 == pytest.approx(2 / 3)
    point = m.recall_at_precision(np.array([[0.9, 0.4, 0.1], [0.8, 0.5, 0.2]]), occluded)
    assert (point.threshold, point.precision, point.recall) == (0.8, 1.0, 2 / 3)
    assert m.recall_at_precision(np.array([[0.9, 0.4, 0.1], [0.8, 0.5, 0.2]]), occluded, 0.75).recall == 1


@given(flags)
def test_equals_scikit_learn_and_trying_all_thresholds(rows):
    occluded, scores = np.array([f for f, _ in rows]), np.array([s for _, s in rows]) / 8
    predicted = scores >= 0.4
    rates = m.occlusion_rates(predicted, occluded)
    if predicted.any():
        assert rates.precision == pytest.approx(precision_score(occluded, predicted))
    else:
        assert math.isnan(rates.precision)
        assert rates.f1 == 0
    assert rates.recall == pytest.approx(recall_score(occluded, predicted))
    assert m.occlusion_average_precision(scores, occluded) == pytest.approx(
        average_precision_score(occluded, scores)
    )
    for wanted in (0.3, 0.8, 1.0):
        all_rates = [m.occlusion_rates(scores >= t, occluded) for t in scores]
        best = max((r.recall for r in all_rates if r.precision >= wanted), default=0.0)
        point = m.recall_at_precision(scores, occluded, wanted)
        assert point.recall == best
        if best:
            assert point.precision >= wanted
            assert m.occlusion_rates(scores >= point.threshold, occluded).recall == best
        else:
            assert point.threshold == math.inf


def test_wrong_arguments_are_refused():
    truth = np.array([True, False])
    with pytest.raises(ValueError, match="of one shape"):
        m.occlusion_rates(truth, truth[:1])
    with pytest.raises(ValueError, match="at least one occluded"):
        m.occlusion_rates(truth, ~truth & truth)
    with pytest.raises(ValueError, match="finite"):
        m.occlusion_average_precision(np.array([np.nan, 1]), truth)
    with pytest.raises(ValueError, match=r"\(0, 1\]"):
        m.recall_at_precision(np.array([0.1, 1]), truth, 0)
