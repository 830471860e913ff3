import numpy as np
import pytest

from lineament.testing import Place, draw_face, draw_scene


def test_a_seed_is_a_person():
    first, again, other = draw_face(120, seed=3), draw_face(120, seed=3), draw_face(120, seed=4)
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert np.abs(first.pixels.astype(int) - other.pixels).mean() > 5


@pytest.mark.parametrize("size", [40, 160, 500])
@pytest.mark.parametrize("seed", range(5))
def test_the_points_lie_on_the_face(size, seed):
    face = draw_face(size, seed)
    x1, y1, x2, y2 = face.box
    assert face.pixels.shape == (size, size, 3)
    assert 0 <= x1 < x2 <= size
    assert 0 <= y1 < y2 <= size
    assert ((face.points > [x1, y1]) & (face.points < [x2, y2])).all()
    left_eye, right_eye, nose, left_mouth, right_mouth = face.points
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_eye[1] < nose[1] < left_mouth[1]
    assert left_mouth[0] < right_mouth[0]


@pytest.mark.parametrize("roll", [0.0, 35.0, 90.0, -120.0])
def test_pupils_are_dark_where_the_points_say(roll):
    face = draw_face(400, seed=1, roll_deg=roll)
    for x, y in face.points[:2]:
        assert face.pixels[round(float(y)), round(float(x))].max() < 30


def test_a_quarter_roll_turns_clockwise():
    face = draw_face(200, seed=2, roll_deg=90)
    left_eye, right_eye = face.points[:2]
    assert right_eye[1] > left_eye[1]
    assert right_eye[0] == pytest.approx(left_eye[0], abs=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_the_box_ends_at_the_chin_and_within_the_hair(seed):
    plain = draw_scene(300, 300, []).pixels.astype(int)
    face = draw_face(300, seed)
    rows, columns = np.nonzero(np.abs(face.pixels - plain).sum(-1))
    assert face.box[3] == pytest.approx(rows.max(), abs=1.5)  # the soft edge
    assert columns.min() < face.box[0] < face.box[2] < columns.max()


def test_scenes_place_faces():
    places = [Place(seed=1, x_px=100, y_px=90, size_px=120), Place(seed=2, x_px=300, y_px=110, size_px=60)]
    scene = draw_scene(200, 400, places)
    assert scene.pixels.shape == (200, 400, 3)
    assert len(scene.detections) == 2
    for place, found in zip(places, scene.detections, strict=True):
        centre = (found.box[:2] + found.box[2:]) / 2
        np.testing.assert_allclose(centre, [place.x_px, place.y_px + 0.02 * place.size_px], atol=1e-3)
        assert found.box[2] - found.box[0] == pytest.approx(0.72 * place.size_px, rel=1e-3)


def test_an_empty_scene_has_no_faces():
    scene = draw_scene(20, 30, [], background_seed=5)
    assert len(scene.detections) == 0
    assert np.abs(scene.pixels.astype(int) - draw_scene(20, 30, [], background_seed=6).pixels).mean() > 1


def test_faces_may_reach_beyond_the_picture():
    scene = draw_scene(100, 100, [Place(seed=0, x_px=0, y_px=50, size_px=80)])
    assert scene.detections.boxes[0, 0] < 0
