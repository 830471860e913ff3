"""What a network costs: parameters and multiply-adds, without running it on numbers."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from lineament.nets.base import InputSize

_BATCH = 2
"""In training mode, batch normalisation needs two values a channel, also where the map is one cell."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one picture.

    Attributes:
        parameters: numbers that are learnt, frozen ones included: weights, biases, gains, slopes.
        multiply_adds: of the convolutions and matrix products; normalisation, activations and sums are left out,
            as the papers do.
    """

    parameters: int
    multiply_adds: int


def count_cost(network: nn.Module, input_size: InputSize) -> Cost:
    """Parameters and multiply-adds of a network; its weights and statistics stay as they are.

    The network runs on tensors without storage, so large ones are counted in a moment.

    Args:
        network: takes (B, 3, H, W) float.
        input_size: H and W, px.
    """
    held = (*network.named_parameters(), *network.named_buffers())
    state = {name: torch.empty_like(tensor, device="meta") for name, tensor in held}
    images = torch.empty(_BATCH, 3, *input_size, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        functional_call(network, state, (images,))
    parameters = sum(p.numel() for p in network.parameters())
    return Cost(parameters, counter.get_total_flops() // (2 * _BATCH))
