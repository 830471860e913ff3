"""The embedder against the same arithmetic written out, on a small network with known weights."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from lineament.core.arrays import FloatArray, ImageArray
from lineament.core.errors import BadArray, ManifestError
from lineament.embedding import OnnxEmbedder
from lineament.zoo.loading import LoadedModel
from lineament.zoo.manifest import InputSpec, Manifest, parse_manifest
from lineament.zoo.session import Runtime, open_session

SIZE, DIMENSION = 8, 6
MANIFEST = f"""
schema = 1
name = "linear"
task = "embedding"
factory = "lineament.embedding.onnx:OnnxEmbedder"
summary = "One matrix"
publisher = "this test"
dimension = {DIMENSION}
weights = [{{ file = "linear.onnx", sha256 = "{"0" * 64}", bytes = 1 }}]
licence = {{ code = "Apache-2.0", weights = "Apache-2.0", data = "none", commercial_use = true }}
[input]
colour = "BGR"
shape = ["batch", 3, {SIZE}, {SIZE}]
mean = [1.0, 2.0, 3.0]
std = [10.0, 20.0, 40.0]
template = "arcface-112"
"""


@pytest.fixture(scope="module")
def matrix() -> FloatArray:
    return np.random.default_rng(0).normal(size=(3 * SIZE * SIZE, DIMENSION)).astype(np.float32)


@pytest.fixture(scope="module")
def model(matrix: FloatArray, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    nodes = [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", DIMENSION])],
        [numpy_helper.from_array(matrix, "w")],
    )
    path: Path = tmp_path_factory.mktemp("linear") / "linear.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    session = open_session(path, Runtime("onnxruntime", threads=1))
    return LoadedModel(parse_manifest(MANIFEST, "linear.toml"), {"model": session})


@pytest.fixture(scope="module")
def crops() -> ImageArray:
    return np.random.default_rng(1).integers(0, 256, (70, SIZE, SIZE, 3), np.uint8)


def slow_unit_vector(crop: ImageArray, matrix: FloatArray) -> FloatArray:
    planes = []
    for channel, mean, std in zip((2, 1, 0), (1.0, 2.0, 3.0), (10.0, 20.0, 40.0), strict=True):
        planes.append((crop[:, :, channel].astype(np.float64) - mean) / std)
    features = np.concatenate([p.ravel() for p in planes]) @ matrix.astype(np.float64)
    return np.asarray(features / np.sqrt((features**2).sum()), np.float32)


def test_equals_the_arithmetic_written_out(model: LoadedModel, matrix: FloatArray, crops: ImageArray) -> None:
    found = OnnxEmbedder(model).embed(crops)
    expected = np.stack([slow_unit_vector(c, matrix) for c in crops])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_flip_is_the_mean_of_both_unit_vectors(
    model: LoadedModel, matrix: FloatArray, crops: ImageArray
) -> None:
    found = OnnxEmbedder(model, flip=True).embed(crops[:5])
    for vector, crop in zip(found, crops[:5], strict=True):
        total = slow_unit_vector(crop, matrix) + slow_unit_vector(crop[:, ::-1], matrix)
        np.testing.assert_allclose(vector, total / np.linalg.norm(total), atol=1e-5)


def test_mirror_images_have_the_same_flip_embedding(model: LoadedModel, crops: ImageArray) -> None:
    embedder = OnnxEmbedder(model, flip=True)
    np.testing.assert_allclose(embedder.embed(crops[:5]), embedder.embed(crops[:5, :, ::-1]), atol=1e-6)


def test_no_crops_give_no_vectors(model: LoadedModel) -> None:
    assert OnnxEmbedder(model).embed(np.zeros((0, SIZE, SIZE, 3), np.uint8)).shape == (0, DIMENSION)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((1, SIZE, SIZE + 1, 3), np.uint8),
        np.zeros((SIZE, SIZE, 3), np.uint8),
        np.zeros((1, SIZE, SIZE, 3), np.float32),
    ],
)
def test_other_arrays_are_refused(model: LoadedModel, bad: ImageArray) -> None:
    with pytest.raises(BadArray, match=r"crops must be \(N, 8, 8, 3\) uint8 RGB, got"):
        OnnxEmbedder(model).embed(bad)


def test_a_network_for_whole_pictures_is_refused(model: LoadedModel) -> None:
    spec = model.manifest.input.model_copy(update={"shape": ("batch", 3, "height", "width")})
    manifest = model.manifest.model_copy(update={"input": spec})
    with pytest.raises(ManifestError, match="square crops"):
        OnnxEmbedder(LoadedModel(manifest, model.sessions))


def changed(manifest: Manifest, **update: object) -> Manifest:
    return manifest.model_copy(update=update)


def test_space_id_changes_with_everything_that_changes_the_vectors(model: LoadedModel) -> None:
    base = model.manifest
    weight = base.weights[0]
    spec: InputSpec = base.input
    variants = [
        base,
        changed(base, weights=(weight.model_copy(update={"sha256": "1" * 64}),)),
        changed(base, weights=(weight.model_copy(update={"convert": "a:b"}),)),
        changed(base, input=spec.model_copy(update={"mean": (0.0, 0.0, 0.0)})),
        changed(base, input=spec.model_copy(update={"colour": "RGB"})),
        changed(base, input=spec.model_copy(update={"template": "dlib-150"})),
    ]
    spaces = {OnnxEmbedder(LoadedModel(m, model.sessions)).space for m in variants}
    spaces.add(OnnxEmbedder(model, flip=True).space)
    assert len(spaces) == len(variants) + 1


def test_space_id_does_not_change_with_words(model: LoadedModel) -> None:
    other = changed(model.manifest, summary="Other words", publisher="Somebody")
    assert OnnxEmbedder(LoadedModel(other, model.sessions)).space == OnnxEmbedder(model).space
