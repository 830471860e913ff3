"""Detectors and landmarks on real pictures."""

import csv
import json
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from lineament.core.types import Detections
from lineament.detection import Detector, JointScales, find_upright_many, load_detector
from lineament.geometry import iou, turn
from lineament.landmarks import load_landmarks
from lineament.zoo.session import Runtime

pytestmark = [pytest.mark.shared, pytest.mark.weights]
RUNTIME = Runtime("onnxruntime", threads=2)
Load = Callable[[str], Detector]


@pytest.fixture(scope="module")
def load(shared: Path) -> Iterator[Load]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LINEAMENT_WEIGHTS", str(shared / "weights"))
        patch.setenv("LINEAMENT_ACCEPT_NONCOMMERCIAL", "scrfd-2.5g,scrfd-500m")
        yield lambda name: load_detector(name, RUNTIME)


def decoded(data: bytes) -> np.ndarray:
    return np.ascontiguousarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1])


def from_zip(path: Path, step: int) -> list[np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        return [decoded(archive.read(name)) for name in sorted(archive.namelist())[::step]]


@pytest.fixture(scope="module")
def group_photos(shared: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pictures with (N, 4) boxes of their faces."""
    folder, found = shared / "data" / "det_dlib_faces", []
    for part in ("training", "testing"):
        for image in ET.parse(folder / f"{part}_with_face_landmarks.xml").iter("image"):  # noqa: S314
            edges = [[float(b.get(k)) for k in ("left", "top", "width", "height")] for b in image.iter("box")]
            boxes = np.array(edges, np.float32).reshape(-1, 4)
            boxes[:, 2:] += boxes[:, :2]
            found.append((decoded((folder / image.get("file")).read_bytes()), boxes))
    return found


def test_yunet_agrees_with_the_published_implementation(
    shared: Path, load: Load, group_photos: list[tuple[np.ndarray, np.ndarray]]
) -> None:
    """OpenCV's own YuNet counts from the picture's edge: half a px more than ours, otherwise the same."""
    detector = load("yunet")
    pictures = [p for p, _ in group_photos] + from_zip(shared / "data/pairs_public64/images.zip", 16)
    faces = 0
    for pixels, found in zip(pictures, detector.detect(pictures), strict=True):
        published = cv2.FaceDetectorYN.create(
            str(shared / "weights/yunet/yunet_n_dynamic.onnx"), "", pixels.shape[1::-1], 0.6, 0.3, 5000
        )
        _, rows = published.detect(np.ascontiguousarray(pixels[:, :, ::-1]))
        rows = rows[np.argsort(-rows[:, 14], kind="stable")]
        assert len(rows) == len(found)
        corners = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
        np.testing.assert_allclose(found.boxes + 0.5, corners, atol=0.05)
        np.testing.assert_allclose(found.points + 0.5, rows[:, 4:14].reshape(-1, 5, 2), atol=0.05)
        np.testing.assert_allclose(found.scores, rows[:, 14], atol=1e-3)
        faces += len(rows)
    assert len(pictures) >= 10
    assert faces > 30


@pytest.mark.parametrize("name", ["centerface", "yunet", "scrfd-2.5g", "scrfd-500m", "mtcnn"])
def test_every_face_of_group_photos_is_found(
    load: Load, group_photos: list[tuple[np.ndarray, np.ndarray]], name: str
) -> None:
    found = load(name).detect([pixels for pixels, _ in group_photos])
    for faces, (_, boxes) in zip(found, group_photos, strict=True):
        assert (iou(boxes, faces.boxes).max(1) > 0.4).all()
        assert (faces.points[:, 3:].mean(1) > faces.points[:, :2].mean(1))[:, 1].all()


@pytest.mark.parametrize("name", ["centerface", "yunet", "scrfd-2.5g", "mtcnn", "blazeface"])
def test_no_missed_subject_and_every_turn_undone(shared: Path, load: Load, name: str) -> None:
    pictures = from_zip(shared / "data/lfw_view1_208/lfw_view1_208.zip", 120)
    turns = [(90 * i) % 360 for i in range(len(pictures))]
    detector = JointScales(load(name), (160, 416))
    turned = [turn(p, deg) for p, deg in zip(pictures, turns, strict=True)]
    results = find_upright_many(detector, turned)
    for result, deg, pixels in zip(results, turns, pictures, strict=True):
        assert result.rotation_deg == (360 - deg) % 360
        np.testing.assert_array_equal(result.pixels, pixels)
        middle = np.array(pixels.shape[1::-1]) / 2
        boxes = result.detections.boxes
        assert ((boxes[:, :2] < middle) & (boxes[:, 2:] > middle)).all(1).any()


def test_small_and_masked_faces(shared: Path, load: Load) -> None:
    """CenterFace at joint scales finds as much as the figures in the README say, within sampling error."""
    folder, boxes = shared / "data" / "det_facemask", {}
    with (folder / "boxes.csv").open() as table:
        for row in csv.DictReader(table):
            edges = [float(row[k]) for k in ("xmin", "ymin", "xmax", "ymax")]
            boxes.setdefault(row["file"], []).append(edges)
    names = sorted(boxes)[::30]
    with zipfile.ZipFile(folder / "facemask_images.zip") as archive:
        pictures = [decoded(archive.read(name)) for name in names]
    hits = []
    for name, faces in zip(names, JointScales(load("centerface")).detect(pictures), strict=True):
        truth = np.array(boxes[name], np.float32)
        hits += (iou(truth, faces.boxes).max(1, initial=0) >= 0.4).tolist()
    assert len(hits) > 80
    assert np.mean(hits) > 0.8


def test_close_ups_larger_than_the_frame(shared: Path, load: Load) -> None:
    """Faces cut by a tenth at each side, enlarged to 2000 px, are one face with the box that they had."""
    pictures = from_zip(shared / "data/lmk_helen/helen_train.zip", 90)
    detector, joint = load("yunet"), JointScales(load("centerface"))
    for pixels, faces in zip(pictures, detector.detect(pictures), strict=True):
        box = faces.boxes[0]
        inset = 0.1 * (box[2:] - box[:2])
        low = np.maximum(np.ceil(box[:2] + inset), 0).astype(int)
        high = np.minimum(np.floor(box[2:] - inset), pixels.shape[1::-1]).astype(int)
        part = pixels[low[1] : high[1], low[0] : high[0]]
        factor = 2000 / max(part.shape)
        (found,) = joint.detect([cv2.resize(part, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)])
        want = (box.reshape(2, 2) - low + 0.5).reshape(1, 4) * factor - 0.5
        assert len(found) == 1
        assert iou(found.boxes, want.astype(np.float32))[0, 0] > 0.5


@pytest.mark.parametrize(("name", "bound"), [("centerface", 0.055), ("blazeface", 0.052), ("mtcnn", 0.055)])
def test_mesh_lies_on_annotated_points(shared: Path, load: Load, name: str, bound: float) -> None:
    """Mean error over corresponding points of the 68, by the distance of the outer eye corners."""
    mesh_of = {
        36: 33,
        39: 133,
        42: 362,
        45: 263,
        48: 61,
        54: 291,
        33: 2,
        51: 0,
        57: 17,
        62: 13,
        66: 14,
        27: 168,
    }
    folder = shared / "data" / "lmk_helen"
    truth = json.loads((folder / "helen_test_landmarks68.json").read_text())
    names = sorted(truth)[::6]
    with zipfile.ZipFile(folder / "helen_test.zip") as archive:
        pictures = [decoded(archive.read(n)) for n in names]
    marks = np.array([truth[n] for n in names], np.float32).reshape(-1, 68, 2)
    chosen = []
    for faces, points in zip(JointScales(load(name)).detect(pictures), marks, strict=True):
        around = np.concatenate([points.min(0), points.max(0)])[None]
        best = slice(index := int(iou(faces.boxes, around)[:, 0].argmax()), index + 1)
        chosen.append(Detections(faces.boxes[best], faces.scores[best], faces.points[best]))
    model = load_landmarks("mediapipe-mesh-468", RUNTIME)
    errors = []
    for located, points in zip(model.locate(pictures, chosen), marks, strict=True):
        (face,) = located
        assert face.presence > 0.9
        gap = np.linalg.norm(face.points[list(mesh_of.values())] - points[list(mesh_of)], axis=1)
        errors.append(gap.mean() / np.linalg.norm(points[36] - points[45]))
    assert np.mean(errors) < bound
