"""MobileFaceNet: a million parameters, a global depthwise convolution instead of average pooling.

Source: Chen, Liu, Gao, Han: MobileFaceNets, CCBR 2018, table 1.
"""

from torch import Tensor, nn

from lineament.nets.base import Backbone, InputSize, check_size
from lineament.nets.blocks import conv_bn, conv_bn_prelu, init_he_fan_out

TABLE = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
"""Sequences of bottlenecks: expansion factor, channels, number, stride of the first one."""
_LAST_CHANNELS = 512


class Bottleneck(nn.Module):
    """Inverted residual of MobileNetV2 with PReLU: expand, depthwise 3x3, project linearly."""

    def __init__(self, in_channels: int, out_channels: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = expansion * in_channels
        self.residual = nn.Sequential(
            conv_bn_prelu(in_channels, wide, 1),
            conv_bn_prelu(wide, wide, 3, stride, groups=wide),
            *conv_bn(wide, out_channels, 1),
        )
        self.has_shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H / stride, W / stride)."""
        residual: Tensor = self.residual(x)
        return x + residual if self.has_shortcut else residual


def mobilefacenet(input_size: InputSize = (112, 112), embedding: int = 128) -> Backbone:
    """The network of the paper's table; the kernel of the global convolution follows the last map.

    Args:
        input_size: height and width, px, multiples of 16; the paper has (112, 112), (112, 96) and (96, 96).
        embedding: length of the features; the paper has 128.

    Raises:
        ValueError: a size or embedding that is not allowed.
    """
    check_size("mobilefacenet", input_size, embedding)
    layers = [conv_bn_prelu(3, 64, 3, stride=2), conv_bn_prelu(64, 64, 3, groups=64)]
    blocks: list[nn.Module] = []
    channels = 64
    for expansion, out_channels, number, stride in TABLE:
        for index in range(number):
            blocks.append(Bottleneck(channels, out_channels, expansion, stride if index == 0 else 1))
            channels = out_channels
    body = nn.Sequential(*layers, *blocks, conv_bn_prelu(channels, _LAST_CHANNELS, 1))
    last_map = (input_size[0] // 16, input_size[1] // 16)
    output = nn.Sequential(
        nn.Conv2d(_LAST_CHANNELS, _LAST_CHANNELS, last_map, groups=_LAST_CHANNELS, bias=False),
        nn.BatchNorm2d(_LAST_CHANNELS),
        *conv_bn(_LAST_CHANNELS, embedding, 1),
        nn.Flatten(),
    )
    backbone = Backbone(body, output, input_size, embedding)
    init_he_fan_out(backbone)
    return backbone
