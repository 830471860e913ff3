"""The residual networks of ArcFace, called L_ResNet_E_IR and the like in its first version.

``L`` or ``S`` is the input setting, ``A`` to ``E`` the output setting, ``IR`` the improved residual unit.

Source: Deng, Guo, Xue, Zafeiriou: ArcFace, arXiv 1801.07698v1, section 3.2, and the published network definitions.
"""

from typing import Literal, get_args

from torch import Tensor, nn

from lineament.nets.base import Backbone, InputSize, check_size
from lineament.nets.blocks import fix_gain, global_average, init_he_fan_out

InputSetting = Literal["L", "S"]
OutputSetting = Literal["A", "B", "C", "D", "E"]
UNITS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3)}
"""Units of the four stages by depth; a unit has two convolutions at every depth."""
CHANNELS = (64, 128, 256, 512)
BN_EPS = 2e-5
DROPOUT = 0.4


class ImprovedUnit(nn.Module):
    """BN - 3x3 conv - BN - PReLU - 3x3 conv with the stride - BN, and a shortcut; nothing after the sum."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.BatchNorm2d(in_channels, BN_EPS),
            nn.Conv2d(in_channels, out_channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out_channels, BN_EPS),
            nn.PReLU(out_channels),
            nn.Conv2d(out_channels, out_channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out_channels, BN_EPS),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels, BN_EPS),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H / stride, W / stride)."""
        total: Tensor = self.residual(x) + self.shortcut(x)
        return total


def iresnet(
    depth: int,
    input_size: InputSize = (112, 112),
    embedding: int = 512,
    input_setting: InputSetting = "L",
    output_setting: OutputSetting = "E",
) -> Backbone:
    """A network of the family.

    Args:
        depth: 18, 34, 50 or 100.
        input_size: height and width, px, multiples of 16; the paper has (112, 112).
        embedding: length of the features; the paper has 512. Output setting A allows nothing else.
        input_setting: "L" starts with a 3x3 convolution of stride 1 (map of 7x7 for 112x112), "S" with 7x7 of
            stride 2 and a maximum pooling, as for ImageNet (map of 4x4).
        output_setting: "A" global average pooling; "B" and a linear layer; "C" and BN; "D" and PReLU;
            "E" BN, dropout, a linear layer over the whole map, BN.

    Raises:
        ValueError: a depth, size, embedding or setting that is not allowed.
    """
    if depth not in UNITS:
        raise ValueError(f"iresnet: depth must be one of {sorted(UNITS)}, got {depth}")
    if input_setting not in get_args(InputSetting):
        raise ValueError(f"iresnet: input_setting must be L or S, got {input_setting!r}")
    if output_setting not in get_args(OutputSetting):
        raise ValueError(f"iresnet: output_setting must be A, B, C, D or E, got {output_setting!r}")
    check_size("iresnet", input_size, embedding)
    if output_setting == "A" and embedding != CHANNELS[-1]:
        raise ValueError(f"iresnet: output setting A gives {CHANNELS[-1]} numbers, got embedding {embedding}")
    layers: list[nn.Module] = [_stem(input_setting)]
    before = CHANNELS[0]
    for stage, (channels, number) in enumerate(zip(CHANNELS, UNITS[depth], strict=True)):
        stride = 1 if input_setting == "S" and stage == 0 else 2
        layers.append(ImprovedUnit(before, channels, stride))
        layers += [ImprovedUnit(channels, channels, 1) for _ in range(number - 1)]
        before = channels
    step = 16 if input_setting == "L" else 32
    cells = -(-input_size[0] // step) * -(-input_size[1] // step)
    backbone = Backbone(
        nn.Sequential(*layers), _output(output_setting, cells, embedding), input_size, embedding
    )
    init_he_fan_out(backbone)
    return backbone


def _stem(setting: InputSetting) -> nn.Sequential:
    channels = CHANNELS[0]
    after = (nn.BatchNorm2d(channels, BN_EPS), nn.PReLU(channels))
    if setting == "L":
        return nn.Sequential(nn.Conv2d(3, channels, 3, 1, 1, bias=False), *after)
    return nn.Sequential(
        nn.Conv2d(3, channels, 7, 2, 3, bias=False), *after, nn.MaxPool2d(3, stride=2, padding=1)
    )


def _output(setting: OutputSetting, cells: int, embedding: int) -> nn.Sequential:
    """Layers of an output setting, for a last map of ``cells`` cells."""
    channels = CHANNELS[-1]
    first = nn.BatchNorm2d(channels, BN_EPS)
    if setting == "E":
        linear = nn.Linear(channels * cells, embedding)
        last = fix_gain(nn.BatchNorm1d(embedding, BN_EPS))
        return nn.Sequential(first, nn.Dropout(DROPOUT), nn.Flatten(), linear, last)
    layers: list[nn.Module] = [first, nn.PReLU(channels), *global_average()]
    if setting != "A":
        layers.append(nn.Linear(channels, embedding))
    if setting in {"C", "D"}:
        layers.append(fix_gain(nn.BatchNorm1d(embedding, BN_EPS)))
    if setting == "D":
        layers.append(nn.PReLU(embedding))
    return nn.Sequential(*layers)
