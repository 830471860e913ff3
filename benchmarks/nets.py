"""Networks with random weights, for timing only: published architectures for which the zoo has no weights.

Slopes of PReLU differ from layer to layer and channel to channel: equal ones would be stored once and change what
the runtimes make of the graph. Convolutions carry their batch normalisation folded in, as exporters leave them.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 13
IR_VERSION = 8
SIDE_PX = 112


@dataclass(slots=True)
class _Graph:
    """A chain of layers under construction.

    Attributes:
        rng: source of the weights.
        top: name of the last output.
        channels: its channels.
        side: its rows and columns.
        macs: multiplications so far, for one picture.
    """

    rng: np.random.Generator
    top: str = "input"
    channels: int = 3
    side: int = SIDE_PX
    macs: int = 0
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, values: NDArray[np.float64]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def add(self, kind: str, inputs: list[str], **attributes: Any) -> None:
        self.top = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [self.top], **attributes))

    def conv(
        self, channels: int, kernel: int, stride: int = 1, groups: int = 1, pad: int | None = None
    ) -> None:
        pad = kernel // 2 if pad is None else pad
        fan = self.channels // groups * kernel**2
        weight = self.rng.normal(0, np.sqrt(1 / fan), (channels, self.channels // groups, kernel, kernel))
        bias = self.rng.normal(0, 0.05, channels)
        inputs = [self.top, self.constant(weight), self.constant(bias)]
        self.add(
            "Conv", inputs, strides=[stride] * 2, pads=[pad] * 4, group=groups, kernel_shape=[kernel] * 2
        )
        self.side = (self.side + 2 * pad - kernel) // stride + 1
        self.channels = channels
        self.macs += self.side**2 * channels * fan

    def prelu(self) -> None:
        self.add("PRelu", [self.top, self.constant(self.rng.uniform(0.05, 0.4, (self.channels, 1, 1)))])

    def batch_norm(self) -> None:
        scale, shift = self.rng.uniform(0.8, 1.2, self.channels), self.rng.normal(0, 0.05, self.channels)
        mean, variance = self.rng.normal(0, 0.05, self.channels), self.rng.uniform(0.8, 1.2, self.channels)
        self.add("BatchNormalization", [self.top, *map(self.constant, (scale, shift, mean, variance))])

    def linear(self, features: int) -> None:
        self.add("Flatten", [self.top])
        inputs = self.channels * self.side**2
        weight = self.rng.normal(0, np.sqrt(1 / inputs), (features, inputs))
        bias = self.rng.normal(0, 0.05, features)
        self.add("Gemm", [self.top, self.constant(weight), self.constant(bias)], transB=1)
        self.macs += inputs * features
        self.channels, self.side = features, 1

    def model(self) -> bytes:
        if self.nodes[-1].op_type == "Conv":
            self.add("Flatten", [self.top])
        crops = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, SIDE_PX, SIDE_PX])
        features = helper.make_tensor_value_info(self.top, TensorProto.FLOAT, ["batch", self.channels])
        graph = helper.make_graph(self.nodes, "timing_only", [crops], [features], self.constants)
        opset = [helper.make_opsetid("", OPSET)]
        built = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
        onnx.checker.check_model(built)
        data: bytes = built.SerializeToString()
        return data


@dataclass(frozen=True, slots=True)
class Network:
    """A network for timing.

    Attributes:
        name: what it is.
        data: serialised ONNX model, input (batch, 3, 112, 112).
        gmac: 1e9 multiplications for one picture.
    """

    name: str
    data: bytes
    gmac: float


def iresnet50(seed: int = 0) -> Network:
    """ArcFace's improved ResNet-50 with 512 numbers.

    Source: Deng et al., ArcFace, CVPR 2019 (unit BN-Conv-BN-PReLU-Conv-BN, stages of 3, 4, 14, 3 units).
    """
    g = _Graph(np.random.default_rng(seed))
    g.conv(64, 3)
    g.prelu()
    for channels, units in ((64, 3), (128, 4), (256, 14), (512, 3)):
        for unit in range(units):
            stride = 2 if unit == 0 else 1
            entry = (g.top, g.channels, g.side)
            g.batch_norm()
            g.conv(channels, 3)
            g.prelu()
            g.conv(channels, 3, stride)
            residual, exit_side = g.top, g.side
            shortcut = entry[0]
            if unit == 0:
                g.top, g.channels, g.side = entry
                g.conv(channels, 1, stride)
                shortcut = g.top
            g.add("Add", [residual, shortcut])
            g.channels, g.side = channels, exit_side
    g.batch_norm()
    g.linear(512)
    return Network("IR-50", g.model(), g.macs / 1e9)


def mobilefacenet(seed: int = 0) -> Network:
    """MobileFaceNet with 128 numbers.

    Source: Chen et al., MobileFaceNets, CCBR 2018, table 1.
    """
    g = _Graph(np.random.default_rng(seed))
    g.conv(64, 3, stride=2)
    g.prelu()
    g.conv(64, 3, groups=64)
    g.prelu()
    for expansion, channels, units, first in (
        (2, 64, 5, 2),
        (4, 128, 1, 2),
        (2, 128, 6, 1),
        (4, 128, 1, 2),
        (2, 128, 2, 1),
    ):
        for unit in range(units):
            stride = first if unit == 0 else 1
            entry, wide = (g.top, g.channels), g.channels * expansion
            g.conv(wide, 1)
            g.prelu()
            g.conv(wide, 3, stride, groups=wide)
            g.prelu()
            g.conv(channels, 1)
            if stride == 1 and entry[1] == channels:
                g.add("Add", [g.top, entry[0]])
    g.conv(512, 1)
    g.prelu()
    g.conv(512, 7, groups=512, pad=0)
    g.conv(128, 1)
    return Network("MobileFaceNet", g.model(), g.macs / 1e9)
