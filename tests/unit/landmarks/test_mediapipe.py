"""The mesh's crop and the way back, with a network that can be followed."""

from collections.abc import Mapping

import numpy as np
import pytest

from lineament.core.errors import BadArray
from lineament.core.types import Detection, Detections
from lineament.geometry import apply
from lineament.landmarks.mediapipe import INPUT_PX, MediaPipeMesh, crop_matrix
from lineament.zoo.loading import LoadedModel
from lineament.zoo.manifest import find_model
from lineament.zoo.session import Runtime


def face(box: list[float], eyes: list[list[float]]) -> Detection:
    points = np.full((5, 2), np.nan, np.float32)
    points[:2] = eyes
    return Detection(np.float32(box), 0.9, points)


def many(*of: Detection) -> Detections:
    return Detections(
        np.stack([f.box for f in of]), np.float32([0.9] * len(of)), np.stack([f.points for f in of])
    )


def test_level_square_box_is_enlarged_by_half() -> None:
    """Edges of the crop are edges of the box enlarged around its centre: from px 15 to px 75 around 45."""
    matrix = crop_matrix(face([25, 35, 65, 75], [[35, 50], [55, 50]]))
    corners = apply(matrix, np.array([[45 - 30, 55 - 30], [45 + 30, 55 + 30]]))
    np.testing.assert_allclose(corners, [[-0.5, -0.5], [INPUT_PX - 0.5, INPUT_PX - 0.5]], atol=1e-4)


def test_side_follows_the_area_of_the_box() -> None:
    tall = crop_matrix(face([0, 0, 36, 64], [[10, 20], [26, 20]]))
    square = crop_matrix(face([-6, 8, 42, 56], [[10, 20], [26, 20]]))
    np.testing.assert_allclose(tall, square, atol=1e-4)


@pytest.mark.parametrize("deg", [-170, -90, -30, 0, 45, 120])
def test_eyes_are_level_in_the_crop(deg: float) -> None:
    angle = np.radians(deg)
    across = np.array([np.cos(angle), np.sin(angle)]) * 12
    centre = np.array([50.0, 40.0])
    matrix = crop_matrix(face([30, 20, 70, 60], [(centre - across).tolist(), (centre + across).tolist()]))
    left, right = apply(matrix, np.stack([centre - across, centre + across]))
    assert left[1] == pytest.approx(right[1], abs=1e-3)
    assert right[0] - left[0] == pytest.approx(24 * INPUT_PX / 60, abs=1e-3)


def test_without_eyes_it_is_not_turned() -> None:
    matrix = crop_matrix(face([30, 20, 70, 60], [[np.nan, np.nan], [50, 40]]))
    np.testing.assert_allclose(matrix[:, :2], np.eye(2) * INPUT_PX / 60)


class SpotSession:
    """All 468 points on the brightest px of the crop; presence is its brightness."""

    runtime = Runtime("onnxruntime", threads=1)
    inputs = ("image",)
    outputs = ("points", "presence")

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        image = feeds["image"].sum(1)
        self.batches.append(len(image))
        assert image.min() >= 0
        assert image.max() <= 3.0001
        flat = image.reshape(len(image), -1)
        row, column = np.divmod(flat.argmax(1), INPUT_PX)
        spot = np.stack([column + 0.5, row + 0.5, np.zeros(len(row))], axis=1).astype(np.float32)
        return {"points": np.tile(spot, (1, 468)), "presence": (flat.max(1, keepdims=True) - 1.5) * 4}


def model() -> tuple[MediaPipeMesh, SpotSession]:
    session = SpotSession()
    return MediaPipeMesh(LoadedModel(find_model("mediapipe-mesh-468"), {"model": session})), session


def test_points_are_mapped_back_to_each_picture() -> None:
    mesh, session = model()
    first, second = np.zeros((120, 160, 3), np.uint8), np.zeros((90, 90, 3), np.uint8)
    first[49:52, 69:72], second[29:32, 59:62] = 255, 255
    found = mesh.locate(
        [first, np.zeros((9, 9, 3), np.uint8), second],
        [
            many(face([40, 30, 90, 80], [[50, 45], [75, 62]]), face([60, 35, 95, 75], [[90, 45], [62, 45]])),
            Detections.none(),
            many(face([40, 10, 80, 50], [[50, 30], [70, 30]])),
        ],
    )
    assert [len(of) for of in found] == [2, 0, 1]
    for located, spot in [(found[0][0], (70, 50)), (found[0][1], (70, 50)), (found[2][0], (60, 30))]:
        assert located.points.shape == (468, 2)
        assert located.points.dtype == np.float32
        assert located.scheme == "mediapipe-468"
        np.testing.assert_allclose(located.points.mean(0), spot, atol=1.1)
        assert located.presence == pytest.approx(1 / (1 + np.exp(-6)), abs=0.01)
    assert session.batches == [3]


def test_many_faces_run_in_batches_and_none_without_faces() -> None:
    mesh, session = model()
    pixels = np.zeros((60, 60, 3), np.uint8)
    one = face([10, 10, 50, 50], [[20, 25], [40, 25]])
    assert [len(of) for of in mesh.locate([pixels], [many(*[one] * 20)])] == [20]
    assert sum(session.batches) == 20
    assert max(session.batches) < 20
    session.batches.clear()
    assert mesh.locate([], []) == []
    assert mesh.locate([pixels], [Detections.none()]) == [[]]
    assert session.batches == []


def test_refuses_lists_of_unequal_length_and_what_is_not_a_picture() -> None:
    mesh, _ = model()
    with pytest.raises(ValueError, match="2 images"):
        mesh.locate([np.zeros((9, 9, 3), np.uint8)] * 2, [Detections.none()])
    with pytest.raises(BadArray, match=r"images\[0\]"):
        mesh.locate([np.zeros((9, 9), np.uint8)], [Detections.none()])
