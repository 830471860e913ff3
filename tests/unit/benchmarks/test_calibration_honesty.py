"""The shortcuts of the honesty benchmark give what the plain way gives, and it tells true thresholds from false."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from lineament.evaluation.samples import all_pair_scores
from lineament.metrics.bootstrap import Resampling
from lineament.metrics.verification import threshold_at_fmr

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def honesty(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import calibration_honesty

    return calibration_honesty


@pytest.fixture
def faces() -> tuple[np.ndarray, np.ndarray]:
    """Vectors of 240 people with one to three samples, and whose they are."""
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(240), rng.integers(1, 4, 240)).astype(np.int32)
    centres = rng.standard_normal((240, 32))
    vectors = centres[subjects] + 0.7 * rng.standard_normal((len(subjects), 32))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), subjects


def test_thresholds_of_a_half_are_those_of_all_its_pairs(honesty: ModuleType, faces: tuple) -> None:
    vectors, subjects = faces
    head = honesty.head_of(vectors, subjects)
    chosen = np.arange(240) % 2 == 0
    mine = chosen[subjects]
    pairs = all_pair_scores(vectors[mine], subjects[mine])
    half = head.of(chosen)
    assert half.total(chosen.astype(np.int64)) == np.count_nonzero(~pairs.mated)
    expected = [threshold_at_fmr(pairs.scores[~pairs.mated], rate) for rate in (1e-2, 1e-3)]
    assert half.thresholds(chosen.astype(np.int64), (1e-2, 1e-3)) == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ValueError, match="too short"):
        half.thresholds(chosen.astype(np.int64), (0.5,))


def test_intervals_are_those_of_the_library(honesty: ModuleType, faces: tuple) -> None:
    vectors, subjects = faces
    head = honesty.head_of(vectors, subjects)
    # the library may put a threshold on a mated score between two non-mated ones
    assert honesty.check_against_product(vectors, subjects, head, 1, Resampling(100)) < 0.02


def test_drawn_thresholds_are_exact(honesty: ModuleType, faces: tuple) -> None:
    vectors = honesty.drawn(3000, faces[0], np.random.default_rng(1))
    scores = (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]
    got = honesty.drawn_threshold(vectors, [1e-4, 1e-3])
    assert got == pytest.approx(
        [threshold_at_fmr(scores.astype(np.float64), r) for r in (1e-4, 1e-3)], abs=1e-6
    )


def test_splits_of_alike_people_meet_their_rates(honesty: ModuleType, faces: tuple) -> None:
    head = honesty.head_of(*faces)
    for row in honesty.fmr_splits(head, 20, Resampling(100)):
        assert row["meets"] >= 16
        assert row["measured_over_asked"]["low"] < 1 < row["measured_over_asked"]["high"]


def fpir(*over_asked: float) -> list[dict]:
    return [{"asked_fpir": 0.1, "over_asked": value} for value in over_asked]


def test_bars_are_met_only_where_every_figure_is(honesty: ModuleType) -> None:
    good = {
        "fmr": [{"meets": 90, "splits": 100}, {"meets": 96, "splits": 100}],
        "few_people": [{"holds": 99, "trials": 100}],
        "fpir": [row | {"gallery": "one sample"} for row in fpir(0.81, 0.9)],
        "fpir_drawn": fpir(1.19, 1.0),
    }
    assert set(honesty.bars(good).values()) == {True}
    worse = {
        "fmr": [{"meets": 89, "splits": 100}],
        "few_people": [{"holds": 8, "trials": 10}],
        "fpir": [row | {"gallery": "one sample"} for row in fpir(1.0, 1.0)],
        "fpir_drawn": fpir(1.0, 0.5),
    }
    assert set(honesty.bars(worse).values()) == {False}
    low = honesty.bars(good | {"fpir": fpir(0.6, 0.7), "fpir_drawn": []})
    assert (low["fpir_flat_within_20_percent"], low["fpir_within_20_percent_of_asked"]) == (True, False)


def test_few_people_hold_the_threshold_of_all_who_may_be_drawn(
    honesty: ModuleType, faces: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(honesty, "FEW_PEOPLE", (30, 60, 120))
    rows = honesty.few_people(*faces, honesty.head_of(*faces), 10, Resampling(100))
    assert [row["people"] for row in rows] == [30, 60, 120]
    assert all(row["holds"] >= 8 for row in rows)
