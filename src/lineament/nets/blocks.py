"""Layers that several networks share."""

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def conv_bn(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> tuple[nn.Module, ...]:
    """A convolution without bias that keeps the size at stride 1, and batch normalisation."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    return conv, nn.BatchNorm2d(out_channels)


def conv_bn_prelu(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """:func:`conv_bn` and a PReLU with one slope a channel, 0.25 at first."""
    return nn.Sequential(*conv_bn(in_channels, out_channels, kernel, stride, groups), nn.PReLU(out_channels))


def global_average() -> tuple[nn.Module, ...]:
    """(B, C, H, W) to (B, C)."""
    return nn.AdaptiveAvgPool2d(1), nn.Flatten()


def fix_gain(norm: _BatchNorm) -> _BatchNorm:
    """The same normalisation with its gain (gamma) fixed at one: a buffer, so that no optimiser moves it."""
    del norm.weight
    norm.register_buffer("weight", torch.ones(norm.num_features))
    return norm


def init_he_fan_out(network: nn.Module) -> None:
    """Normal weights of variance 2 / fan-out for convolutions and linear layers; biases zero (He et al. 2015)."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
