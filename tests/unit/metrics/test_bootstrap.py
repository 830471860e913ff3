import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from lineament.metrics import bootstrap
from lineament.metrics.bootstrap import (
    PairScores,
    Resampling,
    bootstrap_eer_auc,
    bootstrap_fnmr_at_fmr,
    percentile_interval,
)
from lineament.metrics.verification import allowed_errors, auc, eer, fnmr, tar_at_far_protocol


def all_pairs(rng, n_subjects, samples, steps=None):
    """Scores of every pair of samples; with ``steps`` they fall on a coarse grid and tie."""
    subject = np.repeat(np.arange(n_subjects), samples)
    a, b = np.triu_indices(len(subject), 1)
    quality = rng.normal(0, 0.3, n_subjects)
    scores = (
        rng.normal(np.where(subject[a] == subject[b], 2.0, 0.0), 0.7)
        + quality[subject[a]]
        + quality[subject[b]]
    )
    if steps:
        scores = np.round(scores * steps) / steps
    return PairScores(scores, subject[a], subject[b])


def written_out(pairs, plan):
    """Mated and non-mated scores of every replicate, each pair as often as it counts."""
    rng = np.random.default_rng(plan.seed)
    n = 1 + max(pairs.subject_a.max(), pairs.subject_b.max())
    found = []
    while len(found) < plan.replicates:
        for counts in rng.multinomial(n, np.full(n, 1 / n), size=50):
            weights = np.where(
                pairs.mated, counts[pairs.subject_a], counts[pairs.subject_a] * counts[pairs.subject_b]
            )
            kinds = [np.repeat(pairs.scores[kind], weights[kind]) for kind in (pairs.mated, ~pairs.mated)]
            if len(kinds[0]) and len(kinds[1]) and len(found) < plan.replicates:
                found.append(kinds)
    return found


def slow_points(pairs, rates, plan):
    """Threshold and FNMR of every replicate, by looking at all thresholds."""
    found = []
    for mated, nonmated in written_out(pairs, plan):
        observed = np.unique(np.concatenate([mated, nonmated, [math.inf]]))
        row = []
        for rate in rates:
            t = min(t for t in observed if np.sum(nonmated >= t) / len(nonmated) <= rate)
            row.append((t, fnmr(mated, t)))
        found.append(row)
    return np.array(found)


def slow_eer(mated, nonmated):
    """Mean of both rates at the first of all thresholds where they are closest."""
    best = None
    for t in sorted({*mated, *nonmated, math.inf}):
        fmr, fnmr_ = (
            Fraction(int(np.sum(nonmated >= t)), len(nonmated)),
            Fraction(int(np.sum(mated < t)), len(mated)),
        )
        if best is None or abs(fmr - fnmr_) < best[0]:
            best = abs(fmr - fnmr_), (fmr + fnmr_) / 2
    return float(best[1])


@pytest.mark.parametrize(("subjects", "samples", "steps"), [(9, 3, None), (6, 2, 4), (12, 2, 1)])
def test_replicates_equal_written_out_resamples(subjects, samples, steps):
    pairs = all_pairs(np.random.default_rng(subjects), subjects, samples, steps)
    plan, rates = Resampling(120, seed=7), (0.004, 0.03, 0.1, 1.0)
    result = bootstrap_fnmr_at_fmr(pairs, rates, plan)
    expected = slow_points(pairs, rates, plan)
    np.testing.assert_array_equal(result.thresholds, expected[..., 0])
    np.testing.assert_allclose(result.fnmr, expected[..., 1], atol=1e-15)


@pytest.mark.parametrize(("subjects", "samples", "steps"), [(9, 3, None), (6, 2, 4), (12, 2, 1)])
def test_eer_and_auc_of_replicates_equal_written_out_resamples(subjects, samples, steps):
    pairs = all_pairs(np.random.default_rng(subjects), subjects, samples, steps)
    plan = Resampling(120, seed=7)
    result = bootstrap_eer_auc(pairs, plan)
    resamples = written_out(pairs, plan)
    np.testing.assert_allclose(result.eer, [slow_eer(*kinds) for kinds in resamples], atol=1e-15)
    areas = [roc_auc_score(np.repeat([1, 0], [len(m), len(n)]), np.concatenate([m, n])) for m, n in resamples]
    np.testing.assert_allclose(result.auc, areas, atol=1e-12)
    assert result.eer.std() > 0


