"""Records of mesh removers: thresholds keep the asked rate with the confidence that they claim."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from lineament.core.errors import DataError, ManifestError, NotCalibrated
from lineament.zoo.calibration import calibrated_spaces
from lineament.zoo.mesh_record import (
    MeshRecord,
    MeshRow,
    fit_mesh_rows,
    load_mesh_record,
    parse_mesh_record,
)
from lineament.zoo.records import CalibrationData

REMOVER = "blue-ink@0123456789ab"
MESHED = np.linspace(0.4, 1, 200)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LINEAMENT_CALIBRATION", str(tmp_path))
    return tmp_path


def record(**changes: object) -> MeshRecord:
    facts = {
        "name": "drawn meshes", "remover": REMOVER, "protocol": 'as "drawn" \\ once',
        "data": (CalibrationData(name="drawn", digest="ab" * 32),), "n_clean": 5000, "n_meshed": 200,
        "rows": fit_mesh_rows(np.random.default_rng(0).beta(1, 20, 5000), MESHED),
    }  # fmt: skip
    return MeshRecord(**(facts | changes))


@given(st.integers(1, 400), st.sampled_from([0.1, 0.03]), st.integers(0, 9), st.booleans())
@settings(max_examples=30, deadline=None)
def test_the_smallest_threshold_whose_interval_stays_below_the_rate(
    count: int, rate: float, seed: int, ties: bool
) -> None:
    clean = np.random.default_rng(seed).random(count)
    clean = np.round(clean, 1) if ties else clean

    def keeps(threshold: float) -> bool:
        touched = int((clean >= threshold).sum())
        return binomtest(touched, count).proportion_ci(method="exact").high <= rate

    candidates = np.nextafter(np.unique(clean), 2)
    if not keeps(candidates[-1]):
        with pytest.raises(DataError, match="bring at least"):
            fit_mesh_rows(clean, MESHED, [rate])
        return
    (row,) = fit_mesh_rows(clean, MESHED, [rate])
    place = int(np.flatnonzero(candidates == row.threshold)[0])
    assert keeps(candidates[place])
    assert place == 0 or not keeps(candidates[place - 1])
    assert row.touched == (clean >= row.threshold).sum()
    assert row.missed == np.mean([score < row.threshold for score in MESHED])
    assert row.missed_low <= row.missed <= row.missed_high


def test_rates_beyond_the_pictures_have_no_row() -> None:
    assert [r.rate for r in record().rows] == [1e-1, 1e-2, 1e-3]
    with pytest.raises(DataError, match="got 0 and 5"):
        fit_mesh_rows(np.zeros(5), np.zeros(0))


def test_the_row_kept_is_the_asked_rate_or_a_stricter_one() -> None:
    made = record()
    assert made.row(0.5) == made.row(0.1) == made.rows[0]
    assert made.row(0.002) == made.row(0.001) == made.rows[2]
    with pytest.raises(NotCalibrated, match=r"5,000 clean pictures supports touching 0\.001 of them or more"):
        made.row(0.0009)
    with pytest.raises(ValueError, match="fraction"):
        made.row(0)


def test_a_record_survives_its_file_and_is_no_embedding_space(folder: Path) -> None:
    made = record()
    path = made.save(folder)
    assert load_mesh_record(REMOVER) == made
    assert REMOVER not in calibrated_spaces()
    path.write_text(path.read_text().replace(f'remover = "{REMOVER}"', 'remover = "other"'))
    with pytest.raises(ManifestError, match="it says other"):
        load_mesh_record(REMOVER)


@pytest.mark.usefixtures("folder")
def test_without_a_record_nothing_is_decided() -> None:
    with pytest.raises(NotCalibrated, match="no score says whether a picture is meshed"):
        load_mesh_record("unknown@0")


def test_all_faults_are_listed() -> None:
    with pytest.raises(ManifestError, match="is not TOML"):
        parse_mesh_record("name = ", "x")
    with pytest.raises(ManifestError, match=r"x has \d+ faults: .*name.*remover"):
        parse_mesh_record("schema = 2", "x")
    row = MeshRow(rate=0.1, threshold=0.5, touched=0, missed=0, missed_low=0, missed_high=0.1)
    with pytest.raises(ValueError, match="falling rate"):
        record(rows=(row, row))
