"""The share of a gap that is closed against resamples that are written out pair by pair."""

import math

import numpy as np
import pytest

from lineament.metrics.bootstrap import PairScores, Resampling, percentile_interval
from lineament.metrics.gap import Replicated, gap_closed, replicated_tar
from lineament.metrics.paired import paired_tar_at_far

PLAN = Resampling(100, seed=5)


def three_systems(rng, n_subjects, samples):
    """Scores without disturbance, with it, and with the remedy, for every pair of samples."""
    subject = np.repeat(np.arange(n_subjects), samples)
    a, b = np.triu_indices(len(subject), 1)
    mated = subject[a] == subject[b]
    noise = rng.normal(0, 0.5, len(a))

    def system(mean, own):
        scores = np.where(mated, mean, 0.0) + noise + rng.normal(0, own, len(a))
        return PairScores(np.round(scores * 8) / 8, subject[a], subject[b])

    return system(2.5, 0.1), system(0.8, 0.3), system(1.6, 0.2)


def slow_tar(mated, nonmated, far):
    observed = sorted({*mated, *nonmated, math.inf})
    threshold = next(t for t in observed if sum(s >= t for s in nonmated) / len(nonmated) <= far)
    return sum(s >= threshold for s in mated) / len(mated)


def slow_replicates(systems, far):
    """TAR of each system in each draw, every pair copied as often as it counts."""
    rng = np.random.default_rng(PLAN.seed)
    n = 1 + int(systems[0].subject_b.max())
    found = []
    while len(found) < PLAN.replicates:
        for counts in rng.multinomial(n, np.full(n, 1 / n), size=50):
            row = []
            for system in systems:
                kinds = ([], [])
                for score, a, b in zip(system.scores, system.subject_a, system.subject_b, strict=True):
                    kinds[int(a != b)].extend(
                        [float(score)] * int(counts[a] if a == b else counts[a] * counts[b])
                    )
                row.append(kinds)
            if row[0][0] and row[0][1] and len(found) < PLAN.replicates:
                found.append([slow_tar(mated, nonmated, far) for mated, nonmated in row])
    return np.array(found)


def test_value_and_interval_equal_written_out_resamples():
    ceiling, floor, remedy = three_systems(np.random.default_rng(1), 7, 3)
    far = 0.1
    (top,), (bottom,), (found,) = (replicated_tar(s, (far,), PLAN) for s in (ceiling, floor, remedy))
    drawn = slow_replicates((ceiling, floor, remedy), far)
    assert np.stack([top.replicates, bottom.replicates, found.replicates], axis=1) == pytest.approx(drawn)
    values = [
        slow_tar(list(s.scores[s.mated]), list(s.scores[~s.mated]), far) for s in (ceiling, floor, remedy)
    ]
    assert [top.value, bottom.value, found.value] == pytest.approx(values)
    closed = gap_closed(found, bottom, top)
    shares = [(row[2] - row[1]) / (row[0] - row[1]) for row in drawn if row[0] > row[1]]
    assert len(shares) > 97
    expected = percentile_interval(np.array(shares))
    assert closed is not None
    assert closed.value == pytest.approx((values[2] - values[1]) / (values[0] - values[1]))
    assert (closed.low, closed.high) == pytest.approx((expected.low, expected.high))


def test_draws_are_those_of_paired_differences():
    ceiling, floor, _ = three_systems(np.random.default_rng(2), 8, 3)
    (difference,) = paired_tar_at_far(ceiling, floor, (0.05,), PLAN)
    (top,), (bottom,) = (replicated_tar(s, (0.05,), PLAN) for s in (ceiling, floor))
    interval = percentile_interval(top.replicates - bottom.replicates)
    assert (difference.low, difference.high) == (interval.low, interval.high)
    assert top.interval == percentile_interval(top.replicates)


def figure(value, replicates):
    return Replicated(value, np.asarray(replicates, np.float64))


def test_the_ends_close_nothing_and_everything():
    rng = np.random.default_rng(0)
    floor, ceiling = figure(0.5, 0.5 + rng.normal(0, 0.01, 100)), figure(0.9, 0.9 + rng.normal(0, 0.01, 100))
    for remedy, share in ((floor, 0.0), (ceiling, 1.0)):
        closed = gap_closed(remedy, floor, ceiling)
        assert closed is not None
        assert (closed.value, closed.low, closed.high) == (share, share, share)
    worse = gap_closed(figure(0.3, np.full(100, 0.3)), floor, ceiling)
    assert worse is not None
    assert worse.high < 0


def test_no_share_of_a_gap_that_is_not_shown():
    remedy = figure(0.5, np.full(100, 0.5))
    gaps = np.where(np.arange(100) < 3, -0.1, 0.2)
    assert gap_closed(remedy, figure(0.5, np.full(100, 0.5)), figure(0.6, 0.5 + gaps)) is None
    assert gap_closed(remedy, figure(0.5, np.full(100, 0.5)), figure(0.5, np.full(100, 0.6))) is None
    assert gap_closed(remedy, figure(0.4, np.full(100, 0.4)), figure(0.6, 0.5 + abs(gaps))) is not None


def test_other_numbers_of_replicates_are_refused():
    with pytest.raises(ValueError, match="one number"):
        gap_closed(figure(0.5, np.zeros(100)), figure(0.4, np.zeros(100)), figure(0.6, np.ones(101)))
