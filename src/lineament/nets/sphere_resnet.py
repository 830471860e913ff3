"""The residual networks of SphereFace: PReLU, no batch normalisation.

Source: Liu, Wen, Yu, Li, Raj, Song: SphereFace, CVPR 2017, table 2 and the published network definitions.
"""

from torch import Tensor, nn

from lineament.nets.base import Backbone, InputSize, check_size

UNITS = {20: (1, 2, 4, 1), 36: (2, 4, 8, 2), 64: (3, 7, 16, 3)}
"""Residual units of the four stages by depth."""
CHANNELS = (64, 128, 256, 512)
_RESIDUAL_STD = 0.01


class SphereUnit(nn.Module):
    """Two 3x3 convolutions without bias, each with PReLU, and the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            nn.init.normal_(conv.weight, std=_RESIDUAL_STD)
            layers += [conv, nn.PReLU(channels)]
        self.residual = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        residual: Tensor = self.residual(x)
        return x + residual


def sphere_resnet(depth: int, input_size: InputSize = (112, 96), embedding: int = 512) -> Backbone:
    """A network of the family.

    Args:
        depth: 20, 36 or 64.
        input_size: height and width, px, multiples of 16; the paper has (112, 96).
        embedding: length of the features; the paper has 512.

    Raises:
        ValueError: a depth, size or embedding that is not allowed.
    """
    if depth not in UNITS:
        raise ValueError(f"sphere_resnet: depth must be one of {sorted(UNITS)}, got {depth}")
    check_size("sphere_resnet", input_size, embedding)
    layers: list[nn.Module] = []
    before = 3
    for channels, number in zip(CHANNELS, UNITS[depth], strict=True):
        conv = nn.Conv2d(before, channels, 3, stride=2, padding=1)
        layers += [nn.Sequential(_scaled(conv), nn.PReLU(channels))]
        layers += [SphereUnit(channels) for _ in range(number)]
        before = channels
    cells = input_size[0] // 16 * (input_size[1] // 16)
    output = nn.Sequential(nn.Flatten(), _scaled(nn.Linear(before * cells, embedding)))
    return Backbone(nn.Sequential(*layers), output, input_size, embedding)


def _scaled(layer: nn.Conv2d | nn.Linear) -> nn.Module:
    """The layer with uniform weights of variance 1 / fan-in (the "xavier" of the definitions), biases zero."""
    nn.init.kaiming_uniform_(layer.weight, mode="fan_in", nonlinearity="linear")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
