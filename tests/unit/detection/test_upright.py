"""Votes over quarter turns, with faces whose place is known."""

from collections.abc import Sequence

import numpy as np
import pytest

from lineament.core.arrays import ImageArray
from lineament.core.types import Detections
from lineament.detection.upright import find_upright, find_upright_many, standing, upright_score
from lineament.geometry import turn, turn_boxes, turn_points
from lineament.testing import Place, draw_scene

FACE = np.float32([[10, 10], [30, 10], [20, 20], [13, 30], [27, 30]])


def faces(*points: np.ndarray, scores: Sequence[float] = ()) -> Detections:
    stack = np.stack(points).astype(np.float32)
    boxes = np.concatenate([np.nanmin(stack, axis=1), np.nanmax(stack, axis=1)], axis=1)
    return Detections(boxes, np.float32(scores or [0.9] * len(points)), stack)


def rolled(deg: float) -> np.ndarray:
    angle = np.radians(deg)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (FACE - 20) @ matrix.T + 20


@pytest.mark.parametrize("deg", range(-180, 181, 10))
def test_a_face_stands_within_45_degrees(deg: int) -> None:
    assert standing(faces(rolled(deg))).tolist() == [abs(deg) < 45]


def test_mirrored_eyes_or_a_mouth_above_them_do_not_stand() -> None:
    mirrored, inverted = FACE[[1, 0, 2, 4, 3]], FACE * [1, -1] + [0, 40]
    assert not standing(faces(mirrored, inverted)).any()


def test_missing_points() -> None:
    no_mouth, no_eye, nothing = FACE.copy(), FACE.copy(), FACE.copy()
    no_mouth[3:], no_eye[1], nothing[2:] = np.nan, np.nan, np.nan
    assert standing(faces(no_mouth, no_eye, nothing)).tolist() == [True, False, False]


def test_score_is_that_of_the_best_standing_face() -> None:
    assert upright_score(faces(rolled(180), FACE, scores=(0.9, 0.5))) == pytest.approx(0.5)
    assert upright_score(Detections.none()) == 0.0


class SeesAllTurns:
    """Knows a drawn scene in every turn; sees faces that lie, with lying points and a lower score."""

    def __init__(self, name: str, pixels: ImageArray, found: Detections, lying: float) -> None:
        self.name = name
        self.calls: list[int] = []
        self._known = {}
        for deg in (0, 90, 180, 270):
            points = turn_points(found.points, deg, pixels.shape)
            boxes = turn_boxes(found.boxes, deg, pixels.shape)
            score = np.full(len(found), 0.7 if deg == 0 else lying, np.float32)
            self._known[turn(pixels, deg).tobytes()] = Detections(boxes, score, points)

    def detect(self, images: Sequence[ImageArray]) -> list[Detections]:
        self.calls.append(len(images))
        return [self._known.get(np.ascontiguousarray(p).tobytes(), Detections.none()) for p in images]


@pytest.fixture(scope="module")
def scene() -> tuple[ImageArray, Detections]:
    drawn = draw_scene(
        120,
        160,
        [
            Place(seed=1, x_px=50, y_px=60, size_px=60),
            Place(seed=2, x_px=115, y_px=55, size_px=50, roll_deg=10),
        ],
    )
    return drawn.pixels, drawn.detections


@pytest.mark.parametrize("deg", [0, 90, 180, 270])
def test_turned_scenes_come_back_upright(scene: tuple[ImageArray, Detections], deg: int) -> None:
    """Lying faces score higher here, and still do not win."""
    pixels, found = scene
    detector = SeesAllTurns("unknown", pixels, found, lying=0.9)
    upright = find_upright(detector, turn(pixels, deg))
    assert upright.rotation_deg == (360 - deg) % 360
    np.testing.assert_array_equal(upright.pixels, pixels)
    np.testing.assert_allclose(upright.detections.points, found.points, atol=1e-3)


def test_pictures_without_faces_are_not_turned(scene: tuple[ImageArray, Detections]) -> None:
    detector = SeesAllTurns("unknown", *scene, lying=0.1)
    empty = np.zeros((30, 40, 3), np.uint8)
    upright = find_upright(detector, empty)
    assert upright.rotation_deg == 0
    assert upright.pixels is empty
    assert len(upright.detections) == 0


def test_a_sure_picture_is_looked_at_once(scene: tuple[ImageArray, Detections]) -> None:
    """The manifest of the named model says from which score on; 0.7 is not enough for it, 1 is."""
    pixels, found = scene
    unsure = SeesAllTurns("centerface", pixels, found, lying=0.1)
    assert find_upright(unsure, pixels).rotation_deg == 0
    assert unsure.calls == [1, 3]
    sure = SeesAllTurns("centerface", turn(pixels, 90), faces(FACE), lying=0.1)
    sure._known[pixels.tobytes()] = Detections(found.boxes, np.ones(len(found), np.float32), found.points)
    assert find_upright(sure, pixels).rotation_deg == 0
    assert sure.calls == [1, 0]


def test_many_pictures_take_two_calls(scene: tuple[ImageArray, Detections]) -> None:
    pixels, found = scene
    detector = SeesAllTurns("unknown", pixels, found, lying=0.1)
    results = find_upright_many(detector, [turn(pixels, 90), pixels, np.zeros((9, 9, 3), np.uint8)])
    assert [r.rotation_deg for r in results] == [270, 0, 0]
    assert detector.calls == [3, 9]
    assert find_upright_many(detector, []) == []
