"""Settings of the training loop."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from lineament.core.errors import ConfigError
from lineament.engine.optim import OptimConfig
from lineament.engine.schedule import ScheduleConfig

# Where and how often, not what is learned: these may change between the parts of one run.
_FREE = frozenset({
    "measure_every", "checkpoint_every", "keep", "best", "best_is", "log_every",
    "device", "threads", "prefetch_depth", "prefetch_workers", "compile", "channels_last",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """How a task is trained.

    Attributes:
        steps: updates of the weights.
        optim: optimiser, decay, learning rates.
        schedule: learning rate by step.
        precision: "f32", or autocast to "bf16" or "f16" (with loss scaling).
        accumulate: batches that make one step; step s uses batches s * accumulate ... (s + 1) * accumulate - 1.
        clip_norm: largest norm of all gradients together; None leaves them alone.
        ema_decay: decay of the running mean of the weights, in (0, 1); the mean is what is measured and what
            the modules hold at the end. None does without.
        sync_batch_norm: batch normalisation over the batches of all ranks.
        channels_last: NHWC memory for 4-D weights.
        compile: compile the modules with torch.compile.
        measure_every: steps between measures; 0 measures at the end only.
        checkpoint_every: steps between checkpoints; one more is written at the end.
        keep: newest checkpoints that are kept.
        best: name of the measure by which the best checkpoint is kept as well; "" keeps none.
        best_is: whether the "highest" or the "lowest" value is best.
        log_every: steps between lines of the log.
        diverged_at: a loss above this multiple of its running median, and above its first values, stops the run.
        seed: of the random numbers in the loss; each step has its own, so that a resumed run draws the same.
        device: "cpu" or "cuda" (the card of the local rank).
        threads: torch's threads on this rank; 0 leaves them as they are.
        prefetch_depth: batches in memory, the one in use included.
        prefetch_workers: threads that make batches.

    Raises:
        ConfigError: values out of range; all of them are listed.
    """

    steps: int
    optim: OptimConfig = field(default_factory=OptimConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    precision: Literal["f32", "bf16", "f16"] = "f32"
    accumulate: int = 1
    clip_norm: float | None = None
    ema_decay: float | None = None
    sync_batch_norm: bool = False
    channels_last: bool = False
    compile: bool = False
    measure_every: int = 0
    checkpoint_every: int = 1000
    keep: int = 2
    best: str = ""
    best_is: Literal["highest", "lowest"] = "highest"
    log_every: int = 10
    diverged_at: float = 10.0
    seed: int = 0
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = 0
    prefetch_depth: int = 4
    prefetch_workers: int = 2

    def __post_init__(self) -> None:
        faults = [
            f"{name} must be {least} or more, got {value}"
            for name, least in _LEAST.items()
            if (value := getattr(self, name)) < least
        ]
        faults += [
            f"{name} must be one of {', '.join(values)}, got {value!r}"
            for name, values in _CHOICES.items()
            if (value := getattr(self, name)) not in values
        ]
        if self.clip_norm is not None and not self.clip_norm > 0:
            faults.append(f"clip_norm must be positive or None, got {self.clip_norm}")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            faults.append(f"ema_decay must be in (0, 1) or None, got {self.ema_decay}")
        if not self.diverged_at > 1:
            faults.append(f"diverged_at must be more than 1, got {self.diverged_at}")
        if self.schedule.warmup_steps >= self.steps:
            faults.append(f"schedule.warmup_steps must be less than steps, got {self.schedule.warmup_steps}")
        if self.schedule.milestones and self.schedule.milestones[-1] >= self.steps:
            faults.append(f"schedule.milestones must be less than steps, got {self.schedule.milestones}")
        if faults:
            raise ConfigError(f"loop, {len(faults)} fault(s): " + "; ".join(faults))


_LEAST = {
    "steps": 1, "accumulate": 1, "measure_every": 0, "checkpoint_every": 1, "keep": 1, "log_every": 1,
    "seed": 0, "threads": 0, "prefetch_depth": 1, "prefetch_workers": 1,
}  # fmt: skip
_CHOICES = {
    "precision": ("f32", "bf16", "f16"),
    "best_is": ("highest", "lowest"),
    "device": ("cpu", "cuda"),
}


def digest(document: Any) -> str:
    """SHA-256 of a value as JSON with sorted keys, 64 hex digits."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def resolved(config: LoopConfig) -> dict[str, Any]:
    """All settings as plain JSON values (tuples are lists)."""
    return dict(json.loads(json.dumps(asdict(config))))


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in document.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value})
    return flat


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Settings that change what is learned and differ, as "name: before, now".

    Args:
        before: resolved settings of the run's first part.
        now: resolved settings of its next part. Another number of steps matters only to a schedule that ends
            with the run.
    """
    old, new = _flat(before), _flat(now)
    free = _FREE | ({"steps"} if old.get("schedule.kind") in {"constant", "step"} else set())
    return [
        f"{name}: {old.get(name)!r} before, {new.get(name)!r} now"
        for name in sorted(old.keys() | new.keys())
        if name not in free and old.get(name) != new.get(name)
    ]
