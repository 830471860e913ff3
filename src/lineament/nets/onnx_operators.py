"""The operators of ONNX that embedders use, in torch.

Integers are shapes, axes and indices; they stay on the CPU, so that a graph which computes its own shapes never
waits for an accelerator. Source: ONNX operator set 13 to 18, https://onnx.ai/onnx/operators/.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from onnx import TensorProto, numpy_helper
from torch import Tensor
from torch.nn import functional

from lineament.core.errors import ModelError

DTYPES = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.DOUBLE: torch.float64,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
    TensorProto.BOOL: torch.bool,
}


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a graph.

    Attributes:
        op: name of the operator.
        name: of the node, or its number when it has none.
        attributes: Python values by name; strings are bytes.
        inputs: names of the values that it reads, "" where one is left out.
        outputs: names of the values that it makes.
    """

    op: str
    name: str
    attributes: Mapping[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def unsupported(self, what: str) -> ModelError:
        """The error for a node that cannot be run."""
        return ModelError(
            f"node {self.name!r} ({self.op}): {what}; export the model with other settings, "
            "or extend lineament.nets.onnx_operators"
        )


def _ints(values: Tensor) -> list[int]:
    return [int(v) for v in values.reshape(-1).tolist()]


def _is_symmetric(pads: Sequence[int]) -> bool:
    half = len(pads) // 2
    return list(pads[:half]) == list(pads[half:])


@dataclass(frozen=True, slots=True)
class _Window:
    """Stride, dilation and padding (rows, columns) of a 2-D window, and its padding in ONNX's order."""

    stride: list[int]
    dilation: list[int]
    pads: list[int]

    @staticmethod
    def of(node: Node, x: Tensor) -> "_Window":
        get = node.attributes.get
        if get("auto_pad", b"NOTSET") not in {b"NOTSET", b"VALID"}:
            raise node.unsupported(f"expected explicit pads, got auto_pad {get('auto_pad')!r}")
        if x.ndim != 4:
            raise node.unsupported(f"expected (N, C, H, W), got {x.ndim} dimensions")
        return _Window(
            list(get("strides", [1, 1])), list(get("dilations", [1, 1])), list(get("pads", [0] * 4))
        )


def _conv(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    window = _Window.of(node, x)
    padding = window.pads[:2]
    if not _is_symmetric(window.pads):
        top, left, bottom, right = window.pads
        x = functional.pad(x, (left, right, top, bottom))
        padding = [0, 0]
    groups = node.attributes.get("group", 1)
    return functional.conv2d(x, weight, bias, window.stride, padding, window.dilation, groups)


def _max_pool(node: Node, x: Tensor) -> Tensor:
    window = _Window.of(node, x)
    if not _is_symmetric(window.pads):
        raise node.unsupported(f"expected equal pads on both sides, got {window.pads}")
    kernel, ceil = node.attributes["kernel_shape"], bool(node.attributes.get("ceil_mode", 0))
    return functional.max_pool2d(x, kernel, window.stride, window.pads[:2], window.dilation, ceil)


def _average_pool(node: Node, x: Tensor) -> Tensor:
    window = _Window.of(node, x)
    if not _is_symmetric(window.pads) or window.dilation != [1, 1]:
        raise node.unsupported(
            f"expected equal pads and no dilation, got pads {window.pads}, dilations {window.dilation}"
        )
    get = node.attributes.get
    ceil, count_pads = bool(get("ceil_mode", 0)), bool(get("count_include_pad", 0))
    return functional.avg_pool2d(
        x, node.attributes["kernel_shape"], window.stride, window.pads[:2], ceil, count_pads
    )


def _global_average_pool(_: Node, x: Tensor) -> Tensor:
    return x.mean(tuple(range(2, x.ndim)), keepdim=True)


def _pad(
    node: Node, x: Tensor, pads: Tensor, value: Tensor | None = None, axes: Tensor | None = None
) -> Tensor:
    mode = node.attributes.get("mode", b"constant")
    if mode != b"constant" or axes is not None:
        raise node.unsupported(f"expected constant padding of all axes, got mode {mode!r}, axes {axes}")
    amounts = _ints(pads)
    pairs = [(amounts[a], amounts[a + x.ndim]) for a in reversed(range(x.ndim))]
    fill = 0.0 if value is None else float(value.item())
    return functional.pad(x, [side for pair in pairs for side in pair], value=fill)


def _gemm(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    get = node.attributes.get
    if get("transA", 0):
        a = a.mT
    if not get("transB", 0):
        b = b.mT
    alpha, beta = get("alpha", 1.0), get("beta", 1.0)
    if alpha == 1.0 and beta == 1.0 and (c is None or c.ndim == 1):
        return functional.linear(a, b, c)
    product: Tensor = alpha * functional.linear(a, b)
    return product if c is None else product + beta * c


def _layer_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    shape = x.shape[node.attributes.get("axis", -1) :]
    if scale.shape != shape:
        raise node.unsupported(f"expected a scale of shape {tuple(shape)}, got {tuple(scale.shape)}")
    return functional.layer_norm(x, shape, scale, bias, node.attributes.get("epsilon", 1e-5))


def _prelu(_: Node, x: Tensor, slope: Tensor) -> Tensor:
    if slope.numel() == 1 or (slope.ndim == x.ndim - 1 and slope.numel() == slope.shape[0] == x.shape[1]):
        return functional.prelu(x, slope.reshape(-1))
    return torch.where(x >= 0, x, slope * x)


def _clip(_: Node, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    return torch.clamp(x, None if low is None else low.item(), None if high is None else high.item())


def _div(_: Node, a: Tensor, b: Tensor) -> Tensor:
    is_float = a.is_floating_point() or b.is_floating_point()
    return torch.div(a, b, rounding_mode=None if is_float else "trunc")


def _pow(_: Node, x: Tensor, exponent: Tensor) -> Tensor:
    return torch.pow(x, exponent.item() if exponent.ndim == 0 else exponent)


def _softmax(node: Node, x: Tensor) -> Tensor:
    return torch.softmax(x, node.attributes.get("axis", -1))


def _axes(node: Node, x: Tensor, axes: Tensor | None) -> list[int] | None:
    """Axes of a reduction: an input, or an attribute in older operator sets; None when there is nothing to do."""
    given = node.attributes.get("axes") if axes is None else _ints(axes)
    if given:
        return list(given)
    return None if node.attributes.get("noop_with_empty_axes", 0) else list(range(x.ndim))


def _reduce(reduce: Callable[[Tensor, list[int], bool], Tensor]) -> Callable[..., Tensor]:
    def run(node: Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
        over = _axes(node, x, axes)
        return x if over is None else reduce(x, over, bool(node.attributes.get("keepdims", 1)))

    return run


def _reshape(node: Node, x: Tensor, shape: Tensor) -> Tensor:
    wanted = _ints(shape)
    if not node.attributes.get("allowzero", 0):
        wanted = [x.shape[i] if size == 0 else size for i, size in enumerate(wanted)]
    return x.reshape(wanted)


def _flatten(node: Node, x: Tensor) -> Tensor:
    rows = math.prod(x.shape[: node.attributes.get("axis", 1)])
    return x.reshape(rows, x.numel() // rows)


def _transpose(node: Node, x: Tensor) -> Tensor:
    return x.permute(*node.attributes.get("perm", reversed(range(x.ndim))))


def _squeeze(_: Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
    return x.squeeze() if axes is None else x.squeeze(tuple(_ints(axes)))


def _unsqueeze(_: Node, x: Tensor, axes: Tensor) -> Tensor:
    rank = x.ndim + axes.numel()
    for axis in sorted(a % rank for a in _ints(axes)):
        x = x.unsqueeze(axis)
    return x


def _expand(_: Node, x: Tensor, shape: Tensor) -> Tensor:
    wanted = _ints(shape)
    own = [1] * (len(wanted) - x.ndim) + list(x.shape)
    wanted = [1] * (len(own) - len(wanted)) + wanted
    return x.expand([a if b == 1 else b for a, b in zip(own, wanted, strict=True)])


def _shape(node: Node, x: Tensor) -> Tensor:
    get = node.attributes.get
    return torch.tensor(list(x.shape[get("start", 0) : get("end", x.ndim)]), dtype=torch.int64)


def _gather(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    axis = node.attributes.get("axis", 0) % x.ndim
    wrapped = torch.where(indices < 0, indices + x.shape[axis], indices).to(x.device)
    taken = x.index_select(axis, wrapped.reshape(-1))
    return taken.reshape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])


def _slice(
    node: Node,
    x: Tensor,
    starts: Tensor,
    ends: Tensor,
    axes: Tensor | None = None,
    steps: Tensor | None = None,
) -> Tensor:
    count = starts.numel()
    over = list(range(count)) if axes is None else _ints(axes)
    strides = [1] * count if steps is None else _ints(steps)
    if min(strides) < 1:
        raise node.unsupported(f"expected positive steps, got {strides}")
    window = [slice(None)] * x.ndim
    for axis, start, end, step in zip(over, _ints(starts), _ints(ends), strides, strict=True):
        window[axis] = slice(start, end, step)
    return x[tuple(window)]


def _split(node: Node, x: Tensor, sizes: Tensor | None = None) -> Sequence[Tensor]:
    axis = node.attributes.get("axis", 0)
    if sizes is not None:
        return torch.split(x, _ints(sizes), axis)
    return torch.split(x, -(-x.shape[axis] // len(node.outputs)), axis)


def _cast(node: Node, x: Tensor) -> Tensor:
    to = node.attributes["to"]
    if to not in DTYPES:
        raise node.unsupported(f"expected a type among {list(DTYPES)}, got {to}")
    return x.to(DTYPES[to])


def _range(_: Node, start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    return torch.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)


def _constant_of_shape(node: Node, shape: Tensor) -> Tensor:
    value = node.attributes.get("value")
    fill = np.zeros(1, np.float32) if value is None else numpy_helper.to_array(value)
    return torch.from_numpy(np.full(_ints(shape), fill.item(), fill.dtype))


OPERATORS: Mapping[str, Callable[..., Tensor | Sequence[Tensor]]] = MappingProxyType(
    {
        "Add": lambda _, a, b: a + b,
        "AveragePool": _average_pool,
        "Cast": _cast,
        "Clip": _clip,
        "Concat": lambda node, *parts: torch.cat(parts, node.attributes["axis"]),
        "ConstantOfShape": _constant_of_shape,
        "Conv": _conv,
        "Cos": lambda _, x: torch.cos(x),
        "Div": _div,
        "Equal": lambda _, a, b: torch.eq(a, b),
        "Erf": lambda _, x: torch.erf(x),
        "Expand": _expand,
        "Flatten": _flatten,
        "Gather": _gather,
        "Gemm": _gemm,
        "GlobalAveragePool": _global_average_pool,
        "Identity": lambda _, x: x,
        "LayerNormalization": _layer_norm,
        "MatMul": lambda _, a, b: torch.matmul(a, b),
        "MaxPool": _max_pool,
        "Mul": lambda _, a, b: a * b,
        "PRelu": _prelu,
        "Pad": _pad,
        "Pow": _pow,
        "Range": _range,
        "ReduceMean": _reduce(torch.mean),
        "ReduceSum": _reduce(torch.sum),
        "Relu": lambda _, x: torch.relu(x),
        "Reshape": _reshape,
        "Shape": _shape,
        "Sin": lambda _, x: torch.sin(x),
        "Slice": _slice,
        "Softmax": _softmax,
        "Split": _split,
        "Sqrt": lambda _, x: torch.sqrt(x),
        "Squeeze": _squeeze,
        "Sub": lambda _, a, b: a - b,
        "Transpose": _transpose,
        "Unsqueeze": _unsqueeze,
        "Where": lambda _, condition, a, b: torch.where(condition, a, b),
    }
)
"""``operator(node, *inputs)`` by name: a value, or several for a node with several outputs."""
