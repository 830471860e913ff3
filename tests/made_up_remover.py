"""A mesh remover whose network knows blue ink: every pixel that is blue and nothing else becomes grey."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from drawn_people import SCENES, drawn_pipeline
from lineament.core.arrays import ImageArray
from lineament.demesh import MeshGate, NetworkRemover
from lineament.pipeline import FacePipeline
from lineament.testing import FakeDetector
from lineament.zoo.loading import LoadedModel
from lineament.zoo.manifest import parse_manifest
from lineament.zoo.session import Runtime, open_session
from made_up_calibration import made_up_record

INK = (0, 0, 255)
FILLED = 153
"""Grey level of what was ink: 0.6."""
MANIFEST = f"""
schema = 1
name = "blue-ink"
task = "restore"
factory = "lineament.demesh.network:NetworkRemover"
summary = "Finds blue ink"
publisher = "this test"
weights = [{{ file = "blue.onnx", sha256 = "{"0" * 64}", bytes = 1 }}]
licence = {{ code = "Apache-2.0", weights = "Apache-2.0", data = "none", commercial_use = true }}
[input]
colour = "RGB"
shape = ["batch", 3, "height", "width"]
mean = [0.0, 0.0, 0.0]
std = [255.0, 255.0, 255.0]
"""


def blue_network() -> bytes:
    """mask = (blue - red - green > 0.9); restored = pixel * (1 - mask) + 0.6 * mask."""
    weights = {
        "mix": np.array([-1, -1, 1], np.float32).reshape(1, 3, 1, 1),
        "limit": np.array(0.9, np.float32),
        "one": np.array(1, np.float32),
        "fill": np.array(0.6, np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["pictures", "mix"], ["blueness"]),
        helper.make_node("Greater", ["blueness", "limit"], ["is_ink"]),
        helper.make_node("Cast", ["is_ink"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["one", "mask"], ["rest"]),
        helper.make_node("Mul", ["pictures", "rest"], ["kept"]),
        helper.make_node("Mul", ["mask", "fill"], ["filled"]),
        helper.make_node("Add", ["kept", "filled"], ["restored"]),
    ]
    shape = ["batch", 3, "height", "width"]
    graph = helper.make_graph(
        nodes,
        "blue",
        [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info("restored", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["batch", 1, "height", "width"]),
        ],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def blue_model(folder: Path) -> LoadedModel:
    path = folder / "blue.onnx"
    path.write_bytes(blue_network())
    session = open_session(path, Runtime("onnxruntime", threads=1))
    return LoadedModel(parse_manifest(MANIFEST, "blue.toml"), {"model": session})


def blue_gate(folder: Path) -> MeshGate:
    remover = NetworkRemover(blue_model(folder))
    return MeshGate(remover, remover.id, threshold=0.5, rate=1e-3, record="made up meshes")


def inked(pixels: ImageArray) -> ImageArray:
    """Blue lines of four px, wide enough to be seen when the picture is reduced."""
    meshed = pixels.copy()
    height, width = pixels.shape[:2]
    meshed[np.arange(height) % 28 < 4] = INK
    meshed[:, np.arange(width) % 28 < 4] = INK
    return meshed


def restoring_pipeline(folder: Path, calibrated: bool = True) -> FacePipeline:
    """The pipeline of drawn people that takes blue meshes off references.

    It finds the face of "ada" under the mesh and without it; under the mesh of "bob" it finds none.
    """
    plain, gate = drawn_pipeline(), blue_gate(folder)
    known = [(s.pixels, s.detections) for s in SCENES.values()]
    for name in ("ada", "bob"):
        meshed = inked(SCENES[name].pixels)
        known.append((gate.restore(meshed).pixels, SCENES[name].detections))
        if name == "ada":
            known.append((meshed, SCENES[name].detections))
    space = f"{plain.embedding_space}~{gate.id}"
    rows = {1e-1: 0.4, 1e-2: 0.5, 1e-3: 0.6}
    return FacePipeline(
        FakeDetector(known),
        plain.embedder,
        calibration=plain.calibration,
        mesh=gate,
        restored_calibration=made_up_record(space, rows) if calibrated else None,
    )
