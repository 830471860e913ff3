"""The benchmark suite runs, counts right and writes what it found."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def test_quick_run_writes_a_report(tmp_path: Path) -> None:
    out = tmp_path / "reports" / "bench.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "align,search", "--json", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    report = json.loads(out.read_text())
    figures = {(f["stage"], f["system"]): f for f in report["figures"]}
    assert ("align to arcface-112", "opencv") in figures
    assert all(0 < f["best"] <= f["median"] <= f["p99"] for f in report["figures"])
    numpy, gallery = (figures["identify 1 among 2,000 x 512", s] for s in ("numpy float32", "gallery"))
    assert numpy["ratio_to_baseline"] == 1
    assert gallery["ratio_to_baseline"] == pytest.approx(
        numpy["median"] / gallery["median"], rel=0.01, abs=0.001
    )
    assert report["galleries"][0]["templates"] == 2000
    assert report["machine"]["versions"]["numpy"] == np.__version__
    assert "align to dlib-150" in done.stdout


def test_an_unknown_stage_is_wrong_use() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--only", "align,nothing"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "unknown stages nothing" in done.stderr


@pytest.mark.parametrize(
    ("build", "gmac", "dimension", "slopes"), [("mobilefacenet", 0.22, 128, 33), ("iresnet50", 6.31, 512, 25)]
)
def test_networks_have_the_published_size(build: str, gmac: float, dimension: int, slopes: int) -> None:
    from benchmarks import nets

    network = getattr(nets, build)()
    assert network.gmac == pytest.approx(gmac, abs=0.01)
    model = onnx.load_from_string(network.data)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    shape = [d.dim_param or d.dim_value for d in inferred.graph.output[0].type.tensor_type.shape.dim]
    assert shape == ["batch", dimension]
    used = [n.input[1] for n in model.graph.node if n.op_type == "PRelu"]
    values = {t.name: t.raw_data for t in model.graph.initializer}
    assert len({values[name] for name in used}) == len(used) == slopes


def test_ratios_compare_only_what_is_comparable() -> None:
    from benchmarks.figures import Figure, document, ratio, summary, table

    base = summary([4.0, 6.0, 5.0], "embed", "plain", "ms", items=1, is_baseline=True)
    fast = summary([2.0, 2.5, 3.0], "embed", "fast", "ms", items=1, bar=2.0)
    batch = summary([50.0], "embed", "fast", "ms", items=32)
    other = summary([1.0], "detect", "fast", "ms")
    figures = [base, fast, batch, other]
    assert [ratio(f, figures) for f in figures] == [1.0, 2.0, None, None]
    assert (base.median, base.best) == (5.0, 4.0)
    assert base.p99 == pytest.approx(np.percentile([4, 5, 6], 99))
    lines = table(figures).splitlines()
    assert "2 ms MISSED" in lines[3]
    assert "640" in lines[4]  # 32 items in 50 ms
    assert document(figures)[1]["ratio_to_baseline"] == 2
    assert isinstance(fast, Figure)


def test_measuring_keeps_to_its_effort() -> None:
    from benchmarks.figures import Effort, measure

    calls = []
    figure = measure(lambda: calls.append(1), "stage", "system", Effort(0.0, 3, 7, 1))
    assert (len(calls), figure.repetitions) == (4, 3)
    calls.clear()
    figure = measure(lambda: calls.append(1), "stage", "system", Effort(60.0, 3, 7, 1))
    assert (len(calls), figure.repetitions) == (8, 7)
