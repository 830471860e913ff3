"""A graph in torch answers like the runtime, can be trained, and goes back to the runtime."""

import copy
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

from lineament.core.arrays import FloatArray, ImageArray
from lineament.core.errors import ModelError, WeightsMissing
from lineament.engine import synchronise_batch_norm
from lineament.imaging import decode_image
from lineament.nets import OnnxModule, count_cost, freeze
from lineament.zoo.manifest import find_model, list_models
from lineament.zoo.session import Runtime, open_session
from lineament.zoo.store import WeightFile, ensure_weights
from lineament.zoo.tensor import to_tensor

EMBEDDERS = [name for name, model in list_models().items() if model.task == "embedding"]
SIZE, CHANNELS, DIMENSION = 8, 6, 5


def network_file(name: str) -> WeightFile:
    """The network before the runtime's rewrites; skips where its weights cannot be had."""
    beside = Path(__file__).resolve().parents[4] / "shared" / "weights"
    with pytest.MonkeyPatch.context() as patch:
        if "LINEAMENT_WEIGHTS" not in os.environ and beside.is_dir():
            patch.setenv("LINEAMENT_WEIGHTS", str(beside))
        try:
            (file,) = ensure_weights(find_model(name)).values()
        except WeightsMissing as missing:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(str(missing))
    return file


def crops(shared: Path, size: int) -> ImageArray:
    """A few real aligned faces of the size."""
    if size == 112:
        with zipfile.ZipFile(shared / "data" / "lfw_aligned112" / "lfw_aligned112.zip") as archive:
            pictures = [archive.read(n) for n in archive.namelist()[:4]]
    else:
        pictures = [p.read_bytes() for p in sorted((shared / "data" / "cluster_johns").rglob("*.jpg"))[:4]]
    return np.stack([decode_image(p).pixels for p in pictures])


def answers(path: Path, images: FloatArray) -> FloatArray:
    session = open_session(path, Runtime("onnxruntime", threads=1))
    (features,) = session.run({session.inputs[0]: images}).values()
    return features


def similarity(a: FloatArray, b: FloatArray) -> FloatArray:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.weights
@pytest.mark.shared
@pytest.mark.parametrize("name", EMBEDDERS)
def test_embedders_of_the_zoo_answer_like_the_runtime(name: str, shared: Path, tmp_path: Path) -> None:
    file = network_file(name)
    module = OnnxModule(onnx.load(file.path)).eval()
    images = to_tensor(crops(shared, module.input_size[0]), find_model(name).input)
    with torch.inference_mode():
        features = module(torch.from_numpy(images)).numpy()
    expected = answers(file.path, images)
    assert module.embedding == find_model(name).dimension == features.shape[1]
    assert np.abs(features - expected).max() <= 1e-4
    assert similarity(features, expected).min() >= 0.9999
    onnx.save(module.to_model(), tmp_path / "again.onnx")
    assert np.array_equal(answers(tmp_path / "again.onnx", images), expected)


@pytest.mark.weights
@pytest.mark.parametrize("name", EMBEDDERS)
def test_gradients_reach_every_weight_of_the_zoo(name: str) -> None:
    module = OnnxModule(onnx.load(network_file(name).path))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in module.parameters():
            # published weights hold branches that are exactly zero, which would hide what lies before them
            weight.add_(torch.randn(weight.shape, generator=generator), alpha=0.02)
    features = module(torch.randn(2, 3, *module.input_size, generator=generator))
    (features * torch.randn(features.shape, generator=generator)).sum().backward()
    gradients = {name: weight.grad for name, weight in module.named_parameters()}
    assert [n for n, g in gradients.items() if g is None or not g.isfinite().all() or not g.any()] == []
    floats = sum(
        t.data_type == onnx.TensorProto.FLOAT and len(t.dims) > 0 for t in module.to_model().graph.initializer
    )
    assert len(gradients) == floats


@pytest.mark.weights
@pytest.mark.parametrize(
    ("name", "millions"),
    [("mobilefacenet", 233.8), ("edgeface-xs", 97.9), ("edgeface-xxs", 47.0), ("dlib-resnet", 270.9)],
)
def test_a_graph_can_be_counted(name: str, millions: float) -> None:
    module = OnnxModule(onnx.load(network_file(name).path))
    cost = count_cost(module, module.input_size)
    assert cost.parameters == sum(p.numel() for p in module.parameters())
    assert cost.multiply_adds / 1e6 == pytest.approx(millions, abs=0.1)


