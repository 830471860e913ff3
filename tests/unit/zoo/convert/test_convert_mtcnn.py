"""The MTCNN converter on drawn weights, and its array reader on hostile files."""

import io
import pickle

import joblib
import lz4.frame
import numpy as np
import onnx
import onnxruntime
import pytest

from lineament.core.errors import WeightsCorrupt
from lineament.zoo.convert.joblib_arrays import MAX_BYTES, read_arrays
from lineament.zoo.convert.mtcnn import convert

PNET = [
    (3, 3, 3, 10),
    (10,),
    (1, 1, 10),
    (3, 3, 10, 16),
    (16,),
    (1, 1, 16),
    (3, 3, 16, 32),
    (32,),
    (1, 1, 32),
]
PNET += [(1, 1, 32, 4), (4,), (1, 1, 32, 2), (2,)]
RNET = [
    (3, 3, 3, 28),
    (28,),
    (1, 1, 28),
    (3, 3, 28, 48),
    (48,),
    (1, 1, 48),
    (2, 2, 48, 64),
    (64,),
    (1, 1, 64),
]
RNET += [(576, 128), (128,), (128,), (128, 4), (4,), (128, 2), (2,)]


def drawn(shapes: list[tuple[int, ...]], seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    scale = [1 / np.sqrt(np.prod(s[:-1])) if len(s) in (2, 4) else 0.2 for s in shapes]
    return [rng.normal(0, d, s).astype(np.float32) for s, d in zip(shapes, scale, strict=True)]


def packed(value: object) -> bytes:
    """Uncompressed joblib content."""
    buffer = io.BytesIO()
    joblib.dump(value, buffer, protocol=4)
    return buffer.getvalue()


def written(value: object) -> bytes:
    return lz4.frame.compress(packed(value))


def convolved(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Valid convolution and PReLU of one (H, W, C) map, cell by cell."""
    h, w = kernel.shape[:2]
    rows, columns = x.shape[0] - h + 1, x.shape[1] - w + 1
    out = np.array(
        [
            [np.tensordot(x[r : r + h, c : c + w], kernel, 3) + bias for c in range(columns)]
            for r in range(rows)
        ]
    )
    return np.where(out > 0, out, out * slopes)


def pooled(x: np.ndarray, window: int) -> np.ndarray:
    """Max pooling of step 2 where the last window may reach over the edge, as Caffe rounds."""
    rows, columns = (int(np.ceil((n - window) / 2)) + 1 for n in x.shape[:2])
    cells = [[x[2 * r :][:window, 2 * c :][:, :window] for c in range(columns)] for r in range(rows)]
    return np.array([[cell.max(axis=(0, 1)) for cell in row] for row in cells])


def face_probability(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits)
    return e[..., 1] / e.sum(axis=-1)


@pytest.mark.parametrize(("rows", "columns"), [(12, 12), (15, 20), (21, 14)])
def test_pnet_equals_its_layers_at_any_size(rows: int, columns: int) -> None:
    w = drawn(PNET)
    image = np.random.default_rng(1).uniform(-1, 1, (rows, columns, 3)).astype(np.float32)
    x = convolved(convolved(pooled(convolved(image, *w[:3]), 2), *w[3:6]), *w[6:9])
    session = onnxruntime.InferenceSession(convert(written(w)))
    boxes, scores = session.run(["boxes", "scores"], {"image": image.transpose(2, 0, 1)[None].copy()})
    np.testing.assert_allclose(boxes[0].transpose(1, 2, 0), x @ w[9][0, 0] + w[10], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(scores[0, 0], face_probability(x @ w[11][0, 0] + w[12]), rtol=1e-4, atol=1e-5)


def test_rnet_equals_its_layers_and_flattens_columns_first() -> None:
    w = drawn(RNET)
    images = np.random.default_rng(2).uniform(-1, 1, (2, 24, 24, 3)).astype(np.float32)
    session = onnxruntime.InferenceSession(convert(written(w)))
    found = session.run(["boxes", "scores"], {"image": images.transpose(0, 3, 1, 2).copy()})
    for image, boxes, scores in zip(images, *found, strict=True):
        x = pooled(convolved(pooled(convolved(image, *w[:3]), 3), *w[3:6]), 3)
        flat = convolved(x, *w[6:9]).transpose(1, 0, 2).reshape(-1) @ w[9] + w[10]
        flat = np.where(flat > 0, flat, flat * w[11])
        np.testing.assert_allclose(boxes, flat @ w[12] + w[13], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(scores, [face_probability(flat @ w[14] + w[15])], rtol=1e-4, atol=1e-5)


def test_graph_has_symbolic_sizes_and_direct_slopes() -> None:
    graph = onnx.load_from_string(convert(written(drawn(PNET)))).graph
    dims = [d.dim_param or d.dim_value for d in graph.input[0].type.tensor_type.shape.dim]
    assert dims == ["batch", 3, "height", "width"]
    weights = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    slopes = [weights[node.input[1]] for node in graph.node if node.op_type == "PRelu"]
    assert slopes == [[10, 1, 1], [16, 1, 1], [32, 1, 1]]


def test_conversion_is_deterministic() -> None:
    data = written(drawn(RNET))
    assert convert(data) == convert(data)


def test_reader_gives_what_was_written() -> None:
    arrays = drawn(PNET, seed=9)
    for want, have in zip(arrays, read_arrays(written(arrays)), strict=True):
        np.testing.assert_array_equal(have, want)


def test_arrays_of_another_network_are_refused() -> None:
    with pytest.raises(WeightsCorrupt, match="P-Net, R-Net or O-Net"):
        convert(written(drawn(PNET)[:-1]))


class Bomb:
    """Would call a function if anything unpickled it."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("the file was executed",))


@pytest.mark.parametrize(
    "value",
    [
        [Bomb()],
        {"a": 1},
        [1, 2],
        "text",
        [np.zeros(3, np.float64)],
        [np.zeros((2, 3), np.float32, order="F")],
        [np.array([None, "x"], object)],
        [np.array([1.0, np.nan], np.float32)],
    ],
)
def test_anything_but_float32_arrays_is_refused(value: object) -> None:
    with pytest.raises(WeightsCorrupt, match=r"expected .* got"):
        read_arrays(written(value))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x05N.",
        b"\x80\x04N.more",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93)R.",
        b"\x80\x04" + b")" + b"\x85" * 200_000 + b"}\x93.",
        b"\x80\x04K\x01\x94" + b"h\x00h\x00\x86\x94" * 60 + b"}\x93.",
        b"\x80\x04](((.",
        b"\x80\x04\x8c\x03\xff\xfe\xfd.",
        b"cos\nsystem\n.",
    ],
)
def test_hostile_content_is_refused(content: bytes) -> None:
    with pytest.raises(WeightsCorrupt):
        read_arrays(lz4.frame.compress(content))


def test_other_bytes_bombs_and_cut_files_are_refused() -> None:
    data = written(drawn(PNET))
    cuts = [data[:cut] for cut in np.linspace(0, len(data) - 1, 20).astype(int)]
    for bad in [b"\xff" * 50, data + b"\0", lz4.frame.compress(bytes(MAX_BYTES + 1)), *cuts]:
        with pytest.raises(WeightsCorrupt):
            convert(bad)


def test_plain_pickles_are_refused() -> None:
    with pytest.raises(WeightsCorrupt):
        convert(pickle.dumps(drawn(PNET)))


def test_mutated_content_is_refused_or_gives_a_sound_model() -> None:
    content, rng, refused = packed(drawn(PNET)), np.random.default_rng(5), 0
    # Almost all bytes are weights; the first 230 and the end hold most of the structure.
    spots = np.concatenate([rng.integers(230, size=300), rng.integers(len(content), size=100)])
    for spot in spots:
        damaged = bytearray(content)
        damaged[spot] = int(rng.integers(256))
        try:
            model = convert(lz4.frame.compress(bytes(damaged)))
        except WeightsCorrupt:
            refused += 1
        else:
            onnx.checker.check_model(onnx.load_from_string(model))
    assert refused > 200
