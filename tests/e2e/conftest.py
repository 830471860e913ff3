"""The open profile with a calibration record made up for tests, loaded once; a page of a service of drawn people."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_browser import browser_of_ada, opened, served, settings, write_scenes

from drawn_people import drawn_pipeline
from lineament.pipeline import Engine, FacePipeline
from lineament.service import create_app
from lineament.zoo.session import Runtime
from made_up_calibration import made_up_record

THRESHOLDS = {1e-1: 0.87, 1e-2: 0.905, 1e-3: 0.925, 1e-4: 0.94}
"""False match rates with thresholds between the same and different people of the test photos."""


@pytest.fixture(scope="session")
def open_profile() -> FacePipeline:
    return FacePipeline.from_profile("open", Runtime("onnxruntime", threads=2))


@pytest.fixture(scope="session")
def calibration_folder(
    open_profile: FacePipeline, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    record = made_up_record(open_profile.embedding_space, THRESHOLDS, 0.003, n_nonmated=300_000)
    folder = tmp_path_factory.mktemp("calibration")
    record.save(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LINEAMENT_CALIBRATION", str(folder))
        yield folder


@pytest.fixture(scope="session")
def johns(shared: Path) -> dict[str, list[Path]]:
    """Photos of five people, at least ten of each."""
    return {f.name: sorted(f.glob("*.jpg")) for f in sorted((shared / "data" / "cluster_johns").iterdir())}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of all drawn scenes."""
    return write_scenes(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser_of_ada(tmp_path_factory.mktemp("clip")) as browser:
        yield browser


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Of a service that knows drawn people."""
    with served(create_app(settings(tmp_path), Engine(drawn_pipeline(), workers=1))) as address:
        yield address


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    with opened(browser, address) as page:
        yield page
