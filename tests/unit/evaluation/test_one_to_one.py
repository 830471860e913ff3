"""Intervals of EER and AUC where errors were seen, and where they were not."""

import numpy as np
import pytest

from lineament.evaluation.one_to_one import bracketed, separation_intervals
from lineament.metrics.binomial import clopper_pearson
from lineament.metrics.bootstrap import PairScores, Resampling, bootstrap_eer_auc, percentile_interval
from lineament.metrics.verification import eer_point

PLAN = Resampling(200)


def pairs_of(gap: float, lift: float = 0.0) -> PairScores:
    """All pairs of three samples of 20 people; ``lift`` is added to one non-mated pair."""
    subject = np.repeat(np.arange(20), 3)
    a, b = np.triu_indices(60, 1)
    mated = subject[a] == subject[b]
    scores = np.random.default_rng(0).uniform(0, 1, len(a)) + gap * mated
    scores[np.flatnonzero(~mated)[0]] += lift
    return PairScores(scores, subject[a], subject[b])


def test_errors_that_were_seen_leave_the_resamples_alone() -> None:
    pairs = pairs_of(0.5)
    drawn = bootstrap_eer_auc(pairs, PLAN)
    found = separation_intervals(pairs, drawn)
    assert found == (percentile_interval(drawn.eer), percentile_interval(drawn.auc))
    assert found[0].high > found[0].low > 0


def test_full_separation_among_few_people_is_no_proof() -> None:
    pairs = pairs_of(5.0)
    drawn = bootstrap_eer_auc(pairs, PLAN)
    assert (drawn.eer.max(), drawn.auc.min()) == (0, 1)
    eer, auc = separation_intervals(pairs, drawn)
    bound = clopper_pearson(0, 20).high
    assert (eer.low, eer.high) == (0, bound)
    assert (auc.low, auc.high) == (1 - 2 * bound, 1)
    assert bound == pytest.approx(1 - 0.025 ** (1 / 20))


def test_one_kind_of_error_says_nothing_of_the_other() -> None:
    pairs = pairs_of(2.0, lift=2.5)
    drawn = bootstrap_eer_auc(pairs, PLAN)
    point = eer_point(pairs.scores[pairs.mated], pairs.scores[~pairs.mated])
    assert (point.fnmr, point.fmr > 0) == (0, True)
    eer, auc = separation_intervals(pairs, drawn)
    assert eer.high == clopper_pearson(0, 20).high > percentile_interval(drawn.eer).high
    assert auc == percentile_interval(drawn.auc)


def test_an_interval_is_written_with_both_ends_or_not_at_all() -> None:
    assert bracketed(0.1, 0.25, ".2f") == " [0.10, 0.25]"
    assert bracketed(None, 0.25, ".2f") == bracketed(0.1, None, ".2f") == ""
