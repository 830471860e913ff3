import cv2
import numpy as np
import pytest

from lineament.core.errors import BadArray
from lineament.geometry import ARCFACE_112, DLIB_150, align, align_many, apply, fit_similarity, invert, warp


def smooth_picture(height, width, seed=0):
    """Colours that change slowly, so that interpolation hardly errs."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def placed(matrix_scale, shift, template=ARCFACE_112):
    return (template.points * matrix_scale + shift).astype(np.float32)


def supersampled(pixels, matrix, size_px, factor=8):
    """Slow reference: warp at ``factor`` times the size, then average."""
    fine = matrix * factor
    fine[:, 2] += (factor - 1) / 2
    large = cv2.warpAffine(pixels, fine, (size_px * factor, size_px * factor))
    return large.reshape(size_px, factor, size_px, factor, 3).astype(np.float64).mean((1, 3))


@pytest.mark.parametrize("template", [ARCFACE_112, DLIB_150], ids=lambda t: t.name)
def test_a_face_on_its_template_is_copied(template):
    size = template.size_px
    pixels = np.random.default_rng(1).integers(0, 256, (size + 40, size + 30, 3), dtype=np.uint8)
    crop = align(pixels, placed(1.0, (12, 7), template), template)
    np.testing.assert_allclose(crop.matrix, [[1, 0, -12], [0, 1, -7]], atol=1e-5)
    difference = np.abs(crop.pixels.astype(int) - pixels[7 : 7 + size, 12 : 12 + size])
    assert difference.max() <= 2  # fixed-point weights of the warp


def test_marks_land_on_the_template():
    pixels = np.zeros((400, 500, 3), np.uint8)
    turn = np.array([[1.5, -0.8, 220.0], [0.8, 1.5, 60.0]])
    points = apply(turn, ARCFACE_112.points)
    for x, y in points:
        cv2.circle(pixels, (round(x * 16), round(y * 16)), 3 * 16, (255, 255, 255), -1, cv2.LINE_AA, 4)
    crop = align(pixels, points, ARCFACE_112).pixels[..., 0].astype(float)
    rows, columns = np.indices(crop.shape)
    for x, y in ARCFACE_112.points:
        near = crop * ((columns - x) ** 2 + (rows - y) ** 2 < 25)
        assert (near * columns).sum() / near.sum() == pytest.approx(x, abs=0.3)
        assert (near * rows).sum() / near.sum() == pytest.approx(y, abs=0.3)


def test_matrix_maps_the_points():
    points = placed(2.5, (30, 40))
    crop = align(smooth_picture(400, 400), points, ARCFACE_112)
    np.testing.assert_allclose(apply(crop.matrix, points), ARCFACE_112.points, atol=1e-3)


@pytest.mark.parametrize("scale", [0.4, 1.0, 1.9, 2.1, 3.7, 9.2])
def test_crops_agree_with_supersampling(scale):
    pixels = smooth_picture(1100, 1200)
    crop = align(pixels, placed(scale, (40, 30)), ARCFACE_112)
    assert np.abs(crop.pixels - supersampled(pixels, crop.matrix, 112)).max() < 4


def test_fine_patterns_do_not_alias():
    """Stripes two pixels wide are grey from far away; plain bilinear sampling turns them into bands."""
    pixels = np.zeros((1500, 1500, 3), np.uint8)
    pixels[:, ::2] = 255
    matrix = fit_similarity(placed(7.3, (100, 100)), ARCFACE_112.points)
    plain = cv2.warpAffine(pixels, matrix, (112, 112)).std()
    assert plain > 50
    assert warp(pixels, matrix, 112).std() < plain / 5


def test_beyond_the_picture_is_black():
    pixels = np.full((200, 200, 3), 200, np.uint8)
    crop = align(pixels, placed(1.0, (-56, 0)), ARCFACE_112).pixels
    assert (crop[:, :55] == 0).all()
    assert (crop[:, 57:] == 200).all()


def test_a_face_far_outside_is_black():
    pixels = np.full((50, 50, 3), 200, np.uint8)
    assert not align(pixels, placed(1.0, (4000, 0)), ARCFACE_112).pixels.any()


def test_cutting_out_does_not_move_the_picture():
    """A large picture is warped from the part that is needed: same result as from the whole."""
    pixels = smooth_picture(700, 900)
    matrix = fit_similarity(placed(1.4, (300.3, 200.7)), ARCFACE_112.points)
    whole = cv2.warpAffine(pixels, matrix, (112, 112)).astype(int)
    assert np.abs(warp(pixels, matrix, 112) - whole).max() <= 2


def test_crops_of_many_faces_equal_single_crops():
    pixels = smooth_picture(500, 600)
    points = np.stack([placed(1.0, (10, 10)), placed(3.0, (50, 60)), placed(0.5, (300, 300))])
    crops = align_many(pixels, points, ARCFACE_112)
    assert crops.shape == (3, 112, 112, 3)
    for crop, single in zip(crops, points, strict=True):
        np.testing.assert_array_equal(crop, align(pixels, single, ARCFACE_112).pixels)


def test_no_faces_give_no_crops():
    crops = align_many(smooth_picture(50, 50), np.zeros((0, 5, 2), np.float32), DLIB_150)
    assert crops.shape == (0, 150, 150, 3)
    assert crops.dtype == np.uint8


def test_two_known_points_are_enough():
    points = placed(2.0, (20, 20))
    points[2:] = np.nan
    crop = align(smooth_picture(300, 300), points, ARCFACE_112)
    np.testing.assert_allclose(
        apply(invert(crop.matrix), ARCFACE_112.points), placed(2.0, (20, 20)), atol=1e-3
    )


def test_unknown_points_are_an_error():
    with pytest.raises(ValueError, match="two different finite points"):
        align(smooth_picture(50, 50), np.full((5, 2), np.nan, np.float32), ARCFACE_112)


def test_wrong_arrays_are_an_error():
    with pytest.raises(BadArray, match="five x, y points"):
        align(smooth_picture(50, 50), np.zeros((68, 2), np.float32), ARCFACE_112)
    with pytest.raises(BadArray, match="uint8 RGB"):
        align(np.zeros((5, 5)), placed(1.0, (0, 0)), ARCFACE_112)


def test_read_only_and_one_pixel_pictures_are_fine():
    pixels = np.full((1, 1, 3), 9, np.uint8)
    pixels.flags.writeable = False
    assert align(pixels, placed(1.0, (0, 0)), ARCFACE_112).pixels.shape == (112, 112, 3)
