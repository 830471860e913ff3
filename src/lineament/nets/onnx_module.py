"""A published ONNX graph as a torch module that can be trained further."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lineament.core.errors import ModelError
from lineament.nets.base import InputSize
from lineament.nets.onnx_operators import OPERATORS, Node

OLDEST_OPSET = 13
"""Earlier operator sets hold shapes and axes in other places."""
_BATCH_NORM = "BatchNormalization"
_ROLES = {1: "weight", 2: "bias"}
_WEIGHTED = {"Conv", "Gemm", "LayerNormalization", "MatMul", "PRelu"}
_NORM_ROLES = ("weight", "bias", "running_mean", "running_var")


class _Norm(_BatchNorm):
    """Batch normalisation for inputs of any rank."""

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - torch calls it so
        pass


@dataclass(frozen=True, slots=True)
class _Step:
    """A node, the stage that holds its batch normalisation (else None), and the values nobody reads after it."""

    node: Node
    norm: int | None
    dropped: tuple[str, ...]


class OnnxModule(nn.Module):
    """An embedder's graph, node by node.

    Float initialisers with axes become parameters; scalars, integers and constant nodes stay constants. Batch
    normalisations are real ones: in training mode they use and update the statistics of the batch. A graph whose
    normalisation was folded into its convolutions has none.

    Attributes:
        stages: the nodes that have weights, in the order of the graph, as modules that hold these weights.
        input_size: height and width that the graph takes, px.
        embedding: D, length of the features.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        """Read the graph.

        Args:
            model: one input (N, 3, H, W) float with fixed H and W, one output (N, D) with fixed D, operator set
                13 or later, before any rewrite for a runtime. It is copied.

        Raises:
            ModelError: another operator set, an operator that is not known (with the names of operator and node),
                other inputs or outputs.
        """
        super().__init__()
        self._model = onnx.ModelProto()
        self._model.CopyFrom(model)
        graph = self._model.graph
        _check_opset(model)
        self._input, self._output, self.input_size, self.embedding = _ends(graph)
        self.stages = nn.ModuleList()
        self._places: dict[str, tuple[int, str]] = {}
        self._constants: dict[str, Tensor] = {}
        self._buffer_names: dict[str, str] = {}
        initialisers = {t.name: t for t in graph.initializer}
        nodes = [_node(proto, index) for index, proto in enumerate(graph.node)]
        norms: dict[int, int] = {}
        for index, node in enumerate(nodes):
            if node.op == "Constant":
                self._add_constant(node.outputs[0], _constant(node))
            elif node.op == _BATCH_NORM:
                norms[index] = self._add_norm(node, initialisers)
            else:
                self._add_weights(node, initialisers)
        self._steps = _steps(nodes, norms, self._output)

    def _add_constant(self, name: str, value: np.ndarray) -> None:
        """Keep a constant: integers and scalars on the CPU, where they steer operators, the rest as a buffer."""
        tensor = torch.from_numpy(value.copy())
        if tensor.ndim == 0 or not tensor.is_floating_point():
            self._constants[name] = tensor
            return
        self._buffer_names[name] = f"constant{len(self._buffer_names)}"
        self.register_buffer(self._buffer_names[name], tensor, persistent=False)

    def _add_norm(self, node: Node, initialisers: dict[str, onnx.TensorProto]) -> int:
        """A stage for a batch normalisation; returns its number."""
        names = node.inputs[1:5]
        if any(n not in initialisers for n in names) or len(node.outputs) != 1:
            raise node.unsupported("expected gain, bias, mean and variance as initialisers and one output")
        norm = _Norm(
            initialisers[names[0]].dims[0],
            eps=node.attributes.get("epsilon", 1e-5),
            momentum=1.0 - node.attributes.get("momentum", 0.9),
        )
        for role, name in zip(_NORM_ROLES, names, strict=True):
            with torch.no_grad():
                getattr(norm, role).copy_(_tensor(initialisers[name]))
            self._places[name] = (len(self.stages), role)
        self.stages.append(norm)
        return len(self.stages) - 1

    def _add_weights(self, node: Node, initialisers: dict[str, onnx.TensorProto]) -> None:
        """Parameters and constants of a node; one that several nodes read belongs to the first."""
        stage = nn.Module()
        for position, name in enumerate(node.inputs):
            if name not in initialisers or name in self._places or name in self._constants:
                continue
            value = _tensor(initialisers[name])
            if not value.is_floating_point() or value.ndim == 0:
                self._constants[name] = value
                continue
            known = node.op in _WEIGHTED and position in _ROLES
            role = _ROLES[position] if known else f"operand{position}"
            stage.register_parameter(role, nn.Parameter(value))
            self._places[name] = (len(self.stages), role)
        if any(True for _ in stage.parameters()):
            self.stages.append(stage)

    def forward(self, images: Tensor) -> Tensor:
        """Features of a batch.

        Args:
            images: (B, 3, H, W) float, normalised as the model's manifest says.

        Returns: (B, D) float, not of length one unless the graph makes it so.

        Raises:
            ValueError: pictures of another shape.
            ModelError: a node with a setting that is not supported.
        """
        if images.ndim != 4 or tuple(images.shape[1:]) != (3, *self.input_size):
            raise ValueError(f"images must be (B, 3, *{self.input_size}), got {tuple(images.shape)}")
        values = dict(self._constants)
        values[self._input] = images
        values.update((name, getattr(self, buffer)) for name, buffer in self._buffer_names.items())
        for name, (stage, role) in self._places.items():
            values[name] = getattr(self.stages[stage], role)
        for step in self._steps:
            for name, result in zip(step.node.outputs, self._run(step, values), strict=True):
                # integers made floats inside the graph (positions) belong beside the pictures from here on
                is_data = result.is_floating_point() and result.ndim > 0
                values[name] = result.to(images.device) if is_data else result
            for name in step.dropped:
                del values[name]
        return values[self._output]

    def _run(self, step: _Step, values: dict[str, Tensor]) -> Sequence[Tensor]:
        node = step.node
        if step.norm is not None:
            return (self.stages[step.norm](values[node.inputs[0]]),)
        result = OPERATORS[node.op](node, *(values[n] if n else None for n in node.inputs))
        results = (result,) if isinstance(result, Tensor) else result
        if len(results) != len(node.outputs):
            raise node.unsupported(f"expected {len(results)} outputs, got {list(node.outputs)}")
        return results

    def to_model(self) -> onnx.ModelProto:
        """The graph with the present weights and statistics, for the runtime."""
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        for tensor in model.graph.initializer:
            if tensor.name in self._places:
                stage, role = self._places[tensor.name]
                value = getattr(self.stages[stage], role).detach().cpu().float().numpy()
                tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), tensor.name))
        return model


