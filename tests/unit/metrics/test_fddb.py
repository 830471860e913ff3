import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineament.metrics import fddb as m

GOLDEN_ELLIPSE = np.array([[100, 70, np.pi / 2, 200, 200]], np.float32)


def xyxy(rows):
    boxes = np.array(rows, np.float32).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def test_golden_overlaps():
    boxes = xyxy([(130, 100, 140, 200), (130, 130, 140, 140), (130, 116, 140, 168)])
    overlaps = m.region_overlaps(GOLDEN_ELLIPSE, boxes, (400, 400))
    assert overlaps[0] == pytest.approx([0.786, 0.752, 0.808], abs=0.002)
    assert overlaps[0, 0] == pytest.approx(np.pi / 4, abs=0.001)


def drawn_overlap(ellipse, box, size):
    """The published tool draws both regions with OpenCV and counts pixels."""
    width, height = size
    face, found = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
    axes = (int(ellipse[0]), int(ellipse[1]))
    centre = tuple(np.rint(ellipse[3:]).astype(int).tolist())
    cv2.ellipse(face, centre, axes, float(np.degrees(ellipse[2])), 0, 360, 1, -1)
    corners = np.rint(box).astype(int).tolist()
    cv2.rectangle(found, tuple(corners[:2]), tuple(corners[2:]), 1, -1)
    return np.count_nonzero(face & found) / np.count_nonzero(face | found)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_overlap_equals_drawn_regions(seed):
    rng = np.random.default_rng(seed)
    minor = rng.uniform(25, 60)
    ellipse = np.array(
        [minor * rng.uniform(1.05, 1.6), minor, rng.uniform(-1.6, 1.6), *rng.uniform(-10, 200, 2)]
    )
    box = (*(ellipse[3:] - rng.uniform(20, 70, 2)), *rng.uniform(30, 140, 2))
    size = (190, 170)
    boxes = xyxy([box])
    if boxes[0, 2] < 0 or boxes[0, 3] < 0:
        return
    overlap = m.region_overlaps(ellipse[None].astype(np.float32), boxes, size)[0, 0]
    assert overlap == pytest.approx(drawn_overlap(ellipse, boxes[0], size), abs=0.02)


def counted_overlap(ellipse, box, size):
    """The definition, pixel by pixel."""
    a, b = int(ellipse[0]) + 0.5, int(ellipse[1]) + 0.5
    cos, sin = np.cos(float(ellipse[2])), np.sin(float(ellipse[2]))
    cx, cy = np.rint(ellipse[3:])
    x1, y1, x2, y2 = np.rint(box)
    shared = either = 0
    for y, x in itertools.product(range(size[1]), range(size[0])):
        u, v = (x - cx) * cos + (y - cy) * sin, (y - cy) * cos - (x - cx) * sin
        face = (u / a) ** 2 + (v / b) ** 2 <= 1
        found = x1 <= x <= x2 and y1 <= y <= y2
        shared, either = shared + (face and found), either + (face or found)
    return shared / either if either else 0.0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_overlap_equals_counting_pixels(seed):
    rng = np.random.default_rng(seed)
    ellipse = np.array(
        [rng.uniform(3, 9), rng.uniform(2, 6), rng.uniform(-2, 2), *rng.uniform(-4, 24, 2)], np.float32
    )
    boxes = xyxy([(*rng.uniform(-5, 18, 2), *rng.uniform(0, 15, 2)) for _ in range(2)])
    overlaps = m.region_overlaps(ellipse[None], boxes, (20, 17))
    assert overlaps[0] == pytest.approx([counted_overlap(ellipse, box, (20, 17)) for box in boxes], abs=1e-12)


def slow_point(pictures, threshold):
    """False positives, matched faces and summed overlap at one threshold, trying every assignment."""
    false = matched = total = 0.0
    for p in pictures:
        taken = [b for b, s in zip(p.boxes, p.scores, strict=True) if s >= threshold]
        overlaps = np.array([[counted_overlap(e, b, p.size_px) for b in taken] for e in p.ellipses])
        overlaps = overlaps.reshape(len(p.ellipses), len(taken))
        if len(taken) < len(p.ellipses):
            overlaps = overlaps.T
        best = max(
            (
                [overlaps[i, j] for i, j in enumerate(columns)]
                for columns in itertools.permutations(range(overlaps.shape[1]), overlaps.shape[0])
            ),
            key=sum,
        )
        hits = sum(v > 0.5 for v in best)
        false, matched, total = false + len(taken) - hits, matched + hits, total + sum(best)
    return false, matched, total


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_curves_equal_trying_every_assignment(seed):
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(3):
        n_faces, n_found = rng.integers(0, 4, 2)
        ellipses = np.column_stack(
            [rng.uniform(4, 7, n_faces), rng.uniform(3, 4, n_faces), rng.uniform(-1, 1, n_faces)]
            + [rng.uniform(3, 13, n_faces) for _ in range(2)]
        ).astype(np.float32)
        boxes = xyxy(
            np.concatenate([rng.uniform(0, 8, (n_found, 2)), rng.uniform(6, 11, (n_found, 2))], axis=1)
        )
        scores = rng.integers(0, 4, n_found).astype(np.float32)
        pictures.append(m.FddbPicture(boxes, scores, ellipses, (16, 16)))
    n_faces = sum(len(p.ellipses) for p in pictures)
    if n_faces == 0:
        with pytest.raises(ValueError, match="at least one annotated face"):
            m.fddb_roc(pictures)
        return
    roc = m.fddb_roc(pictures)
    assert roc.thresholds.tolist() == sorted({float(s) for p in pictures for s in p.scores}, reverse=True)
    for k, threshold in enumerate(roc.thresholds):
        false, matched, total = slow_point(pictures, threshold)
        assert roc.false_positives[k] == false
        assert roc.discrete[k] == pytest.approx(matched / n_faces)
        assert roc.continuous[k] == pytest.approx(total / n_faces)


def test_rate_at_a_number_of_false_positives():
    roc = m.FddbRoc(
        np.zeros(3, np.float32), np.array([0, 4, 9]), np.array([0.2, 0.5, 0.6]), np.array([0.1, 0.3, 0.4])
    )
    assert m.fddb_rate_at(roc.discrete, roc, 8) == 0.5
    assert m.fddb_rate_at(roc.continuous, roc, 9) == 0.4
    nothing = m.FddbRoc(np.zeros(0, np.float32), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    assert m.fddb_rate_at(nothing.discrete, nothing, 100) == 0


def test_a_picture_has_pixels():
    empty = np.zeros((0, 4), np.float32)
    with pytest.raises(ValueError, match="at least one pixel"):
        m.FddbPicture(empty, np.zeros(0, np.float32), np.zeros((0, 5), np.float32), (0, 4))
