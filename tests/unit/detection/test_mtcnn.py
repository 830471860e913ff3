"""Bookkeeping of the cascade against plain loops; the whole cascade with networks that can be followed."""

import numpy as np
import pytest
from function_session import FunctionSession, model_of

from lineament.detection import DetectionSettings, mtcnn
from lineament.detection.mtcnn import Mtcnn


def test_pyramid_as_published() -> None:
    """Scale 12 / 20 · 0.709^k while the shorter side has 12 px."""
    sizes = []
    scale = 12 / 20
    while 100 * scale >= 12:
        sizes.append((int(np.ceil(100 * scale)), int(np.ceil(250 * scale))))
        scale *= 0.709
    assert mtcnn.pyramid((100, 250, 3), 20, 0.709) == sizes
    assert sizes[0] == (60, 150)


@pytest.mark.parametrize("shape", [(1, 1), (19, 500)])
def test_pictures_smaller_than_the_smallest_face_have_no_level(shape: tuple[int, int]) -> None:
    assert mtcnn.pyramid(shape, 20, 0.709) == []


def test_level_windows_agree_with_a_loop() -> None:
    rng = np.random.default_rng(0)
    scores, shifts = (
        rng.uniform(0, 1, (6, 9)).astype(np.float32),
        rng.normal(size=(4, 6, 9)).astype(np.float32),
    )
    want = []
    for row in range(6):
        for column in range(9):
            if scores[row, column] >= 0.6:
                x, y = 2 * column - 0.5, 2 * row - 0.5
                want.append((scores[row, column], [x, y, x + 12, y + 12], shifts[:, row, column]))
    want.sort(key=lambda w: -w[0])
    found = mtcnn.level_windows(scores, shifts, 0.6)
    np.testing.assert_array_equal(found.scores, [w[0] for w in want])
    np.testing.assert_array_equal(found.boxes, [w[1] for w in want])
    np.testing.assert_array_equal(found.shifts, [w[2] for w in want])


def test_moved_edges_follow_width_and_height() -> None:
    box, shift = np.float32([[10, 20, 30, 60]]), np.float32([[0.1, -0.1, 0.5, 0.25]])
    np.testing.assert_allclose(mtcnn.moved(box, shift), [[12, 16, 40, 70]])


def test_squares_keep_centre_and_longer_side_within_half_a_px() -> None:
    rng = np.random.default_rng(1)
    low = rng.uniform(-20, 50, (100, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.2, 60, (100, 2))], axis=1).astype(np.float32)
    found = mtcnn.squares(boxes)
    sides = found[:, 2:] - found[:, :2]
    np.testing.assert_array_equal(sides[:, 0], sides[:, 1])
    np.testing.assert_array_equal(found % 1, 0.5)
    assert (sides[:, 0] >= 1).all()
    wanted = np.maximum((boxes[:, 2:] - boxes[:, :2]).max(1), 1)
    assert np.abs(sides[:, 0] - wanted).max() <= 0.5 + 1e-3
    centres = (found[:, :2] + found[:, 2:] - boxes[:, :2] - boxes[:, 2:]) / 2
    assert np.abs(centres).max() <= 1.0


@pytest.mark.parametrize(
    "square", [(-0.5, -0.5, 11.5, 11.5), (-6.5, 3.5, 5.5, 15.5), (15.5, -4.5, 27.5, 7.5)]
)
def test_cut_pads_with_black(square: tuple[float, ...]) -> None:
    """At its own size a cut is a copy."""
    pixels = np.random.default_rng(2).integers(1, 256, (14, 20, 3), np.uint8)
    found = mtcnn.cut(pixels, np.float32(square), 12)
    for y in range(12):
        for x in range(12):
            row, column = y + int(square[1] + 0.5), x + int(square[0] + 0.5)
            inside = 0 <= row < 14 and 0 <= column < 20
            np.testing.assert_array_equal(found[y, x], pixels[row, column] if inside else 0)


def test_cut_outside_of_the_picture_is_black() -> None:
    pixels = np.full((10, 10, 3), 255, np.uint8)
    assert not mtcnn.cut(pixels, np.float32([-40.5, -40.5, -20.5, -20.5]), 24).any()
    assert not mtcnn.cut(pixels, np.float32([19.5, 2.5, 39.5, 22.5]), 24).any()