def _tensor(proto: onnx.TensorProto) -> Tensor:
    return torch.from_numpy(numpy_helper.to_array(proto).copy())


def _check_opset(model: onnx.ModelProto) -> None:
    versions = {o.domain: o.version for o in model.opset_import}
    found = versions.get("", versions.get("ai.onnx", 0))
    if found < OLDEST_OPSET:
        raise ModelError(
            f"expected ONNX operator set {OLDEST_OPSET} or later, got {found}; "
            "convert the model with onnx.version_converter"
        )


def _ends(graph: onnx.GraphProto) -> tuple[str, str, InputSize, int]:
    """Names of input and output, input size, embedding length."""
    weights = {t.name for t in graph.initializer}
    inputs = [i for i in graph.input if i.name not in weights]
    shapes = [[d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*inputs, *graph.output)]
    if len(inputs) == 1 and len(graph.output) == 1 and [len(s) for s in shapes] == [4, 2]:
        (_, channels, height, width), (_, embedding) = shapes
        if channels == 3 and height and width and embedding:
            return inputs[0].name, graph.output[0].name, (height, width), embedding
    raise ModelError(
        f"expected one input (N, 3, H, W) and one output (N, D) with fixed H, W and D, got "
        f"{[i.name for i in inputs]} and {[o.name for o in graph.output]} of shapes {shapes} (0 is not fixed); "
        "only embedders can be trained further"
    )


def _node(proto: onnx.NodeProto, index: int) -> Node:
    """A node with its attributes read.

    Raises:
        ModelError: the operator is not known.
    """
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}
    outputs = tuple(n for n in proto.output if n)
    node = Node(proto.op_type, proto.name or f"number {index}", attributes, tuple(proto.input), outputs)
    if proto.domain not in {"", "ai.onnx"} or node.op not in {*OPERATORS, "Constant", _BATCH_NORM}:
        raise node.unsupported(f"the operator {node.op!r} of domain {proto.domain!r} is not known")
    return node


def _constant(node: Node) -> np.ndarray:
    if "value" not in node.attributes:
        raise node.unsupported(f"expected a tensor as value, got {sorted(node.attributes)}")
    return np.asarray(numpy_helper.to_array(node.attributes["value"]))


def _steps(nodes: Sequence[Node], norms: dict[int, int], output: str) -> tuple[_Step, ...]:
    """What is run, and after which step each value is no longer needed."""
    uses = Counter(n for node in nodes for n in node.inputs)
    uses[output] += 1
    made = {n for node in nodes if node.op != "Constant" for n in node.outputs}
    steps = []
    for index, node in enumerate(nodes):
        if node.op == "Constant":
            continue
        uses.subtract(node.inputs)
        dropped = [n for n in {*node.inputs, *node.outputs} if n in made and uses[n] == 0]
        steps.append(_Step(node, norms.get(index), tuple(dropped)))
    return tuple(steps)
