from itertools import pairwise

import numpy as np
import pytest

from lineament.core.errors import DataError
from lineament.evaluation.calibration import Provenance, fit_calibration, supported_rates
from lineament.metrics.bootstrap import PairScores, Resampling
from lineament.metrics.llr import cllr, min_cllr
from lineament.metrics.verification import fmr, fnmr
from lineament.zoo.calibration import parse_calibration
from lineament.zoo.records import CalibrationData

FACTS = {
    "name": "drawn", "space": "drawn@1", "data": (CalibrationData(name="drawn", digest="0" * 64),),
    "protocol": "every pair once",
}  # fmt: skip


def drawn_pairs(n_subjects=60, samples=3, seed=0):
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(n_subjects), samples)
    a, b = np.triu_indices(len(subject), 1)
    scores = np.clip(rng.normal(np.where(subject[a] == subject[b], 0.6, 0.0), 0.15), -1, 1)
    return PairScores(scores, subject[a], subject[b])


def test_the_grid_ends_at_thirty_expected_false_matches():
    assert supported_rates(299) == ()
    assert supported_rates(300) == (0.1,)
    rates = supported_rates(30_000)
    assert (rates[0], rates[20], rates[-1], len(rates)) == (0.1, 0.01, 0.001, 41)
    assert all(abs(a / b / 10**0.05 - 1) < 1e-5 for a, b in pairwise(rates))


def test_the_record_holds_what_a_count_gives():
    pairs = drawn_pairs()
    record = fit_calibration(
        pairs, Provenance(**FACTS, n_images=180, n_refused=4), plan=Resampling(200, seed=5)
    )
    mated, nonmated = pairs.scores[pairs.mated], pairs.scores[~pairs.mated]
    assert (record.n_subjects, record.n_images, record.n_refused) == (60, 180, 4)
    assert (record.n_mated, record.n_nonmated) == (180, 15930)
    assert record.smallest_fmr >= 30 / 15930 > record.smallest_fmr / 10**0.05
    for row in record.rows:
        assert fmr(nonmated, row.threshold) <= row.fmr
        assert fnmr(mated, row.threshold) == row.fnmr
        lower = pairs.scores[pairs.scores < row.threshold].max()
        assert fmr(nonmated, lower) > row.fmr
        assert row.low <= row.threshold <= row.high
        assert row.fnmr_low <= row.fnmr <= row.fnmr_high
    assert parse_calibration(record.to_toml(), "x") == record


def test_ratios_are_those_of_the_distributions():
    # normal scores of means 0.6 and 0 and deviation 0.15 have the log-likelihood ratio (0.6 s - 0.18) / 0.15 ** 2
    pairs = drawn_pairs(n_subjects=150)
    record = fit_calibration(pairs, Provenance(**FACTS, n_images=450, n_refused=0), plan=Resampling(100))
    assert record.llr_slope == pytest.approx(0.6 / 0.15**2, rel=0.15)
    assert -record.llr_offset / record.llr_slope == pytest.approx(0.3, abs=0.02)
    mated, nonmated = (
        np.array([record.llr(s) for s in pairs.scores[k]]) for k in (pairs.mated, ~pairs.mated)
    )
    assert record.cllr == pytest.approx(cllr(mated, nonmated))
    assert record.min_cllr == pytest.approx(min_cllr(pairs.scores[pairs.mated], pairs.scores[~pairs.mated]))
    assert record.min_cllr <= record.cllr < record.min_cllr + 0.02


def test_people_who_are_told_apart_without_error_have_ratios_too():
    pairs = drawn_pairs()
    apart = PairScores(np.where(pairs.mated, 1.5, 0.0) + pairs.scores, pairs.subject_a, pairs.subject_b)
    record = fit_calibration(apart, Provenance(**FACTS, n_images=180, n_refused=0), plan=Resampling(100))
    assert record.min_cllr == 0
    assert 5 < record.llr(2.1) < np.log(15930 / 3)
    assert -np.log(180 / 3) <= record.llr(0.0) < -4
    # no error among 60 people: Clopper-Pearson
    bound = pytest.approx(1 - 0.025 ** (1 / 60))
    assert all((row.fnmr, row.fnmr_low, row.fnmr_high) == (0, 0, bound) for row in record.rows)


def test_folders_of_mixed_people_are_refused():
    pairs = drawn_pairs()
    mixed = PairScores(-pairs.scores, pairs.subject_a, pairs.subject_b)
    with pytest.raises(DataError, match="not more alike"):
        fit_calibration(mixed, Provenance(**FACTS, n_images=180, n_refused=0), plan=Resampling(100))


def test_thresholds_hold_on_new_comparisons():
    record = fit_calibration(
        drawn_pairs(seed=1), Provenance(**FACTS, n_images=180, n_refused=4), plan=Resampling(100)
    )
    fresh = drawn_pairs(seed=2)
    for rate in (0.1, 0.01):
        reached = fmr(fresh.scores[~fresh.mated], record.point(rate).threshold)
        assert reached == pytest.approx(rate, rel=0.25)


def test_too_little_data_is_refused_with_the_number_needed():
    with pytest.raises(DataError, match="at least 300 non-mated ones, got 8 and 112"):
        fit_calibration(drawn_pairs(8, 2), Provenance(**FACTS, n_images=16, n_refused=0))
