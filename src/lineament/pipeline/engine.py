"""One bounded pool of workers over one pipeline: for a program, a bulk command and the service alike.

::

    submit ─┬ EngineBusy (workers and queue are full: say so at once, do not pile up)
            └ queue ─ a worker takes the oldest ─ Future
                └ Future.cancel() while it waits: gone, its memory too

Threads: every method may be called from any thread. Each worker runs one piece of work at a time, networks with one
thread each, so that as many pieces of work as there are workers go on at once and no core is fought over.
"""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Generic, NoReturn, Self, TypeVar

import numpy as np

from lineament.core.cores import usable_cores
from lineament.core.errors import EngineBusy, ServiceError
from lineament.geometry import TEMPLATES
from lineament.pipeline.pipeline import FacePipeline
from lineament.zoo.profiles import Profile
from lineament.zoo.session import Runtime

T = TypeVar("T")
S = TypeVar("S")
QUEUE = 32
"""Pieces of work that may wait for a worker, when nothing else is said."""
_WARM_SIZE_PX = (480, 640)


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """What an engine is busy with.

    Attributes:
        running: pieces of work that a worker has begun.
        waiting: pieces of work that wait for a worker.
        capacity: how many may run and wait together.
    """

    running: int
    waiting: int
    capacity: int

    @property
    def is_full(self) -> bool:
        """True when the next piece of work would be refused."""
        return self.running + self.waiting >= self.capacity


class Engine:
    """Runs work on a pipeline; see the module.

    Memory is bounded: at most ``workers + queue`` pieces of work are held, and each of them as long as somebody
    waits for it. A ``with`` block drains the engine at its end.
    """

    def __init__(self, pipeline: FacePipeline, *, workers: int = 0, queue: int = QUEUE) -> None:
        """Put workers over a pipeline; :meth:`from_profile` makes one whose networks take one thread each.

        Args:
            pipeline: what work is done with.
            workers: threads; 0 for one a core.
            queue: pieces of work that may wait.

        Raises:
            ValueError: a number that is too small.
        """
        if workers < 0 or queue < 0:
            raise ValueError(f"workers and queue must not be negative, got {workers} and {queue}")
        self.pipeline = pipeline
        self.workers = workers or usable_cores()
        self._capacity = self.workers + queue
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="lineament-engine")
        self._changed = threading.Condition()
        self._open = 0
        self._running = 0
        self._draining = False

    @classmethod
    def from_profile(
        cls, profile: Profile, runtime: Runtime | None = None, *, workers: int = 0, queue: int = QUEUE
    ) -> "Engine":
        """An engine over the pipeline of a profile.

        Args:
            profile: models and rules.
            runtime: backend and provider; each network takes one thread whatever it says.
            workers: threads; 0 for one a core.
            queue: pieces of work that may wait.

        Raises:
            ModelError: weights, licence or runtime cannot be had.
        """
        single = replace(runtime or Runtime(), threads=1)
        return cls(FacePipeline.from_settings(profile, single), workers=workers, queue=queue)

    @property
    def load(self) -> EngineLoad:
        """What runs and waits now."""
        with self._changed:
            return EngineLoad(self._running, self._open - self._running, self._capacity)

    def submit(self, work: Callable[[FacePipeline], T]) -> "Future[T]":
        """Have work done by the next free worker.

        Args:
            work: gets the pipeline; what it returns or raises is the outcome of the future.

        Returns: the future. Cancelling it while the work waits makes room at once; work that has begun is finished.

        Raises:
            EngineBusy: workers and queue are full.
            ServiceError: the engine was drained.
        """
        with self._changed:
            if self._open >= self._capacity and not self._draining:
                raise EngineBusy(
                    f"{self._capacity} requests are being worked on or wait already; try again in a moment"
                )
            return self._accept(work)

    def map(self, work: Callable[[FacePipeline, S], T], items: Iterable[S]) -> Generator[T, None, None]:
        """Do the same work for many items, in parallel; for bulk jobs.

        Items are taken as workers get free, two a worker ahead, so a long list is never held in memory; when others
        fill the engine, it waits. Ending the iteration early cancels what was taken ahead.

        Args:
            work: gets the pipeline and an item.
            items: taken in the calling thread.

        Yields: results in the order of the items; what ``work`` raises is raised at its place.

        Raises:
            ServiceError: the engine was drained.
        """
        ahead: deque[Future[T]] = deque()
        try:
            for item in items:
                ahead.append(self._wait_and_accept(partial(_apply, work, item)))
                if len(ahead) > 2 * self.workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()

    def warm_up(self) -> None:
        """Run every network once in every worker, so that no request pays for what they make on first use.

        Raises:
            ModelError: a network cannot be run.
        """
        together = threading.Barrier(self.workers)

        def warm() -> None:
            together.wait()
            size_px = TEMPLATES[self.pipeline.embedder.template].size_px
            self.pipeline.detector.detect([np.zeros((*_WARM_SIZE_PX, 3), np.uint8)])
            self.pipeline.embedder.embed(np.zeros((1, size_px, size_px, 3), np.uint8))
            if self.pipeline.mesh is not None:
                self.pipeline.mesh.restore(np.zeros((*_WARM_SIZE_PX, 3), np.uint8))

        for future in [self._pool.submit(warm) for _ in range(self.workers)]:
            future.result()

    def drain(self) -> None:
        """Take no more work and wait until all that was accepted is done."""
        with self._changed:
            self._draining = True
            self._changed.notify_all()
        self._pool.shutdown(wait=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drain()

    def _wait_and_accept(self, work: Callable[[FacePipeline], T]) -> "Future[T]":
        with self._changed:
            self._changed.wait_for(lambda: self._open < self._capacity or self._draining)
            return self._accept(work)

    def _accept(self, work: Callable[[FacePipeline], T]) -> "Future[T]":
        """Queue work; the lock is held."""
        if self._draining:
            raise ServiceError("the engine was drained and takes no more work; make another one")
        job = _Job(work)
        self._open += 1
        future = self._pool.submit(self._run, job)
        future.add_done_callback(job.forget)
        future.add_done_callback(self._leave_if_cancelled)
        return future

    def _run(self, job: "_Job[T]") -> T:
        with self._changed:
            self._running += 1
        try:
            return job.work(self.pipeline)
        finally:
            # before whoever waits hears of the outcome, so that there is room for what they ask next
            with self._changed:
                self._running -= 1
                self._leave()

    def _leave_if_cancelled(self, future: "Future[T]") -> None:
        if future.cancelled():
            with self._changed:
                self._leave()

    def _leave(self) -> None:
        self._open -= 1
        self._changed.notify_all()


class _Job(Generic[T]):
    """Work whose memory does not stay in the pool's queue after it was cancelled."""

    def __init__(self, work: Callable[[FacePipeline], T]) -> None:
        self.work = work

    def forget(self, _future: "Future[T]") -> None:
        self.work = _forgotten


def _forgotten(_pipeline: FacePipeline) -> NoReturn:
    raise ServiceError("this work was cancelled")


def _apply(work: Callable[[FacePipeline, S], T], item: S, pipeline: FacePipeline) -> T:
    return work(pipeline, item)
