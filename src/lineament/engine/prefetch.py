"""Batches made ahead of the step that needs them."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self


class Prefetcher(Iterator[Any]):
    """Iterates over ``make(first) ... make(last - 1)`` in order; worker threads make them ahead. A context manager.

    No more than ``depth`` batches exist at a time, the one handed out last included, as long as the caller
    lets go of a batch before asking for the next one. An error of ``make`` is raised where its batch would
    have come, with a note of its number.

    Args:
        make: a pure function of the number, safe in threads.
        first: number of the first batch.
        last: number after the last batch.
        depth: batches in memory, 1 or more.
        workers: threads, 1 or more.
    """

    def __init__(
        self, make: Callable[[int], Any], first: int, last: int, *, depth: int, workers: int
    ) -> None:
        if depth < 1 or workers < 1:
            raise ValueError(f"depth and workers must be 1 or more, got {depth} and {workers}")
        self._make = make
        self._numbers = iter(range(first, last))
        self._depth = depth
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="batch")
        self._waiting: deque[tuple[int, Future[Any]]] = deque()
        self._fill(depth)

    def _fill(self, depth: int) -> None:
        while len(self._waiting) < depth:
            number = next(self._numbers, None)
            if number is None:
                return
            self._waiting.append((number, self._pool.submit(self._make, number)))

    def __next__(self) -> Any:
        self._fill(self._depth)
        if not self._waiting:
            raise StopIteration
        number, future = self._waiting.popleft()
        try:
            batch = future.result()
        except Exception as error:
            error.add_note(f"while making batch {number}")
            raise
        self._fill(self._depth - 1)  # the batch handed out is one of them
        return batch

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the batches being made, drop them and end the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._waiting.clear()
