"""When a run has gone wrong, and when somebody wants it to stop."""

import math
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from types import FrameType

_WINDOW = 100
_FIRST = 10
_MOST_SKIPS = 20  # 2**-20 of the first scale of 65536: no gradient overflows at that


class LossWatch:
    """Finds divergence.

    A loss diverged when it is not finite, or above ``multiple`` times the median of the last 100 and above all of
    the first 10: a net that fits its data well may triple a tiny loss, a diverged one is worse than untrained.

    Args:
        multiple: see above.
        losses: losses so far, as :attr:`losses` gave them.
        skipped: steps skipped in a row, as :attr:`skipped` gave them.
    """

    def __init__(self, multiple: float, losses: Sequence[float] = (), skipped: int = 0) -> None:
        self._multiple = multiple
        self._first = list(losses[:_FIRST])
        self._last = deque(losses[_FIRST:], maxlen=_WINDOW)
        self.skipped = skipped

    @property
    def losses(self) -> list[float]:
        """The losses that later ones are judged by."""
        return self._first + list(self._last)

    def fault(self, loss: float, norm: float, *, may_skip: bool) -> str | None:
        """What is wrong with a step, in words; None when nothing is.

        Args:
            loss: mean over the step and all ranks.
            norm: norm of all gradients.
            may_skip: the loss scaler skips a step whose gradients overflow.
        """
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if not math.isfinite(norm):
            self.skipped += 1
            if not may_skip or self.skipped > _MOST_SKIPS:
                return f"the gradient norm is {norm}"
            return None
        self.skipped = 0
        if len(self._first) < _FIRST:
            self._first.append(loss)
            return None
        usual = median(self._last) if self._last else loss
        if loss > self._multiple * usual and loss > max(self._first):
            return f"the loss is {loss:.4g}, its running median {usual:.4g}, its first values {max(self._first):.4g}"
        self._last.append(loss)
        return None


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """An event that SIGTERM or Ctrl-C sets; a second one acts as usual. Outside the main thread nothing is caught."""
    wanted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield wanted
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        wanted.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, ask)
    try:
        yield wanted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
