import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineament.core.errors import ManifestError, NotCalibrated
from lineament.zoo.calibration import (
    CalibrationRecord,
    CalibrationRow,
    calibrated_spaces,
    load_calibration,
    parse_calibration,
)
from lineament.zoo.records import CalibrationData, record_file_name, user_calibration_folder

RATES = (0.1, 0.01, 0.001)


def record(space="drawn-fp32@0123abcd", rates=RATES, **changes):
    rows = tuple(
        CalibrationRow(fmr=r, threshold=0.2 + i / 10, low=0.19 + i / 10, high=0.22 + i / 10, fnmr=0.01 * i,
                       fnmr_low=0.0, fnmr_high=0.02 + 0.01 * i)
        for i, r in enumerate(rates)
    )  # fmt: skip
    facts = {
        "name": "drawn faces", "space": space, "protocol": 'all pairs, "as drawn" \\ 1:1\tonce',
        "data": (CalibrationData(name="drawn", digest="ab" * 32),),
        "n_subjects": 30, "n_images": 90, "n_refused": 2, "n_mated": 90, "n_nonmated": 30_000,
        "llr_slope": 20.0, "llr_offset": -8.0, "cllr": 0.11, "min_cllr": 0.09, "seed": 3, "replicates": 1000,
        "rows": rows,
    }  # fmt: skip
    return CalibrationRecord(**(facts | changes))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LINEAMENT_CALIBRATION", str(tmp_path))
    return tmp_path


def test_a_record_survives_its_file():
    original = record(protocol='quotes " \\ tabs \t lines \n accents é and \x7f')
    assert parse_calibration(original.to_toml(), "x") == original


@pytest.mark.parametrize(("asked", "row"), [(0.1, 0), (0.0999, 1), (0.01, 1), (0.002, 2), (0.001, 2)])
def test_the_row_kept_is_the_asked_rate_or_a_stricter_one(asked, row):
    calibration = record()
    point = calibration.point(asked)
    assert point.threshold == calibration.rows[row].threshold
    assert (point.low, point.high) == (calibration.rows[row].low, calibration.rows[row].high)
    assert (point.fmr, point.n_nonmated, point.record) == (asked, 30_000, "drawn faces")


def test_a_ratio_rises_with_the_similarity_up_to_what_the_counts_support():
    calibration = record()
    assert calibration.llr(0.45) == pytest.approx(20 * 0.45 - 8)
    assert calibration.llr(1.0) == pytest.approx(math.log(30_000 / 3))
    assert calibration.llr(-1.0) == pytest.approx(-math.log(90 / 3))
    assert calibration.point(0.01).ratio == calibration.ratio
    assert calibration.point(0.01).space == calibration.space
    assert record(n_mated=3).llr(-1.0) == 0
    with pytest.raises(ValueError, match="greater than 0"):
        record(llr_slope=-1.0)


def test_a_rate_beyond_the_evidence_is_refused_with_the_number_needed():
    with pytest.raises(NotCalibrated, match=r"FMR 0\.0001 needs 300,000 .* has 30,000; .* rate is 0\.001"):
        record().point(1e-4)
    with pytest.raises(NotCalibrated, match=r"above the largest rate"):
        record().point(0.2)
    for nonsense in (0.0, 1.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="fraction"):
            record().point(nonsense)


@given(st.floats(0.001, 0.9), st.integers(1, 1000), st.integers(1, 20))
def test_the_rate_per_comparison_gives_the_asked_search_rate(fpir, subjects, each):
    calibration = record(rates=(0.1, 0.01, 1e-8))
    point = calibration.point_for_fpir(fpir, subjects * each, subjects)
    assert 1 - (1 - point.fmr) ** (subjects * each**0.9) == pytest.approx(fpir, rel=1e-6)
    assert point.threshold in {row.threshold for row in calibration.rows}
    kept = next(r for r in calibration.rows if r.threshold == point.threshold)
    assert kept.fmr <= point.fmr


