"""The PRelu rewrite is exact, for slopes of any sign and on a published network."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lineament.zoo.graph import prepare, rewrite_prelu
from lineament.zoo.session import Runtime, open_session


def network(slopes: np.ndarray, *, computed: bool = False) -> onnx.ModelProto:
    """Convolution, PRelu, convolution; ``computed`` hides the slopes behind an Identity."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=(5, 3, 3, 3)).astype(np.float32)
    second = rng.normal(size=(2, 5, 3, 3)).astype(np.float32)
    name = "hidden" if computed else "slopes"
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["c"]),
        helper.make_node("PRelu", ["c", name], ["p"]),
        helper.make_node("Conv", ["p", "second"], ["y"]),
    ]
    if computed:
        nodes.insert(0, helper.make_node("Identity", ["slopes"], ["hidden"]))
    constants = {"first": first, "second": second, "slopes": slopes}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2, "h", "w"])],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def run(data: bytes, x: np.ndarray, path: Path) -> np.ndarray:
    path.write_bytes(data)
    session = open_session(path, Runtime("onnxruntime", threads=1))
    return session.run({session.inputs[0]: x})[session.outputs[0]]


@pytest.mark.parametrize(
    "slopes",
    [
        [-1.5, -0.25, -1.0, -3.0, -0.01],
        [0.25, 0.5, 0.01, 2.0, 3.0],
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [1.0, 1.0, 1.0, 1.0, 1.0],
        [0.25, 0.25, 0.25, 0.25, 0.25],
        [-0.5, 0.0, 1.0, 0.25, 7.0],
    ],
)
def test_same_outputs_for_slopes_of_any_sign(slopes: list[float], tmp_path: Path) -> None:
    model = network(np.array(slopes, np.float32).reshape(-1, 1, 1))
    x = np.random.default_rng(1).normal(size=(2, 3, 9, 11)).astype(np.float32)
    data = model.SerializeToString()
    rewritten = prepare(data)
    assert "PRelu" not in [n.op_type for n in onnx.load_from_string(rewritten).graph.node]
    np.testing.assert_allclose(
        run(rewritten, x, tmp_path / "b.onnx"), run(data, x, tmp_path / "a.onnx"), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize(
    "model",
    [
        network(np.full((1, 1, 1), 0.25, np.float32)),
        network(np.random.default_rng(2).normal(size=(5, 7, 9)).astype(np.float32)),
        network(np.full((5, 1, 1), 0.25, np.float32), computed=True),
    ],
    ids=["one slope", "slopes for each place", "computed slopes"],
)
def test_what_cannot_be_rewritten_is_left(model: onnx.ModelProto, tmp_path: Path) -> None:
    before = model.SerializeToString()
    assert rewrite_prelu(model) == 0
    assert model.SerializeToString() == before
    x = np.random.default_rng(1).normal(size=(1, 3, 9, 11)).astype(np.float32)
    np.testing.assert_array_equal(
        run(prepare(before), x, tmp_path / "b.onnx"), run(before, x, tmp_path / "a.onnx")
    )


def test_count_and_order(tmp_path: Path) -> None:
    model = network(np.arange(5, dtype=np.float32).reshape(-1, 1, 1))
    assert rewrite_prelu(model) == 1
    onnx.checker.check_model(model)
    assert prepare(prepare(model.SerializeToString())) == prepare(model.SerializeToString())
    assert not list(tmp_path.iterdir())


@pytest.mark.weights
@pytest.mark.shared
@pytest.mark.parametrize("file", ["MiniFASNetV2_2.7.onnx", "MiniFASNetV1SE_4.0.onnx"])
def test_same_outputs_on_published_networks(shared: Path, tmp_path: Path, file: str) -> None:
    data = (shared / "weights" / "minifasnet" / file).read_bytes()
    assert rewrite_prelu(onnx.load_from_string(data)) == 33
    x = np.random.default_rng(4).integers(0, 256, (1, 3, 80, 80)).astype(np.float32)
    published, prepared = run(data, x, tmp_path / "a.onnx"), run(prepare(data), x, tmp_path / "b.onnx")
    np.testing.assert_allclose(prepared, published, atol=1e-5, rtol=1e-5)
