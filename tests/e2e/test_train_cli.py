"""Training from the command line: plan, run, go on, add to the zoo, use; and several ranks by torchrun."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lineament.cli.app import run
from lineament.imaging import encode_png
from lineament.packs import Record, write_pack
from lineament.testing import draw_face

SHORT = ("loop.steps=4", "loop.schedule.warmup_steps=1", "loop.checkpoint_every=2", "loop.measure_every=2")
GENTLE = ("loop.sync_batch_norm=true", "loop.optim.lr=0.001")
"""So that rounding, which differs with the order of sums, is not blown up within four steps."""
SMALL = ("data.batch=8", "loop.threads=1", "head.settings.scale=16", "name=drawn.arcface")


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six drawn people, four pictures each."""
    path = tmp_path_factory.mktemp("packs") / "drawn.rec"
    records = [
        Record(f"p{s}/{k}.png", s, encode_png(draw_face(size_px=112, seed=s, roll_deg=5.0 * k).pixels))
        for s in range(6)
        for k in range(4)
    ]
    write_pack(records, path, "rec", [f"p{k}" for k in range(6)])
    return path


def train(pack: Path, out: Path, *more: str) -> int:
    settings = [word for setting in (*SHORT, *SMALL) for word in ("--set", setting)]
    packs = ["--pack", str(pack), "--held", str(pack)]
    return run(["train", "run", "thin_arcface_cpu", *packs, "--out", str(out), *settings, *more])


def test_a_run_ends_in_a_model_that_the_zoo_takes(
    pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LINEAMENT_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("LINEAMENT_CACHE", str(tmp_path / "cache"))
    assert train(pack, tmp_path / "run", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["finished"] is True
    assert said["steps"] == 4
    assert train(pack, tmp_path / "run") == 0
    assert run(["models", "add", said["model"]]) == 0
    capsys.readouterr()
    people = tmp_path / "people"
    assert run(["data", "convert", str(pack), str(people)]) == 0
    out = tmp_path / "int8"
    held = ["--pack", str(pack), "--held", str(pack), "--far", "0.05"]
    assert run(["train", "int8", said["model"], *held, "-o", str(out)]) == 0
    assert (out / "manifest.toml").is_file()


def test_mistakes_are_one_line(pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, part in (
        (["thin_arcface_gpu"], "no recipe 'thin_arcface_gpu'"),
        (["thin_arcface_cpu", "--set", "loop.stepz=1"], "nearest is steps"),
        (["thin_arcface_cpu", "--set", "head.name=arcfase"], "did you mean 'arcface'"),
        (["thin_arcface_cpu", "--set", "data.subjects=16"], "the set has 6"),
    ):
        code = run(["train", "run", *words, "--pack", str(pack), "--out", str(tmp_path / "run")])
        said = capsys.readouterr().err
        assert code == 2, said
        assert part in said
        assert "Traceback" not in said


def test_a_missing_pack_is_an_input_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "run", "thin_arcface_cpu", "--pack", str(tmp_path / "no.rec"), "--out", str(tmp_path)]
    assert run(words) == 4
    assert "no.rec" in capsys.readouterr().err


@pytest.mark.slow
def test_torchrun_gives_the_curve_of_one_rank(pack: Path, tmp_path: Path) -> None:
    settings = [w for s in (*SHORT, *SMALL, *GENTLE) for w in ("--set", s)]
    words = ["-m", "lineament", "train", "run", "thin_arcface_cpu", "--pack", str(pack), *settings]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    curves = []
    for ranks in (1, 2):
        out = tmp_path / str(ranks)
        launch = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={ranks}", "--standalone"]
        done = subprocess.run(
            [*launch, *words, "--out", str(out), "--set", "loop.log_every=1"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        lines = (out / "log.jsonl").read_text().splitlines()
        curves.append([row["loss"] for row in map(json.loads, lines) if "loss" in row])
        assert (out / "model" / "model.onnx").is_file()
    assert len(curves[0]) == 4
    assert curves[1] == pytest.approx(curves[0], rel=1e-4)
