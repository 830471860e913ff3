"""A user's own models: added whole or not at all, used by name, removed."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from exported_folder import SIDE_PX, network, outputs, write_export
from hypothesis import given
from hypothesis import strategies as st

from lineament.cli.app import run
from lineament.core.errors import ConfigError, ManifestError, ModelNotFound, WeightsCorrupt, WeightsMissing
from lineament.embedding import load_embedder
from lineament.zoo.licence import check_licence
from lineament.zoo.manifest import (
    BundledSource,
    find_model,
    golden_path,
    list_models,
    manifest_text,
    parse_manifest,
)
from lineament.zoo.options import FetchOptions
from lineament.zoo.profiles import find_profile
from lineament.zoo.session import Runtime
from lineament.zoo.store import derived_folder, ensure_weights
from lineament.zoo.toml import toml_document
from lineament.zoo.user import add_model, remove_model
from lineament.zoo.verify import verify_weights, whereabouts

ORT = Runtime("onnxruntime", threads=1)
CROPS = np.random.default_rng(2).integers(0, 256, (3, SIDE_PX, SIDE_PX, 3), np.uint8)


@pytest.fixture
def own(clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of own models, still absent."""
    folder = clean_environment / "own"
    monkeypatch.setenv("LINEAMENT_MODELS", str(folder))
    monkeypatch.setenv("LINEAMENT_CALIBRATION", str(clean_environment / "calibration"))
    list_models.cache_clear()
    yield folder
    list_models.cache_clear()


@pytest.fixture
def export(tmp_path: Path) -> Path:
    write_export(tmp_path / "export", "tiny.mine")
    return tmp_path / "export"


def contents(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir() if p.name != ".lock"}


