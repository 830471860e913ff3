"""dlib's 29-convolution face descriptor network, from dlib's own serialisation to ONNX.

The file is the public ``dlib_face_recognition_resnet_model_v1.dat``: versions from the loss down to the
input, then the layers from the input up to the loss. Integers are a byte with the length (top bit: sign) and
that many bytes, least significant first; reals are mantissa and exponent as two integers; booleans are the
characters 0 and 1; tensors are a version, four sizes and raw little-endian float32.

The grammar is the network: :func:`_network` lists the layers, and a file that departs from them is refused.

Source: D. King, "High Quality Face Recognition with Deep Metric Learning", dlib blog, 2017; a ResNet (He et
al., 2016) with fewer layers and half the filters.
"""

from dataclasses import dataclass

import numpy as np

from lineament.core.arrays import FloatArray
from lineament.zoo.convert.graph import Graph, corrupt, finite

SIZE_PX = 150
MEAN = (122.782, 117.001, 104.298)
"""Mean of the R, G and B input values; to be subtracted before the graph."""
SCALE = 256.0
"""Divisor of the input values after the mean, before the graph."""
DIMENSION = 128

_WHAT = "dlib face descriptor network"
_MAX_INTEGER_BYTES = 8


@dataclass(frozen=True, slots=True)
class _Layer:
    """One layer of the expected network.

    Attributes:
        kind: tag, skip (output of the nearest tag of the same number below), add (sum with the nearest such
            tag), conv, affine, relu, max_pool, avg_pool, avg_all or fc.
        inputs: channels below it.
        outputs: channels above it.
        size: rows and columns of its window, px.
        stride: step of its window, px.
        tag: number of the tag that it sets or uses.
    """

    kind: str
    inputs: int = 0
    outputs: int = 0
    size: int = 0
    stride: int = 1
    tag: int = 0


def _residual(inputs: int, outputs: int, down: bool) -> list[_Layer]:
    """A residual block from its input up; one that goes down adds the 2×2 mean of its input, not the input."""
    block = [
        _Layer("tag", tag=1),
        _Layer("conv", inputs, outputs, 3, 2 if down else 1),
        _Layer("affine", outputs, outputs),
        _Layer("relu"),
        _Layer("conv", outputs, outputs, 3, 1),
        _Layer("affine", outputs, outputs),
    ]
    if down:
        block += [_Layer("tag", tag=2), _Layer("skip", tag=1), _Layer("avg_pool", size=2, stride=2)]
    return [*block, _Layer("add", tag=2 if down else 1), _Layer("relu")]


def _network() -> list[_Layer]:
    """All layers between input and loss, from the input up."""
    layers = [
        _Layer("conv", 3, 32, 7, 2),
        _Layer("affine", 32, 32),
        _Layer("relu"),
        _Layer("max_pool", size=3, stride=2),
    ]
    for _ in range(3):
        layers += _residual(32, 32, down=False)
    for below, filters, repeats in ((32, 64, 3), (64, 128, 2), (128, 256, 2), (256, 256, 0)):
        layers += _residual(below, filters, down=True)
        for _ in range(repeats):
            layers += _residual(filters, filters, down=False)
    return [*layers, _Layer("avg_all"), _Layer("fc", 256, DIMENSION)]


