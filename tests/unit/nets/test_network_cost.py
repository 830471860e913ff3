"""Costs against the papers' numbers, and against a count written out layer by layer."""

import re
from functools import cache

import pytest
import torch
from torch import nn

from lineament.nets import BACKBONES, Backbone, Cost, build_backbone, count_cost


@cache
def meta(name: str, size: tuple[int, int], embedding: int) -> Backbone:
    with torch.device("meta"):
        return build_backbone(name, size, embedding)


def counted_by_hand(network: Backbone) -> int:
    """Multiply-adds of the convolutions and linear layers from the sizes of what goes in and out."""
    total = 0

    def hook(layer: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            height, width = layer.kernel_size
            cells = output.shape[1] * output.shape[2] * output.shape[3]
            total += cells * height * width * (layer.in_channels // layer.groups)
        elif isinstance(layer, nn.Linear):
            total += inputs[0].shape[1] * output.shape[1]

    handles = [layer.register_forward_hook(hook) for layer in network.modules()]
    features = network.eval()(torch.empty(1, 3, *network.input_size, device="meta"))
    assert features.shape == (1, network.embedding)
    for handle in handles:
        handle.remove()
    return total


PUBLISHED = {
    "inception_resnet_v1": ((160, 160), 128),
    "mobilefacenet": ((112, 112), 128),
    "sphere_resnet": ((112, 96), 512),
    "iresnet": ((112, 112), 512),
    "thin_net": ((64, 64), 128),
}
"""Input size and embedding by the beginning of the name; thin_net is nobody's but ours."""
DEEP = re.compile(r"iresnet(34|100|50_)|sphere_resnet(36|64)")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if DEEP.match(n) else ()) for n in BACKBONES]
)
def test_multiply_adds_are_those_of_the_layers(name: str) -> None:
    size, embedding = next(v for k, v in PUBLISHED.items() if name.startswith(k))
    network = meta(name, size, embedding)
    assert count_cost(network, size) == Cost(learnt(network), counted_by_hand(network))


@pytest.mark.parametrize(
    ("size", "embedding", "parameters", "multiply_adds"),
    [
        ((112, 112), 128, 1_003_136, 220_965_376),
        ((112, 112), 512, 1_200_512, 221_161_984),
        ((112, 96), 128, 999_552, 189_408_256),
        ((96, 96), 128, 996_480, 162_359_296),
    ],
)
def test_mobilefacenet_has_the_published_numbers(
    size: tuple[int, int], embedding: int, parameters: int, multiply_adds: int
) -> None:
    cost = count_cost(meta("mobilefacenet", size, embedding), size)
    assert cost == Cost(parameters, multiply_adds)


def learnt(network: Backbone) -> int:
    return sum(p.numel() for p in network.parameters())


def iresnet_parameters(units: tuple[int, ...]) -> int:
    """LResNetE-IR at 112x112, from the description: gains, shifts and slopes are one number a channel."""
    total = 3 * 64 * 9 + 3 * 64
    before = 64
    for channels, number in zip((64, 128, 256, 512), units, strict=True):
        for index in range(number):
            first = before if index == 0 else channels
            total += 2 * first + first * channels * 9 + 3 * channels + channels * channels * 9 + 2 * channels
            if index == 0:
                total += first * channels + 2 * channels
        before = channels
    return total + 2 * 512 + (512 * 49 + 1) * 512 + 512


@pytest.mark.parametrize(
    ("name", "units", "parameters"),
    [
        ("iresnet18", (2, 2, 2, 2), 24_025_088),
        ("iresnet34", (3, 4, 6, 3), 34_138_816),
        ("iresnet50", (3, 4, 14, 3), 43_590_336),
        ("iresnet100", (3, 13, 30, 3), 65_155_648),
    ],
)
def test_iresnet_has_the_parameters_of_its_description(
    name: str, units: tuple[int, ...], parameters: int
) -> None:
    found = learnt(meta(name, (112, 112), 512))
    assert found == iresnet_parameters(units) == parameters


@pytest.mark.parametrize(
    ("depth", "units", "parameters"),
    [(20, (1, 2, 4, 1), 22_666_944), (36, (2, 4, 8, 2), 32_771_392), (64, (3, 7, 16, 3), 47_891_648)],
)
def test_sphere_resnet_has_the_parameters_of_its_table(
    depth: int, units: tuple[int, ...], parameters: int
) -> None:
    network = meta(f"sphere_resnet{depth}", (112, 96), 512)
    total, before = 0, 3
    for channels, number in zip((64, 128, 256, 512), units, strict=True):
        total += before * channels * 9 + 2 * channels + number * 2 * (channels * channels * 9 + channels)
        before = channels
    total += (512 * 7 * 6 + 1) * 512
    assert learnt(network) == total == parameters
    convolutions = sum(isinstance(m, nn.Conv2d) for m in network.modules())
    assert convolutions == {20: 20, 36: 36, 64: 62}[depth]


def test_inception_resnet_v1_has_the_parameters_of_its_widths() -> None:
    """About 23 million as published; gains of BN are not learnt."""

    def block(channels: int, width: int, taps: int, joined: int) -> int:
        branches = channels * width * 2 + width * width * taps * 2 + width * 4
        return branches + joined * channels + channels

    def conv(i: int, o: int, taps: int) -> int:
        return i * o * taps + o

    stem = (
        conv(3, 32, 9)
        + conv(32, 32, 9)
        + conv(32, 64, 9)
        + conv(64, 80, 1)
        + conv(80, 192, 9)
        + conv(192, 256, 9)
    )
    block35 = 3 * conv(256, 32, 1) + 3 * conv(32, 32, 9) + 96 * 256 + 256
    reduction_a = conv(256, 384, 9) + conv(256, 192, 1) + conv(192, 192, 9) + conv(192, 256, 9)
    reduction_b = 3 * conv(896, 256, 1) + conv(256, 384, 9) + 3 * conv(256, 256, 9)
    total = stem + 5 * block35 + reduction_a + 10 * block(896, 128, 7, 256) + reduction_b
    total += 6 * block(1792, 192, 3, 384) + 1792 * 128 + 128
    assert learnt(meta("inception_resnet_v1", (160, 160), 128)) == total == 22_779_312


@pytest.mark.parametrize(
    "name", ["inception_resnet_v1", "iresnet18", "mobilefacenet", "sphere_resnet20", "thin_net16"]
)
def test_published_sizes_are_the_defaults(name: str) -> None:
    with torch.device("meta"):
        network = BACKBONES[name]()
    expected = next(v for k, v in PUBLISHED.items() if name.startswith(k))
    assert (network.input_size, network.embedding) == expected


def test_counting_leaves_the_network_as_it_is() -> None:
    network = build_backbone("thin_net16", (48, 48), 32).train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    count_cost(network, (48, 48))
    assert network.training
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    assert all(p.requires_grad and p.device.type == "cpu" for p in network.parameters())


def test_frozen_parameters_count() -> None:
    network = build_backbone("thin_net16", (48, 48), 32)
    before = count_cost(network, (48, 48))
    network.requires_grad_(False)
    assert count_cost(network, (48, 48)) == before
