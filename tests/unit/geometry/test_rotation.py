import numpy as np
import pytest

from lineament.geometry import turn, turn_boxes, turn_points

ANGLES = (0, 90, 180, 270, -90, 450)


@pytest.mark.parametrize("angle", ANGLES)
def test_turn_agrees_with_numpy(angle):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(turn(pixels, angle), np.rot90(pixels, -angle // 90))


@pytest.mark.parametrize("angle", ANGLES)
def test_points_go_where_the_pixels_go(angle):
    pixels = np.zeros((5, 8, 3), np.uint8)
    pixels[1, 6] = 255
    turned = turn(pixels, angle)
    x, y = turn_points(np.array([6.0, 1.0]), angle, pixels.shape)
    assert turned[int(y), int(x)].tolist() == [255, 255, 255]


@pytest.mark.parametrize("angle", ANGLES)
def test_boxes_stay_boxes_of_the_same_pixels(angle):
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[2:7, 11:19] = 1
    box = np.array([[10.5, 1.5, 18.5, 6.5]], np.float32)
    x1, y1, x2, y2 = (turn_boxes(box, angle, pixels.shape)[0] + 0.5).astype(int)
    turned = turn(pixels, angle)
    assert turned[y1:y2, x1:x2].all()
    assert turned[y1:y2, x1:x2].size == turned.sum()


def test_missing_points_stay_missing():
    assert np.isnan(turn_points(np.full((1, 5, 2), np.nan), 90, (4, 4))).all()


@pytest.mark.parametrize("angle", [1, 45, -91])
def test_other_angles_are_refused(angle):
    with pytest.raises(ValueError, match="multiple of 90"):
        turn(np.zeros((2, 2, 3), np.uint8), angle)
    with pytest.raises(ValueError, match="multiple of 90"):
        turn_points(np.zeros((1, 2)), angle, (2, 2))


def test_read_only_pictures_can_be_turned():
    pixels = np.zeros((3, 4, 3), np.uint8)
    pixels.flags.writeable = False
    assert turn(pixels, 90).shape == (4, 3, 3)
