"""A model exported for one picture takes any number of them afterwards."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from lineament.core.errors import WeightsCorrupt
from lineament.zoo.convert.batch import convert


@pytest.mark.shared
def test_a_batch_equals_its_pictures_one_by_one(shared: Path) -> None:
    data = (shared / "weights" / "mobilefacenet_foamliu" / "MobileFaceNet.onnx").read_bytes()
    pictures = np.random.default_rng(0).normal(size=(3, 3, 112, 112)).astype(np.float32)
    original = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    free = ort.InferenceSession(convert(data), providers=["CPUExecutionProvider"])
    one_by_one = np.concatenate([original.run(None, {"input0": p[None]})[0] for p in pictures])
    np.testing.assert_allclose(free.run(None, {"input0": pictures})[0], one_by_one, atol=1e-5)


@pytest.mark.shared
def test_the_same_bytes_give_the_same_bytes(shared: Path) -> None:
    data = (shared / "weights" / "mobilefacenet_foamliu" / "MobileFaceNet.onnx").read_bytes()
    assert convert(data) == convert(data)


@pytest.mark.parametrize("data", [b"", b"not a model", b"\x08\x07"])
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(WeightsCorrupt, match="expected a serialised ONNX model"):
        convert(data)
