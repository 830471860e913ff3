"""Gives a model that was exported for one picture a batch axis of free length."""

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import numpy_helper

from lineament.core.errors import WeightsCorrupt


def convert(data: bytes) -> bytes:
    """Serialised ONNX with a symbolic first axis of every input and output.

    Reshape targets that begin with 1 begin with 0 afterwards (ONNX: copy that axis from the input).

    Args:
        data: serialised ONNX model, first axis of length one.

    Raises:
        WeightsCorrupt: not an ONNX model.
    """
    try:
        model = onnx.load_from_string(data)
    except DecodeError as error:
        raise WeightsCorrupt(
            "expected a serialised ONNX model; the file cannot be parsed; fetch it again"
        ) from error
    if not model.graph.input or not model.graph.node:
        raise WeightsCorrupt(
            "expected a serialised ONNX model with inputs and nodes, found none; fetch it again"
        )
    for value in (*model.graph.input, *model.graph.output):
        axes = value.type.tensor_type.shape.dim
        if axes:
            axes[0].dim_param = "batch"
    targets = {node.input[1] for node in model.graph.node if node.op_type == "Reshape"}
    for name, proto in _constants(model.graph):
        shape = numpy_helper.to_array(proto)
        if name in targets and shape.size and shape[0] == 1:
            free = np.concatenate([np.zeros(1, shape.dtype), shape[1:]])
            proto.CopyFrom(numpy_helper.from_array(free, proto.name))
    del model.graph.value_info[:]
    return bytes(model.SerializeToString(deterministic=True))


def _constants(graph: onnx.GraphProto) -> list[tuple[str, onnx.TensorProto]]:
    """Every constant integer tensor with the name of the value it gives."""
    named = [(t.name, t) for t in graph.initializer]
    for node in graph.node:
        if node.op_type == "Constant":
            named += [(node.output[0], a.t) for a in node.attribute if a.name == "value"]
    return [(name, t) for name, t in named if t.data_type == onnx.TensorProto.INT64]
