"""Restorers: from a portrait under a mesh to the portrait without it, and where the mesh was.

Both work on pixels folded two by two into channels, at half the resolution, and are small enough for one core. Sources:
residual and mask from one trunk, Zhang et al., "Multi-task ConvNet for blind face inpainting" (ICB 2016); three-level
encoder and decoder, Ronneberger et al., U-Net (2015); gated blocks, Chen et al., NAFNet (2022).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

MULTIPLE_PX = 16
"""Each side of a picture is a multiple of this."""


class Answers(NamedTuple):
    """What a restorer says of a batch.

    Attributes:
        pictures: (B, 3, H, W) restored, not cut to [0, 1].
        ink: (B, 1, H, W) logit of ink at each pixel; without a mask head one of how much the pixel is changed, 0 at a
            tenth of the range.
        mesh: (B, 1) logit of a mesh anywhere; None without a head for it.
    """

    pictures: Tensor
    ink: Tensor
    mesh: Tensor | None


class Restorer(nn.Module):
    """A trunk at half resolution and its answers.

    With the mask the residual acts only where ink is thought to be, so that clean pixels stay as they are.

    Attributes:
        with_mask: whether a mask is predicted; without, the residual acts everywhere.
        with_score: whether it is said if there is a mesh at all.
    """

    def __init__(self, trunk: nn.Module, channels: int, with_mask: bool, with_score: bool = False) -> None:
        """Put a restorer together.

        Args:
            trunk: (B, 12, H / 2, W / 2) to (B, ``channels``, H / 2, W / 2).
            channels: of what the trunk gives.
            with_mask: predict a mask.
            with_score: also say whether there is a mesh.
        """
        super().__init__()
        self.with_mask, self.with_score = with_mask, with_score
        self.trunk = trunk
        self.residual = nn.Conv2d(channels, 12, 3, padding=1)
        nn.init.zeros_(self.residual.weight)
        if with_mask:
            self.mask = nn.Conv2d(channels, 4, 3, padding=1)
        if with_score:
            self.score = _Score(channels)

    def forward(self, pictures: Tensor) -> Answers:
        """Restore a batch.

        Args:
            pictures: (B, 3, H, W) float RGB in [0, 1]; H and W are multiples of 16.
        """
        features = self.trunk(functional.pixel_unshuffle(pictures, 2))
        mesh = self.score(features) if self.with_score else None
        residual = functional.pixel_shuffle(self.residual(features), 2)
        if not self.with_mask:
            return Answers(pictures + residual, 80 * (residual.abs().amax(1, keepdim=True) - 0.1), mesh)
        ink = functional.pixel_shuffle(self.mask(features), 2)
        return Answers(pictures + torch.sigmoid(ink) * residual, ink, mesh)


class _Score(nn.Module):
    """From the trunk's features to one logit: three convolutions, then mean and highest value of each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(channels, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 48, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(48, 64, 3, padding=1),
            nn.ReLU(),
        )
        self.judge = nn.Linear(128, 1)

    def forward(self, features: Tensor) -> Tensor:
        seen = self.look(features)
        logit: Tensor = self.judge(torch.cat([seen.mean((2, 3)), seen.amax((2, 3))], dim=1))
        return logit


class _Level(nn.Module):
    """``enter``, then whatever lies deeper, half as large, added back, then ``leave``."""

    def __init__(
        self, enter: nn.Module, leave: nn.Module, deeper: nn.Module | None, widths: tuple[int, int]
    ) -> None:
        super().__init__()
        self.enter, self.leave = enter, leave
        self.deeper = deeper
        if deeper is not None:
            narrow, wide = widths
            self.down = nn.Conv2d(narrow, wide, 2, stride=2)
            self.up = nn.Sequential(nn.Conv2d(wide, 4 * narrow, 1, bias=False), nn.PixelShuffle(2))

    def forward(self, features: Tensor) -> Tensor:
        features = self.enter(features)
        if self.deeper is not None:
            features = features + self.up(self.deeper(self.down(features)))
        left: Tensor = self.leave(features)
        return left


class _PlainBlock(nn.Module):
    """Two 3 x 3 convolutions with ReLU beside an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        changed: Tensor = self.second(functional.relu(self.first(features)))
        return features + changed


class _PixelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each pixel of (B, C, H, W)."""

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _GatedBlock(nn.Module):
    """NAFNet's block: products take the place of activations, channels are weighted by their mean."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _PixelNorm(channels), _PixelNorm(channels)
        self.widen = nn.Conv2d(channels, 2 * channels, 1)
        self.around = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.attend = nn.Conv2d(channels, channels, 1)
        self.narrow = nn.Conv2d(channels, channels, 1)
        self.feed = nn.Conv2d(channels, 2 * channels, 1)
        self.back = nn.Conv2d(channels, channels, 1)
        self.scale1 = nn.Parameter(torch.full((1, channels, 1, 1), 0.1))
        self.scale2 = nn.Parameter(torch.full((1, channels, 1, 1), 0.1))

    def forward(self, features: Tensor) -> Tensor:
        left, right = self.around(self.widen(self.norm1(features))).chunk(2, dim=1)
        gated = left * right
        gated = gated * self.attend(gated.mean((2, 3), keepdim=True))
        features = features + self.scale1 * self.narrow(gated)
        left, right = self.feed(self.norm2(features)).chunk(2, dim=1)
        fed: Tensor = self.scale2 * self.back(left * right)
        return features + fed


def _u_shape(width: int, block: Callable[[int], nn.Module], depths: tuple[int, int, int]) -> nn.Sequential:
    """Three levels of ``width``, twice and four times as many channels; ``depths`` blocks on each way of a level."""

    def blocks(level: int) -> nn.Sequential:
        return nn.Sequential(*(block(width << level) for _ in range(depths[level])))

    inner: nn.Module | None = None
    for level in (2, 1, 0):
        widths = (width << level, width << (level + 1))
        inner = _Level(blocks(level), blocks(level), inner, widths)
    assert inner is not None  # noqa: S101 - three levels were made
    return nn.Sequential(nn.Conv2d(12, width, 3, padding=1), inner)


def unet_restorer(width: int = 32, with_mask: bool = True, with_score: bool = False) -> Restorer:
    """Plain residual blocks, one on each way of each level."""
    return Restorer(_u_shape(width, _PlainBlock, (1, 1, 1)), width, with_mask, with_score)


def gated_restorer(width: int = 32, with_mask: bool = True, with_score: bool = False) -> Restorer:
    """NAFNet's blocks: one on each way of the outermost level, two on the others."""
    return Restorer(_u_shape(width, _GatedBlock, (1, 2, 2)), width, with_mask, with_score)


RESTORERS: Mapping[str, Callable[[int, bool, bool], Restorer]] = MappingProxyType(
    {"gated": gated_restorer, "unet": unet_restorer}
)
"""Restorers by name; each takes a width and whether it predicts a mask, and a score."""
