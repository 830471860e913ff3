"""A torch network as a model of the zoo: same vectors, whole folder, usable by name."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from lineament.core.errors import ConfigError, ManifestError, ModelError
from lineament.embedding import load_embedder
from lineament.embedding.training.config import InputConfig
from lineament.embedding.training.export import export_embedder
from lineament.embedding.training.quantise import CheckPairs, quantise_export
from lineament.embedding.training.task import embed
from lineament.embedding.training.to_onnx import to_onnx
from lineament.imaging import decode_image
from lineament.nets import OnnxModule, build_backbone
from lineament.zoo.card import ExportCard
from lineament.zoo.exporting import runtimes, whole_folder
from lineament.zoo.fold import fold_batch_norms, own_constants
from lineament.zoo.golden import check_golden
from lineament.zoo.manifest import Licence, Metric, list_models, parse_manifest
from lineament.zoo.session import Runtime, open_session
from lineament.zoo.user import add_model

CROP = InputConfig(height_px=48, width_px=48, mean=(127.5, 120.0, 110.0), std=(128.0, 64.0, 130.0))
LICENCE = Licence(code="Apache-2.0", weights="Apache-2.0", data="drawn", commercial_use=True)
CARD = ExportCard(
    name="small.test",
    summary="A small network, 16 numbers.",
    publisher="the tests",
    licence=LICENCE,
    data="nothing: random weights",
    recipe="none",
    config_digest="0" * 12,
    metrics=(
        Metric(
            name="accuracy",
            value=0.5,
            interval95=(0.4, 0.6),
            protocol="coins",
            measured_by="us",
            report="r.json",
        ),
    ),
    limits=("knows nothing",),
)


def small(side: int = 48, width: int = 48) -> nn.Sequential:
    """Convolution, depthwise convolution, linear layer, each with batch normalisation; PReLUs with equal slopes."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.PReLU(8),
        nn.Conv2d(8, 8, 3, 2, 1, groups=8), nn.BatchNorm2d(8), nn.PReLU(8),
        nn.Dropout(0.5), nn.Flatten(), nn.Linear(8 * (side // 4) * (width // 4), 16, bias=False), nn.BatchNorm1d(16),
    )  # fmt: skip
    return settle(net, side, width)


def settle(net: nn.Module, side: int, width: int) -> nn.Module:
    """Statistics as after training: not the ones and zeros of a fresh network."""
    for layer in net.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            if isinstance(layer.weight, nn.Parameter):
                nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.1)
    net.train()
    with torch.no_grad():
        for _ in range(3):
            net(torch.rand(8, 3, side, width) * 2 - 1)
    return net


def drawn(count: int, side: int = 48) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, side, side, 3), np.uint8)


def run_onnx(model: onnx.ModelProto, x: np.ndarray, folder: Path) -> np.ndarray:
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return open_session(path, Runtime("onnxruntime", threads=1)).run({"input": x})["embedding"]


def test_graph_is_folded_and_takes_any_batch(tmp_path: Path) -> None:
    net = small()
    model = to_onnx(net, 48)
    assert net.training
    kinds = [n.op_type for n in model.graph.node]
    assert kinds == ["Conv", "PRelu", "Conv", "PRelu", "Flatten", "Gemm"]
    slopes = [n.input[1] for n in model.graph.node if n.op_type == "PRelu"]
    sizes = {t.name: list(t.dims) for t in model.graph.initializer}
    assert len(set(slopes)) == 2
    assert [sizes[s] for s in slopes] == [[8, 1, 1], [8, 1, 1]]
    assert model.opset_import[0].version == 17
    assert "/" not in "".join(n.doc_string for n in model.graph.node)
    net.eval()
    for count in (1, 2, 5):
        x = torch.randn(count, 3, 48, 48)
        expected = net(x).detach().numpy()
        np.testing.assert_allclose(run_onnx(model, x.numpy(), tmp_path), expected, rtol=1e-4, atol=1e-5)


