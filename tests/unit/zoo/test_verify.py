"""What verify and the listing say about files that are there, damaged or absent."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_converters import PREFIX
from fake_index import manifest, sha256, tiny_network, url_source, weight

from lineament.zoo.manifest import Manifest
from lineament.zoo.options import FetchOptions
from lineament.zoo.session import Runtime, open_session
from lineament.zoo.store import derived_folder, ensure_weights
from lineament.zoo.verify import verify_weights, whereabouts

NET = tiny_network()
ORT = Runtime("onnxruntime", threads=1)


@pytest.fixture
def folder(options: FetchOptions, tmp_path: Path) -> FetchOptions:
    (tmp_path / "net.onnx").write_bytes(NET)
    (tmp_path / "net.dat").write_bytes(PREFIX + NET)
    return replace(options, folders=(tmp_path,))


def with_golden(tmp_path: Path) -> Manifest:
    x = np.random.default_rng(6).normal(size=(1, 3, 8, 8)).astype(np.float32)
    y = open_session(tmp_path / "net.onnx", ORT).run({"x": x})["y"]
    np.savez(tmp_path / "golden.npz", **{"model/in/x": x, "model/out/y": y})
    file = tmp_path / "golden.npz"
    facts = {"file": str(file), "sha256": sha256(file.read_bytes()), "rtol": 1e-4, "atol": 1e-4}
    return manifest(weight(NET), golden=facts)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_sound_model(folder: FetchOptions, tmp_path: Path, backend: str) -> None:
    model = with_golden(tmp_path)
    ensure_weights(model, folder)
    found = verify_weights(model, Runtime(backend, threads=1), folder)  # type: ignore[arg-type]
    assert found.is_sound
    assert [f.path.name for f in found.files] == ["net.onnx", "model.prepared.onnx"]
    assert found.golden is not None
    assert found.golden.worst < 1e-4


def test_nothing_here(options: FetchOptions) -> None:
    found = verify_weights(manifest(weight(NET)), ORT, options)
    assert (found.files, found.golden, found.is_sound) == ((), None, True)
    assert not options.cache.exists()


@pytest.mark.parametrize("victim", ["published", "derived", "digests", "golden"])
def test_damage_is_found_and_left(folder: FetchOptions, tmp_path: Path, victim: str) -> None:
    model = with_golden(tmp_path)
    prepared = ensure_weights(model, folder)["model"].prepared
    path = {
        "published": tmp_path / "net.onnx",
        "derived": prepared,
        "digests": prepared.with_name("digests.json"),
        "golden": tmp_path / "golden.npz",
    }[victim]
    path.write_bytes(b"damaged")
    found = verify_weights(model, ORT, folder)
    assert not found.is_sound
    if victim == "golden":
        assert sha256(b"damaged") in found.golden_fault
    else:
        assert [f.path for f in found.files if not f.is_sound] == [path]
        assert found.golden is None
    assert path.read_bytes() == b"damaged"


def test_whereabouts(folder: FetchOptions, options: FetchOptions) -> None:
    model = manifest(weight(NET, url_source("http://127.0.0.1:9/net")))
    closed = manifest(weight(NET))
    wrapped = manifest(weight(PREFIX + NET, file="net.dat", convert="fake_converters:convert"))
    assert whereabouts(model, options) == "fetch"
    assert whereabouts(model, replace(options, offline=True)) == whereabouts(closed, options) == "absent"
    assert whereabouts(closed, folder) == whereabouts(wrapped, folder) == "folder"
    ensure_weights(wrapped, folder)
    assert whereabouts(wrapped, options) == "cache"
    cached = options.cached(sha256(NET), "net.onnx")
    cached.parent.mkdir(parents=True)
    cached.write_bytes(NET[:-1])
    assert whereabouts(closed, options) == "absent"
    cached.write_bytes(NET)
    assert whereabouts(closed, options) == "cache"
    assert not derived_folder(closed, options).exists()
