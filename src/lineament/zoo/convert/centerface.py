"""CenterFace as published, freed of its fixed batch and picture size.

The published ONNX file was exported for ten pictures of 32×32 px and lists its weights as inputs, which keeps
runtimes from folding them. The layers are taken over one by one; names, sizes and unused counters are not.

Source: Y. Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point", 2019.
"""

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import helper, numpy_helper

from lineament.core.arrays import FloatArray
from lineament.zoo.convert.graph import Graph, corrupt, finite

STRIDE_PX = 4
"""Picture px per cell of the output."""
MULTIPLE_PX = 32
"""Height and width of the input must be multiples of this, or the upward path does not fit the downward one."""

_WHAT = "CenterFace network"
_INPUT = "input.1"
_OUTPUTS = {"537": ("heatmap", 1), "538": ("scale", 2), "539": ("offset", 2), "540": ("landmarks", 10)}
_LAYERS = {"Conv": 60, "Relu": 42, "Add": 13, "ConvTranspose": 3, "BatchNormalization": 3, "Sigmoid": 1}
_ATTRIBUTES = {"dilations", "group", "kernel_shape", "pads", "strides", "epsilon", "momentum"}
_SOURCE_OPSET = 9


def _parsed(data: bytes) -> onnx.GraphProto:
    try:
        model = onnx.load_from_string(data)
    except DecodeError as error:
        raise corrupt(_WHAT, "an ONNX model", "other bytes") from error
    opsets = [(entry.domain, entry.version) for entry in model.opset_import]
    if opsets != [("", _SOURCE_OPSET)]:
        raise corrupt(_WHAT, f"ONNX operator set {_SOURCE_OPSET}", opsets)
    counts: dict[str, int] = {}
    for node in model.graph.node:
        counts[node.op_type] = counts.get(node.op_type, 0) + 1
    if counts != _LAYERS:
        raise corrupt(_WHAT, f"layers {_LAYERS}", counts)
    outputs = [value.name for value in model.graph.output]
    if outputs != list(_OUTPUTS):
        raise corrupt(_WHAT, f"outputs {list(_OUTPUTS)}", outputs)
    return model.graph


def _weights(graph: onnx.GraphProto) -> dict[str, FloatArray]:
    """Float weights by name; integer ones count training steps and are used by no layer."""
    weights = {}
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        if tensor.data_location != onnx.TensorProto.DEFAULT:
            raise corrupt(_WHAT, f"weights {tensor.name} inside the file", "a reference to another file")
        try:
            values = numpy_helper.to_array(tensor)
        except (ValueError, TypeError) as error:
            raise corrupt(_WHAT, f"weights {tensor.name} of shape {list(tensor.dims)}", str(error)) from error
        weights[tensor.name] = finite(np.asarray(values, np.float32), f"{_WHAT}, weights {tensor.name}")
    return weights


def _rebuild(source: onnx.GraphProto, weights: dict[str, FloatArray]) -> bytes:
    graph, names = Graph("centerface"), {_INPUT: "image"}
    for node in source.node:
        if len(node.output) != 1 or not {a.name for a in node.attribute} <= _ATTRIBUTES:
            raise corrupt(_WHAT, f"{node.op_type} with one output and {sorted(_ATTRIBUTES)}", "another layer")
        for name in node.input:
            if name not in names and name not in weights:
                raise corrupt(_WHAT, f"a value {name!r} before the layer that uses it", "none")
        inputs = [names[n] if n in names else graph.constant(weights[n]) for n in node.input]
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        output, _ = _OUTPUTS.get(node.output[0], ("", 0))
        names[node.output[0]] = graph.node(node.op_type, inputs, output, **attributes)
    return graph.serialise(
        {"image": ("batch", 3, "height", "width")},
        {name: ("batch", channels, "rows", "columns") for name, channels in _OUTPUTS.values()},
    )


def convert(data: bytes) -> bytes:
    """ONNX model of CenterFace for any number of pictures of any size.

    Input ``image``: (batch, 3, height, width) float32 RGB in 0 to 255, not normalised; height and width are
    multiples of :data:`MULTIPLE_PX`. Outputs on a grid of :data:`STRIDE_PX` px cells, rows = height / 4:

    * ``heatmap`` (batch, 1, rows, columns): score in [0, 1];
    * ``scale`` (batch, 2, rows, columns): log of height and width in cells;
    * ``offset`` (batch, 2, rows, columns): y and x of the centre within its cell, in cells;
    * ``landmarks`` (batch, 10, rows, columns): y and x of five points from the top-left corner of the box, in
      box heights and widths.

    Args:
        data: bytes of the published ``centerface.onnx``.

    Raises:
        WeightsCorrupt: the bytes are not this network; says what was expected.
    """
    source = _parsed(data)
    try:
        return _rebuild(source, _weights(source))
    except (
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
        ValueError,
        TypeError,
    ) as error:
        raise corrupt(_WHAT, "layers that fit together", str(error).split("\n", 1)[0]) from error
