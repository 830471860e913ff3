"""Joint scales with a detector that can be followed by eye."""

from collections.abc import Sequence

import numpy as np
import pytest

from lineament.core.arrays import ImageArray
from lineament.core.errors import BadArray
from lineament.core.types import Detections
from lineament.detection import DetectionSettings, JointScales


class SquareDetector:
    """Finds the one white square of a picture when its side is within a range of px; score by nearness to 20 px."""

    name = "squares"

    def __init__(self, smallest: float = 4, largest: float = 60) -> None:
        self.range = (smallest, largest)
        self.seen: list[tuple[int, ...]] = []

    def detect(self, images: Sequence[ImageArray]) -> list[Detections]:
        self.seen += [p.shape[:2] for p in images]
        return [self._one(p) for p in images]

    def _one(self, pixels: ImageArray) -> Detections:
        share = pixels[:, :, 0].astype(np.float64) / 255
        columns, rows = share.max(0), share.max(1)
        sides = np.array([columns.sum(), rows.sum()])
        if not self.range[0] <= sides.min() <= self.range[1]:
            return Detections.none()
        centre = (
            np.array([(columns * np.arange(len(columns))).sum(), (rows * np.arange(len(rows))).sum()]) / sides
        )
        box = np.concatenate([centre - sides / 2, centre + sides / 2])[None].astype(np.float32)
        points = np.tile(centre.astype(np.float32), (1, 5, 1))
        score = np.float32([1 / (1 + abs(sides.min() - 20))])
        return Detections(box, score, points)


def with_square(height: int, width: int, x0: int, y0: int, side: int) -> ImageArray:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[y0 : y0 + side, x0 : x0 + side] = 255
    return pixels


def test_a_face_that_fills_a_large_picture_is_found_where_it_is() -> None:
    pixels = with_square(1500, 2000, 403, 201, 1200)
    inner = SquareDetector()
    assert len(JointScales(inner, (640,)).detect([pixels])[0]) == 0
    (found,) = JointScales(inner, (80, 640)).detect([pixels])
    np.testing.assert_allclose(found.boxes, [[402.5, 200.5, 1602.5, 1400.5]], atol=2)
    np.testing.assert_allclose(found.points[0, 0], [1002.5, 800.5], atol=2)


def test_a_small_face_is_found_at_the_larger_size() -> None:
    pixels = with_square(480, 640, 100, 50, 12)
    inner = SquareDetector(smallest=8)
    assert len(JointScales(inner, (160,)).detect([pixels])[0]) == 0
    (found,) = JointScales(inner, (160, 640)).detect([pixels])
    np.testing.assert_allclose(found.boxes, [[99.5, 49.5, 111.5, 61.5]], atol=0.01)


def test_the_same_face_at_two_sizes_is_one_face_with_the_better_score() -> None:
    pixels = with_square(480, 640, 160, 80, 80)
    inner = SquareDetector(largest=100)
    (found,) = JointScales(inner, (160, 320)).detect([pixels])
    assert len(found) == 1
    assert found.scores[0] == pytest.approx(1.0, abs=0.05)


def test_all_sizes_of_all_pictures_go_in_one_call_and_none_twice() -> None:
    inner = SquareDetector()
    pictures = [with_square(300, 400, 10, 10, 40), with_square(200, 100, 10, 10, 20)]
    found = JointScales(inner, (100, 200, 100)).detect(pictures)
    assert len(found) == 2
    assert inner.seen == [(75, 100), (150, 200), (100, 50), (200, 100)]


def test_large_faces_are_left_to_the_smaller_size() -> None:
    """At 640 px the face has 384 px and the better score, but it is not taken from there."""
    pixels = with_square(640, 640, 100, 100, 384)
    inner = SquareDetector(largest=500)
    inner._one = lambda p, one=inner._one: rescored(one(p), p.shape[0] / 1000)  # type: ignore[method-assign]
    (both,) = JointScales(inner, (160, 640)).detect([pixels])
    assert both.scores.tolist() == pytest.approx([0.16])
    (alone,) = JointScales(inner, (640,)).detect([pixels])
    assert alone.scores.tolist() == pytest.approx([0.64])


def rescored(found: Detections, score: float) -> Detections:
    return Detections(found.boxes, np.full(len(found), score, np.float32), found.points)


def test_settings_count_in_px_of_the_picture() -> None:
    """A face of 120 px in the picture is 19 px where it is found."""
    pixels = with_square(1000, 1000, 300, 300, 120)
    joint = JointScales(SquareDetector(), (160,))
    assert len(joint.with_settings(DetectionSettings(min_face_px=100)).detect([pixels])[0]) == 1
    assert len(joint.with_settings(DetectionSettings(min_face_px=140)).detect([pixels])[0]) == 0
    assert len(joint.with_settings(DetectionSettings(min_score=0.99)).detect([pixels])[0]) == 0


def test_small_pictures_are_at_most_doubled() -> None:
    inner = SquareDetector()
    JointScales(inner, (160, 640, 1000)).detect([np.zeros((60, 100, 3), np.uint8)])
    assert inner.seen == [(96, 160), (120, 200)]


def test_narrow_pictures_keep_at_least_one_px() -> None:
    inner = SquareDetector()
    JointScales(inner, (160,)).detect([np.zeros((1, 2000, 3), np.uint8)])
    assert inner.seen == [(1, 160)]


def test_refuses_what_is_not_a_picture_or_a_size() -> None:
    with pytest.raises(ValueError, match="sides_px"):
        JointScales(SquareDetector(), ())
    with pytest.raises(ValueError, match="sides_px"):
        JointScales(SquareDetector(), (0,))
    with pytest.raises(BadArray, match=r"images\[0\]"):
        JointScales(SquareDetector()).detect([np.zeros((4, 4), np.uint8)])  # type: ignore[list-item]
