"""A folder as an export writes it, made by hand around a tiny embedding network."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from lineament.zoo.manifest import Manifest, manifest_text

SIDE_PX = 112


def network(seed: int) -> bytes:
    """Serialised ONNX: (N, 3, 112, 112) to four numbers, the means of random mixtures of the channels."""
    kernel = np.random.default_rng(seed).normal(size=(4, 3, 1, 1)).astype(np.float32)
    slopes = np.array([0.25, -0.5, 0.0, 1.0], np.float32).reshape(4, 1, 1)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["input", "kernel"], ["c"]),
            helper.make_node("PRelu", ["c", "slopes"], ["p"]),
            helper.make_node("GlobalAveragePool", ["p"], ["g"]),
            helper.make_node("Flatten", ["g"], ["embedding"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, SIDE_PX, SIDE_PX])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(slopes, "slopes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def outputs(seed: int, x: np.ndarray) -> np.ndarray:
    """What the network of ``seed`` gives, in numpy."""
    kernel = np.random.default_rng(seed).normal(size=(4, 3, 1, 1)).astype(np.float32)[:, :, 0, 0]
    mixed = np.einsum("oc,nchw->nohw", kernel, x)
    slopes = np.array([0.25, -0.5, 0.0, 1.0], np.float32)[:, None, None]
    return np.where(mixed > 0, mixed, slopes * mixed).mean((2, 3))


def write_export(folder: Path, name: str, seed: int = 0, **changes: Any) -> Manifest:
    """Write the folder; ``changes`` are manifest keys with other values."""
    folder.mkdir(parents=True)
    data = network(seed)
    (folder / "model.onnx").write_bytes(data)
    x = np.zeros((1, 3, SIDE_PX, SIDE_PX), np.float32)
    x[0] = np.random.default_rng(1).uniform(-1, 1, (3, 1, 1))
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, allow_pickle=False, **{"model/in/input": x, "model/out/embedding": outputs(seed, x)}
    )
    (folder / "golden.npz").write_bytes(buffer.getvalue())
    (folder / "MODEL_CARD.md").write_text(f"# {name}\n")
    fields = {
        "schema": 1,
        "name": name,
        "task": "embedding",
        "factory": "lineament.embedding.onnx:OnnxEmbedder",
        "summary": "Means of mixed colours.",
        "publisher": "nobody",
        "dimension": 4,
        "weights": [
            {"file": "model.onnx", "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)},
        ],
        "licence": {"code": "MIT", "weights": "MIT", "data": "none", "commercial_use": True},
        "input": {
            "colour": "RGB",
            "shape": ["batch", 3, SIDE_PX, SIDE_PX],
            "mean": [127.5] * 3,
            "std": [127.5] * 3,
            "template": "arcface-112",
        },
        "golden": {
            "file": "golden.npz",
            "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
            "rtol": 1e-3,
            "atol": 1e-5,
        },
    }
    manifest = Manifest.model_validate(fields | changes)
    (folder / "manifest.toml").write_text(manifest_text(manifest))
    return manifest
