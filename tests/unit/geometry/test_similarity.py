import cv2
import numpy as np
import pytest

from lineament.geometry import (
    ARCFACE_112,
    apply,
    compose,
    fit_similarities,
    fit_similarity,
    invert,
    roll_deg,
    scale_of,
)


def umeyama(source, target):
    """The algorithm as printed in Umeyama 1991, equations 38 to 43."""
    mean_source, mean_target = source.mean(0), target.mean(0)
    a, b = source - mean_source, target - mean_target
    u, d, vt = np.linalg.svd(b.T @ a / len(source))
    sign = np.array([1.0, 1.0 if np.linalg.det(u) * np.linalg.det(vt) > 0 else -1.0])
    rotation = u @ np.diag(sign) @ vt
    scale = (d * sign).sum() / (a**2).sum(1).mean()
    return np.concatenate([scale * rotation, (mean_target - scale * rotation @ mean_source)[:, None]], axis=1)


def noisy_faces(seed, count=50):
    rng = np.random.default_rng(seed)
    return ARCFACE_112.points[None] * rng.uniform(0.1, 9, (count, 1, 1)) + rng.normal(0, 8, (count, 5, 2))


def test_agrees_with_umeyama():
    faces = noisy_faces(0)
    found = fit_similarities(faces, ARCFACE_112.points)
    for face, matrix in zip(faces, found, strict=True):
        np.testing.assert_allclose(matrix, umeyama(face, ARCFACE_112.points), atol=1e-9)


def test_agrees_with_linear_least_squares():
    face, target = noisy_faces(1, 1)[0], ARCFACE_112.points
    x, y, one, zero = face[:, 0], face[:, 1], np.ones(5), np.zeros(5)
    system = np.concatenate([np.stack([x, -y, one, zero], 1), np.stack([y, x, zero, one], 1)])
    a, b, tx, ty = np.linalg.lstsq(system, np.concatenate([target[:, 0], target[:, 1]]), rcond=None)[0]
    np.testing.assert_allclose(fit_similarity(face, target), [[a, -b, tx], [b, a, ty]], atol=1e-9)


def test_agrees_with_opencv_on_exact_points():
    turn = np.array([[0.8, -0.6, 12.0], [0.6, 0.8, -3.0]]) * [[1.7, 1.7, 1.0]]
    target = apply(turn, ARCFACE_112.points)
    expected = cv2.estimateAffinePartial2D(ARCFACE_112.points, target)[0]
    np.testing.assert_allclose(fit_similarity(ARCFACE_112.points, target), expected, atol=1e-5)


def test_never_mirrors():
    mirrored = ARCFACE_112.points * [-1, 1]
    matrix = fit_similarity(mirrored, ARCFACE_112.points)
    assert np.linalg.det(matrix[:, :2]) > 0
    np.testing.assert_allclose(matrix, umeyama(mirrored, ARCFACE_112.points), atol=1e-9)


def test_points_with_nan_are_left_out():
    face = noisy_faces(2, 1)[0]
    some = face.copy()
    some[2] = np.nan
    some[4, 1] = np.nan
    keep = [0, 1, 3]
    expected = fit_similarity(face[keep], ARCFACE_112.points[keep])
    np.testing.assert_allclose(fit_similarity(some, ARCFACE_112.points), expected, atol=1e-12)
    assert np.isnan(some[2]).all()  # the caller's array is not touched


@pytest.mark.parametrize("kept", [0, 1])
def test_fewer_than_two_points_is_an_error(kept):
    face = ARCFACE_112.points.copy()
    face[kept:] = np.nan
    with pytest.raises(ValueError, match="at least two different finite points"):
        fit_similarity(face, ARCFACE_112.points)


def test_coinciding_points_are_an_error_that_names_the_set():
    faces = noisy_faces(3, 3)
    faces[1] = [250.1, 33.3]
    with pytest.raises(ValueError, match="point set 1"):
        fit_similarities(faces, ARCFACE_112.points)


def test_wrong_shapes_are_an_error():
    with pytest.raises(ValueError, match=r"\(N, K, 2\)"):
        fit_similarity(np.zeros((4, 2)), ARCFACE_112.points)


def test_no_faces_give_no_matrices():
    assert fit_similarities(np.zeros((0, 5, 2), np.float32), ARCFACE_112.points).shape == (0, 2, 3)


def test_invert_of_a_singular_matrix_is_an_error():
    with pytest.raises(ValueError, match="singular"):
        invert(np.zeros((2, 3)))


def test_compose_applies_the_inner_one_first():
    double, shift = np.array([[2.0, 0, 0], [0, 2, 0]]), np.array([[1.0, 0, 5], [0, 1, 7]])
    assert apply(compose(double, shift), np.array([1.0, 1.0])).tolist() == [12, 16]
    assert scale_of(compose(double, shift)) == pytest.approx(2)


@pytest.mark.parametrize("angle", [-170.0, -90.0, -20.0, 0.0, 45.0, 180.0])
def test_roll_is_the_clockwise_turn(angle):
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    clockwise = np.array([[cosine, -sine], [sine, cosine]])  # y points down
    level = np.array([[-10, 0], [10, 0], [0, 10], [-8, 20], [8, 20]])
    assert roll_deg(level @ clockwise.T) == pytest.approx(angle, abs=1e-9)


def test_roll_without_an_eye_is_nan():
    face = ARCFACE_112.points.copy()
    face[1] = np.nan
    assert np.isnan(roll_deg(face))
