"""The cost model of galleries, the page that shows it, and the settings that it was measured with."""

import json
import sys
from pathlib import Path

import pytest
from benchmarks import galleries
from benchmarks.cost_model import Engine, cost, engines, filled, side_by_side, table

from lineament.service.config import ServiceConfig

ROOT = Path(__file__).resolve().parents[3]
SCAN = Engine("scan", 100_000, 1_200.0, 0.04, 1.0, 1.0)


def way(cpu_ms: float, weak: float, bytes_each: float = 1200.0) -> dict[str, float]:
    return {
        "p50_ms": cpu_ms,
        "p99_ms": 2 * cpu_ms,
        "cpu_ms": cpu_ms,
        "qps_two_threads": 2e3 / cpu_ms,
        "batch_ms_each": cpu_ms,
        "bytes_each": bytes_each,
        "same_decision_weak_mates": weak,
        "same_decision_non_mates": 1.0,
    }


REPORT = {
    "machine": {"processor": "a processor", "cores": 2},
    "results": [
        {
            "load_average": 0.25,
            "templates": 100_000,
            "ways": {
                "embedded": way(2, 1.0),
                "embedded, exact": way(60, 1.0),
                "PostgreSQL, exact": way(40, 1.0),
                "PostgreSQL, HNSW m 16 ef 40": way(1, 0.9),
                "PostgreSQL, HNSW m 32 ef 400": way(5, 0.99),
            },
        }
    ],
}


def test_a_scan_costs_what_it_reads() -> None:
    """By hand: 100 M of 1200 B are 120 GB; ten searches of 40 s each need 400 of the 11.2 cores a node gives."""
    found = cost(SCAN, 100_000_000)
    assert found.memory_bytes == pytest.approx(120e9)
    assert found.qps_per_core == pytest.approx(1 / 40)
    assert (found.nodes, found.bound) == (36, "cores")
    assert cost(SCAN, 1_000_000).nodes == 1


def test_a_graph_costs_memory() -> None:
    """By hand: 100 M of 2000 B are 200 GB, five nodes of which each holds 48 GB."""
    graph = Engine("graph", 100_000, 2_000.0, 0.005, 0.9, 1.0, is_graph=True)
    found = cost(graph, 100_000_000)
    assert found.qps_per_core == pytest.approx(1 / (0.005 * 8 / 5))
    assert (found.nodes, found.bound) == (5, "memory")


def test_of_the_graphs_the_one_that_decides_best_is_planned_with() -> None:
    assert [engine.name for engine in engines(REPORT)] == [
        "embedded",
        "PostgreSQL, exact",
        "PostgreSQL, HNSW m 32 ef 400",
    ]


def test_the_page_takes_new_tables() -> None:
    page = "a\n<!-- side by side -->\nold\n<!-- end -->\nb\n<!-- cost -->\n<!-- end -->\nc\n"
    once = filled(page, REPORT)
    assert once == filled(once, REPORT)
    assert side_by_side(REPORT) in once
    assert table(REPORT) in once
    assert once.startswith("a\n")
    assert once.endswith("\nc\n")


def test_the_guide_shows_the_report_and_claims_nothing_without_one() -> None:
    page = (ROOT / "docs" / "scale-out.md").read_text(encoding="utf-8")
    path = ROOT / "reports" / "bench-galleries.json"
    if not path.exists():
        assert "<!-- side by side -->\n<!-- end -->" in page
        assert "<!-- cost -->\n<!-- end -->" in page
        return
    report = json.loads(path.read_text(encoding="utf-8"))
    assert page == filled(page, report), "run the command of the page"
    assert all(result["largest_difference"] < 1e-9 for result in report["results"])


def test_what_is_deployed_is_what_was_measured() -> None:
    compose = (ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8")
    for name, value in galleries.SETTINGS.items():
        assert f"-c {name}={value.strip(chr(39))}\n" in compose
    settings = ServiceConfig.read(ROOT / "deploy" / "lineament.toml")
    assert settings.gallery.dsn.startswith("postgresql://")
    assert settings.access.keys is not None


@pytest.mark.slow
def test_a_small_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = tmp_path / "report.json"
    what = [
        "--sizes",
        "400",
        "--probes",
        "6",
        "--timings",
        "4",
        "--shared-buffers",
        "64MB",
        "--json",
        str(report),
    ]
    monkeypatch.setattr(sys, "argv", ["galleries", *what])
    galleries.main()
    (result,) = json.loads(report.read_text(encoding="utf-8"))["results"]
    assert result["largest_difference"] < 1e-9
    assert all(way["same_decision_weak_mates"] == 1 for way in result["ways"].values())
