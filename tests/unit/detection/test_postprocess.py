"""Selection against a slow oracle, and its order of steps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineament.detection import DetectionSettings
from lineament.detection.postprocess import Candidates, Limits, join, select


def candidates(boxes: list[list[float]], scores: list[float]) -> Candidates:
    count = len(scores)
    points = np.arange(count * 10, dtype=np.float32).reshape(count, 5, 2)
    return Candidates(np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), points)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    shared = float(wide) * float(high)
    return shared / (float((a[2] - a[0]) * (a[3] - a[1])) + float((b[2] - b[0]) * (b[3] - b[1])) - shared)


def slow_select(found: Candidates, limits: Limits) -> list[int]:
    order = sorted(range(len(found.scores)), key=lambda i: -found.scores[i])
    kept: list[int] = []
    for i in order:
        box = found.boxes[i]
        if found.scores[i] < limits.min_score or box[2] <= box[0] or box[3] <= box[1]:
            continue
        if all(overlap(box, found.boxes[k]) <= limits.nms_iou for k in kept):
            kept.append(i)
    large = [i for i in kept if min(found.boxes[i][2:] - found.boxes[i][:2]) >= limits.min_face_px]
    return large[: limits.max_faces]


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 40),
    st.sampled_from([0.0, 8.0]),
    st.sampled_from([None, 1, 3]),
)
def test_select_agrees_with_a_plain_loop(seed: int, count: int, min_face: float, most: int | None) -> None:
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 40, (count, 2))
    boxes = np.concatenate([low, low + rng.uniform(-2, 30, (count, 2))], axis=1)
    found = candidates(boxes.tolist(), rng.uniform(0, 1, count).tolist())
    limits = Limits(0.3, 0.4, min_face, most)
    want = slow_select(found, limits)
    got = select(found, limits)
    np.testing.assert_array_equal(got.boxes, found.boxes[want])
    np.testing.assert_array_equal(got.scores, found.scores[want])
    np.testing.assert_array_equal(got.points, found.points[want])


def test_small_box_in_a_large_face_does_not_outlive_it() -> None:
    """The small box is suppressed by the better large one before sizes are judged."""
    found = candidates([[0, 0, 10, 10], [0, 0, 10, 8]], [0.9, 0.8])
    assert len(select(found, Limits(0.5, 0.4, min_face_px=9))) == 1


def test_boxes_that_are_not_finite_are_dropped() -> None:
    found = candidates([[0, 0, np.inf, 4], [np.nan, 0, 4, 4], [0, 0, 4, 4]], [0.9, 0.8, 0.7])
    np.testing.assert_array_equal(select(found, Limits(0.5, 0.4)).scores, np.float32([0.7]))


def test_nothing_in_nothing_out() -> None:
    assert len(select(candidates([], []), Limits(0.5, 0.4))) == 0


def test_join_keeps_every_candidate() -> None:
    a, b = candidates([[0, 0, 1, 1]], [0.1]), candidates([[2, 2, 3, 3], [4, 4, 5, 5]], [0.2, 0.3])
    joined = join([a, b])
    np.testing.assert_array_equal(joined.scores, np.float32([0.1, 0.2, 0.3]))
    assert joined.boxes.shape == (3, 4)
    assert joined.points.shape == (3, 5, 2)


def test_settings_override_the_manifest() -> None:
    defaults = {"min_score": 0.6, "nms_iou": 0.3, "other": 1.0}
    assert Limits.decide(DetectionSettings(), defaults) == Limits(0.6, 0.3)
    given_limits = Limits.decide(DetectionSettings(0.0, 0.0, 12, 2), defaults)
    assert given_limits == Limits(0.0, 0.0, 12, 2)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("min_score", 1.1),
        ("min_score", float("nan")),
        ("nms_iou", -0.1),
        ("min_face_px", -1),
        ("max_faces", 0),
    ],
)
def test_settings_refuse_what_cannot_be(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        DetectionSettings(**{field: value})
