"""Stochastic gradient descent that touches only the rows that a sparse gradient names."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


def gradient_values(gradient: Tensor) -> Tensor:
    """The stored values of a gradient, dense or sparse: what its norm and its finiteness are judged on.

    Each row of a sparse gradient counts once: one that was accumulated over several batches is summed first.
    """
    return gradient.coalesce().values() if gradient.is_sparse else gradient


class RowSgd(torch.optim.Optimizer):
    """SGD with momentum and weight decay for parameters whose gradients may be sparse.

    With a dense gradient it is ``torch.optim.SGD``. With a sparse one, rows that the gradient does not name keep
    their weights, their momentum and are not decayed: they were not asked in this step.

    Source: X. An et al., Partial FC, 2022, section 3 (sampled class centres).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        """Take parameters or groups of them, as every optimiser of torch does.

        Args:
            params: parameters, or dicts with ``params`` and settings of their own.
            lr: learning rate.
            momentum: share of the last step that goes on, in [0, 1).
            weight_decay: L2 penalty, added to the gradient.

        Raises:
            ValueError: a setting is out of range.
        """
        if not (lr >= 0 and 0 <= momentum < 1 and weight_decay >= 0):
            raise ValueError(
                f"lr and weight_decay must be 0 or more and momentum in [0, 1), got {lr}, {weight_decay}, {momentum}"
            )
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step.

        Args:
            closure: computes the loss again; its result is given back.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        rows: Tensor | None = None
        step = gradient
        if gradient.is_sparse:
            gradient = gradient.coalesce()
            rows, step = gradient.indices()[0], gradient.values()
        if group["weight_decay"]:
            step = step.add(parameter if rows is None else parameter[rows], alpha=group["weight_decay"])
        if group["momentum"]:
            state = self.state[parameter]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(parameter)
            buffer = state["momentum_buffer"]
            if rows is None:
                step = buffer.mul_(group["momentum"]).add_(step)
            else:
                step = buffer[rows].mul_(group["momentum"]).add_(step)
                buffer.index_copy_(0, rows, step)
        if rows is None:
            parameter.add_(step, alpha=-group["lr"])
        else:
            parameter.index_add_(0, rows, step, alpha=-group["lr"])
