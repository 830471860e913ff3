from itertools import pairwise

import numpy as np
import pytest

from lineament.core.errors import DataError
from lineament.evaluation.calibration import fit_calibration, supported_rates
from lineament.metrics.bootstrap import PairScores, Resampling
from lineament.metrics.verification import fmr, fnmr
from lineament.zoo.calibration import CalibrationData, parse_calibration

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
    record = fit_calibration(pairs, **FACTS, n_images=180, plan=Resampling(200, seed=5))
    mated, nonmated = pairs.scores[pairs.mated], pairs.scores[~pairs.mated]
    assert (record.n_subjects, record.n_images, record.n_mated, record.n_nonmated) == (60, 180, 180, 15930)
    assert record.smallest_fmr >= 30 / 15930 > record.smallest_fmr / 10**0.05
    for row in record.rows:
        assert fmr(nonmated, row.threshold) <= row.fmr
        assert fnmr(mated, row.threshold) == row.fnmr
        lower = pairs.scores[pairs.scores < row.threshold].max()
        assert fmr(nonmated, lower) > row.fmr
        assert row.low <= row.threshold <= row.high
        assert row.fnmr_low <= row.fnmr <= row.fnmr_high
    assert parse_calibration(record.to_toml(), "x") == record


def test_thresholds_hold_on_new_comparisons():
    record = fit_calibration(drawn_pairs(seed=1), **FACTS, n_images=180, plan=Resampling(100))
    fresh = drawn_pairs(seed=2)
    for rate in (0.1, 0.01):
        reached = fmr(fresh.scores[~fresh.mated], record.point(rate).threshold)
        assert reached == pytest.approx(rate, rel=0.25)


def test_too_little_data_is_refused_with_the_number_needed():
    with pytest.raises(DataError, match="at least 300 non-mated ones, got 8 and 112"):
        fit_calibration(drawn_pairs(8, 2), **FACTS, n_images=16)