def test_contained_boxes_are_suppressed_as_a_loop_does() -> None:
    rng = np.random.default_rng(3)
    low = rng.uniform(0, 40, (60, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 30, (60, 2))], axis=1).astype(np.float32)
    kept: list[int] = []
    for i, a in enumerate(boxes):
        clash = False
        for b in boxes[kept]:
            wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
            smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
            clash |= wide > 0 and high > 0 and wide * high > 0.7 * smaller
        if not clash:
            kept.append(i)
    assert mtcnn.suppress_contained(boxes, 0.7).tolist() == kept


def bright(image: np.ndarray) -> np.ndarray:
    """(N,) 1 where the middle of a crop is bright."""
    size = image.shape[2] // 4
    return (image[:, :, size:-size, size:-size].mean((1, 2, 3)) > 0.8).astype(np.float32)


def proposal(image: np.ndarray) -> dict[str, np.ndarray]:
    rows, columns = (image.shape[2] - 12) // 2 + 1, (image.shape[3] - 12) // 2 + 1
    scores = np.zeros((len(image), 1, rows, columns), np.float32)
    for row in range(rows):
        for column in range(columns):
            scores[:, 0, row, column] = (
                bright(image[:, :, 2 * row : 2 * row + 12, 2 * column : 2 * column + 12]) * 0.9
            )
    return {"scores": scores, "boxes": np.zeros((len(image), 4, rows, columns), np.float32)}


def refinement(image: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "scores": bright(image)[:, None] * np.float32(0.9),
        "boxes": np.zeros((len(image), 4), np.float32),
    }


def output(image: np.ndarray) -> dict[str, np.ndarray]:
    """Points at known fractions of the square; the box's left edge moves by a tenth."""
    points = np.tile(np.float32([0.2, 0.8, 0.5, 0.3, 0.7, 0.3, 0.3, 0.5, 0.8, 0.8]), (len(image), 1))
    boxes = np.tile(np.float32([0.1, 0, 0, 0]), (len(image), 1))
    return {"scores": bright(image)[:, None] * np.float32(0.95), "boxes": boxes, "points": points}


def cascade() -> tuple[Mtcnn, dict[str, FunctionSession]]:
    sessions = {
        "pnet": FunctionSession(proposal),
        "rnet": FunctionSession(refinement),
        "onet": FunctionSession(output),
    }
    return Mtcnn(model_of("mtcnn", **sessions)), sessions


def test_the_whole_cascade_finds_bright_squares_of_several_pictures() -> None:
    detector, sessions = cascade()
    first, second = np.zeros((100, 140, 3), np.uint8), np.zeros((80, 80, 3), np.uint8)
    first[30:60, 50:80] = 255
    second[20:50, 10:40] = 255
    found = detector.detect([first, second, np.zeros((90, 90, 3), np.uint8), np.zeros((3, 3, 3), np.uint8)])
    assert [len(f) > 0 for f in found] == [True, True, False, False]
    for faces, centre in ((found[0], (64.5, 44.5)), (found[1], (24.5, 34.5))):
        square = faces.boxes[0]
        side = square[3] - square[1]
        np.testing.assert_allclose(square[2] - square[0], side * 0.9, rtol=1e-4)
        low = np.array([square[2] - side, square[1]])
        want = low + side * np.array([[0.2, 0.3], [0.8, 0.3], [0.5, 0.5], [0.3, 0.8], [0.7, 0.8]])
        np.testing.assert_allclose(faces.points[0], want, atol=1e-3)
        assert np.abs(low + side / 2 - centre).max() <= 8
    assert len(sessions["rnet"].shapes) == 1
    assert len(sessions["onet"].shapes) == 1


def test_no_proposal_ends_the_cascade() -> None:
    detector, sessions = cascade()
    assert [len(f) for f in detector.detect([np.zeros((60, 60, 3), np.uint8)])] == [0]
    assert detector.detect([]) == []
    assert sessions["rnet"].shapes == []
    assert sessions["onet"].shapes == []


def test_a_larger_smallest_face_saves_levels() -> None:
    detector, sessions = cascade()
    pixels = np.zeros((200, 200, 3), np.uint8)
    detector.detect([pixels])
    all_levels = len(sessions["pnet"].shapes)
    detector.with_settings(DetectionSettings(min_face_px=80)).detect([pixels])
    assert 0 < len(sessions["pnet"].shapes) - all_levels < all_levels
