"""How many requests a key may make: a token bucket for each."""

import threading
import time
from collections.abc import Callable


class TokenBuckets:
    """Token buckets by name: ``burst`` tokens when full, filled again at a steady rate, one token a request.

    In any stretch of t seconds, at most ``burst + rate * t`` requests pass. Each process has buckets of its own.
    Safe to share between threads.

    Args:
        clock: gives s of a clock that never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._levels: dict[str, tuple[float, float]] = {}

    def take(self, name: str, *, per_second: float, burst: int) -> float:
        """Take one token.

        Args:
            name: whose bucket; there are as many buckets as names were asked for.
            per_second: tokens that flow in, 1/s, above 0.
            burst: tokens that fit.

        Returns:
            0 when there was one; else after how many seconds there will be, and nothing was taken.
        """
        with self._lock:
            now_s = self._clock()
            level, at_s = self._levels.get(name, (float(burst), now_s))
            level = min(float(burst), level + (now_s - at_s) * per_second)
            passes = level >= 1.0
            self._levels[name] = (level - 1.0 if passes else level, now_s)
        return 0.0 if passes else (1.0 - level) / per_second
