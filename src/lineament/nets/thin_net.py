"""A plain, narrow network for experiments on a processor: eight 3x3 convolutions.

It is nobody's published network. Depthwise convolutions train several times slower on a CPU than plain ones of
the same cost, so losses are compared on this one.
"""

from torch import nn

from lineament.nets.base import Backbone, InputSize, check_size
from lineament.nets.blocks import conv_bn_prelu, init_he_fan_out


def thin_net(width: int = 32, input_size: InputSize = (64, 64), embedding: int = 128) -> Backbone:
    """Four pairs of convolutions with BN and PReLU; the first of a pair has stride 2, then linear and BN.

    Args:
        width: channels of the first pair; every further pair has twice as many.
        input_size: height and width, px, multiples of 8; meant for 48 to 64.
        embedding: length of the features.

    Raises:
        ValueError: a width, size or embedding that is not allowed.
    """
    if width < 1:
        raise ValueError(f"thin_net: width must be at least 1, got {width}")
    check_size("thin_net", input_size, embedding, multiple=8)
    layers = []
    before = 3
    for pair in range(4):
        channels = width << pair
        layers += [conv_bn_prelu(before, channels, 3, stride=2), conv_bn_prelu(channels, channels, 3)]
        before = channels
    cells = -(-input_size[0] // 16) * -(-input_size[1] // 16)
    output = nn.Sequential(
        nn.Flatten(), nn.Linear(before * cells, embedding, bias=False), nn.BatchNorm1d(embedding)
    )
    backbone = Backbone(nn.Sequential(*layers), output, input_size, embedding)
    init_he_fan_out(backbone)
    return backbone