class _Reader:
    """Reads dlib's primitives from bytes and refuses whatever is not expected."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    def _take(self, count: int) -> memoryview:
        if count > len(self._data) - self._at:
            raise corrupt(_WHAT, f"{count} bytes at byte {self._at}", f"{len(self._data) - self._at}")
        self._at += count
        return self._data[self._at - count : self._at]

    def integer(self) -> int:
        head = self._take(1)[0]
        length = head & 0x7F
        if not 1 <= length <= _MAX_INTEGER_BYTES:
            raise corrupt(_WHAT, f"an integer of 1 to 8 bytes at byte {self._at - 1}", f"length {length}")
        value = int.from_bytes(self._take(length), "little")
        return -value if head & 0x80 else value

    def expect(self, *values: int) -> None:
        """Read integers that must be ``values``."""
        at = self._at
        found = tuple(self.integer() for _ in values)
        if found != values:
            raise corrupt(_WHAT, f"{values} at byte {at}", found)

    def real(self) -> float:
        at = self._at
        mantissa, exponent = self.integer(), self.integer()
        if abs(exponent) > 1000:
            raise corrupt(_WHAT, f"a finite number at byte {at}", f"exponent {exponent}")
        return float(mantissa * 2.0**exponent)

    def expect_real(self, value: float) -> None:
        """Read a real that must be ``value`` within float32 accuracy."""
        at, found = self._at, self.real()
        if abs(found - value) > 1e-6 * max(1.0, abs(value)):
            raise corrupt(_WHAT, f"{value} at byte {at}", found)

    def flags(self, count: int) -> None:
        """Skip booleans: they belong to training."""
        at, found = self._at, bytes(self._take(count))
        if not set(found) <= set(b"01"):
            raise corrupt(_WHAT, f"{count} booleans at byte {at}", found)

    def expect_text(self, text: str) -> None:
        """Read a string that must be ``text``."""
        self.expect(len(text))
        at, found = self._at, bytes(self._take(len(text)))
        if found != text.encode():
            raise corrupt(_WHAT, f"{text!r} at byte {at}", repr(found))

    def weights(self, *shape: int) -> FloatArray:
        """Read a tensor whose four sizes must be ``shape``."""
        at = self._at
        self.expect(2, *shape)
        raw = self._take(4 * int(np.prod(shape)))
        return finite(np.frombuffer(raw, "<f4").astype(np.float32), f"{_WHAT}, tensor at byte {at}")

    def window(self, *shape: int) -> None:
        """Read the sizes of a view into a tensor, which must be ``shape``."""
        self.expect(1, *shape)

    def end(self) -> None:
        if self._at != len(self._data):
            raise corrupt(_WHAT, f"the end at byte {self._at}", f"{len(self._data) - self._at} more bytes")


def _padding(layer: _Layer) -> int:
    """dlib pads half a window, but not where it steps by more than one."""
    return layer.size // 2 if layer.stride == 1 else 0


def _read_conv(reader: _Reader, layer: _Layer) -> tuple[FloatArray, ...]:
    count, size, pad = layer.inputs * layer.size**2 * layer.outputs, layer.size, _padding(layer)
    reader.expect_text("con_4")
    values = reader.weights(count + layer.outputs, 1, 1, 1)
    reader.expect(layer.outputs, size, size, layer.stride, layer.stride, pad, pad)
    reader.window(layer.outputs, layer.inputs, size, size)
    reader.window(1, layer.outputs, 1, 1)
    for _ in range(4):
        reader.real()  # multipliers of the learning rate and the weight decay
    return values[:count].reshape(layer.outputs, layer.inputs, size, size), values[count:]


def _read_affine(reader: _Reader, layer: _Layer) -> tuple[FloatArray, ...]:
    reader.expect_text("affine_")
    values = reader.weights(2 * layer.outputs, 1, 1, 1)
    reader.window(1, layer.outputs, 1, 1)
    reader.window(1, layer.outputs, 1, 1)
    reader.expect(0)  # one factor a channel, not one a pixel
    return values[: layer.outputs], values[layer.outputs :]


def _read_fc(reader: _Reader, layer: _Layer) -> tuple[FloatArray, ...]:
    reader.expect_text("fc_2")
    reader.expect(layer.outputs, layer.inputs)
    values = reader.weights(layer.inputs, layer.outputs, 1, 1)
    reader.window(layer.inputs, layer.outputs, 1, 1)
    reader.window(0, 0, 0, 0)
    reader.expect(1)  # no bias
    for _ in range(4):
        reader.real()
    return (values.reshape(layer.inputs, layer.outputs),)


def _read_plain(reader: _Reader, layer: _Layer) -> tuple[FloatArray, ...]:
    """A layer without weights."""
    match layer.kind:
        case "max_pool" | "avg_pool":
            reader.expect_text(f"{layer.kind}_2")
            reader.expect(layer.size, layer.size, layer.stride, layer.stride, 0, 0)
        case "avg_all":
            reader.expect_text("avg_pool_2")
            reader.expect(0, 0, 1, 1, 0, 0)
        case "add":
            reader.expect_text("add_prev_")
        case _:
            reader.expect_text("relu_")
    return ()


_READERS = {"conv": _read_conv, "affine": _read_affine, "fc": _read_fc}


def _read(data: bytes, layers: list[_Layer]) -> list[tuple[FloatArray, ...]]:
    """Weights of each of ``layers``, in their order.

    Raises:
        WeightsCorrupt: the file is not exactly this network.
    """
    reader = _Reader(data)
    reader.expect(1)
    reader.expect_text("loss_metric_2")
    reader.real()  # margin and distance of the loss: training only
    reader.real()
    for layer in reversed(layers[1:]):
        reader.expect(1 if layer.kind in ("tag", "skip") else 2)
    reader.expect(3)
    reader.expect_text("input_rgb_image_sized")
    for mean in MEAN:
        reader.expect_real(mean)
    reader.expect(SIZE_PX, SIZE_PX)
    weights: list[tuple[FloatArray, ...]] = []
    for index, layer in enumerate(layers):
        if layer.kind in ("tag", "skip"):
            weights.append(())
            continue
        weights.append(_READERS.get(layer.kind, _read_plain)(reader, layer))
        reader.flags(3)
        for _ in range(3):
            reader.weights(0, 0, 0, 0)  # gradients and cached output
        if index == 0:
            reader.expect(1)  # network inputs for each picture
    reader.end()
    return weights


@dataclass(frozen=True, slots=True)
class _Value:
    """A value of the graph: its name, channels, and rows = columns in px."""

    name: str
    channels: int
    size: int


def _padded(graph: Graph, value: _Value, channels: int, size: int) -> str:
    if (value.channels, value.size) == (channels, size):
        return value.name
    more = size - value.size
    return graph.pad(value.name, (0, 0, 0, 0), (0, channels - value.channels, more, more))


def _add(graph: Graph, a: _Value, b: _Value) -> _Value:
    """dlib's sum: the smaller operand is taken as zero outside its channels, rows and columns."""
    channels, size = max(a.channels, b.channels), max(a.size, b.size)
    operands = [_padded(graph, a, channels, size), _padded(graph, b, channels, size)]
    return _Value(graph.node("Add", operands), channels, size)


