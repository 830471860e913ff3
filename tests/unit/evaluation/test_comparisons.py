"""Rates of labelled comparisons against the functions that define them, and which rates are given at all."""

import math

import numpy as np
import pytest

from lineament.core.errors import DataError
from lineament.evaluation.comparisons import BY_PAIR, LabelledScores, comparison_report
from lineament.metrics.binomial import clopper_pearson
from lineament.metrics.bootstrap import PairScores, Resampling, bootstrap_fnmr_at_fmr
from lineament.metrics.verification import eer, fnmr_at_fmr

PLAN = Resampling(200, seed=1)


def every_pair(n_people: int, per_person: int, seed: int, gap: float = 1.5) -> LabelledScores:
    rng = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(n_people), per_person).astype(np.int32)
    a, b = np.triu_indices(len(subjects), 1)
    mated = subjects[a] == subjects[b]
    return LabelledScores(rng.standard_normal(len(a)) + gap * mated, mated, subjects[a], subjects[b])


def test_rates_are_those_of_their_definitions() -> None:
    labelled = every_pair(30, 3, seed=0)
    report = comparison_report(labelled, (0.1, 0.01, 1e-3), PLAN)
    same, different = labelled.scores[labelled.mated], labelled.scores[~labelled.mated]
    assert (report.n_mated, report.n_nonmated, report.n_subjects) == (90, 3915, 30)
    assert report.eer == eer(same, different)
    assert [p.asked for p in report.points] == [0.1, 0.01]
    assert labelled.subject_a is not None
    assert labelled.subject_b is not None
    replicates = bootstrap_fnmr_at_fmr(
        PairScores(labelled.scores, labelled.subject_a, labelled.subject_b), (0.1, 0.01), PLAN
    )
    for column, point in enumerate(report.points):
        expected = fnmr_at_fmr(same, different, point.asked)
        assert (point.threshold, point.fmr, point.fnmr) == (expected.threshold, expected.fmr, expected.fnmr)
        interval = replicates.fnmr_interval(column)
        assert (point.fnmr_low, point.fnmr_high) == (interval.low, interval.high)
        assert (point.far, point.frr) == pytest.approx((point.fmr, point.fnmr))
    assert report.not_supported == (
        "FMR (FAR) 0.001 is not given: it needs 10,000 non-mated comparisons (10 false matches), there are 3,915",
    )


def test_refused_pictures_are_rejections() -> None:
    labelled = every_pair(20, 3, seed=2)
    scores = labelled.scores.copy()
    lost = np.random.default_rng(0).random(len(scores)) < 0.2
    scores[lost] = -math.inf
    some = LabelledScores(scores, labelled.mated, labelled.subject_a, labelled.subject_b)
    report = comparison_report(some, (0.1,), PLAN)
    (point,) = report.points
    accepted = np.count_nonzero(scores[labelled.mated] >= point.threshold)
    assert report.n_mated_compared == np.count_nonzero(~lost & labelled.mated)
    assert point.frr == pytest.approx(1 - accepted / report.n_mated)
    assert point.far == pytest.approx(np.mean(scores[~labelled.mated] >= point.threshold))
    assert point.fnmr < point.frr


def test_unknown_people_get_exact_binomial_intervals() -> None:
    labelled = every_pair(20, 3, seed=3)
    report = comparison_report(LabelledScores(labelled.scores, labelled.mated), (0.1,), PLAN)
    (point,) = report.points
    exact = clopper_pearson(round(point.fnmr * 60), 60)
    assert (point.fnmr_low, point.fnmr_high) == (exact.low, exact.high)
    assert report.n_subjects is None
    assert report.intervals == BY_PAIR
    assert BY_PAIR in report.text()


def test_no_error_among_few_people_is_no_proof() -> None:
    report = comparison_report(every_pair(20, 3, seed=4, gap=50.0), (0.1,), PLAN)
    (point,) = report.points
    assert (point.fnmr, point.fnmr_low) == (0, 0)
    assert point.fnmr_high == pytest.approx(1 - 0.025 ** (1 / 20))


@pytest.mark.parametrize(
    ("n_folds", "lost", "given"), [(1, None, False), (5, None, True), (5, 2, False), (5, 4, False)]
)
def test_accuracy_needs_comparisons_in_two_folds_and_in_each(
    n_folds: int, lost: int | None, given: bool
) -> None:
    labelled = every_pair(20, 3, seed=6)
    folds = (np.arange(len(labelled.scores)) % n_folds).astype(np.int32)
    scores = labelled.scores if lost is None else np.where(folds == lost, -math.inf, labelled.scores)
    listed = LabelledScores(scores, labelled.mated, labelled.subject_a, labelled.subject_b, folds)
    report = comparison_report(listed, (0.1,), PLAN)
    assert (report.folds is not None) is given
    assert ("accuracy" in report.text()) is given
    assert len(report.points) == 1


def test_one_kind_of_comparison_is_not_enough() -> None:
    labelled = every_pair(5, 2, seed=5)
    scores = np.where(labelled.mated, -math.inf, labelled.scores)
    with pytest.raises(DataError, match="0 and 40 could be made of 45"):
        comparison_report(LabelledScores(scores, labelled.mated), (0.1,), PLAN)


def test_values_that_contradict_each_other_are_refused() -> None:
    scores, people = np.zeros(2), np.array([0, 1], np.int32)
    with pytest.raises(ValueError, match="mated pairs"):
        LabelledScores(scores, np.array([True, True]), people, people[::-1])
    with pytest.raises(ValueError, match="NaN"):
        LabelledScores(np.array([math.nan, 0]), np.array([True, False]))
    with pytest.raises(ValueError, match="both samples"):
        LabelledScores(scores, np.array([True, False]), people)
