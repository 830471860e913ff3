"""Norms, cosines and angles whose gradients stay finite everywhere."""

from typing import Any

import torch
from torch import Tensor

SMALLEST_NORM = 1e-6
"""A vector no longer than this has no direction: it is left as it is."""
SMALLEST_SINE = 1e-4
"""Below this sine the derivative of the angle is held: it grows without bound towards cosines of +-1."""


def in_full_precision(values: Tensor) -> Tensor:
    """float32 of half-precision values; float32 and float64 as they are."""
    return values if values.dtype in {torch.float32, torch.float64} else values.float()


def norms_and_directions(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Lengths (N,) and unit vectors (N, D) of vectors (N, D).

    A vector that is no longer than :data:`SMALLEST_NORM` stays as it is, so that its gradient is not divided by
    next to nothing.
    """
    norms = torch.linalg.vector_norm(vectors, dim=1)
    divisors = torch.where(norms > SMALLEST_NORM, norms, 1.0)
    return norms, vectors / divisors[:, None]


def cosines_to_rows(directions: Tensor, weights: Tensor) -> Tensor:
    """Cosines (B, C) of unit vectors (B, D) with weights (C, D) of any length.

    The unit weights are never formed: for a million classes each copy of the weights counts.
    """
    cosines: Tensor = _CosinesToRows.apply(directions, weights)  # type: ignore[no-untyped-call]
    return cosines


class _CosinesToRows(torch.autograd.Function):
    """d cos / d w = (x - cos w/|w|) / |w|, with one temporary of the size of the weights."""

    @staticmethod
    def forward(ctx: Any, directions: Tensor, weights: Tensor) -> Tensor:
        norms = torch.linalg.vector_norm(weights, dim=1)
        has_direction = norms > SMALLEST_NORM
        inverse = torch.where(has_direction, norms, 1.0).reciprocal()
        cosines = (directions @ weights.T).mul_(inverse)
        ctx.save_for_backward(directions, weights, inverse, has_direction, cosines)
        return cosines

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        directions, weights, inverse, has_direction, cosines = ctx.saved_tensors
        to_directions = to_weights = None
        with torch.autocast(gradient.device.type, enabled=False):
            scaled = gradient * inverse
            if ctx.needs_input_grad[0]:
                to_directions = scaled @ weights
            if ctx.needs_input_grad[1]:
                to_weights = scaled.T @ directions
                radial = scaled.mul_(cosines).sum(0).mul_(inverse).mul_(has_direction)
                to_weights.addcmul_(weights, radial[:, None], value=-1)
        return to_directions, to_weights


def sines(cosines: Tensor) -> Tensor:
    """Sines in [0, 1] of angles in [0, pi], given as cosines; rounding beyond +-1 counts as +-1.

    The value is exact; the derivative -cos / sin is that of a sine of at least :data:`SMALLEST_SINE`.
    """
    square = (1 - cosines) * (1 + cosines)
    bounded = square.clamp(min=SMALLEST_SINE**2).sqrt()
    return bounded + (square.detach().clamp(min=0).sqrt() - bounded.detach())


def angles(cosines: Tensor) -> Tensor:
    """Angles in [0, pi], rad, with the bounded derivative of :func:`sines`."""
    return torch.atan2(sines(cosines), cosines)
