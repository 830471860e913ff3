"""The cache: what is written, when it is trusted, and what happens when the disk or another process interferes."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_converters import PREFIX
from fake_index import Answer, FakeServer, manifest, sha256, tiny_network, url_source, weight

from lineament.core.errors import ManifestError, WeightsCorrupt, WeightsMissing
from lineament.zoo.manifest import Manifest
from lineament.zoo.options import FetchOptions
from lineament.zoo.session import Runtime, open_session
from lineament.zoo.store import derived_folder, ensure_weights
from lineament.zoo.web import PIECE

NET = tiny_network(padding=200_000)
CONVERTER = "fake_converters:convert"
CHILD = """
import sys
from fake_index import manifest, url_source, weight
from pathlib import Path
from lineament.zoo.store import ensure_weights
data = Path(sys.argv[2]).read_bytes()
print(ensure_weights(manifest(weight(data, url_source(sys.argv[1]))))["model"].path)
"""


@pytest.fixture
def folder(options: FetchOptions, tmp_path: Path) -> FetchOptions:
    """Options with a folder that has the network, plain and in the wrapping that the converter takes off."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "net.onnx").write_bytes(NET)
    (tmp_path / "mine" / "net.dat").write_bytes(PREFIX + NET)
    return replace(options, folders=(tmp_path / "mine",))


def converted() -> Manifest:
    return manifest(weight(PREFIX + NET, file="net.dat", convert=CONVERTER))


def golden(tmp_path: Path, outputs: float) -> dict[str, object]:
    x = np.random.default_rng(1).integers(0, 256, (1, 3, 8, 8)).astype(np.float32)
    (tmp_path / "plain.onnx").write_bytes(NET)
    (y,) = open_session(tmp_path / "plain.onnx", Runtime("onnxruntime")).run({"x": x}).values()
    path = tmp_path / "tiny.golden.npz"
    np.savez(path, **{"model/in/x": x, "model/out/y": y + np.float32(outputs)})
    return {"file": str(path), "sha256": sha256(path.read_bytes()), "rtol": 1e-4, "atol": 1e-2}


def start(url: str, options: FetchOptions, tmp_path: Path) -> subprocess.Popen[str]:
    (tmp_path / "expected.onnx").write_bytes(NET)
    command = [sys.executable, "-c", CHILD, url, str(tmp_path / "expected.onnx")]
    environment = os.environ | {
        "LINEAMENT_CACHE": str(options.cache),
        "PYTHONPATH": str(Path(__file__).parent),
    }
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_both_networks_give_the_same(folder: FetchOptions) -> None:
    files = ensure_weights(manifest(weight(NET)), folder)["model"]
    x = np.random.default_rng(2).normal(size=(3, 3, 8, 8)).astype(np.float32)
    published, prepared = (
        open_session(p, Runtime("onnxruntime")).run({"x": x})["y"] for p in (files.path, files.prepared)
    )
    assert files.path != files.prepared
    np.testing.assert_allclose(prepared, published, atol=1e-5)


def test_network_without_anything_to_rewrite_has_one_file(options: FetchOptions, tmp_path: Path) -> None:
    plain = tiny_network(prelu=False)
    (tmp_path / "net.dat").write_bytes(PREFIX + plain)
    wanted = manifest(weight(PREFIX + plain, file="net.dat", convert=CONVERTER))
    files = ensure_weights(wanted, replace(options, folders=(tmp_path,)))["model"]
    assert files.prepared is None
    assert sorted(p.name for p in files.path.parent.iterdir()) == ["digests.json", "model.onnx"]
    assert files.path.read_bytes() == plain


def test_converted_once_then_read(folder: FetchOptions, tmp_path: Path) -> None:
    files = ensure_weights(converted(), folder)["model"]
    assert files.path.read_bytes() == NET
    made = files.path.stat().st_mtime_ns
    (tmp_path / "mine" / "net.dat").unlink()
    assert ensure_weights(converted(), folder)["model"] == files
    assert files.path.stat().st_mtime_ns == made


def test_another_user_may_read_what_the_umask_lets(folder: FetchOptions) -> None:
    before = os.umask(0o022)
    try:
        files = ensure_weights(converted(), folder)["model"]
    finally:
        os.umask(before)
    modes = [p.stat().st_mode & 0o777 for p in (files.path, files.prepared, files.path.parent)]
    assert modes == [0o644, 0o644, 0o755]


def test_malformed_file_is_named_and_leaves_nothing(folder: FetchOptions, tmp_path: Path) -> None:
    (tmp_path / "mine" / "net.dat").write_bytes(b"malformed")
    wrong = manifest(weight(b"malformed", file="net.dat", convert=CONVERTER))
    with pytest.raises(WeightsCorrupt, match="at the beginning"):
        ensure_weights(wrong, folder)
    plain = manifest(weight(b"malformed", file="net.dat"))
    with pytest.raises(WeightsCorrupt, match=r"expected a serialised ONNX model, but .*net\.dat"):
        ensure_weights(plain, folder)
    assert list((folder.cache / "models").iterdir()) == []


def test_absent_converter_is_a_fault_of_the_manifest(folder: FetchOptions) -> None:
    with pytest.raises(ManifestError, match="fake_converters_that_is_not_there"):
        ensure_weights(manifest(weight(NET, convert="fake_converters_that_is_not_there:convert")), folder)


