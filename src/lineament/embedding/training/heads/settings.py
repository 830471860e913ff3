"""Checks of what a head is made with: every fault is named at once."""

import math
from collections.abc import Mapping
from typing import NamedTuple


class Range(NamedTuple):
    """Numbers that a setting may have.

    Attributes:
        low: smallest value, itself allowed unless ``above`` is set.
        high: largest value, itself allowed when it is finite.
        above: the value must be more than ``low``.
        whole: the value must be an integer.
    """

    low: float
    high: float = math.inf
    above: bool = False
    whole: bool = False

    def holds(self, value: object) -> bool:
        """True for a finite number of the range."""
        kinds = (int,) if self.whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value):
            return False
        return (self.low < value if self.above else self.low <= value) and value <= self.high

    def __str__(self) -> str:
        kind = "an integer" if self.whole else "a number"
        bounds = f"{'above' if self.above else 'of at least'} {self.low:g}"
        return f"{kind} {bounds}" + (f" and at most {self.high:g}" if math.isfinite(self.high) else "")


POSITIVE = Range(0, above=True)
NOT_NEGATIVE = Range(0)
ANGLE = Range(0, math.pi / 2)
COUNT = Range(1, whole=True)


def check_settings(values: Mapping[str, object], ranges: Mapping[str, Range]) -> None:
    """Compare settings with their ranges.

    Raises:
        ValueError: one or more are out of range; the message names all of them.
    """
    faults = [
        f"{name} must be {allowed}, got {values[name]!r}"
        for name, allowed in ranges.items()
        if not allowed.holds(values[name])
    ]
    if faults:
        raise ValueError("; ".join(faults))
