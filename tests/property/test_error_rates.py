import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lineament.metrics.verification import auc, eer, fmr, fnmr, threshold_at_fmr

scores = st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=80).map(np.array)


@given(scores, st.lists(st.floats(-1.1, 1.1), min_size=2, max_size=10))
def test_raising_the_threshold_never_raises_fmr_and_never_lowers_fnmr(values, thresholds):
    thresholds = sorted(thresholds)
    fmrs, fnmrs = ([rate(values, t) for t in thresholds] for rate in (fmr, fnmr))
    assert fmrs == sorted(fmrs, reverse=True)
    assert fnmrs == sorted(fnmrs)


@given(scores, st.floats(0, 1))
def test_the_threshold_keeps_the_rate_and_the_next_smaller_score_does_not(nonmated, rate):
    threshold = threshold_at_fmr(nonmated, rate)
    assert fmr(nonmated, threshold) <= rate
    smaller = nonmated[nonmated < threshold]
    if smaller.size:
        assert fmr(nonmated, smaller.max()) > rate


@given(scores, st.floats(0, 1), st.floats(0, 1))
def test_a_stricter_rate_never_lowers_the_threshold(nonmated, one, other):
    strict, loose = sorted((one, other))
    assert threshold_at_fmr(nonmated, strict) >= threshold_at_fmr(nonmated, loose)


@given(scores, scores, st.randoms())
def test_order_does_not_matter(mated, nonmated, random):
    shuffled = [list(mated), list(nonmated)]
    for values in shuffled:
        random.shuffle(values)
    again = [np.array(values) for values in shuffled]
    assert eer(*again) == eer(mated, nonmated)
    assert auc(*again) == auc(mated, nonmated)
    assert threshold_at_fmr(again[1], 0.1) == threshold_at_fmr(nonmated, 0.1)


@given(scores, scores)
def test_swapping_the_kinds_and_the_sign_mirrors_the_area(mated, nonmated):
    assert math.isclose(auc(mated, nonmated), auc(-nonmated, -mated))
    assert math.isclose(auc(mated, nonmated) + auc(nonmated, mated), 1)
    assert 0 <= eer(mated, nonmated) <= 1
