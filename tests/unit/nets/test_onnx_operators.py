"""Each operator against the reference evaluator of ONNX itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from lineament.core.errors import ModelError
from lineament.nets.onnx_operators import OPERATORS, Node

RNG = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def run(
    op: str, inputs: Sequence[np.ndarray | None], n_outputs: int = 1, **attributes: Any
) -> list[np.ndarray]:
    """The operator of the package."""
    encoded = {k: v.encode() if isinstance(v, str) else v for k, v in attributes.items()}
    outputs = tuple(f"y{i}" for i in range(n_outputs))
    node = Node(op, "it", encoded, tuple(f"x{i}" for i in range(len(inputs))), outputs)
    tensors = [None if x is None else torch.from_numpy(np.array(x)) for x in inputs]
    found = OPERATORS[op](node, *tensors)
    return [t.numpy() for t in ([found] if isinstance(found, torch.Tensor) else found)]


def check(
    op: str, inputs: Sequence[np.ndarray | None], n_outputs: int = 1, opset: int = 17, **attributes: Any
) -> None:
    """The operator of the package gives what the reference gives."""
    names = ["" if x is None else f"x{i}" for i, x in enumerate(inputs)]
    outputs = [f"y{i}" for i in range(n_outputs)]
    given_inputs = {n: x for n, x in zip(names, inputs, strict=True) if x is not None}
    graph = helper.make_graph(
        [helper.make_node(op, names, outputs, **attributes)],
        "one",
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(np.asarray(x).dtype), x.shape)
            for n, x in given_inputs.items()
        ],
        [helper.make_tensor_value_info(o, onnx.TensorProto.UNDEFINED, None) for o in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    expected = ReferenceEvaluator(model).run(None, given_inputs)
    for found, want in zip(run(op, inputs, n_outputs, **attributes), expected, strict=True):
        assert found.shape == want.shape
        assert found.dtype == want.dtype
        np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
def test_arithmetic_broadcasts(op: str) -> None:
    check(op, [floats(2, 3, 4), floats(3, 1)])


@pytest.mark.parametrize("op", ["Cos", "Erf", "Identity", "Relu", "Sin"])
def test_functions(op: str) -> None:
    check(op, [floats(3, 4)])


def test_other_arithmetic() -> None:
    check("Sqrt", [np.abs(floats(5))])
    check("Pow", [floats(4), np.array(2.0, np.float32)])
    check("Pow", [np.abs(floats(4)), floats(4)])
    check("Div", [ints(7, 8, 9), ints(2, 2, 2)])
    check("Equal", [ints(1, 2, 3), ints(1, 0, 3)])
    check("Where", [np.array([True, False]), floats(3, 2), floats(2)])
    check("MatMul", [floats(2, 3, 4), floats(4, 5)])
    check("Softmax", [floats(2, 3, 4)])
    check("Softmax", [floats(2, 3, 4)], axis=1)
    check("Clip", [floats(9), np.array(-0.5, np.float32), np.array(0.5, np.float32)])
    check("Clip", [floats(9), np.array(0.1, np.float32)])
    check("Clip", [floats(9), None, np.array(0.1, np.float32)])


def test_integer_division_truncates() -> None:
    assert run("Div", [ints(-7, 7), ints(2, 2)])[0].tolist() == [-3, 3]


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2, 1], "pads": [1, 2, 1, 2]},
        {"strides": [2, 2], "pads": [0, 1, 2, 0]},
        {"dilations": [2, 1], "pads": [2, 0, 2, 0]},
        {"auto_pad": "VALID"},
    ],
)
def test_convolution(attributes: dict[str, Any]) -> None:
    check("Conv", [floats(2, 4, 7, 6), floats(6, 4, 3, 2), floats(6)], **attributes)


def test_grouped_convolution() -> None:
    check("Conv", [floats(2, 4, 5, 5), floats(8, 1, 3, 3)], group=4, pads=[1, 1, 1, 1])
    check("Conv", [floats(2, 4, 5, 5), floats(6, 2, 1, 1), floats(6)], group=2)


@pytest.mark.parametrize("ceil_mode", [0, 1])
def test_pooling(ceil_mode: int) -> None:
    x = floats(2, 3, 7, 8)
    common = {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": ceil_mode}
    check("MaxPool", [x], **common)
    check("MaxPool", [x], **common, pads=[1, 0, 1, 0])
    if not ceil_mode:
        check("AveragePool", [x], **common)
        check("AveragePool", [x], **common, pads=[1, 0, 1, 0])
        check("AveragePool", [x], **common, pads=[1, 0, 1, 0], count_include_pad=1)
    check("GlobalAveragePool", [x])


def test_padding() -> None:
    check("Pad", [floats(2, 3, 4, 5), ints(0, 0, 1, 2, 0, 1, 0, 3)])
    check("Pad", [floats(2, 3), ints(1, 0, 0, 2), np.array(0.5, np.float32)], mode="constant")


def test_linear_layers() -> None:
    a, b = floats(2, 3), floats(3, 4)
    check("Gemm", [a, b])
    check("Gemm", [a, b.T.copy(), floats(4)], transB=1)
    check("Gemm", [a.T.copy(), b, floats(2, 1)], transA=1, alpha=0.5, beta=2.0)
    check("Gemm", [a, b, floats(1)], beta=0.5)


def test_normalisation_and_slopes() -> None:
    check("LayerNormalization", [floats(2, 3, 4), floats(4), floats(4)], epsilon=1e-3)
    check("LayerNormalization", [floats(2, 3, 4), floats(3, 4)], axis=1)
    for slopes in (floats(3, 1, 1), floats(1), floats(1, 1, 1), floats(3, 5, 4), floats(4)):
        check("PRelu", [floats(2, 3, 5, 4), slopes])


def test_reductions() -> None:
    x = floats(2, 3, 4)
    check("ReduceMean", [x], axes=[1, 2])
    check("ReduceMean", [x], axes=[-1], keepdims=0)
    check("ReduceMean", [x])
    check("ReduceMean", [x, ints(0)], opset=18)
    check("ReduceSum", [x, ints(1)], keepdims=0)
    check("ReduceSum", [x], noop_with_empty_axes=1)
    check("ReduceSum", [x, ints(-1, 0)])


def test_shapes() -> None:
    x = floats(2, 3, 4)
    check("Shape", [x])
    check("Shape", [x], start=1)
    check("Shape", [x], start=-2, end=-1)
    check("Reshape", [x, ints(0, -1)])
    check("Reshape", [floats(0, 3), ints(3, 0)], allowzero=1)
    check("Flatten", [x])
    check("Flatten", [x], axis=2)
    check("Transpose", [x])
    check("Transpose", [x], perm=[1, 2, 0])
    check("Squeeze", [floats(1, 3, 1), ints(0, -1)])
    check("Squeeze", [floats(1, 3, 1)])
    check("Expand", [floats(3, 1), ints(2, 3, 4)])
    check("Expand", [floats(2, 3), ints(1)])
    check("Concat", [floats(2, 3), floats(2, 1)], axis=-1)
    check("Cast", [floats(3) * 5], to=onnx.TensorProto.INT64)
    check("Cast", [ints(1, 0)], to=onnx.TensorProto.FLOAT)
    check("Range", [np.array(1), np.array(9), np.array(3)])
    check("ConstantOfShape", [ints(2, 3)])
    check("ConstantOfShape", [ints(2)], value=numpy_helper.from_array(ints(7)))


def test_split() -> None:
    check("Split", [floats(6, 2), ints(1, 2, 3)], n_outputs=3)
    check("Split", [floats(2, 6)], n_outputs=3, axis=1, opset=13)
    check("Split", [floats(2, 7)], n_outputs=3, axis=1, opset=18, num_outputs=3)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_slices(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    bound = st.integers(-7, 7)
    starts = [data.draw(bound) for _ in axes]
    ends = [data.draw(st.one_of(bound, st.just(2**63 - 1))) for _ in axes]
    steps = [data.draw(st.integers(1, 3)) for _ in axes]
    check("Slice", [floats(*shape), ints(*starts), ints(*ends), ints(*axes), ints(*steps)])


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_gathers(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    size = shape[axis]
    index_shape = data.draw(st.lists(st.integers(1, 3), max_size=2))
    indices = np.array(
        [data.draw(st.integers(-size, size - 1)) for _ in range(int(np.prod(index_shape)))], np.int64
    ).reshape(index_shape)
    check("Gather", [floats(*shape), indices], axis=axis)


@given(st.lists(st.integers(1, 3), max_size=3), st.data())
@settings(max_examples=40, deadline=None)
def test_new_axes(shape: list[int], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 2))
    rank = len(shape) + count
    axes = data.draw(st.lists(st.integers(0, rank - 1), min_size=count, max_size=count, unique=True))
    signed = [a - rank if data.draw(st.booleans()) else a for a in axes]
    check("Unsqueeze", [floats(*shape), ints(*signed)])


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "message"),
    [
        ("Conv", [floats(1, 1, 4, 4), floats(1, 1, 3, 3)], {"auto_pad": "SAME_UPPER"}, "explicit pads"),
        ("Conv", [floats(1, 1, 4), floats(1, 1, 3)], {}, r"\(N, C, H, W\), got 3 dimensions"),
        ("MaxPool", [floats(1, 1, 4, 4)], {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]}, "equal pads"),
        ("AveragePool", [floats(1, 1, 4, 4)], {"kernel_shape": [2, 2], "dilations": [2, 2]}, "no dilation"),
        ("Pad", [floats(1, 1, 4, 4), ints(0, 0, 1, 1, 0, 0, 1, 1)], {"mode": "reflect"}, "mode b'reflect'"),
        ("Slice", [floats(4), ints(3), ints(0), ints(0), ints(-1)], {}, "positive steps"),
        ("LayerNormalization", [floats(2, 4), floats(1)], {}, "scale of shape"),
        ("Cast", [floats(2)], {"to": 16}, "expected a type among"),
    ],
)
def test_settings_that_are_not_supported_name_the_node(
    op: str, inputs: list[np.ndarray], attributes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=rf"node 'it' \({op}\): .*{message}"):
        run(op, inputs, **attributes)