def test_a_search_beyond_the_evidence_says_what_would_do():
    calibration = record()
    with pytest.raises(NotCalibrated) as caught:
        calibration.point_for_fpir(0.01, 100, 100)
    text = str(caught.value)
    assert "needs 298,513 non-mated comparisons" in text
    assert "has 30,000" in text
    assert "up to 10 templates at this FPIR" in text
    assert calibration.point_for_fpir(0.01, 10, 10).threshold == calibration.rows[2].threshold
    with pytest.raises(NotCalibrated):
        calibration.point_for_fpir(0.01, 11, 11)
    assert "FPIR 0.095 or more at this gallery size" in text
    assert calibration.point_for_fpir(0.0953, 100, 100).threshold == calibration.rows[2].threshold
    with pytest.raises(NotCalibrated, match="no gallery at this FPIR"):
        calibration.point_for_fpir(0.0005, 1, 1)


@pytest.mark.parametrize("rate", [5e-324, 1e-300])
def test_rates_at_the_end_of_the_numbers(rate: float):
    with pytest.raises(NotCalibrated, match="cannot be measured"):
        record().point(rate)
    with pytest.raises(NotCalibrated, match="cannot be measured"):
        record().point_for_fpir(rate, 1000, 1000)


def test_thresholds_rise_with_the_gallery_and_samples_of_one_person_count_less():
    calibration = record(rates=(0.1, 0.05, 0.02, 0.01, 0.001))
    thresholds = [calibration.point_for_fpir(0.2, n, n).threshold for n in (1, 3, 10, 20, 200)]
    assert thresholds == sorted(thresholds)
    assert len(set(thresholds)) == 5
    assert calibration.point_for_fpir(0.1, 20, 4).fmr > calibration.point_for_fpir(0.1, 20, 20).fmr
    with pytest.raises(NotCalibrated, match="up to 12 templates at this FPIR"):
        calibration.point_for_fpir(0.01, 20, 2)
    calibration.point_for_fpir(0.01, 10, 2)
    for samples, subjects in ((0, 0), (3, 4), (3, 0)):
        with pytest.raises(ValueError, match="subjects for"):
            calibration.point_for_fpir(0.1, samples, subjects)


def test_a_saved_record_is_found_by_its_space(folder):
    saved = record().save(folder)
    assert saved.name == "drawn-fp32-0123abcd.toml"
    assert load_calibration("drawn-fp32@0123abcd") == record()
    assert [p.name for p in folder.iterdir()] == [saved.name]


def test_saving_touches_no_other_file(folder):
    other = folder / "drawn-fp32-0123abcd.tmp"
    other.write_text("of somebody else")
    record().save(folder)
    assert other.read_text() == "of somebody else"


def test_the_folder_may_be_named_from_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LINEAMENT_CALIBRATION", "~/records")
    assert user_calibration_folder() == tmp_path / "records"


def test_without_a_record_the_spaces_that_have_one_are_listed(folder):
    record(space="here@1").save(folder)
    assert "here@1" in calibrated_spaces()
    with pytest.raises(NotCalibrated, match=r"no calibration record for embedding space gone@2; .*here@1"):
        load_calibration("gone@2")


def test_a_record_under_the_name_of_another_space_is_refused(folder):
    (folder / record_file_name("mine@1")).write_text(record(space="other@1").to_toml())
    with pytest.raises(ManifestError, match=r"should be of space mine@1, it says other@1"):
        load_calibration("mine@1")


def test_all_faults_of_a_file_are_listed():
    text = record().to_toml().replace("n_mated = 90", "n_mated = -1").replace("seed = 3", "seeds = 3")
    with pytest.raises(ManifestError) as caught:
        parse_calibration(text, "x.toml")
    for part in ("x.toml has 3 faults", "n_mated", "seed: Field required", "seeds"):
        assert part in str(caught.value)
    with pytest.raises(ManifestError, match="is not TOML"):
        parse_calibration("= 1", "x.toml")


@pytest.mark.parametrize("rates", [(0.01, 0.1), (0.1, 0.1)])
def test_rows_must_fall(rates):
    with pytest.raises(ValueError, match="sorted by falling fmr"):
        record(rates=rates)


def test_thresholds_never_fall_and_are_finite():
    rows = record().rows
    with pytest.raises(ValueError, match="never fall"):
        record(rows=(rows[0], rows[1].model_copy(update={"threshold": 0.1})))
    with pytest.raises(ValueError, match="finite"):
        CalibrationRow(**(rows[0].model_dump() | {"high": np.inf}))
