"""Paired differences against resamples that are written out, and against SciPy."""

import math

import numpy as np
import pytest
from scipy import stats

from lineament.metrics.bootstrap import PairScores, Resampling, bootstrap_fnmr_at_fmr
from lineament.metrics.paired import (
    Difference,
    paired_difference,
    paired_eer_auc,
    paired_fold_accuracy,
    paired_tar_at_far,
    student_quantile,
)
from lineament.metrics.verification import auc, eer


def two_systems(rng, n_subjects, samples, steps=4, gap=0.0, noise=0.3):
    """Scores of two systems for every pair of samples: common errors, and some of their own."""
    subject = np.repeat(np.arange(n_subjects), samples)
    a, b = np.triu_indices(len(subject), 1)
    shared = rng.normal(np.where(subject[a] == subject[b], 2.0, 0.0), 0.8)

    def system(bonus):
        own = shared + rng.normal(0, noise, len(a)) + bonus * (subject[a] == subject[b])
        return PairScores(np.round(own * steps) / steps, subject[a], subject[b])

    return system(gap), system(0.0)


def tar(mated, nonmated, rate):
    """TAR at the smallest observed threshold that keeps the rate, by trying all of them."""
    observed = sorted({*mated, *nonmated, math.inf})
    threshold = next(t for t in observed if sum(s >= t for s in nonmated) / len(nonmated) <= rate)
    return sum(s >= threshold for s in mated) / len(mated)


def slow_differences(first, second, measure, plan):
    """Draw subjects, copy out each pair as often as it counts, measure both systems, subtract."""
    rng = np.random.default_rng(plan.seed)
    n = 1 + int(first.subject_b.max())
    found = []
    while len(found) < plan.replicates:
        for counts in rng.multinomial(n, np.full(n, 1 / n), size=50):
            drawn = []
            for system in (first, second):
                kinds = ([], [])
                for score, a, b in zip(system.scores, system.subject_a, system.subject_b, strict=True):
                    times = counts[a] if a == b else counts[a] * counts[b]
                    kinds[int(a != b)].extend([float(score)] * int(times))
                drawn.append(kinds)
            if not drawn[0][0] or not drawn[0][1] or len(found) == plan.replicates:
                continue
            found.append(measure(*drawn[0]) - measure(*drawn[1]))
    return np.array(found)


@pytest.mark.parametrize(("subjects", "samples", "rate"), [(6, 2, 0.1), (5, 3, 0.03)])
def test_the_interval_equals_written_out_resamples(subjects, samples, rate):
    first, second = two_systems(np.random.default_rng(subjects), subjects, samples)
    plan = Resampling(100, seed=3)
    (found,) = paired_tar_at_far(first, second, (rate,), plan)
    expected = np.sort(slow_differences(first, second, lambda m, n: tar(m, n, rate), plan))
    # Outer quantiles of 100 sorted values at 2.5 % and 97.5 %: places 2.475 and 96.525, widened.
    assert (found.low, found.high) == (pytest.approx(expected[2]), pytest.approx(expected[97]))
    for pairs, value in ((first, found.first), (second, found.second)):
        assert value == pytest.approx(
            tar(list(pairs.scores[pairs.mated]), list(pairs.scores[~pairs.mated]), rate)
        )


@pytest.mark.parametrize(("subjects", "samples", "steps"), [(6, 2, 4), (5, 3, 100)])
def test_intervals_of_eer_and_auc_equal_written_out_resamples(subjects, samples, steps):
    first, second = two_systems(np.random.default_rng(subjects), subjects, samples, steps)
    plan = Resampling(100, seed=3)
    for found, measure in zip(paired_eer_auc(first, second, plan), (eer, auc), strict=True):
        expected = np.sort(
            slow_differences(first, second, lambda m, n, f=measure: f(np.array(m), np.array(n)), plan)
        )
        assert (found.low, found.high) == (pytest.approx(expected[2]), pytest.approx(expected[97]))
        own = [measure(p.scores[p.mated], p.scores[~p.mated]) for p in (first, second)]
        assert (found.first, found.second) == tuple(own)


def test_eer_and_auc_of_a_system_never_differ_from_themselves():
    first, _ = two_systems(np.random.default_rng(0), 12, 3)
    assert {(d.value, d.low, d.high) for d in paired_eer_auc(first, first, Resampling(100))} == {(0, 0, 0)}


def test_a_system_never_differs_from_itself():
    first, _ = two_systems(np.random.default_rng(0), 12, 3)
    assert paired_tar_at_far(first, first, (0.01, 0.1), Resampling(100)) == tuple(
        Difference(d.first, d.first, 0.0, 0.0)
        for d in paired_tar_at_far(first, first, (0.01, 0.1), Resampling(100))
    )


def test_swapped_systems_give_the_mirrored_difference():
    first, second = two_systems(np.random.default_rng(1), 12, 3, gap=0.4)
    (there,), (back,) = (
        paired_tar_at_far(a, b, (0.05,), Resampling(200)) for a, b in ((first, second), (second, first))
    )
    assert (back.value, back.low, back.high) == (-there.value, -there.high, -there.low)


def test_pairing_shows_what_two_separate_intervals_hide():
    first, second = two_systems(np.random.default_rng(5), 40, 4, steps=100, gap=0.2, noise=0.1)
    (found,) = paired_tar_at_far(first, second, (0.01,), Resampling(300))
    own = [bootstrap_fnmr_at_fmr(p, (0.01,), Resampling(300)).fnmr_interval(0) for p in (first, second)]
    assert found.shown
    assert own[0].high > own[1].low
    assert found.high - found.low < own[0].high - own[0].low


@pytest.mark.slow
def test_the_interval_covers_the_true_difference_about_as_often_as_it_says():
    """200 data sets of two equally good systems: about 5 % of the intervals may leave zero out."""
    rng, shown = np.random.default_rng(11), 0
    for _ in range(200):
        first, second = two_systems(rng, 40, 4, steps=1000)
        shown += paired_tar_at_far(first, second, (0.05,), Resampling(200))[0].shown
    assert shown <= 24


def test_other_comparisons_are_refused():
    first, second = two_systems(np.random.default_rng(0), 5, 2)
    other = PairScores(second.scores[::-1], second.subject_a[::-1], second.subject_b[::-1])
    with pytest.raises(ValueError, match="the same comparisons, in one order"):
        paired_tar_at_far(first, other, (0.1,), Resampling(100))
    with pytest.raises(ValueError, match="the same comparisons, in one order"):
        paired_eer_auc(first, other, Resampling(100))
    with pytest.raises(ValueError, match="of one number"):
        paired_difference(0.5, 0.5, np.zeros(3), np.zeros(4))


def test_folds_agree_with_a_paired_t_test():
    rng = np.random.default_rng(2)
    second = rng.uniform(0.97, 0.99, 10)
    first = second + rng.normal(0.004, 0.003, 10)
    found = paired_fold_accuracy(list(first), list(second))
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert found.value == pytest.approx(np.mean(first - second))
    with pytest.raises(ValueError, match="got 10 and 9"):
        paired_fold_accuracy(list(first), list(second[1:]))


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 9, 10, 57])
def test_student_quantiles_agree_with_scipy(degrees):
    assert student_quantile(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-9)
