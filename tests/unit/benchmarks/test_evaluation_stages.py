"""The stages that time the evaluation measure what was drawn."""

import json
import math
import subprocess
import sys
import zipfile
from pathlib import Path
from statistics import NormalDist

import pytest

from lineament.evaluation.trials import read_pairs

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def test_quick_run_writes_the_stages(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "evaluation", "--json", str(out)]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    figures = json.loads(out.read_text())["figures"]
    assert {f["stage"] for f in figures} == {
        "evaluation, rates of 100,000 scores",
        "evaluation, MegaFace 2,000 distractors x 50 probes x 512",
    }
    assert all(f["repetitions"] == 1 and f["bar"] is None for f in figures)
    time, memory = figures[-2:]
    assert (time["unit"], time["items"]) == ("s", 100_000)
    assert time["note"].startswith("rank-1 1.0000, TAR 1.0000 at FAR 1e-05")
    assert memory["unit"] == "MB"
    assert 20 < memory["median"] < 1024


def test_rates_are_those_of_the_distributions() -> None:
    from benchmarks.evaluation import scores

    point, equal, area, total = scores(1_000_000)
    normal = NormalDist()
    apart = 0.6 / 0.15
    expected = (
        normal.cdf(normal.inv_cdf(1 - 1e-3) - apart),
        normal.cdf(-apart / 2),
        normal.cdf(apart / math.sqrt(2)),
    )
    for figure, value in zip((point, equal, area), expected, strict=True):
        assert float(figure.note) == pytest.approx(value, abs=0.015)
    assert total.median == pytest.approx(point.median + equal.median + area.median)


def test_the_full_sizes_have_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import evaluation

    monkeypatch.setattr(evaluation, "FULL_SCORES", 50_000)
    monkeypatch.setattr(evaluation, "FULL_DISTRACTORS", 1000)
    *_, total = evaluation.scores(50_000)
    time, memory = evaluation.distractors(1000, 20)
    assert (total.bar, time.bar, memory.bar) == (20.0, 120.0, 3072.0)


def test_lfw_is_left_out_without_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.evaluation import lfw

    monkeypatch.setenv("LINEAMENT_SHARED", str(tmp_path))
    assert list(lfw()) == []


@pytest.mark.weights
@pytest.mark.shared
def test_lfw_is_timed_as_a_whole(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.evaluation import lfw

    source, target = (folder / "data" / "lfw_aligned112" for folder in (shared, tmp_path))
    target.mkdir(parents=True)
    lines = (source / "pairs.txt").read_text().splitlines()
    kept = [lines[1 + 300 * half + k] for half in range(4) for k in range(3)]
    (target / "pairs.txt").write_text("\n".join(["2 3", *kept]) + "\n")
    samples = read_pairs(target / "pairs.txt").samples
    with (
        zipfile.ZipFile(source / f"{source.name}.zip") as whole,
        zipfile.ZipFile(target / "some.zip", "w") as some,
    ):
        for name in samples:
            some.writestr(name, whole.read(name))
    monkeypatch.setenv("LINEAMENT_SHARED", str(tmp_path))
    (figure,) = lfw()
    assert (figure.items, figure.unit, figure.bar) == (len(samples), "s", 60.0)
    assert figure.system.startswith("mobilefacenet, ")
    assert "accuracy 1.0000" in figure.note
