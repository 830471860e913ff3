import cv2
import numpy as np
import pytest

from lineament.geometry import area, clip_boxes, iou, nms, scale_boxes, scale_points


def random_boxes(rng, count):
    low = rng.uniform(0, 100, (count, 2))
    return np.concatenate([low, low + rng.uniform(1, 40, (count, 2))], axis=1).astype(np.float32)


def slow_iou(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


def slow_nms(boxes, scores, max_iou):
    kept = []
    for index in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        if all(slow_iou(boxes[index], boxes[other]) <= max_iou for other in kept):
            kept.append(index)
    return kept


def test_iou_agrees_with_a_loop():
    rng = np.random.default_rng(0)
    a, b = random_boxes(rng, 30), random_boxes(rng, 40)
    expected = [[slow_iou(x, y) for y in b.tolist()] for x in a.tolist()]
    found = iou(a, b)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_iou_adds_no_pixel():
    a = np.array([[0, 0, 10, 10]], np.float32)
    b = np.array([[5, 0, 15, 10]], np.float32)
    assert iou(a, b)[0, 0] == pytest.approx(1 / 3)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_iou_of_nothing_is_empty(shape):
    assert iou(np.zeros((shape[0], 4), np.float32), np.zeros((shape[1], 4), np.float32)).shape == shape


def test_boxes_without_area_overlap_nothing():
    empty = np.array([[5, 5, 5, 5], [9, 9, 2, 2]], np.float32)
    assert iou(empty, empty).tolist() == [[0, 0], [0, 0]]
    assert area(empty).tolist() == [0, 0]


@pytest.mark.parametrize("max_iou", [0.0, 0.3, 0.7, 1.0])
def test_nms_agrees_with_a_loop(max_iou):
    rng = np.random.default_rng(1)
    for _ in range(20):
        boxes = random_boxes(rng, 60)
        scores = rng.integers(0, 20, 60).astype(np.float32) / 20  # many ties
        assert nms(boxes, scores, max_iou).tolist() == slow_nms(boxes.tolist(), scores.tolist(), max_iou)


def test_nms_of_nothing():
    kept = nms(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), 0.5)
    assert kept.tolist() == []
    assert np.zeros((0, 4))[kept].shape == (0, 4)


def test_clip_reaches_to_the_outer_edge_of_the_border_pixels():
    boxes = np.array([[-7, -7, 500, 500], [3, 4, 5, 6]], np.float32)
    assert clip_boxes(boxes, height=20, width=30).tolist() == [[-0.5, -0.5, 29.5, 19.5], [3, 4, 5, 6]]


def test_scaling_follows_the_pixels():
    """A bright pixel's centre of mass moves as scale_points says when the picture is resized."""
    picture = np.zeros((40, 60), np.float32)
    picture[12, 33] = 1.0
    small = cv2.resize(picture, (30, 10), interpolation=cv2.INTER_AREA)
    rows, columns = np.indices(small.shape)
    mass = np.array([(small * columns).sum(), (small * rows).sum()]) / small.sum()
    expected = scale_points(np.array([33.0, 12.0]), 0.5, 0.25)
    assert np.abs(mass - expected).max() <= 0.5  # all of the light falls into one pixel
    whole = np.array([[-0.5, -0.5, 59.5, 39.5]], np.float32)
    assert scale_boxes(whole, 0.5, 0.25).tolist() == [[-0.5, -0.5, 29.5, 9.5]]
