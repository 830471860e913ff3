"""MTCNN's three networks from the array lists of the ``mtcnn`` package to ONNX.

The published networks were trained on transposed pictures. The package stores kernels that are turned back
already, and undoes the rest by swapping rows and columns before the first dense layer; here that layer's rows
are put in the order of an upright (channels, rows, columns) map instead.

Source: K. Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks",
IEEE Signal Processing Letters, 2016.
"""

from dataclasses import dataclass

import numpy as np

from lineament.core.arrays import FloatArray
from lineament.zoo.convert.graph import Graph, Shape, corrupt
from lineament.zoo.convert.joblib_arrays import read_arrays

_WHAT = "MTCNN network"
_POINTS = 10


@dataclass(frozen=True, slots=True)
class _Stage:
    """A convolution with PReLU, and the max pooling of step 2 behind it, if any.

    Attributes:
        window: rows and columns of the kernel.
        outputs: channels above it.
        pool: rows and columns of the pooling; 0 for none. A last window may reach over the edge.
    """

    window: int
    outputs: int
    pool: int = 0


@dataclass(frozen=True, slots=True)
class _Network:
    """One of the three networks.

    Attributes:
        name: name of the graph.
        size: rows and columns of the input, px; 0 for any.
        stages: from the input up.
        cells: rows and columns of the map below the dense layer; 0 where there is no dense layer.
        dense: width of the dense layer.
        heads: outputs in the order of the file, each with its width; "scores" has two, background and face.
    """

    name: str
    size: int
    stages: tuple[_Stage, ...]
    cells: int
    dense: int
    heads: tuple[tuple[str, int], ...]

    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of all arrays in the order of the file."""
        found: list[tuple[int, ...]] = []
        below = 3
        for stage in self.stages:
            found += [(stage.window, stage.window, below, stage.outputs), (stage.outputs,)]
            found += [(1, 1, stage.outputs)]
            below = stage.outputs
        if self.dense:
            found += [(self.cells**2 * below, self.dense), (self.dense,), (self.dense,)]
        for _, width in self.heads:
            found += [(self.dense, width) if self.dense else (1, 1, below, width), (width,)]
        return found


_NETWORKS = (
    _Network(
        "pnet", 0, (_Stage(3, 10, 2), _Stage(3, 16), _Stage(3, 32)), 0, 0, (("boxes", 4), ("scores", 2))
    ),
    _Network(
        "rnet",
        24,
        (_Stage(3, 28, 3), _Stage(3, 48, 3), _Stage(2, 64)),
        3,
        128,
        (("boxes", 4), ("scores", 2)),
    ),
    _Network(
        "onet",
        48,
        (_Stage(3, 32, 3), _Stage(3, 64, 3), _Stage(3, 64, 2), _Stage(2, 128)),
        3,
        256,
        (("boxes", 4), ("points", _POINTS), ("scores", 2)),
    ),
)


def _recognised(arrays: list[FloatArray]) -> _Network:
    shapes = [a.shape for a in arrays]
    for network in _NETWORKS:
        if network.shapes() == shapes:
            return network
    raise corrupt(_WHAT, "the arrays of P-Net, R-Net or O-Net", f"{len(shapes)} arrays, first {shapes[:3]}")


def _face_logit(weights: FloatArray, bias: FloatArray) -> tuple[FloatArray, FloatArray]:
    """One output for two: the softmax of two values is the logistic function of their difference."""
    return weights[..., 1:] - weights[..., :1], bias[1:] - bias[:1]


def _dense_order(weights: FloatArray, cells: int) -> FloatArray:
    """Rows from (columns, rows, channels), as the package flattens, to (channels, rows, columns)."""
    width = weights.shape[1]
    return weights.reshape(cells, cells, -1, width).transpose(2, 1, 0, 3).reshape(-1, width)


class _Builder:
    def __init__(self, network: _Network, arrays: list[FloatArray]) -> None:
        self._network = network
        self._arrays = iter(arrays)
        self._graph = Graph(network.name)

    def run(self) -> bytes:
        network, value = self._network, "image"
        for stage in network.stages:
            value = self._stage(value, stage)
        if network.dense:
            value = self._dense(value)
        outputs: dict[str, Shape] = {}
        for name, width in network.heads:
            outputs[name] = self._head(value, name, width)
        sizes = (network.size, network.size) if network.size else ("height", "width")
        return self._graph.serialise({"image": ("batch", 3, *sizes)}, outputs)

    def _stage(self, value: str, stage: _Stage) -> str:
        kernel, bias, slopes = (next(self._arrays) for _ in range(3))
        value = self._graph.conv(value, kernel.transpose(3, 2, 0, 1), bias)
        value = self._graph.prelu(value, slopes)
        if not stage.pool:
            return value
        window = [stage.pool, stage.pool]
        return self._graph.node("MaxPool", [value], kernel_shape=window, strides=[2, 2], ceil_mode=1)

    def _dense(self, value: str) -> str:
        weights, bias, slopes = (next(self._arrays) for _ in range(3))
        ordered = self._graph.constant(_dense_order(weights, self._network.cells))
        flat = self._graph.node("Flatten", [value])
        value = self._graph.node("Gemm", [flat, ordered, self._graph.constant(bias)])
        return self._graph.node("PRelu", [value, self._graph.constant(slopes)])

    def _head(self, value: str, name: str, width: int) -> Shape:
        weights, bias = next(self._arrays), next(self._arrays)
        is_score = name == "scores"
        if is_score:
            weights, bias = _face_logit(weights, bias)
            width = 1
        output = "" if is_score else name
        shape: Shape = ("batch", width)
        if self._network.dense:
            inputs = [value, self._graph.constant(weights), self._graph.constant(bias)]
            value = self._graph.node("Gemm", inputs, output)
        else:
            value = self._graph.conv(value, weights.transpose(3, 2, 0, 1), bias, output=output)
            shape = ("batch", width, "rows", "columns")
        if is_score:
            self._graph.node("Sigmoid", [value], name)
        return shape


def convert(data: bytes) -> bytes:
    """ONNX model of P-Net, R-Net or O-Net; the file says which.

    Input ``image``: (batch, 3, height, width) float32 upright RGB as ``(pixel - 127.5) / 128``; R-Net takes
    24×24 px, O-Net 48×48 px, P-Net any size from 12 px.

    Outputs: ``scores``, probability of a face; ``boxes``, shifts of left, top, right and bottom edge in widths
    and heights of the window; O-Net also ``points``, x of five points, then y, in widths and heights from the
    window's top-left corner. R-Net and O-Net give (batch, 1), (batch, 4) and (batch, 10). P-Net gives
    (batch, 1, rows, columns) and (batch, 4, rows, columns): cell (r, c) judges the 12 px window whose top-left
    px is (2r, 2c).

    Args:
        data: bytes of ``pnet.lz4``, ``rnet.lz4`` or ``onet.lz4``.

    Raises:
        WeightsCorrupt: the bytes are none of the three; says what was expected.
    """
    arrays = read_arrays(data)
    network = _recognised(arrays)
    if not all(np.abs(a).max() < 1e6 for a in arrays):
        raise corrupt(_WHAT, "weights below a million", "larger ones")
    return _Builder(network, arrays).run()
