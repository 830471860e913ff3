"""Exact graph rewrites that make a model faster in ONNX Runtime.

ONNX Runtime 1.27 and later run PRelu about seven times slower on CPU than the arithmetic it stands for. The
rewrite ``PRelu(x) = (1 - a) * Relu(x) + a * x`` holds for slopes of any sign; both scalings are written as
BatchNormalization (mean 0, variance 1, epsilon 0) because that keeps the blocked memory layout between
convolutions. ``onnx`` is imported when a model is rewritten, not when one is only loaded.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

REWRITE_VERSION = 3


def rewrite_prelu(model: "onnx.ModelProto") -> int:
    """Replace each PRelu with per-channel constant slopes, in place; returns how many were replaced.

    A PRelu whose slopes are computed, or vary over rows or columns, is left as it is.
    """
    constants = {t.name: t for t in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    replaced = 0
    for index, node in enumerate(model.graph.node):
        slopes = _channel_slopes(node, constants)
        if slopes is None:
            nodes.append(node)
            continue
        nodes.extend(_scaled_relu(model.graph, node, slopes, f"prelu{index}"))
        replaced += 1
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return replaced


def _channel_slopes(node: "onnx.NodeProto", constants: "dict[str, onnx.TensorProto]") -> np.ndarray | None:
    from onnx import numpy_helper

    if node.op_type != "PRelu" or node.input[1] not in constants:
        return None
    slopes = numpy_helper.to_array(constants[node.input[1]])
    if slopes.dtype != np.float32 or slopes.ndim != 3 or slopes.shape[1:] != (1, 1) or slopes.shape[0] == 1:
        return None
    return slopes.reshape(-1)


def _scaled_relu(
    graph: "onnx.GraphProto", node: "onnx.NodeProto", slopes: np.ndarray, prefix: str
) -> "list[onnx.NodeProto]":
    """Nodes for ``(1 - a) * Relu(x) + a * x``."""
    from onnx import helper, numpy_helper

    vectors = {
        "one_minus": 1.0 - slopes,
        "slope": slopes,
        "zero": np.zeros_like(slopes),
        "unit": np.ones_like(slopes),
    }
    for key, values in vectors.items():
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), f"{prefix}.{key}"))

    def scale(source: str, by: str, result: str) -> "onnx.NodeProto":
        inputs = [source, f"{prefix}.{by}", f"{prefix}.zero", f"{prefix}.zero", f"{prefix}.unit"]
        return helper.make_node("BatchNormalization", inputs, [result], epsilon=0.0)

    source = node.input[0]
    return [
        helper.make_node("Relu", [source], [f"{prefix}.positive"]),
        scale(f"{prefix}.positive", "one_minus", f"{prefix}.a"),
        scale(source, "slope", f"{prefix}.b"),
        helper.make_node("Add", [f"{prefix}.a", f"{prefix}.b"], [node.output[0]]),
    ]


def prepare(data: bytes) -> bytes:
    """Serialised model for ONNX Runtime: unchanged arithmetic, faster nodes; ``data`` itself when it has none.

    Args:
        data: serialised ONNX model.
    """
    import onnx

    model = onnx.load_from_string(data)
    if not rewrite_prelu(model):
        return data
    del model.graph.value_info[:]
    drop_unused(model.graph)
    prepared: bytes = model.SerializeToString(deterministic=True)
    return prepared


def drop_unused(graph: "onnx.GraphProto") -> None:
    """Remove constants that no node reads any more; ONNX Runtime complains about them at every load."""
    used = {name for node in graph.node for name in node.input} | {o.name for o in graph.output}
    kept = [t for t in graph.initializer if t.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
