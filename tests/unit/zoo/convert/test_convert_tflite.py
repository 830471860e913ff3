"""The TensorFlow Lite converter, on small drawn networks that the TensorFlow Lite interpreter runs too."""

from typing import Any

import flatbuffers
import numpy as np
import onnx
import onnxruntime
import pytest
import tflite
from ai_edge_litert.interpreter import Interpreter

from lineament.core.errors import ModelError, WeightsCorrupt
from lineament.zoo.convert.tflite import convert

SAME, VALID = 0, 1
NONE, RELU, RELU6, TANH = 0, 1, 3, 4
TYPES = {"float32": 0, "float16": 1, "int32": 2}


class Draft:
    """Writes a TensorFlow Lite file with the builder functions of the schema."""

    def __init__(self, seed: int = 0) -> None:
        self.builder = flatbuffers.Builder(1024)
        self.tensors: list[tuple[tuple[int, ...], int, np.ndarray | None]] = []
        self.operators: list[tuple[int, list[int], list[int], Any, int]] = []
        self.codes: list[int] = []
        self.rng = np.random.default_rng(seed)

    def value(self, *shape: int) -> int:
        self.tensors.append((shape, 0, None))
        return len(self.tensors) - 1

    def constant(self, values: np.ndarray) -> int:
        self.tensors.append((values.shape, TYPES[str(values.dtype)], values))
        return len(self.tensors) - 1

    def weights(self, *shape: int, half: bool = False) -> int:
        values = self.rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape)
        if not half:
            return self.constant(values.astype(np.float32))
        return self.operator("DEQUANTIZE", [self.constant(values.astype(np.float16))], shape)

    def operator(self, name: str, inputs: list[int], shape: tuple[int, ...], **options: int) -> int:
        table = {"CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions"}
        table |= {
            "MAX_POOL_2D": "Pool2DOptions",
            "ADD": "AddOptions",
            "CONCATENATION": "ConcatenationOptions",
        }
        table |= {"RESIZE_BILINEAR": "ResizeBilinearOptions", "DEQUANTIZE": "DequantizeOptions"}
        table |= {"PAD": "PadOptions", "RESHAPE": "ReshapeOptions", "MEAN": "ReducerOptions"}
        content, kind = None, 0
        if name in table:
            getattr(tflite, f"{table[name]}Start")(self.builder)
            for field, number in options.items():
                getattr(tflite, f"{table[name]}Add{field}")(self.builder, number)
            content = getattr(tflite, f"{table[name]}End")(self.builder)
            kind = getattr(tflite.BuiltinOptions, table[name])
        code = getattr(tflite.BuiltinOperator, name)
        if code not in self.codes:
            self.codes.append(code)
        output = self.value(*shape)
        self.operators.append((self.codes.index(code), inputs, [output], content, kind))
        return output

    def conv(self, x: int, weights: int, shape: tuple[int, ...], **options: int) -> int:
        defaults = {"Padding": SAME, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
        name = "DEPTHWISE_CONV_2D" if "DepthMultiplier" in options else "CONV_2D"
        return self.operator(name, [x, weights, self.weights(shape[3])], shape, **(defaults | options))

    def integers(self, numbers: list[int]) -> int:
        return self.builder.CreateNumpyVector(np.array(numbers, np.int32))

    def offsets(self, start: Any, items: list[int]) -> int:
        start(self.builder, len(items))
        for item in reversed(items):
            self.builder.PrependUOffsetTRelative(item)
        return self.builder.EndVector()

    def finish(self, inputs: list[int], outputs: list[int]) -> bytes:
        b, buffers, tensors, operators, codes = self.builder, [], [], [], []
        raw = [None] + [None if v is None else b.CreateNumpyVector(np.frombuffer(v.tobytes(), np.uint8))
                        for _, _, v in self.tensors]  # fmt: skip
        for data in raw:
            tflite.BufferStart(b)
            if data is not None:
                tflite.BufferAddData(b, data)
            buffers.append(tflite.BufferEnd(b))
        for index, (shape, kind, _) in enumerate(self.tensors):
            name, sizes = b.CreateString(f"t{index}"), self.integers(list(shape))
            tflite.TensorStart(b)
            tflite.TensorAddShape(b, sizes)
            tflite.TensorAddType(b, kind)
            tflite.TensorAddBuffer(b, index + 1)
            tflite.TensorAddName(b, name)
            tensors.append(tflite.TensorEnd(b))
        for code, ins, outs, content, kind in self.operators:
            ins_at, outs_at = self.integers(ins), self.integers(outs)
            tflite.OperatorStart(b)
            tflite.OperatorAddOpcodeIndex(b, code)
            tflite.OperatorAddInputs(b, ins_at)
            tflite.OperatorAddOutputs(b, outs_at)
            if content is not None:
                tflite.OperatorAddBuiltinOptionsType(b, kind)
                tflite.OperatorAddBuiltinOptions(b, content)
            operators.append(tflite.OperatorEnd(b))
        for code in self.codes:
            tflite.OperatorCodeStart(b)
            tflite.OperatorCodeAddDeprecatedBuiltinCode(b, code)
            tflite.OperatorCodeAddBuiltinCode(b, code)
            tflite.OperatorCodeAddVersion(b, 1)
            codes.append(tflite.OperatorCodeEnd(b))
        lists = [self.offsets(tflite.SubGraphStartTensorsVector, tensors), self.integers(inputs),
                 self.integers(outputs), self.offsets(tflite.SubGraphStartOperatorsVector, operators)]  # fmt: skip
        tflite.SubGraphStart(b)
        for add, at in zip(("Tensors", "Inputs", "Outputs", "Operators"), lists, strict=True):
            getattr(tflite, f"SubGraphAdd{add}")(b, at)
        subgraphs = self.offsets(tflite.ModelStartSubgraphsVector, [tflite.SubGraphEnd(b)])
        codes_at = self.offsets(tflite.ModelStartOperatorCodesVector, codes)
        buffers_at = self.offsets(tflite.ModelStartBuffersVector, buffers)
        tflite.ModelStart(b)
        tflite.ModelAddVersion(b, 3)
        tflite.ModelAddOperatorCodes(b, codes_at)
        tflite.ModelAddSubgraphs(b, subgraphs)
        tflite.ModelAddBuffers(b, buffers_at)
        b.Finish(tflite.ModelEnd(b), file_identifier=b"TFL3")
        return bytes(b.Output())


def blaze(rows: int, columns: int) -> bytes:
    """Two anchors layers like BlazeFace: every supported operator once or more."""
    d = Draft(rows)
    h, w = -(-rows // 2), -(-columns // 2)
    x = d.value(1, rows, columns, 3)
    stem = d.conv(
        x, d.weights(6, 5, 5, 3, half=True), (1, h, w, 6), StrideH=2, StrideW=2, FusedActivationFunction=RELU
    )
    deep = d.conv(stem, d.weights(1, 3, 3, 6), (1, h, w, 6), DepthMultiplier=1, FusedActivationFunction=RELU6)
    wide = d.operator(
        "PAD", [deep, d.constant(np.array([[0, 0], [0, 0], [0, 0], [0, 2]], np.int32))], (1, h, w, 8)
    )
    point = d.conv(stem, d.weights(8, 1, 1, 6, half=True), (1, h, w, 8))
    both = d.operator("ADD", [point, wide], (1, h, w, 8), FusedActivationFunction=NONE)
    bent = d.operator(
        "PRELU", [both, d.constant(d.rng.uniform(-1, 1, (1, 1, 8)).astype(np.float32))], (1, h, w, 8)
    )
    h2, w2 = -(-h // 2), -(-w // 2)
    pooled = d.operator("MAX_POOL_2D", [bent], (1, h2, w2, 8), Padding=SAME, StrideH=2, StrideW=2,
                        FilterHeight=3, FilterWidth=3)  # fmt: skip
    up = d.operator("RESIZE_BILINEAR", [pooled, d.constant(np.array([2 * h2, 2 * w2], np.int32))],
                    (1, 2 * h2, 2 * w2, 8), HalfPixelCenters=1)  # fmt: skip
    rows_out, columns_out = 2 * h2 - 2, 2 * w2 - 2
    fine = d.conv(up, d.weights(16, 3, 3, 8), (1, rows_out, columns_out, 16), Padding=VALID)
    coarse = d.operator("RELU", [d.conv(pooled, d.weights(16, 1, 1, 8), (1, h2, w2, 16))], (1, h2, w2, 16))
    parts = []
    for value, count in ((fine, rows_out * columns_out), (coarse, h2 * w2)):
        shape = d.constant(np.array([1, count, 16], np.int32))
        parts.append(d.operator("RESHAPE", [value, shape], (1, count, 16)))
    total = rows_out * columns_out + h2 * w2
    boxes = d.operator("CONCATENATION", parts, (1, total, 16), Axis=1)
    head = d.conv(pooled, d.weights(1, 1, 1, 8), (1, h2, w2, 1))
    flat = d.operator("RESHAPE", [head, d.constant(np.array([1, h2 * w2, 1], np.int32))], (1, h2 * w2, 1))
    return d.finish([x], [boxes, d.operator("LOGISTIC", [flat], (1, h2 * w2, 1))])


def mesh() -> bytes:
    """A network whose output is a 1×1 map, with a depthwise convolution that doubles the channels."""
    d = Draft()
    x = d.value(1, 4, 4, 3)
    twice = d.conv(x, d.weights(1, 3, 3, 6), (1, 2, 2, 6), DepthMultiplier=2, StrideH=2, StrideW=2)
    return d.finish([x], [d.conv(twice, d.weights(1404, 2, 2, 6), (1, 1, 1, 1404), Padding=VALID)])


def odd(operator: str = "ADD", fused: int = NONE, shape: tuple[int, ...] = (1, 4, 4, 3)) -> bytes:
    d = Draft()
    x = d.value(1, 4, 4, 3)
    second = d.constant(np.ones((1, 4, 4, 3), np.float32)) if operator == "ADD" and fused == NONE else x
    options = {"FusedActivationFunction": fused} if operator == "ADD" else {}
    return d.finish([x], [d.operator(operator, [x, second], shape, **options)])


def interpreted(source: bytes, images: np.ndarray) -> list[np.ndarray]:
    interpreter = Interpreter(model_content=source, num_threads=1)
    interpreter.allocate_tensors()
    found: list[list[np.ndarray]] = []
    for image in images:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        found.append([interpreter.get_tensor(o["index"]) for o in interpreter.get_output_details()])
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


@pytest.mark.parametrize(("rows", "columns"), [(16, 16), (9, 12), (13, 7), (10, 15)])
def test_outputs_equal_those_of_the_interpreter(rows: int, columns: int) -> None:
    source = blaze(rows, columns)
    images = np.random.default_rng(1).uniform(-1, 1, (3, rows, columns, 3)).astype(np.float32)
    session = onnxruntime.InferenceSession(convert(source))
    assert [o.name for o in session.get_outputs()] == ["boxes", "scores"]
    found = session.run(None, {"image": images.transpose(0, 3, 1, 2).copy()})
    for want, have in zip(interpreted(source, images), found, strict=True):
        assert want.std() > 1e-3
        np.testing.assert_allclose(have, want, rtol=1e-4, atol=1e-5)


def test_a_map_of_one_cell_becomes_a_row() -> None:
    images = np.random.default_rng(1).uniform(0, 1, (5, 4, 4, 3)).astype(np.float32)
    session = onnxruntime.InferenceSession(convert(mesh()))
    (points,) = session.run(["points"], {"image": images.transpose(0, 3, 1, 2).copy()})
    (expected,) = interpreted(mesh(), images)
    np.testing.assert_allclose(points, expected.reshape(5, 1404), rtol=1e-4, atol=1e-5)


def test_graph_is_in_channel_order_but_where_it_is_flattened() -> None:
    graph = onnx.load_from_string(convert(blaze(16, 16))).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("Transpose") == kinds.count("Reshape") == 3
    assert "Identity" not in kinds
    weights = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    (prelu,) = (node for node in graph.node if node.op_type == "PRelu")
    assert weights[prelu.input[1]] == [8, 1, 1]


def test_conversion_is_deterministic() -> None:
    assert convert(blaze(16, 16)) == convert(blaze(16, 16))


@pytest.mark.parametrize(
    ("source", "what"),
    [
        (odd("MUL"), "operator MUL"),
        (odd("ADD", TANH), "activation 4"),
        (odd("TANH"), "operator TANH"),
    ],
)
def test_unknown_operators_are_named(source: bytes, what: str) -> None:
    with pytest.raises(ModelError, match=what):
        convert(source)


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\0\0\0\0TFL3", b"\x10\0\0\0TFL3" + b"\xff" * 200])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(WeightsCorrupt, match=r"expected .* got"):
        convert(data)


def test_sum_with_a_stored_tensor_is_refused() -> None:
    with pytest.raises(ModelError):
        convert(odd("ADD"))


def test_truncated_file_is_refused() -> None:
    source = blaze(16, 16)
    for cut in np.linspace(0, len(source) - 200, 60).astype(int):
        with pytest.raises(WeightsCorrupt):
            convert(source[:cut])


def test_mutated_file_is_refused_or_gives_a_sound_model() -> None:
    source, rng, refused = blaze(9, 12), np.random.default_rng(7), 0
    for _ in range(500):
        damaged = bytearray(source)
        for spot in rng.integers(len(source), size=3):
            damaged[spot] = int(rng.integers(256))
        try:
            onnx.checker.check_model(onnx.load_from_string(convert(bytes(damaged))))
        except ModelError:
            refused += 1
    assert refused > 100
