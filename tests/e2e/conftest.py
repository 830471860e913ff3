"""The open profile with a calibration record made up for tests, loaded once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lineament.pipeline import FacePipeline
from lineament.zoo.calibration import CalibrationData, CalibrationRecord, CalibrationRow
from lineament.zoo.session import Runtime

RATES = ((1e-1, 0.87), (1e-2, 0.905), (1e-3, 0.925), (1e-4, 0.94))
"""False match rates with thresholds between the same and different people of the test photos."""


@pytest.fixture(scope="session")
def open_profile() -> FacePipeline:
    return FacePipeline.from_profile("open", Runtime("onnxruntime", threads=2))


@pytest.fixture(scope="session")
def calibration_folder(
    open_profile: FacePipeline, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    record = CalibrationRecord(
        name="made up",
        space=open_profile.embedding_space,
        protocol="none",
        data=(CalibrationData(name="none", digest="0" * 64),),
        n_subjects=100,
        n_images=1000,
        n_mated=1000,
        n_refused=0,
        llr_slope=20.0,
        llr_offset=-12.0,
        cllr=0.1,
        min_cllr=0.1,
        n_nonmated=300_000,
        seed=0,
        replicates=100,
        rows=tuple(
            CalibrationRow(fmr=f, threshold=t, low=t - 0.003, high=t + 0.003, fnmr=0, fnmr_low=0, fnmr_high=0)
            for f, t in RATES
        ),
    )
    folder = tmp_path_factory.mktemp("calibration")
    record.save(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LINEAMENT_CALIBRATION", str(folder))
        yield folder


@pytest.fixture(scope="session")
def johns(shared: Path) -> dict[str, list[Path]]:
    """Photos of five people, at least ten of each."""
    return {f.name: sorted(f.glob("*.jpg")) for f in sorted((shared / "data" / "cluster_johns").iterdir())}
