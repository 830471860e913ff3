"""A small builder for ONNX graphs, so that the converters say layers and not protocol buffers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lineament.core.arrays import FloatArray
from lineament.core.errors import WeightsCorrupt

OPSET = 17
"""ONNX operator set of every converted graph; ONNX Runtime has it since 1.12."""
IR_VERSION = 8
"""ONNX file format of every converted graph, the one that belongs to the operator set."""

Shape = Sequence[int | str]


def corrupt(what: str, expected: object, found: object) -> WeightsCorrupt:
    """The error of every converter: what was expected of the source file, what came, what to do."""
    return WeightsCorrupt(f"{what}: expected {expected}, got {found}; delete the file and fetch it again")


def finite(values: FloatArray, what: str) -> FloatArray:
    """Return ``values`` when every one is a number.

    Raises:
        WeightsCorrupt: NaN or infinity among the weights of ``what``.
    """
    if not np.isfinite(values).all():
        raise corrupt(what, "finite weights", "NaN or infinity")
    return values


class Graph:
    """Collects nodes and initialisers; names are counted, so equal calls give equal bytes."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._initialisers: list[onnx.TensorProto] = []

    def constant(self, values: NDArray[Any]) -> str:
        """Add an initialiser; returns its name."""
        name = f"weight_{len(self._initialisers)}"
        self._initialisers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, op: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """Add a node with one output; returns the name of the output, counted unless ``output`` says it."""
        name = output or f"value_{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(op, inputs, [name], name=f"{op}_{len(self._nodes)}", **attributes)
        )
        return name

    def rename(self, value: str, name: str) -> None:
        """Call a value of the graph ``name`` everywhere."""
        for node in self._nodes:
            for names in (node.input, node.output):
                names[:] = [name if n == value else n for n in names]

    def conv(
        self,
        value: str,
        weights: FloatArray,
        bias: FloatArray | None,
        stride: Sequence[int] = (1, 1),
        pads: Sequence[int] = (0, 0, 0, 0),
        groups: int = 1,
        output: str = "",
    ) -> str:
        """Add a convolution.

        Args:
            value: name of the (N, C, H, W) input.
            weights: (O, C / groups, h, w) float32.
            bias: (O,) float32, or None.
            stride: rows, columns.
            pads: top, left, bottom, right, px of zeros.
            groups: groups of channels; C for a depthwise convolution.
            output: name of the output; counted when empty.
        """
        inputs = [value, self.constant(weights)] + ([] if bias is None else [self.constant(bias)])
        return self.node(
            "Conv",
            inputs,
            output,
            kernel_shape=list(weights.shape[2:]),
            strides=list(stride),
            pads=list(pads),
            group=groups,
        )

    def prelu(self, value: str, slopes: FloatArray) -> str:
        """Add a PReLU on (N, C, H, W) with one slope a channel, (C,) float32."""
        return self.node("PRelu", [value, self.constant(slopes.reshape(-1, 1, 1))])

    def pad(self, value: str, begin: Sequence[int], end: Sequence[int]) -> str:
        """Add zeros around a 4-D value: ``begin`` before and ``end`` after each of its axes."""
        return self.node("Pad", [value, self.constant(np.array([*begin, *end], np.int64))], mode="constant")

    def serialise(self, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape]) -> bytes:
        """The checked model as bytes.

        Args:
            inputs: name and shape of each float32 input; a string is a symbolic dimension.
            outputs: the same for the outputs.
        """
        graph = helper.make_graph(
            self._nodes,
            self._name,
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
            self._initialisers,
        )
        model = helper.make_model(
            graph,
            producer_name="lineament",
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))