def vectors(seed: int) -> np.ndarray:
    found = outputs(seed, (CROPS.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_added_model_is_used_by_name(own: Path, export: Path) -> None:
    added = add_model(export)
    assert (added.manifest.name, added.replaced, added.path) == ("tiny.mine", False, own / "tiny.mine.toml")
    assert find_model("tiny.mine", "embedding") == added.manifest
    np.testing.assert_allclose(load_embedder("tiny.mine", ORT).embed(CROPS), vectors(0), atol=1e-5)
    found = verify_weights(added.manifest, ORT, FetchOptions.from_environment())
    assert found.is_sound
    assert found.golden is not None
    assert whereabouts(added.manifest, FetchOptions.from_environment()) == "yours"
    card = own / Path(added.manifest.weights[0].file).parent / "MODEL_CARD.md"
    assert card.read_text() == "# tiny.mine\n"


@pytest.mark.usefixtures("own")
def test_own_embedder_is_a_profile(export: Path) -> None:
    with pytest.raises(ConfigError, match=r"no profile is called 'tiny\.mine'"):
        find_profile("tiny.mine")
    add_model(export)
    plain, flipped, known = find_profile("tiny.mine"), find_profile("tiny.mine+flip"), find_profile("open")
    assert (plain.embedder, flipped.embedder) == ("tiny.mine", "tiny.mine+flip")
    assert plain.detector == known.detector
    for wrong in ("tiny.mine+mirror", "yunet", "edgeface-xs"):
        with pytest.raises(ConfigError, match="no profile"):
            find_profile(wrong)


@pytest.mark.usefixtures("own")
def test_closed_terms_still_need_acceptance(tmp_path: Path) -> None:
    closed = {"code": "MIT", "weights": "research only", "data": "none", "commercial_use": False}
    write_export(tmp_path / "closed", "closed", licence=closed)
    added = add_model(tmp_path / "closed")
    with pytest.raises(Exception, match="research only"):
        check_licence(added.manifest)


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("inside", ["", "export/"])
def test_zip(export: Path, tmp_path: Path, inside: str) -> None:
    with zipfile.ZipFile(tmp_path / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in export.iterdir():
            archive.write(path, inside + path.name)
    add_model(tmp_path / "export.zip", "other")
    np.testing.assert_allclose(load_embedder("other", ORT).embed(CROPS), vectors(0), atol=1e-5)


def test_taken_names(own: Path, export: Path, tmp_path: Path) -> None:
    before = add_model(export).manifest
    write_export(tmp_path / "second", "tiny.mine", seed=5)
    with pytest.raises(ManifestError, match=r"you have a model .*--replace"):
        add_model(tmp_path / "second")
    for taken in ("mobilefacenet", "open"):
        with pytest.raises(ManifestError, match="of a package; give --name"):
            add_model(export, taken, replace=True)
    for wrong in ("../up", "Big", "a b", "a+flip"):
        with pytest.raises(ManifestError, match="small letters"):
            add_model(export, wrong)
    assert find_model("tiny.mine") == before
    added = add_model(tmp_path / "second", replace=True)
    assert added.replaced
    np.testing.assert_allclose(load_embedder("tiny.mine", ORT).embed(CROPS), vectors(5), atol=1e-5)
    assert len(contents(own)) == 2


def test_remove(own: Path, export: Path, tmp_path: Path) -> None:
    options = FetchOptions.from_environment()
    added = add_model(export)
    add_model(export, "tiny")
    assert derived_folder(added.manifest, options).is_dir()
    remove_model("tiny.mine")
    assert not derived_folder(added.manifest, options).exists()
    assert set(list_models()) & {"tiny.mine", "tiny"} == {"tiny"}
    (own / "tiny.toml").write_text("damaged")
    list_models.cache_clear()
    with pytest.raises(ManifestError, match=r"own/tiny\.toml"):
        list_models()
    remove_model("tiny")
    assert contents(own) == set()
    for name in ("tiny", "../export/manifest", str(export / "manifest")):
        with pytest.raises(ModelNotFound, match="you have added no model"):
            remove_model(name)
    with pytest.raises(ManifestError, match="comes with a package"):
        remove_model("mobilefacenet")
    assert (tmp_path / "export" / "manifest.toml").is_file()


def harm_weights(export: Path) -> None:
    data = bytearray((export / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (export / "model.onnx").write_bytes(data)


def harm_golden(export: Path) -> None:
    (export / "golden.npz").write_bytes(b"PK")


def other_network(export: Path) -> None:
    """Sound digests, but outputs that are not the stored ones."""
    shutil.rmtree(export)
    seventh = network(7)
    manifest = write_export(export, "tiny.mine")
    (export / "model.onnx").write_bytes(seventh)
    text = manifest_text(manifest).replace(manifest.weights[0].sha256, _sha256(seventh))
    (export / "manifest.toml").write_text(text)


def no_network(export: Path) -> None:
    manifest = parse_manifest((export / "manifest.toml").read_text(), "export")
    junk = b"\x00" * manifest.weights[0].bytes
    (export / "model.onnx").write_bytes(junk)
    text = manifest_text(manifest).replace(manifest.weights[0].sha256, _sha256(junk))
    (export / "manifest.toml").write_text(text)


def _sha256(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("harm", "error", "text"),
    [
        (harm_weights, WeightsCorrupt, r"model\.onnx: sha256 expected"),
        (lambda e: (e / "model.onnx").write_bytes(b""), WeightsCorrupt, r"model\.onnx: sha256 expected"),
        (lambda e: (e / "model.onnx").unlink(), WeightsCorrupt, r"model\.onnx"),
        (harm_golden, WeightsCorrupt, r"golden\.npz: sha256 expected"),
        (lambda e: (e / "golden.npz").unlink(), ManifestError, r"has no golden\.npz"),
        (lambda e: (e / "manifest.toml").unlink(), ManifestError, r"has no manifest\.toml"),
        (lambda e: (e / "manifest.toml").write_bytes(b"\xff\xfe"), ManifestError, "UTF-8"),
        (lambda e: (e / "manifest.toml").write_text("schema = 1"), ManifestError, "faults"),
        (lambda e: (e / "manifest.toml").write_bytes(b"#" * 2_000_000), ManifestError, "larger than 1 MB"),
        (other_network, WeightsCorrupt, "do not give the outputs"),
        (no_network, WeightsCorrupt, "ONNX"),
    ],
)
def test_damaged_export_leaves_nothing(own: Path, export: Path, harm, error, text) -> None:
    harm(export)
    with pytest.raises(error, match=text):
        add_model(export)
    assert not own.exists() or contents(own) == set()


@pytest.mark.parametrize("kind", ["absent", "text", "cut off", "one byte wrong"])
def test_damaged_zip(own: Path, export: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for member in sorted(export.iterdir()):
            archive.write(member, member.name)
    data = bytearray(path.read_bytes())
    if kind == "absent":
        path.unlink()
    elif kind == "text":
        path.write_text("a text")
    elif kind == "cut off":
        path.write_bytes(data[: len(data) // 2])
    else:
        data[data.index((export / "model.onnx").read_bytes()) + 50] ^= 1
        path.write_bytes(data)
    with pytest.raises((WeightsCorrupt, ManifestError), match="zip"):
        add_model(path)
    assert not own.exists() or contents(own) == set()


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    "changes", [{"factory": "os:system"}, {"factory": "lineament.cli.app:main"}, {"golden": None}]
)
def test_code_from_elsewhere_is_refused(tmp_path: Path, changes: dict[str, str]) -> None:
    write_export(tmp_path / "export", "odd", **changes)
    with pytest.raises(ManifestError, match=r"known model family|no golden vectors"):
        add_model(tmp_path / "export")


def test_folder_that_cannot_be_written(own: Path, export: Path) -> None:
    own.parent.mkdir(exist_ok=True)
    own.write_text("a file is in the way")
    with pytest.raises(WeightsMissing, match="LINEAMENT_MODELS"):
        add_model(export)


def test_interrupted_add_changes_nothing(own: Path, export: Path, tmp_path: Path, monkeypatch) -> None:
    before = add_model(export).manifest
    write_export(tmp_path / "second", "tiny.mine", seed=5)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lineament.zoo.user.write_atomic", full)
    with pytest.raises(WeightsMissing, match="no space left"):
        add_model(tmp_path / "second", replace=True)
    list_models.cache_clear()
    assert find_model("tiny.mine") == before
    np.testing.assert_allclose(load_embedder("tiny.mine", ORT).embed(CROPS), vectors(0), atol=1e-5)
    assert len(contents(own)) == 2


def test_two_processes_at_once(own: Path, export: Path, tmp_path: Path) -> None:
    write_export(tmp_path / "second", "tiny.mine", seed=5)
    code = "import sys; from lineament.cli.app import run; sys.exit(run(sys.argv[1:]))"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, "models", "add", str(source), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for source in (export, tmp_path / "second")
    ]
    done = [(*p.communicate(), p.returncode) for p in started]
    assert sorted(code for _, _, code in done) == [0, 5]
    assert any("--replace" in err for _, err, _ in done)
    won = [code for _, _, code in done].index(0)
    list_models.cache_clear()
    found = load_embedder("tiny.mine", ORT).embed(CROPS)
    np.testing.assert_allclose(found, vectors([0, 5][won]), atol=1e-5)
    assert len(contents(own)) == 2


@pytest.mark.usefixtures("own")
def test_commands(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "add", str(export), "--name", "mine"]) == 0
    assert "lineament calibrate PEOPLE --profile mine" in capsys.readouterr().out
    assert run(["models", "list", "--json", "--task", "embedding"]) == 0
    listed = {m["name"]: m["where"] for m in json.loads(capsys.readouterr().out)}
    assert listed["mine"] == "yours"
    assert run(["models", "verify", "mine"]) == 0
    assert run(["models", "info", "mine"]) == 0
    capsys.readouterr()
    assert run(["models", "add", str(export), "--name", "mine"]) == 5
    assert "--replace" in capsys.readouterr().err
    assert run(["models", "add", str(export), "--name", "mine", "--replace", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["replaced"] is True
    assert run(["models", "remove", "mine", "--json"]) == 0
    assert run(["models", "remove", "mine"]) == 5
    assert run(["models", "remove", "yunet"]) == 5


def test_bundled_weights(own: Path, export: Path, tmp_path: Path, monkeypatch, options: FetchOptions) -> None:
    assert not own.exists()
    manifest = parse_manifest((export / "manifest.toml").read_text(), "export")
    weight = manifest.weights[0].model_copy(
        update={"file": "tiny.onnx", "sources": (BundledSource(kind="bundled"),)}
    )
    bundled = manifest.model_copy(update={"weights": (weight,), "name": "bundled"})
    assert parse_manifest(manifest_text(bundled), "text") == bundled
    with pytest.raises(WeightsMissing, match=r"no tiny\.onnx; reinstall"):
        ensure_weights(bundled, options)
    package = tmp_path / "package"
    (package / "weights").mkdir(parents=True)
    (package / "golden").mkdir()
    (package / "weights" / "tiny.onnx").write_bytes((export / "model.onnx").read_bytes())
    (package / "golden" / "golden.npz").write_bytes((export / "golden.npz").read_bytes())
    monkeypatch.setattr("lineament.zoo.manifest.files", lambda _: package)
    assert golden_path(bundled) == package / "golden" / "golden.npz"
    assert whereabouts(bundled, options) == "package"
    assert ensure_weights(bundled, options)["model"].path == package / "weights" / "tiny.onnx"


@pytest.mark.parametrize("name", list(list_models()))
def test_manifest_text_round_trip(name: str) -> None:
    manifest = find_model(name)
    assert parse_manifest(manifest_text(manifest), "text") == manifest


PLAIN = st.one_of(
    st.text(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
)
TABLE = st.recursive(
    st.dictionaries(st.text(min_size=1), st.one_of(PLAIN, st.lists(st.integers(0, 9)))),
    lambda t: st.dictionaries(st.text(min_size=1), st.one_of(PLAIN, t, st.lists(t, min_size=1, max_size=3))),
    max_leaves=8,
)


@given(TABLE)
def test_toml_round_trip(fields: dict[str, object]) -> None:
    import tomllib

    assert tomllib.loads(toml_document(fields)) == fields
