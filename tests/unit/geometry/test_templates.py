import numpy as np
import pytest

from lineament.core.errors import BadArray
from lineament.geometry import (
    ARCFACE_112,
    ARCFACE_SIZES_PX,
    DLIB_150,
    TEMPLATES,
    CropTemplate,
    apply,
    fit_similarity,
)


def test_names_find_their_templates():
    assert TEMPLATES["arcface-112"] is ARCFACE_112
    assert TEMPLATES["dlib-150"] is DLIB_150
    assert all(template.name == name for name, template in TEMPLATES.items())


@pytest.mark.parametrize("size_px", ARCFACE_SIZES_PX)
def test_a_resized_template_cuts_the_same_part_of_the_face(size_px: int) -> None:
    small = TEMPLATES[f"arcface-{size_px}"]
    matrix = fit_similarity(ARCFACE_112.points, small.points)
    corners = apply(matrix, np.array([(-0.5, -0.5), (111.5, 111.5)]))
    assert np.allclose(corners, [(-0.5, -0.5), (size_px - 0.5, size_px - 0.5)])


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_points_are_a_face_inside_the_crop(template):
    left_eye, right_eye, nose, left_mouth, right_mouth = template.points
    assert (template.points > 0).all()
    assert (template.points < template.size_px - 1).all()
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < nose[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


def test_dlib_template_is_symmetric():
    mirrored = DLIB_150.points[[1, 0, 2, 4, 3]] * [-1, 1] + [147, 0]
    np.testing.assert_allclose(DLIB_150.points, mirrored)


def test_a_template_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        ARCFACE_112.points[0, 0] = 0.0


@pytest.mark.parametrize("points", [np.zeros((4, 2)), np.full((5, 2), np.nan)])
def test_wrong_points_are_refused(points):
    with pytest.raises(BadArray, match="finite points"):
        CropTemplate("x", 112, points)


def test_wrong_size_is_refused():
    with pytest.raises(BadArray, match="size_px"):
        CropTemplate("x", 0, ARCFACE_112.points)