class NotExportable(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.lstsq(x.flatten(1), x.flatten(1)).solution


class BatchDependent(nn.Module):
    """Subtracts the mean of the batch, in evaluation mode too."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * 48 * 48, 16)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x.flatten(1))
        return y + 0.01 * torch.randn(y.shape[1]) if torch.jit.is_tracing() else y


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="NotExportable"):
        to_onnx(NotExportable(), 48)
    with pytest.raises(ModelError, match="what it gives in torch"):
        export_embedder(BatchDependent(), tmp_path / "out", CARD, CROP, drawn(2))
    assert list(tmp_path.iterdir()) == []


def hand_made(
    layers: list[onnx.NodeProto], constants: dict[str, np.ndarray], axes: int = 4
) -> onnx.ModelProto:
    graph = helper.make_graph(
        layers,
        "g",
        [helper.make_tensor_value_info("input", 1, ["n", 4, 5, 5])],
        [helper.make_tensor_value_info("embedding", 1, ["n", 4, 5, 5][:axes])],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


NORM = ["gain", "shift", "mean", "variance"]


@pytest.mark.parametrize(
    ("nodes", "folded"),
    [
        ([("Conv", ["input", "w"], "a"), ("BatchNormalization", ["a", *NORM], "embedding")], 1),
        ([("Conv", ["input", "w", "b"], "a"), ("BatchNormalization", ["a", *NORM], "embedding")], 1),
        # after folding the first, the second follows the same layer
        (
            [
                ("Conv", ["input", "w"], "a"),
                ("BatchNormalization", ["a", *NORM], "c"),
                ("BatchNormalization", ["c", *NORM], "embedding"),
            ],
            2,
        ),
        # padding makes this one inexact
        ([("BatchNormalization", ["input", *NORM], "a"), ("Conv", ["a", "w"], "embedding")], 0),
        # the raw output of the layer is used as well
        (
            [
                ("Conv", ["input", "w"], "a"),
                ("BatchNormalization", ["a", *NORM], "c"),
                ("Add", ["a", "c"], "embedding"),
            ],
            0,
        ),
        # a transposed linear layer
        (
            [
                ("GlobalAveragePool", ["input"], "p"),
                ("Flatten", ["p"], "f"),
                ("MatMul", ["f", "m"], "a"),
                ("BatchNormalization", ["a", *NORM], "embedding"),
            ],
            1,
        ),
    ],
)
def test_folding_is_exact(tmp_path: Path, nodes: list, folded: int) -> None:
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.normal(size=(4, 4, 3, 3)),
        "b": rng.normal(size=4),
        "m": rng.normal(size=(4, 4)),
        "gain": rng.uniform(-2, 2, 4),
        "shift": rng.normal(size=4),
        "mean": rng.normal(size=4),
        "variance": rng.uniform(0.1, 3, 4),
    }
    made = [
        helper.make_node(op, given, [out], **({"pads": [1] * 4} if op == "Conv" else {}), name=f"{op}{i}")
        for i, (op, given, out) in enumerate(nodes)
    ]
    used = {name for _, given, _ in nodes for name in given}
    axes = 2 if "m" in used else 4
    model = hand_made(made, {k: v for k, v in constants.items() if k in used}, axes)
    x = rng.normal(size=(3, 4, 5, 5)).astype(np.float32)
    before = run_onnx(model, x, tmp_path)
    assert fold_batch_norms(model) == folded
    onnx.checker.check_model(model)
    left = sum(n.op_type == "BatchNormalization" for n in model.graph.node)
    assert left == sum(op == "BatchNormalization" for op, _, _ in nodes) - folded
    np.testing.assert_allclose(run_onnx(model, x, tmp_path), before, rtol=1e-4, atol=1e-4)


def test_shared_constants_become_their_own(tmp_path: Path) -> None:
    value = np.arange(1, 5, dtype=np.float32).reshape(4, 1, 1)
    nodes = [
        helper.make_node("Identity", ["s"], ["t"]),
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(value)),
        helper.make_node("PRelu", ["input", "s"], ["a"]),
        helper.make_node("PRelu", ["a", "t"], ["b"]),
        helper.make_node("Mul", ["b", "s"], ["d"]),
        helper.make_node("Mul", ["d", "c"], ["embedding"]),
    ]
    model = hand_made(nodes, {"s": value})
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 5)).astype(np.float32)
    before = run_onnx(model, x, tmp_path)
    own_constants(model)
    assert [n.op_type for n in model.graph.node] == ["PRelu", "PRelu", "Mul", "Mul"]
    names = [n.input[1] for n in model.graph.node]
    assert len(set(names)) == 4
    assert sorted(t.name for t in model.graph.initializer) == sorted(names)
    np.testing.assert_array_equal(run_onnx(model, x, tmp_path), before)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("MODELS", "CACHE", "CONFIG", "CALIBRATION"):
        monkeypatch.setenv(f"LINEAMENT_{name}", str(tmp_path / name.lower()))
    list_models.cache_clear()
    yield tmp_path
    list_models.cache_clear()


def test_export_is_a_model_of_the_zoo(own: Path) -> None:
    net, crops = small(), drawn(5)
    made = export_embedder(net, own / "export", CARD, CROP, crops)
    assert {p.name for p in made.folder.iterdir()} == {
        "model.onnx", "golden.npz", "manifest.toml", "MODEL_CARD.md"
    }  # fmt: skip
    manifest = parse_manifest((made.folder / "manifest.toml").read_text(), "export")
    assert manifest == made.manifest
    assert (manifest.input, manifest.dimension, manifest.metric) == (CROP.spec, 16, CARD.metrics)
    assert manifest.weights[0].sha256 == hashlib.sha256((made.folder / "model.onnx").read_bytes()).hexdigest()
    f32 = [a for a in made.agreements if a.precision == "f32"]
    assert {a.runtime for a in f32} == {r.backend for r in runtimes()}
    assert all(a.min_cosine > 0.999999 and a.max_difference < 1e-5 and a.crops == 13 for a in f32)
    card = (made.folder / "MODEL_CARD.md").read_text()
    for said in (
        "# small.test",
        "knows nothing",
        "accuracy 0.5 [0.4, 0.6]",
        "`r.json`",
        "onnxruntime f32",
        "drawn",
    ):
        assert said in card
    add_model(made.folder)
    trained = embed(net, crops, CROP)
    found = load_embedder("small.test", Runtime("onnxruntime", threads=1)).embed(crops)
    np.testing.assert_allclose(found, trained, atol=1e-5)


def test_golden_vectors_find_another_network(own: Path) -> None:
    made = export_embedder(small(), own / "export", CARD, CROP, drawn(1))
    placed = add_model(made.folder).manifest
    torch.manual_seed(9)
    other = to_onnx(settle(nn.Sequential(nn.Flatten(), nn.Linear(3 * 48 * 48, 16)), 48, 48), 48)
    for model, sound in ((other, False), (to_onnx(small(), 48), True)):
        path = own / "x.onnx"
        path.write_bytes(model.SerializeToString())
        result = check_golden(placed, {"model": open_session(path, Runtime("onnxruntime", threads=1))})
        assert bool(result.faults) is not sound


def test_narrow_network_takes_square_crops(own: Path) -> None:
    crop = replace(CROP, width_px=32)
    net = small(48, 32)
    made = export_embedder(net, own / "export", CARD, crop, drawn(3))
    assert made.manifest.input.shape == ("batch", 3, 48, 48)
    add_model(made.folder)
    found = load_embedder("small.test", Runtime("onnxruntime", threads=1)).embed(drawn(4))
    np.testing.assert_allclose(found, embed(net, drawn(4), crop), atol=1e-5)


def test_module_from_a_graph_can_be_exported_again(own: Path) -> None:
    first = to_onnx(small(), 48)
    module = OnnxModule(first)
    made = export_embedder(module, own / "again", CARD, CROP, drawn(2))
    x = np.random.default_rng(0).normal(size=(3, 3, 48, 48)).astype(np.float32)
    again = onnx.load(str(made.folder / "model.onnx"))
    np.testing.assert_allclose(run_onnx(again, x, own), run_onnx(first, x, own), rtol=1e-4, atol=1e-5)


def test_answers_must_be_given() -> None:
    with pytest.raises(ValueError, match=r"data is empty; licence\.weights is empty"):
        replace(CARD, data="", licence=LICENCE.model_copy(update={"weights": ""}))
    with pytest.raises(ValueError, match="accuracy names no report"):
        replace(CARD, metrics=(CARD.metrics[0].model_copy(update={"report": ""}),))


def test_crops_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one crop"):
        export_embedder(small(), tmp_path / "out", CARD, CROP, drawn(0))
    with pytest.raises(ValueError, match=r"crops must be \(N, 48, 48, 3\)"):
        export_embedder(small(), tmp_path / "out", CARD, CROP, drawn(1, 49))


def write_until_full(out: Path) -> None:
    with whole_folder(out) as folder:
        (folder / "manifest.toml").write_text("new")
        raise OSError(28, "No space left on device")


def test_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="No space left"):
        write_until_full(out)
    assert list(tmp_path.iterdir()) == []
    for text in ("first", "second"):
        with whole_folder(out) as folder:
            (folder / "manifest.toml").write_text(text)
        assert (out / "manifest.toml").read_text() == text
    with pytest.raises(ConfigError, match="No space left"):
        write_until_full(out)
    assert (out / "manifest.toml").read_text() == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    with pytest.raises(ConfigError, match="choose another"), whole_folder(tmp_path / "photos"):
        pass
    assert (tmp_path / "photos" / "a.jpg").is_file()


def check_pairs(count: int = 20) -> CheckPairs:
    """Mated: a crop and the same one with noise."""
    rng = np.random.default_rng(4)
    left = drawn(count)
    noisy = np.clip(left + rng.integers(-20, 21, left.shape), 0, 255).astype(np.uint8)
    mated = np.arange(count) % 2 == 0
    right = np.where(mated[:, None, None, None], noisy, left[::-1])
    return CheckPairs(left, right, mated, 0.2, "drawn crops")


def test_int8(own: Path) -> None:
    made = export_embedder(small(), own / "export", CARD, CROP, drawn(2))
    pairs = check_pairs()
    found = quantise_export(made.folder, own / "int8", drawn(40), pairs)
    assert found.manifest.name == "small.test-int8"
    assert found.manifest.digest() != made.manifest.digest()
    model = onnx.load(str(found.folder / "model.onnx"))
    kinds = {n.op_type for n in model.graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    cost = found.costs[0]
    assert cost.runtime == "onnxruntime"
    add_model(made.folder)
    add_model(found.folder)
    exact, int8 = (
        load_embedder(n, Runtime("onnxruntime", threads=1)) for n in ("small.test", "small.test-int8")
    )
    sides = [(e.embed(pairs.left), e.embed(pairs.right)) for e in (exact, int8)]
    cosines = np.concatenate([(a * b).sum(1) for a, b in zip(*sides, strict=True)])
    assert (cost.mean_cosine, cost.min_cosine) == pytest.approx((cosines.mean(), cosines.min()), abs=1e-6)
    assert cost.min_cosine > 0.9
    scores = [(a.astype(float) * b).sum(1) for a, b in sides]
    tars = []
    for s in scores:
        allowed = sorted(s[~pairs.mated])[-3]  # two of ten non-mated pairs may be accepted
        tars.append(float((s[pairs.mated] > allowed).mean()))
    assert [cost.tar_f32, cost.tar] == tars
    values = {m.name: m.value for m in found.manifest.metric if m.protocol.endswith("onnxruntime")}
    assert values["mean_cosine_to_f32"] == cost.mean_cosine
    card = (found.folder / "MODEL_CARD.md").read_text()
    assert card.startswith("# small.test-int8\n")
    assert "Card of small.test, from which it was made" in card


def test_int8_of_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="expected an exported model"):
        quantise_export(tmp_path, tmp_path / "out", drawn(2), check_pairs())
    with pytest.raises(ValueError, match="both mated and non-mated"):
        CheckPairs(drawn(2), drawn(2), np.array([True, True]), 0.1, "x")


REAL = {
    "mobilefacenet": (112, 112),
    "sphere_resnet20": (112, 96),
    "inception_resnet_v1": (160, 160),
    "iresnet50": (112, 112),
    "thin_net16": (48, 48),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(REAL))
def test_real_networks_on_real_crops(name: str, tmp_path: Path, shared: Path, read_faces: Callable) -> None:
    height, width = REAL[name]
    torch.manual_seed(0)
    net = settle(build_backbone(name, (height, width), 128), height, width)
    crop = InputConfig(height_px=height, width_px=width)
    made = export_embedder(net, tmp_path / "out", CARD, crop, read_faces(shared, height))
    assert made.agreements
    left = {n.op_type for n in onnx.load(str(made.folder / "model.onnx")).graph.node}
    assert ("BatchNormalization" in left) is name.startswith(
        "iresnet"
    )  # there it comes before padded convolutions


@pytest.fixture
def read_faces() -> Callable[[Path, int], np.ndarray]:
    """Eight aligned faces, resized."""

    def read(shared: Path, side: int) -> np.ndarray:
        import zipfile

        import cv2

        with zipfile.ZipFile(shared / "data" / "train_celeba112" / "train_celeba112.zip") as archive:
            names = [n for n in sorted(archive.namelist()) if n.endswith(".jpg")][::600][:8]
            faces = [decode_image(archive.read(n)).pixels for n in names]
        return np.stack([cv2.resize(f, (side, side)) for f in faces])

    return read
