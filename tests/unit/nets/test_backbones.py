"""Every backbone of the registry: shapes, gradients, arithmetic of its blocks, refusals."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from lineament.nets import BACKBONES, Backbone, build_backbone
from lineament.nets.blocks import fix_gain
from lineament.nets.inception_resnet_v1 import _block8
from lineament.nets.iresnet import ImprovedUnit, iresnet
from lineament.nets.mobilefacenet import Bottleneck
from lineament.nets.sphere_resnet import SphereUnit, sphere_resnet
from lineament.nets.thin_net import thin_net

SIZES = [(112, 112), (112, 96), (96, 96), (160, 160)]
SMALL = {
    "inception_resnet_v1": (80, 80),
    "iresnet18": (32, 48),
    **{f"iresnet18_{setting}": (32, 32) for setting in "abcds"},
    "mobilefacenet": (48, 32),
    "sphere_resnet20": (32, 32),
    "thin_net16": (56, 48),
}
"""One network of each kind, at a size that is quick on a processor."""


def embedding_of(name: str, wanted: int) -> int:
    return 512 if name.endswith("_a") else wanted


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SMALL)
def test_features_have_the_shape_that_was_asked_for(name: str, size: tuple[int, int]) -> None:
    embedding = embedding_of(name, 96)
    with torch.device("meta"):
        network = build_backbone(name, size, embedding)
        features = network(torch.empty(2, 3, *size))
    assert features.shape == (2, embedding)
    assert (network.input_size, network.embedding) == (size, embedding)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", SMALL)
def test_gradients_reach_every_parameter(name: str, dtype: torch.dtype) -> None:
    size = SMALL[name]
    network = build_backbone(name, size, embedding_of(name, 64)).to(memory_format=torch.channels_last)
    images = torch.randn(4, 3, *size).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        features = network(images)
    assert torch.isfinite(features).all()
    (features.float() * torch.randn(features.shape)).sum().backward()
    for parameter, values in network.named_parameters():
        assert values.grad is not None, parameter
        assert torch.isfinite(values.grad).all(), parameter
        assert values.grad.any(), parameter


@pytest.mark.parametrize("name", SMALL)
def test_memory_format_and_neighbours_change_nothing(name: str) -> None:
    size = SMALL[name]
    network = build_backbone(name, size, embedding_of(name, 64)).eval()
    images = torch.randn(3, 3, *size)
    with torch.inference_mode():
        together = network(images)
        alone = torch.cat([network(image[None]) for image in images])
        last = network.to(memory_format=torch.channels_last)(
            images.contiguous(memory_format=torch.channels_last)
        )
    scale = together.abs().max()
    assert (together - alone).abs().max() < 1e-4 * scale
    assert (together - last).abs().max() < 1e-4 * scale


@pytest.mark.parametrize("name", ["thin_net16", "mobilefacenet"])
def test_same_seed_same_network(name: str) -> None:
    def weights() -> dict[str, torch.Tensor]:
        torch.manual_seed(7)
        return build_backbone(name, SMALL[name], 64).state_dict()

    first, second = weights(), weights()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_the_global_convolution_covers_the_last_map() -> None:
    for size, kernel in (
        ((112, 112), (7, 7)),
        ((112, 96), (7, 6)),
        ((96, 96), (6, 6)),
        ((160, 160), (10, 10)),
    ):
        with torch.device("meta"):
            gdconv = build_backbone("mobilefacenet", size, 128).output[0]
        assert isinstance(gdconv, nn.Conv2d)
        assert (gdconv.kernel_size, gdconv.padding, gdconv.groups) == (kernel, (0, 0), 512)


@pytest.mark.parametrize(("setting", "cells"), [("L", 7), ("S", 4)])
def test_input_setting_decides_the_last_map(setting: str, cells: int) -> None:
    with torch.device("meta"):
        network = iresnet(18, input_setting=setting)
        assert network.body(torch.empty(1, 3, 112, 112)).shape == (1, 512, cells, cells)


def test_output_settings_are_the_listed_layers() -> None:
    with torch.device("meta"):
        layers = {s: [type(m).__name__ for m in iresnet(18, output_setting=s).output] for s in "ABCDE"}
    pooled = ["BatchNorm2d", "PReLU", "AdaptiveAvgPool2d", "Flatten"]
    assert layers == {
        "A": pooled,
        "B": [*pooled, "Linear"],
        "C": [*pooled, "Linear", "BatchNorm1d"],
        "D": [*pooled, "Linear", "BatchNorm1d", "PReLU"],
        "E": ["BatchNorm2d", "Dropout", "Flatten", "Linear", "BatchNorm1d"],
    }


@pytest.mark.parametrize("name", ["iresnet18", "iresnet18_d", "inception_resnet_v1"])
def test_the_last_gain_is_no_parameter(name: str) -> None:
    with torch.device("meta"):
        network = BACKBONES[name]()
    norm = next(m for m in reversed(list(network.output)) if isinstance(m, nn.BatchNorm1d))
    assert [n for n, _ in norm.named_parameters()] == ["bias"]


def test_a_fixed_gain_is_one_and_saved() -> None:
    norm = fix_gain(nn.BatchNorm1d(3))
    assert norm.state_dict()["weight"].tolist() == [1.0, 1.0, 1.0]
    x = torch.randn(8, 3)
    torch.testing.assert_close(norm(x), nn.BatchNorm1d(3)(x))


def test_the_last_block_is_unscaled_and_linear() -> None:
    scales = [
        (b.scale, type(b.activation).__name__)
        for b in BACKBONES["inception_resnet_v1"]().body
        if hasattr(b, "scale")
    ]
    assert scales == [(0.17, "ReLU")] * 5 + [(0.10, "ReLU")] * 10 + [(0.20, "ReLU")] * 5 + [(1.0, "Identity")]


def test_initial_weights_follow_the_papers() -> None:
    he = iresnet(18, (32, 32)).body[2].residual[1].weight.detach()
    assert float(he.std()) == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.02)
    sphere = sphere_resnet(20, (32, 32))
    assert float(sphere.body[1].residual[0].weight.detach().std()) == pytest.approx(0.01, rel=0.02)
    first = sphere.body[2][0].weight.detach()
    assert float(first.std()) == pytest.approx(1 / math.sqrt(64 * 9), rel=0.02)
    assert float(first.abs().max()) <= math.sqrt(3 / (64 * 9))
    linear = BACKBONES["inception_resnet_v1"]().output[3].weight.detach()
    assert float(linear.abs().max()) == pytest.approx(math.sqrt(6 / (1792 + 128)), rel=1e-3)


@pytest.mark.parametrize(
    ("name", "size", "embedding", "message"),
    [
        ("mobilefacenet", (100, 100), 128, "multiple of 16"),
        ("mobilefacenet", (16, 16), 128, "at least 32"),
        ("inception_resnet_v1", (64, 64), 128, "at least 80"),
        ("thin_net32", (60, 60), 128, "multiple of 8"),
        ("iresnet50", (112, 112), 0, "embedding must be at least 1"),
        ("iresnet50_a", (112, 112), 128, "setting A gives 512 numbers"),
        ("iresnet5", (112, 112), 128, "did you mean 'iresnet50'"),
        ("zzz", (112, 112), 128, "there are inception_resnet_v1, iresnet100"),
    ],
)
def test_what_cannot_be_built_says_why(
    name: str, size: tuple[int, int], embedding: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build_backbone(name, size, embedding)


def test_unknown_variants_say_which_there_are() -> None:
    with pytest.raises(ValueError, match=r"\[18, 34, 50, 100\], got 101"):
        iresnet(101)
    with pytest.raises(ValueError, match=r"\[20, 36, 64\], got 4"):
        sphere_resnet(4)
    with pytest.raises(ValueError, match="L or S"):
        iresnet(18, input_setting="M")
    with pytest.raises(ValueError, match="A, B, C, D or E"):
        iresnet(18, output_setting="Z")
    with pytest.raises(ValueError, match="width"):
        thin_net(0)


@pytest.mark.parametrize("shape", [(2, 3, 96, 112), (2, 1, 112, 96), (3, 112, 96)])
def test_other_pictures_are_refused(shape: tuple[int, ...]) -> None:
    network = thin_net(8, (112, 96))
    with pytest.raises(ValueError, match=r"images must be \(B, 3, \*\(112, 96\)\), got"):
        network(torch.empty(shape))


def test_stages_hold_every_parameter_once() -> None:
    with torch.device("meta"):
        network: Backbone = BACKBONES["iresnet18"]()
    held = [id(p) for stage in network.stages for p in stage.parameters()]
    assert sorted(held) == sorted(id(p) for p in network.parameters())


# The blocks again, in NumPy, as the papers' formulas say them.


def conv(x: np.ndarray, layer: nn.Conv2d) -> np.ndarray:
    weight = layer.weight.detach().double().numpy()
    (top, left), (step_y, step_x) = layer.padding, layer.stride
    x = np.pad(x, ((0, 0), (top, top), (left, left)))
    out_channels, per_group, rows, columns = weight.shape
    height, width = (x.shape[1] - rows) // step_y + 1, (x.shape[2] - columns) // step_x + 1
    y = np.zeros((out_channels, height, width))
    for o in range(out_channels):
        first = o // (out_channels // layer.groups) * per_group
        for i in range(height):
            for j in range(width):
                window = x[
                    first : first + per_group,
                    i * step_y : i * step_y + rows,
                    j * step_x : j * step_x + columns,
                ]
                y[o, i, j] = (window * weight[o]).sum()
    return y if layer.bias is None else y + layer.bias.detach().double().numpy()[:, None, None]


def norm(x: np.ndarray, layer: nn.BatchNorm2d) -> np.ndarray:
    mean, variance, gain, shift = (
        t.detach().double().numpy()[:, None, None]
        for t in (layer.running_mean, layer.running_var, layer.weight, layer.bias)
    )
    return (x - mean) / np.sqrt(variance + layer.eps) * gain + shift


def prelu(x: np.ndarray, layer: nn.PReLU) -> np.ndarray:
    slopes = layer.weight.detach().double().numpy()[:, None, None]
    return np.maximum(x, 0) + slopes * np.minimum(x, 0)


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def randomised(block: nn.Module) -> nn.Module:
    """The block in evaluation mode, with numbers in its statistics, gains and slopes that matter."""
    for layer in block.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.running_mean, layer.running_var, layer.weight, layer.bias):
                nn.init.uniform_(values, 0.5, 1.5)
        if isinstance(layer, nn.PReLU):
            nn.init.uniform_(layer.weight, -0.5, 0.5)
    return block.eval()


def compare(block: nn.Module, x: np.ndarray, expected: np.ndarray) -> None:
    with torch.inference_mode():
        found = block(torch.from_numpy(x[None]).float())[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(("out_channels", "stride"), [(6, 1), (6, 2), (4, 1)])
def test_bottleneck(out_channels: int, stride: int) -> None:
    block = randomised(Bottleneck(6, out_channels, 2, stride))
    x = np.random.default_rng(0).normal(size=(6, 5, 4))
    expand, depthwise, project, last = block.residual
    y = prelu(norm(conv(x, expand[0]), expand[1]), expand[2])
    y = prelu(norm(conv(y, depthwise[0]), depthwise[1]), depthwise[2])
    y = norm(conv(y, project), last)
    assert depthwise[0].groups == 12
    compare(block, x, x + y if (out_channels, stride) == (6, 1) else y)


@pytest.mark.parametrize(("out_channels", "stride"), [(5, 1), (5, 2), (7, 2)])
def test_improved_unit(out_channels: int, stride: int) -> None:
    block = randomised(ImprovedUnit(5, out_channels, stride))
    x = np.random.default_rng(1).normal(size=(5, 6, 5))
    bn1, conv1, bn2, act, conv2, bn3 = block.residual
    y = norm(conv(prelu(norm(conv(norm(x, bn1), conv1), bn2), act), conv2), bn3)
    if (out_channels, stride) == (5, 1):
        compare(block, x, x + y)
    else:
        compare(block, x, norm(conv(x, block.shortcut[0]), block.shortcut[1]) + y)
    assert (conv1.stride, conv2.stride) == ((1, 1), (stride, stride))


def test_sphere_unit() -> None:
    block = randomised(SphereUnit(4))
    nn.init.normal_(block.residual[0].weight)
    nn.init.normal_(block.residual[2].weight)
    x = np.random.default_rng(2).normal(size=(4, 5, 5))
    conv1, act1, conv2, act2 = block.residual
    compare(block, x, x + prelu(conv(prelu(conv(x, conv1), act1), conv2), act2))


@pytest.mark.parametrize(("scale", "has_relu"), [(0.2, True), (1.0, False)])
def test_block8(scale: float, has_relu: bool) -> None:
    block = randomised(_block8(scale, has_relu))
    x = np.random.default_rng(3).normal(size=(1792, 1, 2))
    left, right = block.branches.branches
    y = x
    for part in right:
        y = relu(norm(conv(y, part[0]), part[1]))
    joined = np.concatenate([relu(norm(conv(x, left[0]), left[1])), y])
    total = x + scale * conv(joined, block.project)
    compare(block, x, relu(total) if has_relu else total)
