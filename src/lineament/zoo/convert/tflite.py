"""TensorFlow Lite networks (MediaPipe's BlazeFace and face mesh) as ONNX.

Values with four axes are kept as (batch, channels, rows, columns) and are turned to TensorFlow's order only
where a reshape reads them in that order. Weights stored in half precision are widened, which is exact.

Source: V. Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", 2019;
Y. Kartynnik et al., "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs", 2019.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray
from lineament.core.errors import ModelError
from lineament.zoo.convert.graph import Graph, Shape, corrupt
from lineament.zoo.convert.tflite_file import WHAT, Network, Operator, read

_ACTIVATIONS = {0: "", 1: "Relu", 3: "Relu6"}
_PADDING_SAME = 0
_N_MESH_VALUES = 3 * 468
_ROLES = {(3, 16): "boxes", (3, 1): "scores", (4, _N_MESH_VALUES): "points", (4, 1): "presence"}
"""Names of the outputs of the known networks by rank and last size; any other is called by its number."""
_TO_NCHW = (0, 3, 1, 2)
_TO_NHWC = (0, 2, 3, 1)


def _unsupported(what: str) -> ModelError:
    return ModelError(
        f"{WHAT}: {what} is not supported; only the networks named in the manifests can be converted"
    )


def _same_padding(size: int, window: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME: ceil(size / stride) outputs, the odd px of zeros at the end."""
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


@dataclass(frozen=True, slots=True)
class _Step:
    """An operator with the names of the graph's values for its inputs."""

    operator: Operator
    network: Network

    def shape(self, index: int) -> tuple[int, ...]:
        """TensorFlow shape of an input."""
        return self.network.tensors[self.operator.inputs[index]].shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.network.tensors[self.operator.outputs[0]].shape


