"""Speed and agreement of gallery search, on drawn unit vectors.

Identities of five samples, mates of cosine 0.60; a falling spectrum gives impostors the standard deviation
that 3/4 of the dimensions would (0.051 for 512). Against a float32 scan of everything it counts the decisions
(who, or nobody, at a threshold for FPIR 0.001) for weak mates, whose cosine to a template lies within 0.05 of
the threshold, and for probes without a mate.

    python benchmarks/bench_gallery.py --sizes 10000 100000 --json reports/gallery.json
    python benchmarks/bench_gallery.py --sizes 1000000
"""

import argparse
import json
import os
import platform
import sqlite3
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray
from lineament.core.types import Embedding, OperatingPoint
from lineament.gallery import Gallery, NewSample

SPACE = "benchmark"
SAMPLES_PER_SUBJECT = 5
MATE_COSINE = 0.6
FPIR = 1e-3
WEAK = 0.05
CHUNK = 10_000
WARM_UP = 20


class Faces:
    """Draws unit vectors with a falling spectrum in a random orientation."""

    def __init__(self, dimension: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        turn = np.linalg.qr(self.rng.standard_normal((dimension, dimension)))[0]
        self.turn = (np.sqrt(1 - np.arange(dimension) / dimension)[:, None] * turn).astype(np.float32)

    def draw(self, count: int) -> FloatArray:
        return unit(self.rng.standard_normal((count, len(self.turn)), dtype=np.float32) @ self.turn)

    def at_cosine(self, vectors: FloatArray, cosines: FloatArray) -> FloatArray:
        other = self.draw(len(vectors))
        other = unit(other - np.sum(other * vectors, axis=1, keepdims=True) * vectors)
        return unit(cosines[:, None] * vectors + np.sqrt(1 - cosines[:, None] ** 2) * other)

    def templates(self, count: int) -> FloatArray:
        centres = np.repeat(self.draw(-(-count // SAMPLES_PER_SUBJECT)), SAMPLES_PER_SUBJECT, axis=0)[:count]
        return self.at_cosine(centres, np.full(count, np.sqrt(MATE_COSINE), np.float32))


def unit(vectors: NDArray[Any]) -> FloatArray:
    result: FloatArray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return result


def enroll(path: Path, faces: Faces, size: int, stored: NDArray[np.float32]) -> float:
    """Fill a new gallery and the raw matrix ``stored``; returns the seconds that the gallery took."""
    seconds = 0.0
    with Gallery.open(path, space=SPACE, create=True) as gallery:
        for start in range(0, size, CHUNK):
            vectors = faces.templates(min(CHUNK, size - start))
            stored[start : start + len(vectors)] = vectors
            samples = [
                NewSample(f"p{(start + i) // SAMPLES_PER_SUBJECT}", Embedding(vector, SPACE))
                for i, vector in enumerate(vectors)
            ]
            began = time.perf_counter()
            assert isinstance(gallery.enroll_many(samples), tuple)
            seconds += time.perf_counter() - began
    return seconds


def exact_best(stored: NDArray[np.float32], queries: FloatArray) -> tuple[FloatArray, NDArray[np.int64]]:
    """Similarity and subject number of the nearest template, in float32."""
    best = np.full(len(queries), -2, np.float32)
    subject = np.zeros(len(queries), np.int64)
    for start in range(0, len(stored), CHUNK):
        scores = queries @ np.asarray(stored[start : start + CHUNK]).T
        at = scores.argmax(1)
        top = scores[np.arange(len(queries)), at]
        better = top > best
        best[better], subject[better] = top[better], (start + at[better]) // SAMPLES_PER_SUBJECT
    return best, subject


def decisions(found: list[str], similarities: NDArray[Any], threshold: float) -> list[str]:
    return [name if s >= threshold else "" for name, s in zip(found, similarities, strict=True)]


def percentiles(seconds: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(seconds, [50, 99]) * 1e3
    return {"p50_ms": round(float(p50), 3), "p99_ms": round(float(p99), 3)}


def timed(gallery: Gallery, queries: FloatArray, point: OperatingPoint, exact: bool) -> dict[str, float]:
    """Wall time of single identifications, and the processor time, which a busy machine disturbs less."""
    seconds = []
    cpu_began = time.process_time()
    for i, query in enumerate(queries):
        embedding = Embedding(query, SPACE)
        began = time.perf_counter()
        gallery.identify(embedding, point=point, fpir=FPIR, exact=exact)
        if i >= min(WARM_UP, len(queries) // 2):
            seconds.append(time.perf_counter() - began)
    cpu_s = (time.process_time() - cpu_began) / len(queries)
    return percentiles(seconds) | {"cpu_ms": round(cpu_s * 1e3, 3)}


def measure(size: int, dimension: int, probes: int, folder: Path) -> dict[str, Any]:
    faces = Faces(dimension, seed=size)
    stored = np.memmap(folder / "raw", np.float32, "w+", shape=(size, dimension))
    path = folder / "gallery"
    enroll_s = enroll(path, faces, size, stored)
    impostor_std = float((faces.draw(1000) @ faces.draw(1000).T).std())
    threshold = -NormalDist(0, impostor_std).inv_cdf(FPIR / size)
    targets = unit(np.asarray(stored[np.sort(faces.rng.integers(0, size, probes))]))
    cosines = faces.rng.uniform(threshold - WEAK, threshold + WEAK, probes).astype(np.float32)
    weak, strangers = faces.at_cosine(targets, cosines), faces.draw(probes)
    queries = np.concatenate([weak, strangers])
    truth, subjects = exact_best(stored, queries)
    expected = decisions([f"p{s}" for s in subjects], truth, threshold)
    del stored

    process = psutil.Process()
    before = process.memory_info().rss
    began = time.perf_counter()
    with Gallery.open(path, space=SPACE) as gallery:
        gallery.search(queries[:1])
        first_s = time.perf_counter() - began
        point = OperatingPoint(FPIR / size, threshold, threshold, threshold, 0, SPACE)
        one = timed(gallery, queries[:: max(1, len(queries) // 1000)], point, exact=False)
        exact = timed(gallery, queries[:10], point, exact=True)
        began = time.perf_counter()
        gallery.search(queries[:100])
        batch_s = time.perf_counter() - began
        memory = process.memory_info().rss - before
        found = [c[0] for c in gallery.search(queries, max_candidates=1)]
        disk = gallery.info().bytes_on_disk
    came = decisions([c.subject_id for c in found], np.array([c.similarity for c in found]), threshold)
    same = np.array([a == b for a, b in zip(came, expected, strict=True)])
    return {
        "templates": size,
        "dimension": dimension,
        "threshold": round(threshold, 4),
        "impostor_std": round(impostor_std, 4),
        "enroll_bulk_s": round(enroll_s, 2),
        "load_and_build_s": round(first_s, 2),
        "identify": one,
        "identify_exact": exact,
        "batch_of_100_ms": round(batch_s * 1e3, 1),
        "memory_mb": round(memory / 2**20),
        "disk_mb": round(disk / 2**20),
        "probes_each": probes,
        "same_decision_weak_mates": float(same[:probes].mean()),
        "same_decision_non_mates": float(same[probes:].mean()),
    }


def machine() -> dict[str, Any]:
    names = ("faiss-cpu", "numpy")
    return {
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "load_average": os.getloadavg()[0],
        **{name: version(name) for name in names},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000], help="templates in the gallery")
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument(
        "--probes", type=int, default=4000, help="weak mates, and as many probes without a mate"
    )
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    report: dict[str, Any] = {"machine": machine(), "results": []}
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory() as folder:
            result = measure(size, arguments.dimension, arguments.probes, Path(folder))
        report["results"].append(result)
        print(json.dumps(result, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
