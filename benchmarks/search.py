"""1:N search beside one matrix product of NumPy over everything, which is what many start with."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bench_gallery import measure as measure_gallery
from benchmarks.figures import Effort, Figure, measure

DIMENSION = 512
P99_BAR_MS = 15.0
BAR_SIZE = 1_000_000


def gallery(effort: Effort, sizes: tuple[int, ...], probes: int) -> Iterator[tuple[Figure, dict[str, Any]]]:
    """Figures of one search, each with everything that the gallery's own benchmark found."""
    for size in sizes:
        stage = f"identify 1 among {size:,} x {DIMENSION}"
        yield _numpy(stage, size, effort), {}
        with tempfile.TemporaryDirectory() as folder:
            found = measure_gallery(size, DIMENSION, probes, Path(folder))
        same = min(found["same_decision_weak_mates"], found["same_decision_non_mates"])
        for system, key in (("gallery", "identify"), ("gallery, exact", "identify_exact")):
            timing = found[key]
            yield (
                Figure(
                    stage,
                    system,
                    median=timing["p50_ms"],
                    p99=timing["p99_ms"],
                    best=timing["p50_ms"],
                    unit="ms",
                    repetitions=10 if key == "identify_exact" else min(1000, 2 * probes),
                    bar=P99_BAR_MS if size == BAR_SIZE and key == "identify" else None,
                    note=f"same decision as exact float32 search {same:.4f} or more"
                    if key == "identify"
                    else "",
                ),
                found if key == "identify" else {},
            )


def _numpy(stage: str, size: int, effort: Effort) -> Figure:
    rng = np.random.default_rng(0)
    stored = rng.standard_normal((size, DIMENSION), np.float32)
    queries = rng.standard_normal((64, DIMENSION), np.float32)
    turn = iter(range(10**9))

    def search() -> int:
        return int(np.argmax(stored @ queries[next(turn) % len(queries)]))

    return measure(search, stage, "numpy float32", effort, is_baseline=True)
