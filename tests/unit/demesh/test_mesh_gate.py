"""From a profile's words to a gate: the registry, the weights and the record of thresholds, none of them faked."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from drawn_people import SCENES
from lineament.cli.app import run
from lineament.core.errors import ManifestError, ModelNotFound, NotCalibrated
from lineament.demesh import NetworkRemover, load_mesh_gate, load_remover
from lineament.imaging import read_image, write_image
from lineament.pipeline.health import check_profile
from lineament.zoo.manifest import list_models
from lineament.zoo.mesh_record import MeshRecord, fit_mesh_rows
from lineament.zoo.options import FetchOptions
from lineament.zoo.profiles import Profile, find_profile, list_profiles
from lineament.zoo.records import CalibrationData
from lineament.zoo.session import Runtime
from made_up_calibration import made_up_record
from made_up_remover import MANIFEST, blue_network, inked

ORT = Runtime("onnxruntime", threads=1)
RATE = 1e-2


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine on which "blue-ink" was added and nothing is calibrated."""
    for name in ("MODELS", "CALIBRATION", "CACHE"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"LINEAMENT_{name}", str(tmp_path / name))
    monkeypatch.setenv("LINEAMENT_OFFLINE", "1")
    network = blue_network()
    (tmp_path / "MODELS" / "blue.onnx").write_bytes(network)
    text = MANIFEST.replace("0" * 64, hashlib.sha256(network).hexdigest())
    (tmp_path / "MODELS" / "blue-ink.toml").write_text(text.replace("bytes = 1 ", f"bytes = {len(network)} "))
    list_models.cache_clear()
    yield tmp_path
    list_models.cache_clear()


def calibrate(folder: Path, remover: str) -> None:
    MeshRecord(
        name="drawn",
        remover=remover,
        protocol="drawn",
        data=(CalibrationData(name="drawn", digest="0" * 64),),
        n_clean=2000,
        n_meshed=10,
        rows=fit_mesh_rows(np.linspace(0, 0.4, 2000), np.ones(10)),
    ).save(folder / "CALIBRATION")


def test_a_gate_needs_a_record(own: Path) -> None:
    with pytest.raises(NotCalibrated, match="no calibration record for mesh remover blue-ink@"):
        load_mesh_gate("blue-ink", RATE, ORT)
    calibrate(own, load_remover("blue-ink", ORT).id)
    gate = load_mesh_gate("blue-ink", RATE, ORT)
    assert isinstance(gate.remover, NetworkRemover)
    assert (gate.rate, gate.record, gate.id) == (RATE, "drawn", gate.remover.id)
    assert 0.39 < gate.threshold < 0.4
    with pytest.raises(NotCalibrated, match="supports touching"):
        load_mesh_gate("blue-ink", 1e-6, ORT)


@pytest.mark.usefixtures("own")
def test_other_models_are_no_removers() -> None:
    with pytest.raises(ModelNotFound, match="no restore model is called 'centerface'"):
        load_remover("centerface")


def test_a_factory_of_something_else(own: Path) -> None:
    path = own / "MODELS" / "blue-ink.toml"
    path.write_text(path.read_text().replace("lineament.demesh.network:NetworkRemover", "builtins:str"))
    list_models.cache_clear()
    with pytest.raises(TypeError, match="must make a NetworkRemover, got str"):
        load_remover("blue-ink", ORT)


def restoring_profile(**changes: object) -> Profile:
    return find_profile("id-photo").model_copy(update={"mesh_remover": "blue-ink"} | changes)


def test_what_a_profile_still_needs_is_told(own: Path) -> None:
    options = FetchOptions.from_environment()

    def said(profile: Profile) -> str:
        return " ".join(check_profile(profile, options, ORT).problems)

    assert "mesh remover" not in said(find_profile("open"))
    assert "no restore model is called 'nothing'" in said(restoring_profile(mesh_remover="nothing"))
    assert "no calibration record for mesh remover blue-ink@" in said(restoring_profile())
    remover = load_remover("blue-ink", ORT).id
    calibrate(own, remover)
    assert "supports touching" in said(restoring_profile())
    profile = restoring_profile(clean_touched_rate=RATE)
    assert f"no calibration record for embedding space dlib-resnet-f32-flip@8c3bce357a33~{remover}" in said(
        profile
    )
    made_up_record(f"dlib-resnet-f32-flip@8c3bce357a33~{remover}", {1e-2: 0.5}).save(own / "CALIBRATION")
    assert "record" not in said(profile)


def test_demesh_from_the_registry(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = restoring_profile(clean_touched_rate=RATE)
    monkeypatch.setitem(list_profiles(), "id-photo", profile)
    meshed, out = inked(SCENES["ada"].pixels), own / "out.png"
    write_image(own / "in.png", meshed)
    command = ["demesh", str(own / "in.png"), "-o", str(out), "--backend", "onnxruntime"]
    assert run(command) == 7
    assert not out.exists()
    calibrate(own, load_remover("blue-ink", ORT).id)
    assert run(command) == 0
    (expected,) = load_remover("blue-ink", ORT).restore([meshed])
    np.testing.assert_array_equal(read_image(out).pixels, expected.pixels)


def test_a_damaged_record_is_an_error(own: Path) -> None:
    remover = load_remover("blue-ink", ORT).id
    calibrate(own, remover)
    (path,) = (own / "CALIBRATION" / "mesh").iterdir()
    path.write_text("name = 3")
    with pytest.raises(ManifestError, match="mesh record blue-ink"):
        load_mesh_gate("blue-ink", RATE, ORT)