def test_another_conversion_makes_another_folder(folder: FetchOptions) -> None:
    assert derived_folder(converted(), folder) != derived_folder(manifest(weight(PREFIX + NET)), folder)


def test_golden_vectors_decide_before_anything_is_visible(folder: FetchOptions, tmp_path: Path) -> None:
    good = manifest(weight(NET), golden=golden(tmp_path, 0.0))
    assert ensure_weights(good, folder)["model"].prepared.is_file()
    bad = manifest(weight(NET), name="wrong", golden=golden(tmp_path, 1.0))
    with pytest.raises(WeightsCorrupt, match=r"model/y: differs by 1, allowed are 0\.01"):
        ensure_weights(bad, folder)
    assert not derived_folder(bad, folder).exists()


@pytest.mark.parametrize("harm", ["other bytes", "truncated", "absent", "no digests", "digests are no JSON"])
def test_damaged_derived_files_are_made_again(
    folder: FetchOptions, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    files = ensure_weights(converted(), folder)["model"]
    good, digests = files.prepared.read_bytes(), files.prepared.with_name("digests.json")
    if harm == "other bytes":
        files.prepared.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    elif harm == "truncated":
        files.path.write_bytes(NET[:100])
    elif harm == "absent":
        files.prepared.unlink()
    else:
        digests.unlink() if harm == "no digests" else digests.write_text("[")
    with caplog.at_level(logging.WARNING, logger="lineament"):
        assert ensure_weights(converted(), folder)["model"] == files
    assert (files.path.read_bytes(), files.prepared.read_bytes()) == (NET, good)
    assert set(json.loads(digests.read_bytes())) == {"model.onnx", "model.prepared.onnx"}
    assert bool(caplog.records) == (harm in {"other bytes", "truncated", "digests are no JSON"})


def test_damaged_published_file_is_set_aside_and_fetched_again(
    server: FakeServer, options: FetchOptions, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers["/net"] = Answer(NET)
    wanted = manifest(weight(NET, url_source(f"{server.url}/net")))
    path = ensure_weights(wanted, options)["model"].path
    path.write_bytes(b"damaged")
    assert ensure_weights(wanted, options)["model"].path.read_bytes() == NET
    assert path.with_name("net.onnx.damaged").read_bytes() == b"damaged"
    assert sha256(b"damaged") in caplog.text
    assert server.times_asked("/net") == 2


def test_cache_that_cannot_be_written(folder: FetchOptions, tmp_path: Path) -> None:
    (tmp_path / "a-file").touch()
    with pytest.raises(
        WeightsMissing, match=r"a-file/cache cannot be used: not a directory.*LINEAMENT_CACHE"
    ):
        ensure_weights(manifest(weight(NET)), replace(folder, cache=tmp_path / "a-file" / "cache"))


def test_disk_that_is_full(server: FakeServer, options: FetchOptions, tmp_path: Path) -> None:
    server.answers["/net"] = Answer(NET)
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n" + CHILD
    (tmp_path / "expected.onnx").write_bytes(NET)
    done = subprocess.run(
        [sys.executable, "-c", limited, f"{server.url}/net", str(tmp_path / "expected.onnx")],
        env=os.environ | {"LINEAMENT_CACHE": str(options.cache), "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "cannot be used: file too large; make room or set LINEAMENT_CACHE" in done.stderr
    assert not [p for p in (options.cache / "files").rglob("*") if p.is_file()]


def test_two_processes_share_one_download(server: FakeServer, options: FetchOptions, tmp_path: Path) -> None:
    answer = server.answers["/net"] = Answer(NET, hold=threading.Event())
    children = [start(f"{server.url}/net", options, tmp_path) for _ in range(2)]
    wait_for(lambda: server.times_asked("/net") == 1)
    assert answer.hold is not None
    answer.hold.set()
    said = [child.communicate(timeout=60) for child in children]
    assert [c.returncode for c in children] == [0, 0], said
    assert said[0][0] == said[1][0]
    assert Path(said[0][0].strip()).read_bytes() == NET
    assert server.times_asked("/net") == 1


def test_killed_process_leaves_a_part_that_the_next_one_continues(
    server: FakeServer, options: FetchOptions, tmp_path: Path
) -> None:
    answer = server.answers["/net"] = Answer(NET, hold=threading.Event())
    child = start(f"{server.url}/net", options, tmp_path)
    part = options.partial(sha256(NET))
    wait_for(lambda: part.is_file() and part.stat().st_size >= PIECE)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert answer.hold is not None
    answer.hold.set()
    kept = part.stat().st_size
    wanted = manifest(weight(NET, url_source(f"{server.url}/net")))
    assert ensure_weights(wanted, options)["model"].path.read_bytes() == NET
    assert server.asked[-1][1] == f"bytes={kept}-"


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_options_from_the_environment(
    clean_environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = FetchOptions.from_environment()
    assert (plain.cache, plain.folders, plain.offline) == (clean_environment / "cache", (), False)
    monkeypatch.setenv("LINEAMENT_WEIGHTS", f"{tmp_path / 'a'}{os.pathsep}{tmp_path / 'b'}")
    monkeypatch.setenv("LINEAMENT_OFFLINE", "1")
    found = FetchOptions.from_environment()
    assert (found.folders, found.offline) == ((tmp_path / "a", tmp_path / "b"), True)
    monkeypatch.setenv("LINEAMENT_OFFLINE", "no")
    assert not FetchOptions.from_environment().offline
    assert FetchOptions.from_environment(offline=True).offline
