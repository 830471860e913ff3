"""Which face a picture is about, and when that is not said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineament.core.types import Detections, Refusal, RefusalReason, Role
from lineament.pipeline import FaceRules, central_face, choose_face

SIZE = (400, 600)
FACE = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)])
"""Five points in a box of side 1."""


def faces(*squares: tuple[float, float, float]) -> Detections:
    """Faces in square boxes (left, top, side)."""
    if not squares:
        return Detections.none()
    boxes = [(x, y, x + s, y + s) for x, y, s in squares]
    points = [FACE * s + (x, y) for x, y, s in squares]
    scores = np.linspace(0.9, 0.8, len(squares))
    return Detections(np.array(boxes, np.float32), scores.astype(np.float32), np.array(points, np.float32))


def refused(found: Detections, rules: FaceRules | None = None, role: Role = Role.PROBE) -> Refusal:
    refusal = choose_face(found, SIZE, rules or FaceRules(), role)
    assert isinstance(refusal, Refusal)
    assert refusal.detections is found
    assert refusal.role is role
    return refusal


def test_one_face() -> None:
    assert choose_face(faces((100, 100, 90)), SIZE, FaceRules(), Role.PROBE) == (0, ())


@pytest.mark.parametrize(("small", "note"), [(1, "1 smaller face ignored"), (2, "2 smaller faces ignored")])
def test_bystanders_are_ignored_and_noted(small: int, note: str) -> None:
    found = faces(*[(10 + 60 * i, 10, 30) for i in range(small)], (200, 100, 90))
    assert choose_face(found, SIZE, FaceRules(), Role.PROBE) == (small, (note,))


def test_no_face() -> None:
    refusal = refused(faces(), role=Role.REFERENCE)
    assert refusal.reason is RefusalReason.NO_FACE
    assert "no face was found" in refusal.detail


def test_a_second_face_of_similar_size_is_never_guessed_away() -> None:
    assert refused(faces((10, 10, 80), (200, 100, 90))).reason is RefusalReason.SEVERAL_FACES
    three = refused(faces((10, 10, 80), (200, 100, 90), (400, 100, 85), (550, 10, 20)))
    assert three.detail.startswith("3 faces of similar size")


def test_sizes_at_the_limits() -> None:
    rules = FaceRules(min_face_px=24, rival_ratio=0.5)
    assert choose_face(faces((50, 50, 24)), SIZE, rules, Role.PROBE) == (0, ())
    small = refused(faces((50, 50, 23.75)), rules)
    assert small.reason is RefusalReason.FACE_TOO_SMALL
    assert "at least 24 px" in small.detail
    assert refused(faces((10, 10, 40), (100, 100, 80)), rules).reason is RefusalReason.SEVERAL_FACES
    assert choose_face(faces((10, 10, 39.5), (100, 100, 80)), SIZE, rules, Role.PROBE) == (
        1,
        ("1 smaller face ignored",),
    )


def test_the_shorter_side_of_a_box_is_its_size() -> None:
    box = np.array([[100, 100, 120, 300]], np.float32)
    points = (FACE * (20, 200) + (100, 100)).astype(np.float32)
    found = Detections(box, np.ones(1, np.float32), points[None])
    assert refused(found).reason is RefusalReason.FACE_TOO_SMALL


@pytest.mark.parametrize("corner", [(-40, 100), (560, 100), (200, -50), (200, 330)])
def test_a_face_cut_off_by_the_border(corner: tuple[float, float]) -> None:
    assert refused(faces((*corner, 100))).reason is RefusalReason.FACE_CUT_OFF


def test_a_box_may_reach_out_when_the_points_are_inside() -> None:
    assert choose_face(faces((-25, 310, 100)), SIZE, FaceRules(), Role.PROBE) == (0, ())


def test_a_point_that_the_detector_does_not_give_is_not_cut_off() -> None:
    found = faces((100, 100, 90))
    points = found.points.copy()
    points[0, 3:] = np.nan
    known = Detections(found.boxes, found.scores, points)
    assert choose_face(known, SIZE, FaceRules(), Role.PROBE) == (0, ())


def huddled(found: Detections, index: int, share: float) -> Detections:
    """The same faces, the points of one drawn together to ``share`` of the box."""
    points = found.points.copy()
    centre = points[index].mean(axis=0)
    spread = (np.ptp(points[index], axis=0) / (found.boxes[index, 2:] - found.boxes[index, :2])).max()
    points[index] = centre + (points[index] - centre) * share / spread
    return Detections(found.boxes, found.scores, points)


def test_points_that_huddle_are_no_face() -> None:
    single = faces((100, 100, 200))
    assert refused(huddled(single, 0, 0.19)).reason is RefusalReason.NO_FACE
    assert choose_face(huddled(single, 0, 0.21), SIZE, FaceRules(), Role.PROBE) == (0, ())
    # it is no rival and no bystander of a real one either
    pair = huddled(faces((10, 100, 200), (300, 100, 90)), 0, 0.1)
    assert choose_face(pair, SIZE, FaceRules(), Role.PROBE) == (1, ())


def test_a_face_without_points_is_no_face() -> None:
    found = faces((100, 100, 200))
    blind = Detections(found.boxes, found.scores, np.full((1, 5, 2), np.nan, np.float32))
    assert refused(blind).reason is RefusalReason.NO_FACE


@given(st.lists(st.tuples(st.floats(0, 500), st.floats(0, 300), st.floats(5, 100)), max_size=5))
def test_the_order_of_faces_does_not_matter(squares: list[tuple[float, float, float]]) -> None:
    first = choose_face(faces(*squares), SIZE, FaceRules(), Role.PROBE)
    last = choose_face(faces(*squares[::-1]), SIZE, FaceRules(), Role.PROBE)
    if isinstance(first, Refusal):
        assert isinstance(last, Refusal)
        assert (first.reason, first.detail) == (last.reason, last.detail)
    else:
        assert not isinstance(last, Refusal)
        assert (len(squares) - 1 - last[0], last[1]) == first
        assert squares[first[0]][2] == max(s for _, _, s in squares)


def test_the_central_face() -> None:
    assert central_face(faces(), SIZE) is None
    assert central_face(faces((0, 0, 200), (260, 170, 40), (500, 300, 90)), SIZE) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_face_px": 0},
        {"rival_ratio": 0},
        {"rival_ratio": 1.1},
        {"outside_ratio": -0.1},
        {"spread_ratio": 2},
    ],
)
def test_rules_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="out of range"):
        FaceRules(**wrong)