class _Converter:
    """Walks the operators and keeps what each tensor became: a value of the graph or a constant."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._graph = Graph("tflite")
        self._values: dict[int, str] = {}
        self._constants = {i: t.values for i, t in enumerate(network.tensors) if t.values is not None}
        self._steps: dict[str, Callable[[_Step], str]] = {
            "CONV_2D": self._conv,
            "DEPTHWISE_CONV_2D": self._conv,
            "MAX_POOL_2D": self._max_pool,
            "PRELU": self._prelu,
            "ADD": self._add,
            "PAD": self._pad,
            "RELU": lambda step: self._graph.node("Relu", [self._value(step, 0)]),
            "LOGISTIC": lambda step: self._graph.node("Sigmoid", [self._value(step, 0)]),
            "RESHAPE": self._reshape,
            "CONCATENATION": self._concatenation,
            "RESIZE_BILINEAR": self._resize,
        }

    def run(self) -> bytes:
        network = self._network
        if len(network.inputs) != 1:
            raise corrupt(WHAT, "one input", len(network.inputs))
        shape = network.tensors[network.inputs[0]].shape
        if len(shape) != 4 or shape[0] != 1 or shape[3] != 3:
            raise corrupt(WHAT, "an input (1, rows, columns, 3)", shape)
        self._values[network.inputs[0]] = "image"
        for operator in network.operators:
            self._convert(operator)
        outputs = dict(self._output(number) for number in range(len(network.outputs)))
        if len(outputs) != len(network.outputs) or not outputs:
            raise corrupt(WHAT, "outputs of different kinds", sorted(outputs))
        return self._graph.serialise({"image": ("batch", 3, shape[1], shape[2])}, outputs)

    def _convert(self, operator: Operator) -> None:
        if operator.name != "DEQUANTIZE" and operator.name not in self._steps:
            raise _unsupported(f"operator {operator.name}")
        if not operator.inputs or len(operator.outputs) != 1:
            raise corrupt(WHAT, f"{operator.name} with inputs and one output", "another number of them")
        output = operator.outputs[0]
        if operator.name == "DEQUANTIZE":
            half = self._constants.get(operator.inputs[0])
            if half is None or half.dtype != np.float16:
                raise _unsupported("DEQUANTIZE of anything but stored half precision")
            self._constants[output] = half.astype(np.float32)
            return
        step = _Step(operator, self._network)
        value = self._steps[operator.name](step)
        activation = operator.options.get("FusedActivationFunction", 0)
        if activation not in _ACTIVATIONS:
            raise _unsupported(f"activation {activation} after {operator.name}")
        match _ACTIVATIONS[activation]:
            case "Relu":
                value = self._graph.node("Relu", [value])
            case "Relu6":
                limits = [self._graph.constant(np.array(n, np.float32)) for n in (0, 6)]
                value = self._graph.node("Clip", [value, *limits])
        self._values[output] = value

    def _value(self, step: _Step, index: int) -> str:
        if index >= len(step.operator.inputs):
            raise corrupt(WHAT, f"input {index} of {step.operator.name}", "none")
        tensor = step.operator.inputs[index]
        if tensor not in self._values:
            raise corrupt(WHAT, f"a computed input {index} of {step.operator.name}", f"tensor {tensor}")
        return self._values[tensor]

    def _constant(self, step: _Step, index: int) -> NDArray[Any]:
        if index >= len(step.operator.inputs) or step.operator.inputs[index] not in self._constants:
            raise _unsupported(f"{step.operator.name} without a stored input {index}")
        return self._constants[step.operator.inputs[index]]

    def _floats(self, step: _Step, index: int, rank: int) -> FloatArray:
        values = self._constant(step, index)
        if values.dtype != np.float32 or values.ndim != rank:
            expected = f"float32 weights with {rank} axes for {step.operator.name}"
            raise corrupt(WHAT, expected, f"{values.dtype} {values.shape}")
        return values

    def _map(self, step: _Step, index: int = 0) -> tuple[int, ...]:
        """TensorFlow shape of an input that must be a feature map of one picture."""
        shape = step.shape(index)
        if len(shape) != 4 or shape[0] != 1:
            raise _unsupported(f"{step.operator.name} on a tensor {shape}")
        return shape

    def _window_pads(self, step: _Step, window: tuple[int, int]) -> tuple[tuple[int, int], list[int]]:
        """Stride, and the pads top, left, bottom, right of an operator that slides ``window``."""
        options, (_, rows, columns, _) = step.operator.options, self._map(step)
        stride = options["StrideH"], options["StrideW"]
        if min(stride) < 1 or min(window) < 1:
            raise corrupt(WHAT, "windows and strides of at least 1", f"{window} and {stride}")
        if options["Padding"] != _PADDING_SAME:
            return stride, [0, 0, 0, 0]
        top, bottom = _same_padding(rows, window[0], stride[0])
        left, right = _same_padding(columns, window[1], stride[1])
        return stride, [top, left, bottom, right]

    def _conv(self, step: _Step) -> str:
        value, weights = self._value(step, 0), self._floats(step, 1, 4)
        bias = self._floats(step, 2, 1) if len(step.operator.inputs) > 2 else None
        options = step.operator.options
        if (options["DilationHFactor"], options["DilationWFactor"]) != (1, 1):
            raise _unsupported("a dilated convolution")
        channels = self._map(step)[3]
        depthwise = step.operator.name == "DEPTHWISE_CONV_2D"
        kernel = np.transpose(weights, (3, 0, 1, 2) if depthwise else _TO_NCHW)
        groups = channels if depthwise else 1
        if kernel.shape[1] * groups != channels or kernel.shape[0] % groups:
            raise corrupt(WHAT, f"weights for {channels} channels", weights.shape)
        stride, pads = self._window_pads(step, (kernel.shape[2], kernel.shape[3]))
        return self._graph.conv(value, kernel, bias, stride, pads, groups)

    def _max_pool(self, step: _Step) -> str:
        window = step.operator.options["FilterHeight"], step.operator.options["FilterWidth"]
        stride, pads = self._window_pads(step, window)
        return self._graph.node(
            "MaxPool", [self._value(step, 0)], kernel_shape=list(window), strides=list(stride), pads=pads
        )

    def _prelu(self, step: _Step) -> str:
        slopes, channels = self._constant(step, 1), self._map(step)[3]
        if slopes.size != channels or slopes.shape[-1] != channels:
            raise _unsupported(f"PRELU with slopes {slopes.shape}")
        return self._graph.prelu(self._value(step, 0), slopes.astype(np.float32))

    def _add(self, step: _Step) -> str:
        values = [self._value(step, 0), self._value(step, 1)]
        if step.shape(0) != step.shape(1):
            raise _unsupported(f"ADD of {step.shape(0)} and {step.shape(1)}")
        return self._graph.node("Add", values)

    def _pad(self, step: _Step) -> str:
        self._map(step)
        pads = self._constant(step, 1)
        if pads.shape != (4, 2) or pads.dtype.kind != "i" or pads.min() < 0 or pads[0].any():
            raise corrupt(WHAT, "(4, 2) pads of at least 0, none on the batch", f"{pads.dtype} {pads.shape}")
        begin, end = pads[list(_TO_NCHW)].T.tolist()
        return self._graph.pad(self._value(step, 0), begin, end)

    def _reshape(self, step: _Step) -> str:
        value, shape, target = self._value(step, 0), step.shape(0), step.output_shape
        if target[:1] != (1,) or shape[:1] != (1,) or len(target) == 4 or np.prod(shape) != np.prod(target):
            raise _unsupported(f"RESHAPE of {shape} to {target}")
        if len(shape) == 4:
            value = self._graph.node("Transpose", [value], perm=list(_TO_NHWC))
        # Zero copies the size of the input, here the batch.
        sizes = self._graph.constant(np.array([0, *target[1:]], np.int64))
        return self._graph.node("Reshape", [value, sizes])

    def _concatenation(self, step: _Step) -> str:
        rank = len(step.output_shape)
        axis = step.operator.options["Axis"] % max(rank, 1)
        if rank not in (3, 4) or axis == 0:
            raise _unsupported(f"CONCATENATION to {step.output_shape} on axis {axis}")
        values = [self._value(step, i) for i in range(len(step.operator.inputs))]
        return self._graph.node("Concat", values, axis=_TO_NHWC.index(axis) if rank == 4 else axis)

    def _resize(self, step: _Step) -> str:
        rows, columns = self._map(step)[1:3]
        if len(step.output_shape) != 4:
            raise corrupt(WHAT, "a feature map after RESIZE_BILINEAR", step.output_shape)
        options = step.operator.options
        mode = "align_corners" if options["AlignCorners"] else "asymmetric"
        if options["HalfPixelCenters"]:
            mode = "half_pixel"
        factors = [1, 1, step.output_shape[1] / rows, step.output_shape[2] / columns]
        scales = self._graph.constant(np.array(factors, np.float32))
        return self._graph.node(
            "Resize",
            [self._value(step, 0), "", scales],
            mode="linear",
            coordinate_transformation_mode=mode,
        )

    def _output(self, number: int) -> tuple[str, Shape]:
        """Name and shape of an output of the network; a 1×1 map loses its rows and columns."""
        tensor = self._network.outputs[number]
        shape = self._network.tensors[tensor].shape
        if tensor not in self._values:
            raise corrupt(WHAT, "computed outputs", f"tensor {tensor}")
        if not shape or shape[0] != 1 or (len(shape) == 4 and shape[1:3] != (1, 1)):
            raise _unsupported(f"an output {shape}")
        name = _ROLES.get((len(shape), shape[-1]), f"output_{number}")
        if len(shape) == 4:
            self._graph.node("Flatten", [self._values[tensor]], name)
            return name, ("batch", shape[3])
        self._graph.rename(self._values[tensor], name)
        return name, ("batch", *shape[1:])


def convert(data: bytes) -> bytes:
    """ONNX model of a TensorFlow Lite network of feature maps.

    Input ``image``: (batch, 3, rows, columns) float32 RGB; rows and columns are those of the file. BlazeFace
    takes values in [-1, 1], the face mesh values in [0, 1].

    BlazeFace gives ``boxes`` (batch, anchors, 16) and ``scores`` (batch, anchors, 1), logits. A row of boxes
    is x centre, y centre, width, height, then x and y of six points, all in px of the input and positions
    relative to the anchor's centre. The mesh gives ``points`` (batch, 1404), x, y, z of 468 points in px of the
    input, and ``presence`` (batch, 1), a logit.

    Args:
        data: bytes of the ``.tflite`` file.

    Raises:
        WeightsCorrupt: the bytes are not a sound file; says what was expected.
        ModelError: the network has an operator or an option that is not supported; names it.
    """
    try:
        return _Converter(read(data)).run()
    except (
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
        ValueError,
        TypeError,
    ) as error:
        raise corrupt(WHAT, "operators that fit together", str(error).split("\n", 1)[0]) from error