def array(values: Any, name: str) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values), name)


def small_model(op: str = "Identity", opset: int = 17, momentum: float = 0.8) -> onnx.ModelProto:
    """Convolution, BN, an activation, pooling, a linear layer, BN of vectors."""
    rng = np.random.default_rng(0)

    def normal(name: str, *shape: int) -> onnx.TensorProto:
        return array(rng.normal(size=shape).astype(np.float32), name)

    def norm(prefix: str, size: int) -> list[onnx.TensorProto]:
        parts = [normal(f"{prefix}.{p}", size) for p in ("gain", "shift", "mean")]
        return [*parts, array(rng.uniform(0.5, 2, size).astype(np.float32), f"{prefix}.var")]

    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["a"], "first", pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node(
            "BatchNormalization", ["a", "n1.gain", "n1.shift", "n1.mean", "n1.var"], ["c"], momentum=momentum
        ),
        helper.make_node(op, ["c"], ["d"], "the one"),
        helper.make_node("PRelu", ["d", "slopes"], ["e"]),
        helper.make_node("Mul", ["e", "half"], ["f"]),
        helper.make_node("GlobalAveragePool", ["f"], ["g"]),
        helper.make_node("Flatten", ["g"], ["h"]),
        helper.make_node("Gemm", ["h", "m", "k"], ["i"], transB=1),
        helper.make_node(
            "BatchNormalization", ["i", "n2.gain", "n2.shift", "n2.mean", "n2.var"], ["y"], epsilon=1e-3
        ),
    ]
    weights = [normal("w", CHANNELS, 3, 3, 3), normal("b", CHANNELS), normal("slopes", CHANNELS, 1, 1)]
    weights += [normal("m", DIMENSION, CHANNELS), normal("k", DIMENSION), array(np.float32(0.5), "half")]
    weights += norm("n1", CHANNELS) + norm("n2", DIMENSION)
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", DIMENSION])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def images(count: int = 4) -> torch.Tensor:
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def test_parts_of_a_small_graph() -> None:
    module = OnnxModule(small_model())
    assert (module.input_size, module.embedding) == ((SIZE, SIZE), DIMENSION)
    assert [name for name, _ in module.named_parameters()] == [
        "stages.0.weight",
        "stages.0.bias",
        "stages.1.weight",
        "stages.1.bias",
        "stages.2.weight",
        "stages.3.weight",
        "stages.3.bias",
        "stages.4.weight",
        "stages.4.bias",
    ]
    assert isinstance(module.stages[1], torch.nn.modules.batchnorm._BatchNorm)
    assert (module.stages[1].eps, module.stages[4].eps) == (pytest.approx(1e-5), pytest.approx(1e-3))
    assert module.stages[1].momentum == pytest.approx(0.2)


def test_a_trained_graph_goes_back_to_the_runtime(tmp_path: Path) -> None:
    module = OnnxModule(small_model())
    before = copy.deepcopy(module.state_dict())
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(2)
    for _ in range(3):
        features = module(images())
        optimiser.zero_grad()
        (features * torch.randn(features.shape, generator=generator)).sum().backward()
        optimiser.step()
    # a constant before BN changes nothing, so it has no gradient
    before_norm = {"stages.0.bias", "stages.3.bias"}
    changed = {key for key, value in module.state_dict().items() if not torch.equal(before[key], value)}
    assert changed | before_norm == set(before)
    module.eval()
    onnx.save(module.to_model(), tmp_path / "trained.onnx")
    with torch.inference_mode():
        found = module(images()).numpy()
    np.testing.assert_allclose(found, answers(tmp_path / "trained.onnx", images().numpy()), atol=1e-5)
    again = OnnxModule(onnx.load(tmp_path / "trained.onnx")).eval()
    with torch.inference_mode():
        np.testing.assert_array_equal(again(images()).numpy(), found)


