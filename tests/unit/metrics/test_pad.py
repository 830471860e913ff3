import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineament.metrics import pad as m

PRINT = np.array([0.9] + [0.1] * 9)
REPLAY = np.array([0.8, 0.7, 0.2, 0.2, 0.2])
LIVE = np.array([0.3] + [0.95] * 19)
ATTACKS = {"print": PRINT, "replay": REPLAY}

few_scores = st.lists(st.integers(0, 8), min_size=1, max_size=12).map(lambda v: np.array(v) / 8)


def test_golden_rates_and_the_usual_error():
    point = m.pad_point(LIVE, ATTACKS, 0.5)
    assert m.apcer_by_species(ATTACKS, 0.5) == {"print": 0.1, "replay": 0.4}
    assert (point.apcer, point.bpcer, point.acer) == (0.4, 0.05, pytest.approx(0.225))
    pooled = m.pad_point(LIVE, {"all": np.concatenate([PRINT, REPLAY])}, 0.5)
    assert (pooled.apcer, pooled.acer) == (0.2, pytest.approx(0.125))


@given(few_scores, few_scores, few_scores, st.sampled_from([0.1, 0.25, 0.5, 1.0]))
def test_operating_point_is_the_first_observed_threshold_that_every_species_admits(live, a, b, rate):
    attacks = {"a": a, "b": b}
    if min(len(a), len(b)) * rate < 1:
        with pytest.raises(ValueError, match="attacks of each species"):
            m.bpcer_at_apcer(live, attacks, rate)
        return
    admitted = [
        t
        for t in [*live, *a, *b, np.inf]
        if all(sum(s >= t for s in scores) / len(scores) <= rate for scores in (a, b))
    ]
    point = m.bpcer_at_apcer(live, attacks, rate)
    assert point.threshold == min(admitted)
    assert point.bpcer == sum(s < min(admitted) for s in live) / len(live)
    assert point.apcer == max(sum(s >= min(admitted) for s in x) / len(x) for x in (a, b))


@given(few_scores, few_scores, st.integers(-1, 9))
def test_half_total_error_equals_counting(live, attacks, level):
    t = level / 8
    wrong = sum(s >= t for s in attacks) / len(attacks) + sum(s < t for s in live) / len(live)
    assert m.hter(live, attacks, t) == pytest.approx(wrong / 2)


def test_threshold_of_the_development_set_is_kept_on_the_test_set():
    development = m.development_threshold(np.array([0.6, 0.7, 0.8]), np.array([0.1, 0.2, 0.5]))
    assert (development.threshold, development.fmr, development.fnmr) == (0.6, 0, 0)
    assert (
        m.hter(np.array([0.5, 0.9]), np.array([0.7, 0.1, 0.1, 0.1]), development.threshold)
        == (0.25 + 0.5) / 2
    )


def test_non_response_and_the_full_system():
    assert m.non_response_rate(np.array([True, True, False, True])) == 0.25
    accepted, matched = np.array([True, True, False, False, True]), np.array([True, False, True, False, True])
    assert m.iapar(accepted, matched) == 0.4
    assert m.riapar(0.4, 0.05) == pytest.approx(0.45)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="at least one species"):
        m.apcer({}, 0.5)
    with pytest.raises(ValueError, match="at least one species"):
        m.bpcer_at_apcer(LIVE, {}, 0.5)
    with pytest.raises(ValueError, match="non-empty"):
        m.apcer({"print": np.zeros(0)}, 0.5)
    with pytest.raises(ValueError, match=r"at least 100 attacks of each species, got \{'print': 10"):
        m.bpcer_at_apcer(LIVE, ATTACKS, 0.01)
    with pytest.raises(ValueError, match="both decisions"):
        m.iapar(np.ones(2, bool), np.ones(3, bool))
    with pytest.raises(ValueError, match=r"responded must be a non-empty \(N,\) bool"):
        m.non_response_rate(np.ones(2))
    with pytest.raises(ValueError, match=r"IAPAR is a fraction in \[0, 1\]"):
        m.riapar(1.4, 0)
