"""Reads TensorFlow Lite flatbuffers into plain values, and trusts nothing in them.

Source: the TensorFlow Lite schema, version 3 (file identifier TFL3).
"""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from lineament.zoo.convert.graph import corrupt

WHAT = "TensorFlow Lite file"
_MAX_ITEMS = 10_000
_MAX_RANK = 6
_DTYPES: dict[int, np.dtype[Any]] = {
    tflite.TensorType.FLOAT32: np.dtype("<f4"),
    tflite.TensorType.FLOAT16: np.dtype("<f2"),
    tflite.TensorType.INT32: np.dtype("<i4"),
    tflite.TensorType.INT64: np.dtype("<i8"),
}
_OP_NAMES = {code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}
_CONV = ("Padding", "StrideH", "StrideW", "DilationHFactor", "DilationWFactor", "FusedActivationFunction")
_POOL = ("Padding", "StrideH", "StrideW", "FilterHeight", "FilterWidth", "FusedActivationFunction")
_OPTIONS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "CONV_2D": (tflite.Conv2DOptions, _CONV),
    "DEPTHWISE_CONV_2D": (tflite.DepthwiseConv2DOptions, (*_CONV, "DepthMultiplier")),
    "MAX_POOL_2D": (tflite.Pool2DOptions, _POOL),
    "ADD": (tflite.AddOptions, ("FusedActivationFunction",)),
    "CONCATENATION": (tflite.ConcatenationOptions, ("Axis", "FusedActivationFunction")),
    "RESIZE_BILINEAR": (tflite.ResizeBilinearOptions, ("AlignCorners", "HalfPixelCenters")),
}


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor of the file: its shape as TensorFlow has it, and its values if the file holds all of them."""

    shape: tuple[int, ...]
    values: NDArray[Any] | None


@dataclass(frozen=True, slots=True)
class Operator:
    """One step of the file's network: tensors by index, and the options that this package understands."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, int]


@dataclass(frozen=True, slots=True)
class Network:
    """The only subgraph of a file; ``inputs`` and ``outputs`` are indices into ``tensors``."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def _count(found: int, what: str) -> range:
    if found > _MAX_ITEMS:
        raise corrupt(WHAT, f"at most {_MAX_ITEMS} {what}", found)
    return range(found)


def _indices(vector: Any, limit: int, what: str) -> tuple[int, ...]:
    """A vector of tensor indices; an absent vector comes as the number 0."""
    found = () if isinstance(vector, int) else tuple(int(i) for i in vector)
    for index in found:
        if not 0 <= index < limit:
            raise corrupt(WHAT, f"{what} among {limit} tensors", f"tensor {index}")
    return found


def _tensor(model: Any, source: Any) -> Tensor:
    if source.ShapeLength() > _MAX_RANK:
        raise corrupt(WHAT, f"tensors of at most {_MAX_RANK} axes", source.ShapeLength())
    shape = tuple(int(n) for n in source.ShapeAsNumpy()) if source.ShapeLength() else ()
    if any(n < 1 for n in shape):
        raise corrupt(WHAT, "tensor sizes of at least 1", shape)
    if source.Buffer() >= model.BuffersLength():
        raise corrupt(WHAT, f"one of {model.BuffersLength()} buffers", f"buffer {source.Buffer()}")
    buffer = model.Buffers(source.Buffer())
    if buffer.DataLength() == 0 or source.Sparsity() is not None:
        return Tensor(shape, None)
    dtype = _DTYPES.get(source.Type())
    if dtype is None:
        raise corrupt(WHAT, "float32, float16, int32 or int64 weights", f"tensor type {source.Type()}")
    raw = buffer.DataAsNumpy().tobytes()
    size = int(np.prod(shape, dtype=np.float64)) * dtype.itemsize
    if len(raw) != size:
        raise corrupt(WHAT, f"{size} bytes for a tensor {shape}", len(raw))
    values = np.frombuffer(raw, dtype).reshape(shape)
    if dtype.kind == "f" and not np.isfinite(values).all():
        raise corrupt(WHAT, "finite weights", "NaN or infinity")
    return Tensor(shape, values)


def _operator(model: Any, source: Any, n_tensors: int) -> Operator:
    if source.OpcodeIndex() >= model.OperatorCodesLength():
        raise corrupt(WHAT, f"one of {model.OperatorCodesLength()} operators", source.OpcodeIndex())
    code = model.OperatorCodes(source.OpcodeIndex())
    # Older files have the code in a byte, newer ones in an integer; the larger of both is the one that counts.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    name = _OP_NAMES.get(number, f"number {number}")
    options: dict[str, int] = {}
    if name in _OPTIONS:
        table, fields = _OPTIONS[name]
        wanted = getattr(tflite.BuiltinOptions, table.__name__)
        if source.BuiltinOptionsType() != wanted or source.BuiltinOptions() is None:
            raise corrupt(WHAT, f"{table.__name__} for {name}", f"options {source.BuiltinOptionsType()}")
        content, reader = source.BuiltinOptions(), table()
        reader.Init(content.Bytes, content.Pos)
        options = {field: int(getattr(reader, field)()) for field in fields}
    return Operator(
        name,
        _indices(source.InputsAsNumpy(), n_tensors, f"an input of {name}"),
        _indices(source.OutputsAsNumpy(), n_tensors, f"an output of {name}"),
        options,
    )


def _network(data: bytes) -> Network:
    model = tflite.Model.GetRootAsModel(data, 0)
    if model.Version() != 3 or model.SubgraphsLength() != 1:
        found = f"version {model.Version()} with {model.SubgraphsLength()}"
        raise corrupt(WHAT, "version 3 with one subgraph", found)
    graph = model.Subgraphs(0)
    tensors = tuple(_tensor(model, graph.Tensors(i)) for i in _count(graph.TensorsLength(), "tensors"))
    count = len(tensors)
    operators = tuple(
        _operator(model, graph.Operators(i), count) for i in _count(graph.OperatorsLength(), "operators")
    )
    inputs = _indices(graph.InputsAsNumpy(), count, "an input")
    return Network(tensors, operators, inputs, _indices(graph.OutputsAsNumpy(), count, "an output"))


def read(data: bytes) -> Network:
    """The network of a TensorFlow Lite file.

    Args:
        data: bytes of the file.

    Raises:
        WeightsCorrupt: the bytes are not a sound file of version 3 with one subgraph.
    """
    if data[4:8] != b"TFL3":
        raise corrupt(WHAT, "the identifier TFL3 at byte 4", repr(bytes(data[4:8])))
    try:
        return _network(data)
    except (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError) as error:
        # The schema classes follow offsets without checks; a bad one ends in one of these.
        raise corrupt(WHAT, "offsets inside the file", str(error)) from error
