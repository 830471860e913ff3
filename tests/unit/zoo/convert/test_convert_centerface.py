"""The CenterFace converter, on a drawn network of the same layers and the same fixed sizes."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from lineament.core.errors import WeightsCorrupt
from lineament.zoo.convert.centerface import convert

HEADS = {"537": 1, "538": 2, "539": 2, "540": 10}
WIDTH = 4


class Draft:
    """Builds the network as its publisher exported it: weights among the inputs, sizes fixed."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.rng = np.random.default_rng(2)
        self.left = {"Conv": 60 - len(HEADS), "Relu": 42, "Add": 13}

    def weight(self, values: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def drawn(self, *shape: int) -> str:
        scale = 1 / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.1
        return self.weight(self.rng.normal(0, scale, shape).astype(np.float32))

    def node(self, op: str, *inputs: str, output: str = "", **attributes: object) -> str:
        name = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        if op in self.left:
            self.left[op] -= 1
        return name

    def conv(self, x: str, inputs: int, outputs: int, size: int, stride: int, output: str = "") -> str:
        pads, steps = [size // 2] * 4, [stride, stride]
        weights = [self.drawn(outputs, inputs, size, size), self.drawn(outputs)]
        return self.node(
            "Conv", x, *weights, output=output, kernel_shape=[size] * 2, pads=pads, strides=steps
        )


def network() -> onnx.ModelProto:
    draft = Draft()
    levels, x, channels = [], "input.1", 3
    for _ in range(5):
        x, channels = draft.conv(x, channels, WIDTH, 3, 2), WIDTH
        levels.append(x)
    while draft.left["Conv"] or draft.left["Relu"] or draft.left["Add"] > 3:
        start = x
        if draft.left["Conv"]:
            x = draft.conv(x, WIDTH, WIDTH, 1, 1)
        if draft.left["Relu"]:
            x = draft.node("Relu", x)
        if draft.left["Add"] > 3:
            x = draft.node("Add", x, start)
    for level in (3, 2, 1):
        up = draft.node(
            "ConvTranspose", x, draft.drawn(WIDTH, WIDTH, 2, 2), kernel_shape=[2, 2], strides=[2, 2]
        )
        positive = draft.weight(draft.rng.uniform(0.5, 1.5, WIDTH).astype(np.float32))
        statistics = [positive, draft.drawn(WIDTH), draft.drawn(WIDTH), positive]
        up = draft.node("BatchNormalization", up, *statistics, epsilon=1e-5, momentum=0.9)
        x = draft.node("Add", up, levels[level])
    for name, outputs in HEADS.items():
        head = draft.conv(x, WIDTH, outputs, 1, 1, output="" if name == "537" else name)
        if name == "537":
            draft.node("Sigmoid", head, output=name)
    draft.weights.append(numpy_helper.from_array(np.array(7, np.int64), "steps"))
    values = [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, (10, 3, 32, 32))]
    values += [helper.make_tensor_value_info(w.name, w.data_type, w.dims) for w in draft.weights]
    outputs_info = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, (10, c, 8, 8)) for n, c in HEADS.items()
    ]
    graph = helper.make_graph(draft.nodes, "torch-jit-export", values, outputs_info, draft.weights)
    return helper.make_model(graph, ir_version=4, opset_imports=[helper.make_opsetid("", 9)])


@pytest.fixture(scope="module")
def source() -> bytes:
    return network().SerializeToString()


def session(data: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(data, options)


def test_same_outputs_at_the_published_size(source: bytes) -> None:
    images = np.random.default_rng(0).uniform(0, 255, (10, 3, 32, 32)).astype(np.float32)
    expected = session(source).run(None, {"input.1": images})
    found = session(convert(source)).run(["heatmap", "scale", "offset", "landmarks"], {"image": images})
    for want, have in zip(expected, found, strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-4, atol=1e-4 * np.abs(want).max())


def test_same_outputs_at_another_size(source: bytes) -> None:
    resized = onnx.load_from_string(source)
    for value, scale in ((resized.graph.input[0], 1), *((o, 4) for o in resized.graph.output)):
        for index, size in ((0, 1), (2, 64 // scale), (3, 96 // scale)):
            value.type.tensor_type.shape.dim[index].dim_value = size
    images = np.random.default_rng(1).uniform(0, 255, (1, 3, 64, 96)).astype(np.float32)
    expected = session(resized.SerializeToString()).run(None, {"input.1": images})
    found = session(convert(source)).run(None, {"image": images})
    assert found[0].shape == (1, 1, 16, 24)
    for want, have in zip(expected, found, strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-4, atol=1e-4 * np.abs(want).max())


def test_weights_are_no_inputs_and_sizes_are_symbolic(source: bytes) -> None:
    graph = onnx.load_from_string(convert(source)).graph
    assert [value.name for value in graph.input] == ["image"]
    dims = [d.dim_param or d.dim_value for d in graph.input[0].type.tensor_type.shape.dim]
    assert dims == ["batch", 3, "height", "width"]
    assert all(tensor.data_type == TensorProto.FLOAT for tensor in graph.initializer)


def test_conversion_is_deterministic(source: bytes) -> None:
    assert convert(source) == convert(source)


@pytest.mark.parametrize("data", [b"", b"no model", b"\xff" * 100])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(WeightsCorrupt, match=r"expected .* got"):
        convert(data)


def test_truncated_file_is_refused(source: bytes) -> None:
    for cut in np.linspace(1, len(source) - 1, 25).astype(int):
        with pytest.raises(WeightsCorrupt):
            convert(source[:cut])


def test_other_network_is_refused(source: bytes) -> None:
    model = onnx.load_from_string(source)
    del model.graph.node[5]
    with pytest.raises(WeightsCorrupt, match="layers"):
        convert(model.SerializeToString())


def test_weights_in_another_file_are_refused(source: bytes) -> None:
    model = onnx.load_from_string(source)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/hostname")
    with pytest.raises(WeightsCorrupt, match="inside the file"):
        convert(model.SerializeToString())


def test_mutated_file_is_refused_or_gives_a_sound_model(source: bytes) -> None:
    rng = np.random.default_rng(4)
    refused = 0
    for _ in range(150):
        damaged = bytearray(source)
        damaged[int(rng.integers(len(source)))] = int(rng.integers(256))
        try:
            onnx.checker.check_model(onnx.load_from_string(convert(bytes(damaged))))
        except WeightsCorrupt:
            refused += 1
    assert refused > 20
