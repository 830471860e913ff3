"""Frozen stages, for fine-tuning."""

from collections.abc import Iterable
from typing import Protocol

from torch import nn


class Staged(Protocol):
    """A network that tells its layers in order: a Backbone or an OnnxModule."""

    @property
    def stages(self) -> Iterable[nn.Module]:
        """Layers or blocks in the order in which they run; together they hold all parameters."""
        ...


def freeze(network: Staged, fraction: float) -> int:
    """Freeze the first stages of a network.

    Their parameters take no gradient, and their batch normalisation and dropout stay in evaluation mode, also when
    the network is set to training mode later.

    Args:
        network: its stages are changed in place.
        fraction: of the stages, in [0, 1], rounded down; 1 freezes everything.

    Returns: how many stages were frozen.

    Raises:
        ValueError: a fraction outside [0, 1].
    """
    if not 0.0 <= fraction <= 1.0:
        raise ValueError(f"fraction must be in [0, 1], got {fraction}")
    stages = list(network.stages)
    frozen = int(fraction * len(stages))
    for stage in stages[:frozen]:
        stage.requires_grad_(False)
        for layer in stage.modules():
            layer.eval()
            layer.register_forward_pre_hook(_to_evaluation)
    return frozen


def _to_evaluation(layer: nn.Module, _: object) -> None:
    layer.training = False