def test_batch_statistics_are_used_and_kept_in_training_mode() -> None:
    module = OnnxModule(small_model(momentum=0.8)).train()
    norm = module.stages[1]
    mean = norm.running_mean.clone()
    x = images()
    conv = torch.nn.functional.conv2d(x, module.stages[0].weight, module.stages[0].bias, stride=2, padding=1)
    features = module(x)
    torch.testing.assert_close(norm.running_mean, 0.8 * mean + 0.2 * conv.mean((0, 2, 3)).detach())
    shift = module.stages[4].bias
    torch.testing.assert_close(features.mean(0), shift, atol=1e-4, rtol=0)


def test_batch_statistics_of_a_graph_can_be_shared_between_ranks() -> None:
    module = OnnxModule(small_model()).train()
    alone = copy.deepcopy(module)
    synchronise_batch_norm(module)
    shared = nn.BatchNorm2d(1)
    synchronise_batch_norm(shared)
    assert {type(module.stages[1]), type(module.stages[4])} == {type(shared)}
    torch.testing.assert_close(module(images()), alone(images()))  # one process: the plain one


def test_the_model_that_was_given_stays_as_it_is() -> None:
    model = small_model()
    before = model.SerializeToString(deterministic=True)
    module = OnnxModule(model)
    with torch.no_grad():
        for weight in module.parameters():
            weight.zero_()
    assert model.SerializeToString(deterministic=True) == before


def test_copies_hold_weights_of_their_own() -> None:
    module = OnnxModule(small_model()).eval()
    copied = copy.deepcopy(module)
    expected = module(images())
    with torch.no_grad():
        for weight in module.parameters():
            weight.zero_()
    torch.testing.assert_close(copied(images()), expected)


def test_first_nodes_can_be_frozen() -> None:
    module = OnnxModule(small_model())
    assert freeze(module, 0.5) == 2
    before = copy.deepcopy(module.state_dict())
    module.train()
    features = module(images())
    features.sum().backward()
    assert [n for n, p in module.named_parameters() if p.requires_grad] == [
        f"stages.{i}.{role}"
        for i, role in ((2, "weight"), (3, "weight"), (3, "bias"), (4, "weight"), (4, "bias"))
    ]
    after = module.state_dict()
    assert torch.equal(before["stages.1.running_mean"], after["stages.1.running_mean"])
    assert not torch.equal(before["stages.4.running_mean"], after["stages.4.running_mean"])


def test_bf16_autocast_is_finite() -> None:
    module = OnnxModule(small_model())
    with torch.autocast("cpu", torch.bfloat16):
        features = module(images())
    features.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


def test_weights_that_two_nodes_read_are_one_parameter() -> None:
    model = small_model()
    model.graph.node.insert(4, helper.make_node("PRelu", ["e", "slopes"], ["e2"]))
    model.graph.node[5].input[0] = "e2"
    module = OnnxModule(model)
    assert len(list(module.parameters())) == 9
    module(images()).square().sum().backward()
    assert module.stages[2].weight.grad is not None


def test_an_unknown_operator_is_named_with_its_node() -> None:
    with pytest.raises(ModelError, match=r"node 'the one' \(HardSwish\): the operator 'HardSwish'"):
        OnnxModule(small_model("HardSwish"))


def test_old_operator_sets_are_refused() -> None:
    with pytest.raises(ModelError, match="operator set 13 or later, got 11"):
        OnnxModule(small_model(opset=11))


def test_graphs_that_are_no_embedders_are_refused() -> None:
    model = small_model()
    model.graph.output.append(
        helper.make_tensor_value_info("i", onnx.TensorProto.FLOAT, ["batch", DIMENSION])
    )
    with pytest.raises(ModelError, match="one output"):
        OnnxModule(model)
    free = small_model()
    free.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    with pytest.raises(ModelError, match="fixed H, W and D"):
        OnnxModule(free)


def test_computed_statistics_are_refused() -> None:
    model = small_model()
    model.graph.node[1].input[3] = "b2"
    model.graph.node.insert(0, helper.make_node("Identity", ["b"], ["b2"]))
    with pytest.raises(ModelError, match=r"BatchNormalization.*as initialisers"):
        OnnxModule(model)


def test_other_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match=r"images must be \(B, 3, \*\(8, 8\)\), got \(2, 3, 9, 8\)"):
        OnnxModule(small_model())(torch.empty(2, 3, 9, 8))