def _conv(graph: Graph, below: _Value, layer: _Layer, weights: FloatArray, bias: FloatArray) -> _Value:
    pad = _padding(layer)
    name = graph.conv(below.name, weights, bias, (layer.stride,) * 2, (pad,) * 4)
    return _Value(name, layer.outputs, (below.size + 2 * pad - layer.size) // layer.stride + 1)


def _folded(conv: tuple[FloatArray, ...], affine: tuple[FloatArray, ...]) -> tuple[FloatArray, FloatArray]:
    """Weights and bias of a convolution that is followed by a factor and an offset a channel."""
    (weights, bias), (factor, offset) = conv, (a.astype(np.float64) for a in affine)
    return (
        (weights * factor[:, None, None, None]).astype(np.float32),
        (bias * factor + offset).astype(np.float32),
    )


def _build(layers: list[_Layer], weights: list[tuple[FloatArray, ...]]) -> bytes:
    graph, value = Graph("dlib_resnet"), _Value("image", 3, SIZE_PX)
    tags: dict[int, _Value] = {}
    for index, layer in enumerate(layers):
        match layer.kind:
            case "tag":
                tags[layer.tag] = value
            case "skip":
                value = tags[layer.tag]
            case "add":
                value = _add(graph, value, tags[layer.tag])
            case "conv":
                value = _conv(graph, value, layer, *_folded(weights[index], weights[index + 1]))
            case "relu":
                value = _Value(graph.node("Relu", [value.name]), value.channels, value.size)
            case "max_pool" | "avg_pool":
                op = "MaxPool" if layer.kind == "max_pool" else "AveragePool"
                size = (value.size - layer.size) // layer.stride + 1
                window, step = [layer.size] * 2, [layer.stride] * 2
                name = graph.node(op, [value.name], kernel_shape=window, strides=step)
                value = _Value(name, value.channels, size)
            case "avg_all":
                pooled = graph.node("GlobalAveragePool", [value.name])
                value = _Value(graph.node("Flatten", [pooled]), value.channels, 1)
            case "fc":
                graph.node("MatMul", [value.name, graph.constant(weights[index][0])], "embedding")
    return graph.serialise(
        {"image": ("batch", 3, SIZE_PX, SIZE_PX)},
        {"embedding": ("batch", DIMENSION)},
    )


def convert(data: bytes) -> bytes:
    """ONNX model of dlib's face descriptor network.

    Input ``image``: (batch, 3, 150, 150) float32 RGB as ``(pixel - MEAN) / SCALE``, the chip that dlib cuts
    with a padding of 0.25. Output ``embedding``: (batch, 128) float32, not normalised, as dlib gives it. Each
    affine layer always follows a convolution and is folded into it.

    Args:
        data: bytes of ``dlib_face_recognition_resnet_model_v1.dat``.

    Raises:
        WeightsCorrupt: the bytes are not exactly this network; says what was expected where.
    """
    layers = _network()
    return _build(layers, _read(data, layers))
