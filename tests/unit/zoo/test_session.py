"""The door to the runtimes: strict about what was asked for, and safe to share between threads."""

import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_index import tiny_network

from lineament.core.errors import RuntimeUnavailable
from lineament.zoo.session import MAX_DEFAULT_THREADS, Backend, Runtime, Session, open_session

BACKENDS: tuple[Backend, ...] = ("onnxruntime", "openvino")
ORT = Runtime("onnxruntime", threads=1)
OPENVINO = Runtime("openvino", threads=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "net.onnx").write_bytes(tiny_network())
    return tmp_path / "net.onnx"


@pytest.fixture
def without_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine as it is without the optional package."""
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "lineament.zoo.session.find_spec", lambda name: None if name == "openvino" else real(name)
    )


def pictures(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 3, 8, 8)).astype(np.float32)


def test_default_is_decided_for_the_machine() -> None:
    decided = Runtime().resolved()
    assert (decided.backend, decided.provider, decided.precision) == ("openvino", "cpu", "f32")
    assert decided.threads == min(MAX_DEFAULT_THREADS, len(os.sched_getaffinity(0)))
    assert decided.resolved() == decided


SIGNALLED = """
import gc, os, signal, sys
from pathlib import Path
from lineament.zoo.session import Runtime, open_session
heard = []
signal.signal(signal.SIGTERM, lambda *_: heard.append("heard"))
path = Path(sys.argv[1])
sessions = [open_session(path, Runtime("openvino", threads=1)) for _ in range(3)]
for k in range(len(sessions)):
    sessions[k] = None
    gc.collect()
os.kill(os.getpid(), signal.SIGTERM)
print(heard)
"""


def test_a_process_that_gave_sessions_back_hears_signals(path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SIGNALLED, path], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "['heard']\n", "")


FIRST_RUNS = """
import sys, threading
from pathlib import Path
import numpy as np
from lineament.zoo.session import Runtime, open_session
sys.setswitchinterval(1e-6)
session = open_session(Path(sys.argv[1]), Runtime("openvino", threads=1))
together = threading.Barrier(8)
def run():
    together.wait()
    done.append(session.run({"x": np.zeros((1, 3, 8, 8), np.float32)})["y"].shape)
done = []
threads = [threading.Thread(target=run) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(done))
"""


def test_first_runs_in_several_threads_do_not_wait_for_each_other(path: Path) -> None:
    for _ in range(3):
        ended = subprocess.run(
            [sys.executable, "-c", FIRST_RUNS, path], capture_output=True, text=True, check=False, timeout=60
        )
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "8\n", "")


@pytest.mark.usefixtures("without_openvino")
def test_without_openvino() -> None:
    assert Runtime().resolved().backend == "onnxruntime"
    with pytest.raises(
        RuntimeUnavailable, match=r"openvino is not installed; pip install 'lineament\[openvino\]'"
    ):
        Runtime("openvino").resolved()
    with pytest.raises(RuntimeUnavailable, match="precision bf16 needs OpenVINO"):
        Runtime(precision="bf16").resolved()


def test_onnxruntime_has_no_bf16() -> None:
    with pytest.raises(RuntimeUnavailable, match="bf16"):
        Runtime("onnxruntime", precision="bf16").resolved()


@pytest.mark.parametrize(
    "wrong", [{"backend": "torch"}, {"precision": "f16"}, {"threads": -1}, {"threads": 257}]
)
def test_values_that_mean_nothing(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Runtime(**wrong)


@pytest.mark.parametrize("backend", BACKENDS)
def test_provider_that_is_not_here_is_an_error(path: Path, backend: Backend) -> None:
    with pytest.raises(
        RuntimeUnavailable, match=r"provider 'abacus' is not available in .*; there are: .*cpu"
    ):
        open_session(path, Runtime(backend, provider="abacus"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_session_says_what_it_is(path: Path, backend: Backend) -> None:
    session = open_session(path, Runtime(backend, threads=2))
    assert session.runtime == Runtime(backend, "cpu", "f32", 2)
    assert (session.inputs, session.outputs) == (("x",), ("y",))


def test_prepared_network_is_for_onnxruntime_only(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(tiny_network(seed=9))
    x = pictures(1)

    def outputs(runtime: Runtime, prepared: Path | None) -> np.ndarray:
        return open_session(path, runtime, prepared).run({"x": x})["y"]

    assert np.abs(outputs(ORT, other) - outputs(ORT, None)).max() > 0.1
    np.testing.assert_array_equal(outputs(OPENVINO, other), outputs(OPENVINO, None))


def test_backends_agree_in_f32(path: Path) -> None:
    ours, theirs = open_session(path, ORT), open_session(path, OPENVINO)
    for count in (1, 4, 2, 0):
        x = pictures(count, count)
        a, b = (s.run({"x": x})["y"] for s in (ours, theirs))
        assert a.shape == b.shape == (count, 4, 8, 8)
        assert a.dtype == b.dtype == np.float32
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_outputs_belong_to_the_caller(path: Path, backend: Backend) -> None:
    session = open_session(path, Runtime(backend, threads=1))
    first = session.run({"x": pictures(1, 1)})["y"]
    kept = first.copy()
    session.run({"x": pictures(1, 2)})
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("backend", BACKENDS)
def test_eight_threads_get_what_one_gets(path: Path, backend: Backend) -> None:
    session: Session = open_session(path, Runtime(backend, threads=1))
    work = [pictures(1 + i % 3, i) for i in range(200)]
    alone = [session.run({"x": x})["y"] for x in work]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda x: session.run({"x": x})["y"], work))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.weights
@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "size", "scale"),
    [
        ("mobilefacenet_foamliu/MobileFaceNet.onnx", 112, 58.0),
        ("edgeface/edgeface_xxs.onnx", 112, 127.5),
        ("yunet/yunet_n_dynamic.onnx", 96, 1.0),
    ],
)
def test_backends_agree_on_published_networks(shared: Path, file: str, size: int, scale: float) -> None:
    x = np.random.default_rng(5).integers(0, 256, (1, 3, size, size)).astype(np.float32)
    if scale > 1:
        x = (x - 127.5) / np.float32(scale)
    a, b = (open_session(shared / "weights" / file, runtime) for runtime in (ORT, OPENVINO))
    found = b.run({b.inputs[0]: x})
    for name, expected in a.run({a.inputs[0]: x}).items():
        np.testing.assert_allclose(found[name], expected, atol=1e-4, rtol=1e-3, err_msg=name)
