"""Anchors, letterbox and averaging suppression of BlazeFace against loops."""

import numpy as np
import pytest
from function_session import FunctionSession, model_of

from lineament.detection import DetectionSettings, blazeface
from lineament.detection.blazeface import BlazeFace
from lineament.detection.postprocess import Candidates
from lineament.geometry import iou


def test_anchors_in_the_published_order() -> None:
    want = []
    for grid, repeats in ((16, 2), (8, 6)):
        for row in range(grid):
            for column in range(grid):
                want += [((column + 0.5) / grid * 128, (row + 0.5) / grid * 128)] * repeats
    assert len(want) == 896
    np.testing.assert_allclose(blazeface.anchors(), want)


@pytest.mark.parametrize("shape", [(128, 128), (300, 400), (400, 300), (1, 1), (2000, 3), (50, 20)])
def test_letterbox_keeps_proportions_and_centre(shape: tuple[int, int]) -> None:
    pixels = np.full((*shape, 3), 255, np.uint8)
    canvas, factor, corner = blazeface.letterbox(pixels)
    height, width = shape
    rows, columns = (canvas.max(2) > 0).any(1).sum(), (canvas.max(2) > 0).any(0).sum()
    assert max(rows, columns) == 128
    np.testing.assert_allclose(factor, [columns / width, rows / height], rtol=1e-6)
    assert abs((128 - columns) / 2 - corner[0]) <= 0.5
    assert abs((128 - rows) / 2 - corner[1]) <= 0.5


def test_blend_agrees_with_a_loop() -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 30, (30, 2))
    boxes = np.concatenate([low, low + rng.uniform(10, 30, (30, 2))], axis=1).astype(np.float32)
    scores = np.sort(rng.uniform(0.5, 1, 30).astype(np.float32))[::-1]
    points = rng.normal(size=(30, 5, 2)).astype(np.float32)
    waiting, want = list(range(30)), []
    while waiting:
        group = [i for i in waiting if iou(boxes[waiting[:1]], boxes[[i]])[0, 0] > 0.3]
        total = sum(scores[i] for i in group)
        want.append(
            (
                sum(scores[i] * boxes[i] for i in group) / total,
                scores[group[0]],
                sum(scores[i] * points[i] for i in group) / total,
            )
        )
        waiting = [i for i in waiting if i not in group]
    found = blazeface.blend(Candidates(boxes, scores, points), 0.3)
    assert 1 < len(want) < 30
    np.testing.assert_allclose(found.boxes, [w[0] for w in want], rtol=1e-5)
    np.testing.assert_array_equal(found.scores, [w[1] for w in want])
    np.testing.assert_allclose(found.points, [w[2] for w in want], rtol=1e-4, atol=1e-6)


def one_face(image: np.ndarray) -> dict[str, np.ndarray]:
    """Anchor 100 sees a face of 32 by 48 px; points at fixed places."""
    boxes, scores = (
        np.zeros((len(image), 896, 16), np.float32),
        np.full((len(image), 896, 1), -200, np.float32),
    )
    boxes[:, 100, :4], boxes[:, 100, 4:10] = (4, -2, 32, 48), (-6, -8, 6, -8, 0, 1)
    scores[:, 100] = 3
    return {"boxes": boxes, "scores": scores}


def test_faces_are_mapped_back_and_mouth_corners_are_unknown() -> None:
    detector = BlazeFace(model_of("blazeface", model=FunctionSession(one_face)))
    (found,) = detector.detect([np.zeros((192, 256, 3), np.uint8)])
    anchor = blazeface.anchors()[100]
    low, high = anchor + np.array([[4 - 16, -2 - 24], [4 + 16, -2 + 24]])
    want = (np.concatenate([low, high]) - np.array([0, 16, 0, 16])) * 2 - 0.5
    np.testing.assert_allclose(found.boxes[0], want, rtol=1e-5)
    points = (anchor + np.array([[-6, -8], [6, -8], [0, 1]]) - np.array([0, 16])) * 2 - 0.5
    np.testing.assert_allclose(found.points[0, :3], points, rtol=1e-5)
    assert np.isnan(found.points[0, 3:]).all()
    assert found.scores[0] == pytest.approx(1 / (1 + np.exp(-3)), rel=1e-5)
    strict = detector.with_settings(DetectionSettings(min_score=0.99))
    assert len(strict.detect([np.zeros((192, 256, 3), np.uint8)])[0]) == 0


def test_many_pictures_run_in_batches() -> None:
    session = FunctionSession(one_face)
    found = BlazeFace(model_of("blazeface", model=session)).detect([np.zeros((10, 10, 3), np.uint8)] * 70)
    assert len(found) == 70
    assert [s[0] for s in session.shapes] == [32, 32, 6]
