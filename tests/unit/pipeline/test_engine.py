"""The engine: bounded, in order, cancellable, and drained at its end."""

import gc
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drawn_people import SCENES, drawn_pipeline, image
from lineament.core.arrays import ImageArray
from lineament.core.errors import EngineBusy, ServiceError
from lineament.core.types import Detections, Face
from lineament.pipeline import Engine, FacePipeline
from lineament.testing import FakeDetector, FakeEmbedder


class Gate:
    """Work that waits until it is let go."""

    def __init__(self) -> None:
        self.began = threading.Semaphore(0)
        self.open = threading.Event()

    def __call__(self, _pipeline: FacePipeline) -> str:
        self.began.release()
        assert self.open.wait(20)
        return "done"


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


def fill(engine: Engine, gate: Gate, count: int) -> "list[Future[str]]":
    """So many pieces of work, with every worker in one of them."""
    futures = [engine.submit(gate) for _ in range(count)]
    for _ in range(engine.workers):
        assert gate.began.acquire(timeout=20)
    return futures


def test_does_what_the_pipeline_does(pipeline: FacePipeline) -> None:
    with Engine(pipeline, workers=2) as engine:
        futures = {name: engine.submit(lambda p, n=name: p.extract_one(image(n))) for name in SCENES}
        for name, future in futures.items():
            found, expected = future.result(), pipeline.extract_one(image(name))
            assert type(found) is type(expected)
            if isinstance(found, Face) and isinstance(expected, Face):
                np.testing.assert_array_equal(found.embedding.vector, expected.embedding.vector)


def test_refuses_what_does_not_fit(pipeline: FacePipeline, gate: Gate) -> None:
    with Engine(pipeline, workers=2, queue=3) as engine:
        futures = fill(engine, gate, 5)
        assert (engine.load.running, engine.load.waiting, engine.load.is_full) == (2, 3, True)
        with pytest.raises(EngineBusy, match="5 requests are being worked on or wait"):
            engine.submit(gate)
        gate.open.set()
        assert [f.result() for f in futures] == ["done"] * 5
        assert engine.submit(lambda _: "room").result() == "room"
    assert (engine.load.running, engine.load.waiting) == (0, 0)


def test_cancelled_work_makes_room_at_once_and_leaves_no_memory(pipeline: FacePipeline, gate: Gate) -> None:
    class Body:
        pass

    body = Body()
    left = weakref.ref(body)
    with Engine(pipeline, workers=1, queue=1) as engine:
        fill(engine, gate, 1)
        waiting = engine.submit(lambda _, held=body: str(held))
        del body
        assert engine.load.is_full
        assert waiting.cancel()
        del waiting
        gc.collect()
        assert left() is None
        assert not engine.load.is_full
        gate.open.set()


def test_running_work_is_finished(pipeline: FacePipeline, gate: Gate) -> None:
    with Engine(pipeline, workers=1, queue=0) as engine:
        (future,) = fill(engine, gate, 1)
        assert not future.cancel()
        gate.open.set()
        assert future.result() == "done"


def test_failures_reach_whoever_waits(pipeline: FacePipeline) -> None:
    def fail(_pipeline: FacePipeline) -> None:
        raise KeyError("inside")

    with Engine(pipeline, workers=1) as engine:
        with pytest.raises(KeyError, match="inside"):
            engine.submit(fail).result()
        assert engine.submit(lambda _: "goes on").result() == "goes on"


@settings(max_examples=25, deadline=None)
@given(
    workers=st.integers(1, 4),
    queue=st.integers(0, 3),
    items=st.lists(st.integers(), max_size=30),
)
def test_map_keeps_the_order(workers: int, queue: int, items: list[int]) -> None:
    with Engine(drawn_pipeline(), workers=workers, queue=queue) as engine:
        assert list(engine.map(lambda _, n: 2 * n, items)) == [2 * n for n in items]
        assert (engine.load.running, engine.load.waiting) == (0, 0)


def test_map_takes_few_items_ahead_and_cancels_them(pipeline: FacePipeline) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    with Engine(pipeline, workers=2, queue=100) as engine:
        results = engine.map(lambda _, n: n, items())
        assert [next(results) for _ in range(10)] == list(range(10))
        assert len(taken) <= 10 + 2 * 2 + 1
        results.close()
    assert engine.load.waiting == 0


def test_map_raises_at_its_place(pipeline: FacePipeline) -> None:
    def inverse(_pipeline: FacePipeline, n: int) -> float:
        return 1 / n

    with Engine(pipeline, workers=2) as engine:
        results = engine.map(inverse, [1, 2, 0, 4])
        assert [next(results), next(results)] == [1, 0.5]
        with pytest.raises(ZeroDivisionError):
            next(results)


def test_never_more_at_once_than_workers(pipeline: FacePipeline) -> None:
    lock, running, most = threading.Lock(), 0, 0

    def work(_pipeline: FacePipeline, _item: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.002)
        with lock:
            running -= 1

    with Engine(pipeline, workers=3, queue=50) as engine, ThreadPoolExecutor(4) as callers:
        wait([callers.submit(lambda: list(engine.map(work, range(20)))) for _ in range(4)])
    assert most == 3


def test_random_cancelling_loses_no_room(pipeline: FacePipeline) -> None:
    rng = np.random.default_rng(5)
    with Engine(pipeline, workers=2, queue=20) as engine:
        for _ in range(300):
            try:
                future = engine.submit(lambda _: None)
            except EngineBusy:
                continue
            if rng.random() < 0.5:
                future.cancel()
    assert (engine.load.running, engine.load.waiting) == (0, 0)


def test_drains_what_it_accepted_and_takes_no_more(pipeline: FacePipeline, gate: Gate) -> None:
    engine = Engine(pipeline, workers=1, queue=4)
    futures = fill(engine, gate, 3)
    draining = threading.Thread(target=engine.drain)
    draining.start()
    gate.open.set()
    draining.join(20)
    assert not draining.is_alive()
    assert [f.result(0) for f in futures] == ["done"] * 3
    with pytest.raises(ServiceError, match="drained"):
        engine.submit(gate)
    with pytest.raises(ServiceError, match="drained"):
        list(engine.map(lambda _, n: n, [1]))


class NotedDetector(FakeDetector):
    """Notes which threads it ran in."""

    def __init__(self) -> None:
        super().__init__([])
        self.threads: set[int] = set()

    def detect(self, images: "list[ImageArray]") -> "list[Detections]":  # type: ignore[override]
        self.threads.add(threading.get_ident())
        return super().detect(images)


def test_every_worker_is_warmed_up() -> None:
    detector = NotedDetector()
    with Engine(FacePipeline(detector, FakeEmbedder()), workers=4) as engine:
        engine.warm_up()
        assert len(detector.threads) == 4
        assert threading.get_ident() not in detector.threads


@pytest.mark.parametrize("numbers", [{"workers": -1}, {"queue": -1}])
def test_impossible_numbers(pipeline: FacePipeline, numbers: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        Engine(pipeline, **numbers)
