"""Inception-ResNet-v1, the network that stands for FaceNet's in most published work.

Sources: Szegedy, Ioffe, Vanhoucke, Alemi: Inception-v4, Inception-ResNet and the Impact of Residual Connections on
Learning, AAAI 2017; the widths are those of davidsandberg/facenet, which differ from the paper's.
"""

import torch
from torch import Tensor, nn

from lineament.nets.base import Backbone, InputSize, check_size
from lineament.nets.blocks import fix_gain, global_average

BN_EPS = 1e-3
BN_MOMENTUM = 0.005
DROPOUT = 0.2
SCALES = {"block35": 0.17, "block17": 0.10, "block8": 0.20}
"""What the residual of a block is multiplied with; the very last block8 has 1.0 and no ReLU."""


def _conv(
    in_channels: int,
    out_channels: int,
    kernel: int | tuple[int, int],
    stride: int = 1,
    padding: int | tuple[int, int] = 0,
) -> nn.Sequential:
    """Convolution, BN without gain, ReLU."""
    norm = fix_gain(nn.BatchNorm2d(out_channels, BN_EPS, BN_MOMENTUM))
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=False)
    return nn.Sequential(conv, norm, nn.ReLU())


class Parallel(nn.Module):
    """Branches over the same map, put together along the channels."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, sum of the branches' channels, H', W')."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class ScaledResidual(nn.Module):
    """Parallel branches, a 1x1 projection with bias and without BN, scaled and added to the input."""

    def __init__(self, branches: Parallel, widths: tuple[int, int], scale: float, has_relu: bool) -> None:
        """Build the block.

        Args:
            branches: from the input's channels to ``widths[0]``.
            widths: channels of the branches together, channels of the input.
            scale: of the residual.
            has_relu: whether a ReLU follows the sum.
        """
        super().__init__()
        self.branches = branches
        self.project = nn.Conv2d(*widths, 1)
        self.scale = scale
        self.activation: nn.Module = nn.ReLU() if has_relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        total: Tensor = self.activation(x + self.scale * self.project(self.branches(x)))
        return total


def _block35() -> ScaledResidual:
    branches = Parallel(
        _conv(256, 32, 1),
        nn.Sequential(_conv(256, 32, 1), _conv(32, 32, 3, padding=1)),
        nn.Sequential(_conv(256, 32, 1), _conv(32, 32, 3, padding=1), _conv(32, 32, 3, padding=1)),
    )
    return ScaledResidual(branches, (96, 256), SCALES["block35"], has_relu=True)


def _separable(in_channels: int, width: int, kernel: int) -> Parallel:
    """A 1x1 branch beside 1x1, 1xk, kx1."""
    return Parallel(
        _conv(in_channels, width, 1),
        nn.Sequential(
            _conv(in_channels, width, 1),
            _conv(width, width, (1, kernel), padding=(0, kernel // 2)),
            _conv(width, width, (kernel, 1), padding=(kernel // 2, 0)),
        ),
    )


def _block17() -> ScaledResidual:
    return ScaledResidual(_separable(896, 128, 7), (256, 896), SCALES["block17"], has_relu=True)


def _block8(scale: float = SCALES["block8"], has_relu: bool = True) -> ScaledResidual:
    return ScaledResidual(_separable(1792, 192, 3), (384, 1792), scale, has_relu)


def _reduction_a() -> Parallel:
    return Parallel(
        _conv(256, 384, 3, stride=2),
        nn.Sequential(_conv(256, 192, 1), _conv(192, 192, 3, padding=1), _conv(192, 256, 3, stride=2)),
        nn.MaxPool2d(3, stride=2),
    )


def _reduction_b() -> Parallel:
    return Parallel(
        nn.Sequential(_conv(896, 256, 1), _conv(256, 384, 3, stride=2)),
        nn.Sequential(_conv(896, 256, 1), _conv(256, 256, 3, stride=2)),
        nn.Sequential(_conv(896, 256, 1), _conv(256, 256, 3, padding=1), _conv(256, 256, 3, stride=2)),
        nn.MaxPool2d(3, stride=2),
    )


def inception_resnet_v1(input_size: InputSize = (160, 160), embedding: int = 128) -> Backbone:
    """The network of davidsandberg/facenet.

    Args:
        input_size: height and width, px, multiples of 16 from 80 up; published at (160, 160).
        embedding: length of the features; 128, or 512 in the later weights.

    Raises:
        ValueError: a size or embedding that is not allowed.
    """
    check_size("inception_resnet_v1", input_size, embedding, smallest=80)
    body = nn.Sequential(
        _conv(3, 32, 3, stride=2),
        _conv(32, 32, 3),
        _conv(32, 64, 3, padding=1),
        nn.MaxPool2d(3, stride=2),
        _conv(64, 80, 1),
        _conv(80, 192, 3),
        _conv(192, 256, 3, stride=2),
        *(_block35() for _ in range(5)),
        _reduction_a(),
        *(_block17() for _ in range(10)),
        _reduction_b(),
        *(_block8() for _ in range(5)),
        _block8(scale=1.0, has_relu=False),
    )
    output = nn.Sequential(
        *global_average(),
        nn.Dropout(DROPOUT),
        nn.Linear(1792, embedding, bias=False),
        fix_gain(nn.BatchNorm1d(embedding, BN_EPS, BN_MOMENTUM)),
    )
    for layer in (*body.modules(), *output.modules()):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return Backbone(body, output, input_size, embedding)
