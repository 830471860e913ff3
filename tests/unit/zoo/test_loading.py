"""From a name to an object, through the plug-in door: an installed package whose entry point names a folder."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_index import sha256, tiny_network

from lineament.core.errors import LicenceNotAccepted, ManifestError, ModelNotFound, WeightsMissing
from lineament.zoo.licence import accept
from lineament.zoo.loading import LoadedModel, build, load_model
from lineament.zoo.manifest import list_models
from lineament.zoo.session import Runtime

NET = tiny_network()
ORT = Runtime("onnxruntime", threads=1)
MANIFEST = f"""
schema = 1
name = "plugged"
task = "landmarks"
factory = "test_loading:Thing"
summary = "A network for tests."
publisher = "nobody"
[[weights]]
file = "net.onnx"
sha256 = "{sha256(NET)}"
bytes = {len(NET)}
[licence]
code = "MIT"
weights = "their terms"
data = "none"
commercial_use = false
[input]
colour = "RGB"
shape = ["N", 3, 8, 8]
mean = [0.0, 0.0, 0.0]
std = [1.0, 1.0, 1.0]
"""


class Thing:
    """What the manifest's factory makes."""

    def __init__(self, model: LoadedModel) -> None:
        self.model = model


@pytest.fixture
def plugin(clean_environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package on the path that brings one manifest; returns the manifest's file."""
    assert clean_environment == tmp_path
    package = tmp_path / "site" / "plugged_models"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "plugged.toml").write_text(MANIFEST)
    record = tmp_path / "site" / "plugged-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text("[lineament.zoo]\nplugged = plugged_models\n")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "net.onnx").write_bytes(NET)
    monkeypatch.setenv("LINEAMENT_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    importlib.invalidate_caches()
    list_models.cache_clear()
    yield package / "plugged.toml"
    list_models.cache_clear()
    sys.modules.pop("plugged_models", None)


@pytest.mark.usefixtures("plugin")
def test_plugged_model_is_built() -> None:
    with pytest.raises(LicenceNotAccepted, match="their terms"):
        build("plugged", "landmarks", ORT)
    accept("plugged")
    made = build("plugged", "landmarks", ORT)
    assert isinstance(made, Thing)
    assert made.model.manifest.name == "plugged"
    assert made.model.precision == "f32"
    assert made.model.session.run({"x": np.zeros((2, 3, 8, 8), np.float32)})["y"].shape == (2, 4, 8, 8)


@pytest.mark.usefixtures("plugin")
def test_model_of_another_task_is_not_found() -> None:
    with pytest.raises(ModelNotFound, match="no detection model is called 'plugged'"):
        load_model("plugged", "detection")


def test_weights_that_are_nowhere(plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert plugin.is_file()
    accept("plugged")
    monkeypatch.delenv("LINEAMENT_WEIGHTS")
    with pytest.raises(WeightsMissing, match=r"net\.onnx"):
        load_model("plugged", "landmarks")


def test_name_that_is_taken(plugin: Path) -> None:
    plugin.write_text(MANIFEST.replace('"plugged"', '"yunet"'))
    with pytest.raises(ManifestError, match="two manifests are named 'yunet'"):
        list_models()


def test_faulty_manifest_is_named(plugin: Path) -> None:
    plugin.write_text(MANIFEST + "surprise = 1\n")
    with pytest.raises(ManifestError, match=r"plugged\.toml has 1 fault: input\.surprise"):
        list_models()
