"""Exact rewrites of a freshly exported network: every constant on its own, batch normalisation inside its layer."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lineament.core.errors import ModelError
from lineament.zoo.graph import drop_unused

if TYPE_CHECKING:
    import onnx

Vector = NDArray[np.float64]


def own_constants(model: "onnx.ModelProto") -> None:
    """Turn constants that are shared, or made by nodes, into initialisers of their own, in place.

    Exporters let layers with equal values share one, though they are only equal by chance (fresh slopes, statistics
    of a layer without data); a rewrite that changes one must not change the other.
    """
    from onnx import numpy_helper

    graph = model.graph
    constants = {t.name: t for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
        elif node.op_type == "Identity" and node.input[0] in constants:
            constants[node.output[0]] = constants[node.input[0]]
    outputs = {o.name for o in graph.output}
    made = {n.output[0] for n in graph.node if n.output[0] in constants}
    nodes = [n for n in graph.node if n.output[0] not in made - outputs]
    used: set[str] = set()
    fresh = []
    for node in nodes:
        for place, name in enumerate(node.input):
            if name not in constants:
                continue
            own = name
            while own in used:
                own = f"{own}.own"
            used.add(own)
            node.input[place] = own
            fresh.append(numpy_helper.from_array(numpy_helper.to_array(constants[name]), own))
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.initializer[:]
    graph.initializer.extend(fresh)


def name_ends(model: "onnx.ModelProto", given: str, made: str) -> None:
    """Give the only input and the only output other names, and their first axis the name "batch", in place."""
    graph = model.graph
    names = {graph.input[0].name: given, graph.output[0].name: made}
    for end in (graph.input[0], graph.output[0]):
        end.name = names[end.name]
        end.type.tensor_type.shape.dim[0].dim_param = "batch"
    for node in graph.node:
        for ends in (node.input, node.output):
            for place, name in enumerate(ends):
                ends[place] = names.get(name, name)


def fold_batch_norms(model: "onnx.ModelProto") -> int:
    """Fold batch normalisation into the convolution or linear layer before it, in place; returns how many.

    ``W' = W s`` and ``b' = (b - mean) s + shift`` with ``s = gain / sqrt(variance + epsilon)`` per output channel,
    computed in float64. A normalisation before a layer, or after one whose output is used elsewhere, stays: padding
    makes the first inexact, and the second needs both values.

    Raises:
        ModelError: a normalisation whose constants are not initialisers.
    """
    graph = model.graph
    uses: dict[str, int] = {}
    for node in graph.node:
        for name in node.input:
            uses[name] = uses.get(name, 0) + 1
    for output in graph.output:
        uses[output.name] = uses.get(output.name, 0) + 1
    makers = {n.output[0]: n for n in graph.node}
    folded = []
    for norm in graph.node:
        layer = makers.get(norm.input[0]) if norm.op_type == "BatchNormalization" else None
        if layer is None or uses[layer.output[0]] != 1 or not _foldable(layer, makers):
            continue
        _fold(graph, layer, norm)
        layer.output[0] = norm.output[0]
        makers[norm.output[0]] = layer
        folded.append(norm)
    for norm in folded:
        graph.node.remove(norm)
    drop_unused(graph)
    del graph.value_info[:]
    return len(folded)


def _foldable(layer: "onnx.NodeProto", makers: "dict[str, onnx.NodeProto]") -> bool:
    """Convolutions, and linear layers written as ``x W^T + b``, or as ``x W`` for an x of two axes."""
    if layer.op_type == "MatMul":
        return layer.input[0] in makers and makers[layer.input[0]].op_type == "Flatten"
    if layer.op_type != "Gemm":
        return layer.op_type == "Conv"
    given = {a.name: a.f if a.name in {"alpha", "beta"} else a.i for a in layer.attribute}
    plain = {"alpha": 1, "beta": 1, "transA": 0, "transB": 0} | given
    return plain == {"alpha": 1, "beta": 1, "transA": 0, "transB": 1}


def _fold(graph: "onnx.GraphProto", layer: "onnx.NodeProto", norm: "onnx.NodeProto") -> None:
    from onnx import numpy_helper

    constants = {t.name: t for t in graph.initializer}

    def values(name: str) -> Vector:
        if name not in constants:
            raise ModelError(
                f"expected constant weights and statistics around {norm.name}, but {name} is computed; "
                "export the network in evaluation mode"
            )
        return numpy_helper.to_array(constants[name]).astype(np.float64)

    gain, shift, mean, variance = (values(name) for name in norm.input[1:])
    epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), 1e-5)
    scale = gain / np.sqrt(variance + epsilon)
    weight = values(layer.input[1])
    bias = values(layer.input[2]) if len(layer.input) > 2 else np.zeros_like(shift)
    if layer.op_type == "MatMul":
        layer.op_type = "Gemm"
        factors = scale[None]
    else:
        factors = scale.reshape(-1, *[1] * (weight.ndim - 1))
    new = {
        f"{layer.input[1]}.folded": weight * factors,
        f"{layer.input[1]}.bias": (bias - mean) * scale + shift,
    }
    del layer.input[1:]
    for name, array in new.items():
        graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
        layer.input.append(name)
