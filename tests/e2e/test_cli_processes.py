"""The command line as real processes: killed, interrupted, side by side, on full disks and offline."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lineament.core.types import Embedding
from lineament.gallery import Gallery, NewSample, stored_space

pytestmark = [pytest.mark.shared, pytest.mark.weights]
CODE = "import sys; from lineament.cli.app import main; sys.argv[0] = 'lineament'; main()"
Johns = dict[str, list[Path]]


def start(*words: object, limit_bytes: int = 0, **environment: str) -> "subprocess.Popen[str]":
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    prepare: Callable[[], None] | None = limited if limit_bytes else None
    return subprocess.Popen(
        [sys.executable, "-c", CODE, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"LINEAMENT_DEBUG": "", "PYTHONFAULTHANDLER": "1"} | environment,
        preexec_fn=prepare,  # noqa: PLW1509  no threads between fork and exec here
    )


def finish(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # then the process says where each of its threads waits
        pytest.fail(f"{process.args} did not end: {process.communicate()[1]}")
    assert "Traceback" not in err
    return process.returncode, out, err


def command(*words: object, limit_bytes: int = 0, **environment: str) -> tuple[int, str, str]:
    return finish(start(*words, limit_bytes=limit_bytes, **environment))


def people(path: Path) -> dict[str, int]:
    with Gallery.open(path, space=stored_space(path)) as gallery:
        assert gallery.check() == []
        return {s.subject_id: s.samples for s in gallery.subjects()}


@pytest.fixture(autouse=True)
def _calibrated(calibration_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINEAMENT_CALIBRATION", str(calibration_folder))


def test_two_photos_in_a_fresh_process(johns: Johns) -> None:
    first, second = johns["John_Simm"][:2]
    code, out, err = command("verify", first, second, "--fmr", "1e-3", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["results"][0]["decision"] == "match"
    assert found["results"][0]["similarity"] >= found["threshold"] == 0.925
    assert [w["name"] for w in found["weights"]] == ["centerface", "dlib-resnet"]


def test_two_enrollments_at_once(johns: Johns, tmp_path: Path) -> None:
    path = tmp_path / "g"
    running = [start("enroll", name, *johns[name][:4], "--gallery", path) for name in sorted(johns)[:2]]
    for process in running:
        code, out, err = finish(process)
        assert (code, err) == (0, "")
        assert "4 enrolled" in out
    assert people(path) == {"John_Salley": 4, "John_Savage": 4}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_stopped_while_enrolling(johns: Johns, shared: Path, tmp_path: Path, how: signal.Signals) -> None:
    path = tmp_path / "g"
    folder = shared / "data" / "cluster_johns"
    process = start("enroll", "--people", folder, "--gallery", path, PYTHONUNBUFFERED="1")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    process.send_signal(how)
    code, out, err = finish(process)
    assert (code, err) == ((-how, "") if how is signal.SIGKILL else (130, ""))
    told = [line for line in (*lines, *out.splitlines()) if line.startswith("enrolled ")]
    there = sum(people(path).values())
    assert len(told) <= there <= len(told) + 1 < sum(map(len, johns.values()))
    again = command("enroll", "--people", folder, "--gallery", path, "--json")
    assert (again[0], again[2]) == (0, "")
    counts = json.loads(again[1])["counts"]
    assert counts["enrolled"] + there == sum(people(path).values())
    assert set(counts) == {"enrolled", "already_there"}


def test_a_disk_that_fills_up_while_enrolling(johns: Johns, tmp_path: Path) -> None:
    path = tmp_path / "g"
    ada, *more = johns["John_Salley"]
    assert command("enroll", "ada", ada, "--gallery", path)[0] == 0
    code, out, err = command("enroll", "ada", *more, "--gallery", path, limit_bytes=100_000)
    assert (code, err.count("\n")) == (6, 1), err
    assert "check the free space" in err
    told = [line for line in out.splitlines() if line.startswith("enrolled ")]
    assert people(path) == {"ada": 1 + len(told)}
    assert len(told) < len(more)


@pytest.mark.parametrize(
    ("words", "target"),
    [
        (["verify", "ADA", "BOB", "--fmr", "1e-3", "--picture"], "out.png"),
        (["detect", "ADA", "--out"], "out.png"),
        (["embed", "ADA", "--out"], "out.npz"),
    ],
)
def test_a_full_disk_leaves_the_old_file(johns: Johns, tmp_path: Path, words: list[str], target: str) -> None:
    faces = {"ADA": johns["John_Salley"][0], "BOB": johns["John_Simm"][0]}
    out = tmp_path / target
    out.write_bytes(b"old")
    code, printed, err = command(*(faces.get(w, w) for w in words), out, limit_bytes=1000)
    assert (code, printed, err.count("\n")) == (4, "", 1), err
    assert f"error: cannot write {out}: " in err
    assert list(tmp_path.iterdir()) == [out]
    assert out.read_bytes() == b"old"


def test_an_export_to_a_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "g"
    vectors = np.random.default_rng(0).standard_normal((200, 128)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with Gallery.open(path, space="space", create=True) as gallery:
        gallery.enroll_many([NewSample("ada", Embedding(v, "space")) for v in vectors])
    # Less than 200 templates need, more than a gallery needs to be read.
    code, out, err = command("gallery", "export", tmp_path / "out.zip", "-g", path, limit_bytes=60_000)
    assert (code, out, err.count("\n")) == (6, "", 1), err
    assert f"error: {tmp_path / 'out.zip'} could not be written" in err
    assert list(tmp_path.iterdir()) == [path]
    assert people(path) == {"ada": 200}


def test_output_to_a_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "g"
    Gallery.open(path, space="space", create=True).close()
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", CODE, "gallery", "info", "--gallery", str(path)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr.count("\n")) == (4, 1), done.stderr
    assert "No space left" in done.stderr


def test_offline_with_nothing_cached(johns: Johns, tmp_path: Path) -> None:
    ada, bob = johns["John_Salley"][0], johns["John_Simm"][0]
    started = time.monotonic()
    code, out, err = command(
        "verify",
        ada,
        bob,
        "--fmr",
        "1e-3",
        LINEAMENT_CACHE=str(tmp_path),
        LINEAMENT_OFFLINE="1",
        LINEAMENT_WEIGHTS="",
    )
    assert (code, out) == (5, "")
    assert err.startswith("lineament: error: weights for centerface: no source could give")
    assert "offline" in err
    assert "set LINEAMENT_WEIGHTS" in err.splitlines()[-1]
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--profile", "nothing"], 2, "there are: fast, id-photo, mobile, open"),
        (["--profile", "research"], 5, "not for commercial use"),
        (["--backend", "magic"], 2, "must be auto"),
        (["--threads", "-1"], 2, "--threads"),
    ],
)
def test_wrong_options(johns: Johns, tmp_path: Path, options: list[str], code: int, said: str) -> None:
    ada, bob = johns["John_Salley"][0], johns["John_Simm"][0]
    config = {"LINEAMENT_CONFIG": str(tmp_path), "LINEAMENT_ACCEPT_NONCOMMERCIAL": ""}
    found, out, err = command("verify", ada, bob, "--fmr", "1e-3", *options, **config)
    assert (found, out) == (code, "")
    assert said in err
