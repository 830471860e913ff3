"""Margin rules that look at the length of a feature, or at how long the training has lasted."""

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from lineament.embedding.training.heads.collectives import gathered
from lineament.embedding.training.heads.margins import cosines_of_wider_angles, with_targets
from lineament.embedding.training.heads.numerics import angles
from lineament.embedding.training.heads.settings import (
    ANGLE,
    COUNT,
    NOT_NEGATIVE,
    POSITIVE,
    Range,
    check_settings,
)


class SphereFace(nn.Module):
    """A-Softmax: target ``norm * psi(angle)``, eased in from ``norm * cos``; features are not normalised.

    ``psi = (-1)^k cos(m angle) - 2 k`` for angles in [k pi / m, (k + 1) pi / m]. The target is
    ``(lambda cos + psi) / (1 + lambda)`` with ``lambda = max(lambda_min, lambda_start / (1 + lambda_rate * step))``.

    Attributes:
        steps: () int64 batches seen in training.

    Source: W. Liu et al., SphereFace, 2017.
    """

    steps: Tensor

    def __init__(
        self,
        *,
        margin_factor: int = 4,
        lambda_start: float = 1000.0,
        lambda_rate: float = 0.12,
        lambda_min: float = 5.0,
    ) -> None:
        """Take the settings of the published training.

        Args:
            margin_factor: m, whole factor of the angle.
            lambda_start: weight of the plain cosine at the first step.
            lambda_rate: how fast it falls, per step.
            lambda_min: where it stays.

        Raises:
            ValueError: a setting is out of range.
        """
        super().__init__()
        values = {
            "margin_factor": margin_factor,
            "lambda_start": lambda_start,
            "lambda_rate": lambda_rate,
            "lambda_min": lambda_min,
        }
        check_settings(
            values,
            {
                "margin_factor": COUNT,
                **dict.fromkeys(("lambda_start", "lambda_rate", "lambda_min"), NOT_NEGATIVE),
            },
        )
        self.margin_factor = margin_factor
        self.lambda_start, self.lambda_rate, self.lambda_min = lambda_start, lambda_rate, lambda_min
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def psi(self, cosines: Tensor) -> Tensor:
        """psi of angles given as cosines (N,): falls from 1 at 0 to 1 - 2 m at pi."""
        past, now = torch.ones_like(cosines), cosines
        for _ in range(self.margin_factor - 1):
            # Chebyshev's recursion gives cos(m angle) as a polynomial: no arccos, so no steep derivative.
            past, now = now, 2 * cosines * now - past
        angle = cosines.detach().clamp(-1, 1).arccos()
        k = (angle * self.margin_factor / math.pi).floor().clamp(max=self.margin_factor - 1)
        return (1 - 2 * (k % 2)) * now - 2 * k

    def logits(self, cosines: Tensor, norms: Tensor, labels: Tensor, /) -> tuple[Tensor, Tensor | None]:
        """Logits by :class:`lineament.embedding.training.heads.margins.Margin`; counts a step in training."""
        ease = (self.lambda_start / (1 + self.lambda_rate * self.steps)).clamp(min=self.lambda_min)
        if self.training and torch.is_grad_enabled():
            self.steps += 1
        ease = ease.to(cosines.dtype)

        def rule(target: Tensor, _: Tensor) -> Tensor:
            return (ease * target + self.psi(target)) / (1 + ease)

        return with_targets(cosines, labels, norms, rule), None


