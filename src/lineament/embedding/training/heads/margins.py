"""Margin rules: from cosines with class weights to logits.

A rule changes the target column only (Circle: all columns). A label of -1 says that no column of this row is its
class, so that one rule serves a whole classifier and a shard of one.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Protocol

import torch
from torch import Tensor

from lineament.embedding.training.heads.numerics import angles, sines
from lineament.embedding.training.heads.settings import ANGLE, POSITIVE, Range, check_settings

_COSINE = Range(0, 1)


class Margin(Protocol):
    """A rule from cosines to logits. One with state is a ``torch.nn.Module``, so that it is saved."""

    def logits(self, cosines: Tensor, norms: Tensor, labels: Tensor, /) -> tuple[Tensor, Tensor | None]:
        """Logits of a batch.

        Args:
            cosines: (B, C) cosines of features and class weights, in [-1, 1] up to rounding.
            norms: (B,) lengths of the features.
            labels: (B,) int64 target columns; -1 where no column is the target.

        Returns:
            (B, C) logits, and a () loss to add to the cross entropy, or None.
        """
        ...


def with_targets(
    cosines: Tensor, labels: Tensor, scale: float | Tensor, rule: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Scale cosines (B, C) and put what a rule says into the target columns.

    Args:
        cosines: (B, C) cosines.
        labels: (B,) target columns, -1 for none.
        scale: factor of all logits: a number, or (B,) one for each row.
        rule: from target cosines (P,) and their row numbers (P,) to target values (P,) before scaling.
    """
    rows = (labels >= 0).nonzero().squeeze(1)
    columns = labels[rows]
    targets = rule(cosines[rows, columns], rows)
    if isinstance(scale, Tensor):
        logits, targets = cosines * scale[:, None], targets * scale[rows]
    else:
        logits, targets = cosines * scale, targets * scale
    return logits.index_put_((rows, columns), targets)


@dataclass(frozen=True, slots=True)
class NormalisedSoftmax:
    """No margin: logits are ``scale`` times cosines.

    Source: F. Wang et al., NormFace, 2017.
    """

    scale: float = 30.0

    def __post_init__(self) -> None:
        check_settings(asdict(self), {"scale": POSITIVE})

    def logits(self, cosines: Tensor, _norms: Tensor, _labels: Tensor, /) -> tuple[Tensor, Tensor | None]:
        """Logits by :class:`Margin`."""
        return cosines * self.scale, None


@dataclass(frozen=True, slots=True)
class AmSoftmax:
    """Target ``scale * (cos - margin_cos)``; also known as CosFace.

    Source: F. Wang et al., Additive Margin Softmax, 2018.
    """

    margin_cos: float = 0.35
    scale: float = 30.0

    def __post_init__(self) -> None:
        check_settings(asdict(self), {"margin_cos": _COSINE, "scale": POSITIVE})

    def logits(self, cosines: Tensor, _norms: Tensor, labels: Tensor, /) -> tuple[Tensor, Tensor | None]:
        """Logits by :class:`Margin`."""
        return with_targets(cosines, labels, self.scale, lambda target, _: target - self.margin_cos), None


@dataclass(frozen=True, slots=True)
class ArcFace:
    """Target ``scale * cos(angle + margin_rad)``, with its true derivative.

    Past pi - margin_rad the target goes on as ``cos - margin_rad * sin(margin_rad)``, so that it falls all the way.

    Source: J. Deng et al., ArcFace, 2019.
    """

    margin_rad: float = 0.5
    scale: float = 64.0

    def __post_init__(self) -> None:
        check_settings(asdict(self), {"margin_rad": ANGLE, "scale": POSITIVE})

    def logits(self, cosines: Tensor, _norms: Tensor, labels: Tensor, /) -> tuple[Tensor, Tensor | None]:
        """Logits by :class:`Margin`."""

        def rule(target: Tensor, _: Tensor) -> Tensor:
            return cosines_of_wider_angles(target, target.new_full((), self.margin_rad))

        return with_targets(cosines, labels, self.scale, rule), None


def cosines_of_wider_angles(cosines: Tensor, margin_rad: Tensor) -> Tensor:
    """cos(angle + margin), continued as ``cos - margin * sin(margin)`` where the sum passes pi.

    Args:
        cosines: (N,) cosines of the angles.
        margin_rad: (N,) or () rad in [0, pi / 2].
    """
    cos_margin, sin_margin = margin_rad.cos(), margin_rad.sin()
    wider = cosines * cos_margin - sines(cosines) * sin_margin
    return torch.where(cosines > -cos_margin, wider, cosines - margin_rad * sin_margin)


@dataclass(frozen=True, slots=True)
class CombinedMargin:
    """Target ``scale * (cos(margin_factor * angle + margin_rad) - margin_cos)``.

    Where the inner angle passes pi the first term goes on as ``cos - drop``, with ArcFace's drop or, where that
    would let the target rise, the smallest one that does not.

    Source: J. Deng et al., ArcFace, 2019, eq. 4 (m1, m2, m3).
    """

    margin_factor: float = 1.0
    margin_rad: float = 0.3
    margin_cos: float = 0.2
    scale: float = 64.0

    def __post_init__(self) -> None:
        ranges = {"margin_factor": POSITIVE, "margin_rad": ANGLE, "margin_cos": _COSINE, "scale": POSITIVE}
        check_settings(asdict(self), ranges)

    def logits(self, cosines: Tensor, _norms: Tensor, labels: Tensor, /) -> tuple[Tensor, Tensor | None]:
        """Logits by :class:`Margin`."""
        last_rad = min(math.pi, (math.pi - self.margin_rad) / self.margin_factor)
        drop = max(self.margin_rad * math.sin(self.margin_rad), 1 + math.cos(last_rad))

        def rule(target: Tensor, _: Tensor) -> Tensor:
            inner = self.margin_factor * angles(target) + self.margin_rad
            return torch.where(inner < math.pi, inner.cos(), target - drop) - self.margin_cos

        return with_targets(cosines, labels, self.scale, rule), None


@dataclass(frozen=True, slots=True)
class Circle:
    """Circle loss in its classification form: logits weighed by how far each cosine is from its optimum.

    Source: Y. Sun et al., Circle Loss, 2020, eq. 6 with class weights as the other side of each pair.
    """

    margin_cos: float = 0.25
    scale: float = 256.0

    def __post_init__(self) -> None:
        check_settings(asdict(self), {"margin_cos": _COSINE, "scale": POSITIVE})

    def logits(self, cosines: Tensor, _norms: Tensor, labels: Tensor, /) -> tuple[Tensor, Tensor | None]:
        """Logits by :class:`Margin`."""
        margin = self.margin_cos
        rows = (labels >= 0).nonzero().squeeze(1)
        columns = labels[rows]
        targets = cosines[rows, columns]
        weighed = (1 + margin - targets.detach()).clamp(min=0) * (targets - (1 - margin))
        logits = (cosines.detach() + margin).clamp_(min=0).mul_(self.scale) * (cosines - margin)
        return logits.index_put_((rows, columns), weighed * self.scale), None
