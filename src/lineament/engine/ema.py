"""A running mean of the weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


@contextmanager
def holding(module: nn.Module, values: Mapping[str, Tensor]) -> Iterator[None]:
    """Let a module hold other values for a while; its own come back, bit for bit.

    Args:
        module: whose state is exchanged.
        values: by name, of the shapes of its state; names that it lacks are not allowed, absent ones stay.
    """
    state = module.state_dict()
    own = {name: state[name].clone() for name in values}
    try:
        for name, value in values.items():
            state[name].copy_(value)
        yield
    finally:
        for name, value in own.items():
            state[name].copy_(value)


class WeightMean:
    """Exponential mean of all floating weights and buffers; other buffers are followed as they are.

    Early steps count more than ``decay`` says, min(decay, (1 + n) / (10 + n)) after n updates, or a short run
    would end near its first, random weights.

    Source: Polyak and Juditsky, Acceleration of stochastic approximation by averaging (1992); the early decay
        is the one of TensorFlow's ExponentialMovingAverage.

    Args:
        modules: followed by reference.
        decay: in (0, 1).
    """

    def __init__(self, modules: nn.Module, decay: float) -> None:
        self._decay = decay
        self._followed = modules.state_dict()
        self.values = {name: value.clone() for name, value in self._followed.items()}
        kinds: dict[torch.dtype, list[str]] = {}
        for name, value in self._followed.items():
            kinds.setdefault(value.dtype, []).append(name)
        self._kinds = kinds

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights as they are after step number ``step`` (from 0)."""
        decay = min(self._decay, (1 + step) / (10 + step))
        mean = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        for dtype, names in self._kinds.items():
            averages = [self.values[name] for name in names]
            current = [self._followed[name] for name in names]
            if dtype.is_floating_point:
                mean(averages, current, step)
            else:
                for average, value in zip(averages, current, strict=True):
                    average.copy_(value)
