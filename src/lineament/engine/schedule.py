"""Learning rate as a pure function of the step."""

import math
from dataclasses import dataclass
from typing import Literal

from lineament.core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleConfig:
    """Linear warm-up, then one of four curves. All factors multiply the optimiser's base learning rate.

    Attributes:
        kind: "constant"; "step" (times ``decay`` at every milestone); "cosine" or "poly" down to ``floor``.
        warmup_steps: steps of linear warm-up; step s < warmup_steps has the factor (s + 1) / warmup_steps.
        milestones: steps from which one more factor ``decay`` holds; increasing; for "step".
        decay: factor at a milestone, in (0, 1]; for "step".
        power: exponent of (1 - t) for "poly"; t is the share of the steps after the warm-up that is done.
        floor: factor that "cosine" and "poly" tend to, in [0, 1).

    Raises:
        ConfigError: values out of range; all of them are listed.

    Source: steps: Deng et al., ArcFace (2019), /10 at 20k and 28k of 32k. Cosine: Loshchilov and Hutter,
        SGDR (2017), one cycle.
    """

    kind: Literal["constant", "step", "cosine", "poly"] = "constant"
    warmup_steps: int = 0
    milestones: tuple[int, ...] = ()
    decay: float = 0.1
    power: float = 2.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        faults = []
        if self.kind not in {"constant", "step", "cosine", "poly"}:
            faults.append(f"kind must be constant, step, cosine or poly, got {self.kind!r}")
        if self.warmup_steps < 0:
            faults.append(f"warmup_steps must be 0 or more, got {self.warmup_steps}")
        if list(self.milestones) != sorted(set(self.milestones)) or any(m <= 0 for m in self.milestones):
            faults.append(f"milestones must be positive and increasing, got {self.milestones}")
        if (self.kind == "step") != bool(self.milestones):
            faults.append(
                f"milestones belong to kind 'step' and to it alone, got {self.kind!r} {self.milestones}"
            )
        if not 0 < self.decay <= 1:
            faults.append(f"decay must be in (0, 1], got {self.decay}")
        if not self.power > 0:
            faults.append(f"power must be positive, got {self.power}")
        if not 0 <= self.floor < 1:
            faults.append(f"floor must be in [0, 1), got {self.floor}")
        if faults:
            raise ConfigError("schedule: " + "; ".join(faults))


def learning_rate_factor(schedule: ScheduleConfig, step: int, steps: int) -> float:
    """What the base learning rate is multiplied by at a step.

    Args:
        schedule: the curve.
        step: number of the step, from 0.
        steps: steps of the whole run, more than ``schedule.warmup_steps``.
    """
    if step < schedule.warmup_steps:
        return (step + 1) / schedule.warmup_steps
    done = (step - schedule.warmup_steps) / (steps - schedule.warmup_steps)
    if schedule.kind == "step":
        passed = sum(step >= milestone for milestone in schedule.milestones)
        return float(schedule.decay**passed)
    if schedule.kind == "cosine":
        return schedule.floor + (1 - schedule.floor) * 0.5 * (1 + math.cos(math.pi * done))
    if schedule.kind == "poly":
        return float(schedule.floor + (1 - schedule.floor) * (1 - done) ** schedule.power)
    return 1.0
