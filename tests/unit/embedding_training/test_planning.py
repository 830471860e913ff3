import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lineament.embedding.training.planning import (
    HUGE_BATCH,
    LARGE_BATCH,
    SMALL_BATCH,
    MemoryPlan,
    peak_memory,
    plan_run,
    two_peaks,
)
from lineament.imaging import encode_png
from lineament.packs import Record, write_pack
from lineament.recipes import RECIPES


def test_a_plan_is_a_straight_line() -> None:
    plan = MemoryPlan(batch=10, fixed=500, per_image=20, crops=100, limit=1_000, measured=((1, 520),))
    assert plan.peak == 800
    assert plan.largest_batch == 20
    assert plan.peak_of(plan.largest_batch) <= plan.limit < plan.peak_of(plan.largest_batch + 1)
    assert "fits in" in plan.text()
    small = replace(plan, limit=550)
    assert small.largest_batch == 0
    assert "no batch does" in small.text()
    assert small.to_json()["largest_batch"] == 0


@pytest.mark.parametrize(
    ("fixed", "per_image", "free", "batches"),
    [
        (100, 20, 10_000, (SMALL_BATCH, LARGE_BATCH)),
        (5_000, 1, 100_000, (LARGE_BATCH, HUGE_BATCH)),  # the network is hardly seen beside the program
        (5_000, 1, 10_000, (SMALL_BATCH // 2, SMALL_BATCH)),
        (100, 20, 0, (SMALL_BATCH // 2, SMALL_BATCH)),
    ],
)
def test_no_batch_is_tried_that_memory_may_not_hold(
    fixed: int, per_image: int, free: int, batches: tuple[int, int]
) -> None:
    tried: list[int] = []

    def peak(batch: int) -> int:
        tried.append(batch)
        return fixed + per_image * batch

    found = two_peaks(peak, lambda: free)
    assert found == tuple((batch, fixed + per_image * batch) for batch in batches)
    assert set(tried) == {SMALL_BATCH, *batches}


@pytest.mark.slow
def test_a_plan_is_within_fifteen_percent_of_a_real_run(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    records = [
        Record(f"{k}/{i}.png", k, encode_png(rng.integers(0, 256, (112, 112, 3), np.uint8)))
        for k in range(4)
        for i in range(8)
    ]
    write_pack(records, tmp_path / "noise.rec", "rec", list("0123"))
    base = RECIPES["thin_arcface_cpu"](tmp_path / "noise.rec", None)
    config = replace(base, data=replace(base.data, batch=512, in_memory=False))
    plan = plan_run(config)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        measured = pool.submit(peak_memory, config, 512).result()
    assert plan.peak == pytest.approx(measured, rel=0.15)