def test_eer_and_auc_of_replicates_lie_around_the_plain_values():
    pairs = all_pairs(np.random.default_rng(3), 40, 4)
    result = bootstrap_eer_auc(pairs, Resampling(400))
    mated, nonmated = pairs.scores[pairs.mated], pairs.scores[~pairs.mated]
    for values, plain in ((result.eer, eer(mated, nonmated)), (result.auc, auc(mated, nonmated))):
        interval = percentile_interval(values)
        assert interval.low < plain < interval.high
        assert abs(np.median(values) - plain) < 0.3 * (interval.high - interval.low)


@given(st.integers(0, 10_000), st.sampled_from([0.02, 0.1, 0.35, 1.0]))
def test_weights_of_one_give_the_plain_point(seed, rate):
    pairs = all_pairs(np.random.default_rng(seed), 5, 3, steps=3)
    mated, nonmated, n = bootstrap._split(pairs)
    ones = np.ones(n, np.int32)
    allowed = np.array([allowed_errors(rate, len(nonmated.scores))])
    limits, above = bootstrap._weighted_limits(nonmated, ones, allowed, 10)
    above_mated, rejected = bootstrap._at_limits(mated, ones, limits)
    plain = tar_at_far_protocol(pairs.scores[pairs.mated], pairs.scores[~pairs.mated], rate)
    assert min(above[0], above_mated[0]) == plain.threshold
    assert rejected[0] / len(mated.scores) == plain.fnmr


def test_total_weights_agree_for_dense_and_sparse_pairs():
    rng = np.random.default_rng(2)
    counts = rng.multinomial(8, np.full(8, 1 / 8), size=20).astype(float)
    _, dense, _ = bootstrap._split(all_pairs(rng, 8, 4))
    expected = [sum(row[i] * row[j] for i, j in zip(dense.a, dense.b, strict=True)) for row in counts]
    table = bootstrap._pair_table(dense, 8)
    assert table is not None
    assert bootstrap._total_weights(dense, table, counts).tolist() == expected
    few = bootstrap._Sorted(dense.scores[:5], dense.rising[:5], dense.a[:5], dense.b[:5])
    assert bootstrap._pair_table(few, 8) is None
    expected = [sum(row[i] * row[j] for i, j in zip(few.a, few.b, strict=True)) for row in counts]
    assert bootstrap._total_weights(few, None, counts).tolist() == expected


def test_the_seed_decides_and_the_order_of_pairs_does_not():
    pairs = all_pairs(np.random.default_rng(0), 10, 3, steps=5)
    order = np.random.default_rng(1).permutation(len(pairs.scores))
    shuffled = PairScores(pairs.scores[order], pairs.subject_b[order], pairs.subject_a[order])
    first = bootstrap_fnmr_at_fmr(pairs, (0.1,), Resampling(100, seed=4))
    np.testing.assert_array_equal(
        first.thresholds, bootstrap_fnmr_at_fmr(shuffled, (0.1,), Resampling(100, seed=4)).thresholds
    )
    assert not np.array_equal(
        first.thresholds, bootstrap_fnmr_at_fmr(pairs, (0.1,), Resampling(100, seed=5)).thresholds
    )


def test_dependent_pairs_make_a_wider_interval_than_independent_ones():
    rng = np.random.default_rng(8)
    n = 40
    subject = np.repeat(np.arange(n), 10)
    other = (subject + 1) % n
    hard = np.repeat(rng.random(n) < 0.3, 10)
    dependent = np.concatenate([np.where(hard, 0.0, 2.0), rng.normal(size=400) * 0.1 + 1])
    pairs = PairScores(dependent, np.concatenate([subject, subject]), np.concatenate([subject, other]))
    interval = bootstrap_fnmr_at_fmr(pairs, (0.1,), Resampling(400)).fnmr_interval(0)
    rate = hard.mean()
    binomial = 2 * 1.96 * math.sqrt(rate * (1 - rate) / 400)
    assert interval.low <= rate <= interval.high
    assert interval.high - interval.low > 2 * binomial


def test_interval_ends_are_replicate_values():
    interval = percentile_interval(np.append(np.arange(99.0), math.inf))
    assert (interval.low, interval.high) == (2.0, 97.0)


def test_one_kind_of_pairs_is_not_enough():
    with pytest.raises(ValueError, match="one kind is missing"):
        bootstrap_fnmr_at_fmr(PairScores(np.ones(3), np.arange(3), np.arange(3)), (0.1,), Resampling())
    with pytest.raises(ValueError, match="one kind is missing"):
        bootstrap_eer_auc(PairScores(np.ones(3), np.arange(3), np.arange(3)), Resampling())


def test_pair_scores_and_plan_are_checked():
    with pytest.raises(ValueError, match="subject_b must hold one index"):
        PairScores(np.ones(3), np.arange(3), np.arange(2))
    with pytest.raises(ValueError, match="at least 100"):
        Resampling(10)
