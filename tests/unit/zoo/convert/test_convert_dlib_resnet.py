"""The dlib reader, on files with drawn weights that dlib itself can load."""

import re
from pathlib import Path

import dlib
import numpy as np
import onnx
import onnxruntime
import pytest

from lineament.core.errors import WeightsCorrupt
from lineament.zoo.convert.dlib_resnet import MEAN, SCALE, convert


class Writer:
    """dlib's serialisation, written from the format and not from the reader under test."""

    def __init__(self, seed: int) -> None:
        self.parts: list[bytes] = []
        self.structure: list[tuple[int, int]] = []
        self.size = 0
        self.rng = np.random.default_rng(seed)

    def put(self, raw: bytes, structural: bool = True) -> None:
        if structural:
            self.structure.append((self.size, self.size + len(raw)))
        self.parts.append(raw)
        self.size += len(raw)

    def integers(self, *values: int) -> None:
        for value in values:
            length = max(1, (abs(value).bit_length() + 7) // 8)
            sign = 0x80 if value < 0 else 0
            self.put(bytes([length | sign]) + abs(value).to_bytes(length, "little"))

    def real(self, value: float) -> None:
        mantissa, exponent = np.frexp(np.float32(value))
        self.integers(int(mantissa * 2**24), int(exponent) - 24)

    def text(self, text: str) -> None:
        self.integers(len(text))
        self.put(text.encode())

    def tensor(self, values: np.ndarray, *shape: int) -> None:
        self.integers(2, *shape)
        self.put(values.astype("<f4").tobytes(), structural=False)

    def close_layer(self) -> None:
        self.put(b"110")
        for _ in range(3):
            self.tensor(np.zeros(0), 0, 0, 0, 0)

    def conv(self, inputs: int, outputs: int, size: int, stride: int) -> None:
        pad, fan_in = (size // 2 if stride == 1 else 0), inputs * size * size
        filters = self.rng.normal(0, np.sqrt(2 / fan_in), fan_in * outputs)
        self.text("con_4")
        count = fan_in * outputs + outputs
        self.tensor(np.append(filters, self.rng.normal(0, 0.05, outputs)), count, 1, 1, 1)
        self.integers(outputs, size, size, stride, stride, pad, pad)
        self.integers(1, outputs, inputs, size, size, 1, 1, outputs, 1, 1)
        for value in (1, 1, 1, 0):
            self.real(value)
        self.close_layer()

    def affine(self, channels: int) -> None:
        self.text("affine_")
        values = np.append(self.rng.uniform(0.5, 1.2, channels), self.rng.normal(0, 0.1, channels))
        self.tensor(values, 2 * channels, 1, 1, 1)
        self.integers(1, 1, channels, 1, 1, 1, 1, channels, 1, 1, 0)
        self.close_layer()

    def plain(self, text: str, *fields: int) -> None:
        self.text(text)
        self.integers(*fields)
        self.close_layer()

    def block(self, inputs: int, outputs: int, down: bool) -> None:
        self.conv(inputs, outputs, 3, 2 if down else 1)
        self.affine(outputs)
        self.plain("relu_")
        self.conv(outputs, outputs, 3, 1)
        self.affine(outputs)
        if down:
            self.plain("avg_pool_2", 2, 2, 2, 2, 0, 0)
        self.plain("add_prev_")
        self.plain("relu_")


VERSIONS_SAME = [2, 2, 2, 2, 2, 2, 2, 1]
VERSIONS_DOWN = [2, 2, 2, 1, 1, 2, 2, 2, 2, 2, 1]
BLOCKS = [(32, 32, False)] * 3 + [
    (32, 64, True),
    *[(64, 64, False)] * 3,
    (64, 128, True),
    *[(128, 128, False)] * 2,
    (128, 256, True),
    *[(256, 256, False)] * 2,
    (256, 256, True),
]


def write(seed: int) -> Writer:
    out = Writer(seed)
    out.integers(1)
    out.text("loss_metric_2")
    out.real(0.04)
    out.real(0.6)
    out.integers(2, 2)
    for _, _, down in reversed(BLOCKS):
        out.integers(*(VERSIONS_DOWN if down else VERSIONS_SAME))
    out.integers(2, 2, 2, 3)
    out.text("input_rgb_image_sized")
    for mean in (122.782, 117.001, 104.298):
        out.real(mean)
    out.integers(150, 150)
    out.conv(3, 32, 7, 2)
    out.integers(1)
    out.affine(32)
    out.plain("relu_")
    out.plain("max_pool_2", 3, 3, 2, 2, 0, 0)
    for inputs, outputs, down in BLOCKS:
        out.block(inputs, outputs, down)
    out.plain("avg_pool_2", 0, 0, 1, 1, 0, 0)
    out.text("fc_2")
    out.integers(128, 256)
    out.tensor(out.rng.normal(0, 0.1, 256 * 128), 256, 128, 1, 1)
    out.integers(1, 256, 128, 1, 1, 1, 0, 0, 0, 0, 1)
    for value in (1, 1, 1, 0):
        out.real(value)
    out.close_layer()
    return out


@pytest.fixture(scope="module")
def writer() -> Writer:
    return write(seed=5)


@pytest.fixture(scope="module")
def source(writer: Writer) -> bytes:
    return b"".join(writer.parts)


@pytest.fixture(scope="module")
def model(source: bytes) -> bytes:
    return convert(source)


def test_embeddings_equal_those_of_dlib(source: bytes, model: bytes, tmp_path: Path) -> None:
    path = tmp_path / "network.dat"
    path.write_bytes(source)
    chips = np.random.default_rng(1).integers(0, 256, (3, 150, 150, 3), np.uint8)
    network = dlib.face_recognition_model_v1(str(path))
    expected = np.array([network.compute_face_descriptor(chip) for chip in chips])
    batch = ((chips - np.array(MEAN)) / SCALE).transpose(0, 3, 1, 2).astype(np.float32)
    (found,) = onnxruntime.InferenceSession(model).run(None, {"image": batch})
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_graph_has_only_plain_layers_and_a_symbolic_batch(model: bytes) -> None:
    graph = onnx.load_from_string(model).graph
    plain = {"Conv", "Relu", "Add", "Pad", "MaxPool", "AveragePool", "GlobalAveragePool", "Flatten", "MatMul"}
    assert {node.op_type for node in graph.node} == plain
    assert sum(node.op_type == "Conv" for node in graph.node) == 29
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_conversion_is_deterministic(source: bytes, model: bytes) -> None:
    assert convert(source) == model


@pytest.mark.parametrize("cut", [0, 1, 5, 40, 290, 340, 5000, 19_300, 4_000_000, -20_000, -1])
def test_truncated_file_is_refused(source: bytes, cut: int) -> None:
    with pytest.raises(WeightsCorrupt, match=r"expected .* got"):
        convert(source[:cut])


def test_file_with_more_behind_the_end_is_refused(source: bytes) -> None:
    with pytest.raises(WeightsCorrupt, match=re.escape(f"the end at byte {len(source)}, got 1 more bytes")):
        convert(source + b"\0")


@pytest.mark.parametrize("data", [b"", b"\x80", b"PK\x03\x04" * 100, bytes(1000), b"\xff" * 1000])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(WeightsCorrupt):
        convert(data)


def test_weights_that_are_no_numbers_are_refused(source: bytes) -> None:
    damaged = bytearray(source)
    damaged[1000:1400] = b"\xff" * 400
    with pytest.raises(WeightsCorrupt, match="finite weights"):
        convert(bytes(damaged))


def test_mutated_structure_is_refused_or_gives_the_same_network(writer: Writer, source: bytes) -> None:
    rng = np.random.default_rng(3)
    spots = np.concatenate([np.arange(*span) for span in writer.structure])
    refused = 0
    for spot in rng.choice(spots, 60, replace=False):
        damaged = bytearray(source)
        damaged[spot] ^= 1 << int(rng.integers(8))
        try:
            converted = convert(bytes(damaged))
        except WeightsCorrupt:
            refused += 1
        else:
            assert onnx.load_from_string(converted).graph.output[0].name == "embedding"
    assert refused > 40