class AdaFace(nn.Module):
    """The margin shrinks in angle and grows in cosine with image quality, of which the feature norm is the sign.

    With ``z = clip((norm - mean) / (std / concentration), -1, 1)``, constant for the gradient, the target is
    ``scale * (cos(angle - margin z) - margin (1 + z))``.

    Attributes:
        mean: () running mean of feature norms.
        std: () running standard deviation of feature norms.

    Source: M. Kim et al., AdaFace, 2022.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        margin: float = 0.4,
        concentration: float = 0.333,
        scale: float = 64.0,
        ema_rate: float = 0.01,
    ) -> None:
        """Take the published settings.

        Args:
            margin: m, both an angle (rad) and a cosine.
            concentration: h; larger pushes more samples to the ends of z.
            scale: s.
            ema_rate: weight of a batch in the running statistics, in (0, 1].

        Raises:
            ValueError: a setting is out of range.
        """
        super().__init__()
        values = {"margin": margin, "concentration": concentration, "scale": scale, "ema_rate": ema_rate}
        check_settings(
            values,
            {
                "margin": ANGLE,
                "concentration": POSITIVE,
                "scale": POSITIVE,
                "ema_rate": Range(0, 1, above=True),
            },
        )
        self.margin, self.concentration, self.scale, self.ema_rate = margin, concentration, scale, ema_rate
        self.register_buffer("mean", torch.tensor(20.0))
        self.register_buffer("std", torch.tensor(100.0))

    def logits(self, cosines: Tensor, norms: Tensor, labels: Tensor, /) -> tuple[Tensor, Tensor | None]:
        """Logits by :class:`lineament.embedding.training.heads.margins.Margin`; follows the norms in training."""
        lengths = norms.detach().clamp(0.001, 100)
        if self.training and torch.is_grad_enabled():
            everywhere = gathered(lengths)
            self.mean.lerp_(everywhere.mean().to(self.mean.dtype), self.ema_rate)
            self.std.lerp_(everywhere.std(correction=0).to(self.std.dtype), self.ema_rate)
        quality = ((lengths - self.mean) / (self.std + 0.001) * self.concentration).clamp(-1, 1)

        def rule(target: Tensor, rows: Tensor) -> Tensor:
            z = quality[rows].to(target.dtype)
            wider = (angles(target) - self.margin * z).clamp(0.001, math.pi - 0.001)
            return wider.cos() - self.margin * (1 + z)

        return with_targets(cosines, labels, self.scale, rule), None


@dataclass(frozen=True, slots=True)
class MagFace:
    """ArcFace whose margin grows with the feature norm, and a pull towards long features.

    With ``a = clip(norm, norm_low, norm_high)`` the margin goes linearly from margin_low_rad to margin_high_rad, and
    ``regulariser_weight * mean(a / norm_high^2 + 1 / a)`` is added to the loss.

    Source: Q. Meng et al., MagFace, 2021.
    """

    margin_low_rad: float = 0.45
    margin_high_rad: float = 0.8
    norm_low: float = 10.0
    norm_high: float = 110.0
    regulariser_weight: float = 35.0
    scale: float = 64.0

    def __post_init__(self) -> None:
        ranges = dict.fromkeys(("margin_low_rad", "margin_high_rad"), ANGLE)
        ranges |= dict.fromkeys(("norm_low", "norm_high", "scale"), POSITIVE)
        check_settings(asdict(self), {**ranges, "regulariser_weight": NOT_NEGATIVE})
        if self.norm_low >= self.norm_high:
            raise ValueError(f"norm_low must be below norm_high, got {self.norm_low} and {self.norm_high}")

    def margins_rad(self, norms: Tensor) -> Tensor:
        """Margin (B,), rad, of features of the given lengths (B,)."""
        share = (self._bounded(norms) - self.norm_low) / (self.norm_high - self.norm_low)
        return self.margin_low_rad + (self.margin_high_rad - self.margin_low_rad) * share

    def regulariser(self, norms: Tensor) -> Tensor:
        """g(a) (B,) of features of the given lengths (B,): falls up to norm_high."""
        bounded = self._bounded(norms)
        return bounded / self.norm_high**2 + 1 / bounded

    def logits(self, cosines: Tensor, norms: Tensor, labels: Tensor, /) -> tuple[Tensor, Tensor | None]:
        """Logits by :class:`lineament.embedding.training.heads.margins.Margin`, and the weighed regulariser."""
        margins = self.margins_rad(norms)
        logits = with_targets(
            cosines, labels, self.scale, lambda target, rows: cosines_of_wider_angles(target, margins[rows])
        )
        return logits, self.regulariser_weight * self.regulariser(norms).mean()

    def _bounded(self, norms: Tensor) -> Tensor:
        return norms.clamp(self.norm_low, self.norm_high)
