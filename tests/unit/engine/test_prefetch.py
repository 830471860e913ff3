"""Batches come in order, ahead of time and no more than allowed."""

import threading
import time
import weakref

import numpy as np
import pytest

from lineament.core.errors import DataError
from lineament.engine import Prefetcher


def test_order_holds_though_batches_take_different_times() -> None:
    rng = np.random.default_rng(0)
    waits = rng.uniform(0, 0.01, 40)

    def make(number: int) -> int:
        time.sleep(waits[number])
        return number

    with Prefetcher(make, 5, 40, depth=8, workers=4) as batches:
        assert list(batches) == list(range(5, 40))


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_no_more_than_depth_batches_exist(depth: int) -> None:
    class Batch:
        """Something whose end can be seen."""

        def __init__(self, number: int) -> None:
            self.number = number

    alive: weakref.WeakSet[Batch] = weakref.WeakSet()
    most, lock = 0, threading.Lock()

    def make(number: int) -> Batch:
        nonlocal most
        batch = Batch(number)
        with lock:
            alive.add(batch)
            most = max(most, len(alive))
        return batch

    total = 0
    with Prefetcher(make, 0, 60, depth=depth, workers=4) as batches:
        for _ in range(60):
            total += next(batches).number
            time.sleep(0.001)
    assert total == sum(range(60))
    assert most <= depth


def test_an_error_arrives_where_its_batch_would_have() -> None:
    def make(number: int) -> int:
        if number == 3:
            raise DataError("record 17 cannot be read")
        return number

    with Prefetcher(make, 0, 9, depth=6, workers=3) as batches:
        assert [next(batches) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(DataError, match="record 17") as caught:
            next(batches)
    assert caught.value.__notes__ == ["while making batch 3"]


def test_threads_end_with_the_block() -> None:
    before = threading.active_count()
    with Prefetcher(lambda number: number, 0, 1000, depth=4, workers=3) as batches:
        next(batches)
    assert threading.active_count() == before


def test_nothing_to_make() -> None:
    with Prefetcher(lambda number: number, 4, 4, depth=2, workers=1) as batches:
        assert list(batches) == []
    with pytest.raises(ValueError, match="depth and workers"):
        Prefetcher(lambda number: number, 0, 1, depth=0, workers=1)
