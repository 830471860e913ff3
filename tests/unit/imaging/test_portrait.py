"""Issued photos: where the face lands, what is exact, and that an issuance is enough to make the same bytes again."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lineament.core.errors import BadArray
from lineament.imaging import decode_image
from lineament.imaging.mesh import FAMILIES, UNSEEN_RANGES, Mesh, add_mesh
from lineament.imaging.portrait import (
    LAYOUTS,
    SIZES_PX,
    Issuance,
    IssueRanges,
    draw_issuance,
    frame_by_box,
    frame_by_points,
    frame_centre,
    issue_photo,
)
from lineament.testing import Place, draw_face, draw_scene

MESH = Mesh(family="sines", seed=4)
PHOTO = draw_face(200, seed=1)
PLAIN = Issuance(mesh=MESH)


def mapped(frame, points):
    return points @ np.reshape(frame, (2, 3))[:, :2].T + np.reshape(frame, (2, 3))[:, 2]


@given(
    roll_deg=st.floats(-40, 40),
    size_px=st.floats(60, 500),
    x=st.floats(-50, 300),
    share=st.floats(0.4, 0.8),
    layout=st.sampled_from(sorted(SIZES_PX)),
)
def test_eyes_are_level_in_the_middle_and_the_head_has_its_share(roll_deg, size_px, x, share, layout):
    turn = np.radians(roll_deg)
    shape = np.array(
        [(-1, 0), (1, 0), (0, 1), (-0.8, 2), (0.8, 2)]
    )  # as far between the eyes as to the mouth
    rotation = np.array([(np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))])
    points = shape * size_px / 2 @ rotation.T + (x, 100)
    height, width = SIZES_PX[layout]
    left, right, _, mouth_left, mouth_right = mapped(frame_by_points(points, layout, share), points)
    assert left[1] == pytest.approx(right[1], abs=1e-6)
    assert (left + right) / 2 == pytest.approx(((width - 1) / 2, 0.42 * height - 0.5), abs=1e-6)
    assert left[0] < right[0]
    # a mirror would put the mouth above the eyes
    to_mouth = ((mouth_left + mouth_right) / 2 - (left + right) / 2)[1]
    assert to_mouth * 3.4 == pytest.approx(share * height)


def test_turned_and_nodding_heads_keep_their_size():
    straight = np.array([(-1, 0), (1, 0), (0, 1), (-0.8, 2), (0.8, 2)]) * 30 + 100
    nodding, turned = straight.copy(), straight.copy()
    nodding[3:, 1] -= 25
    turned[:, 0] = 100 + (turned[:, 0] - 100) * 0.4
    scales = [frame_by_points(points, "portrait")[0] for points in (straight, nodding, turned)]
    assert np.ptp(scales) < 1e-9


@pytest.mark.parametrize("roll_deg", [0, 25])
def test_the_picture_moves_with_its_points(roll_deg):
    face = draw_scene(500, 400, [Place(seed=3, x_px=150, y_px=260, size_px=300, roll_deg=roll_deg)])
    found = face.detections[0]
    frame = frame_by_points(found.points, "portrait")
    marked = face.pixels.copy()
    for x, y in found.points[:2]:
        cv2.circle(marked, (round(float(x)), round(float(y))), 6, (0, 255, 0), -1)
    clean = issue_photo(marked, replace(PLAIN, layout="portrait", frame=frame)).clean.astype(int)
    rows, columns = np.nonzero((clean[..., 1] > 200) & (clean[..., 0] < 90) & (clean[..., 2] < 90))
    for side in (columns < 88, columns > 88):
        eye = mapped(frame, np.asarray(found.points[:2], np.float64))[0 if side[0] else 1]
        assert (columns[side].mean(), rows[side].mean()) == pytest.approx(tuple(eye), abs=0.8)


def test_a_box_frames_about_as_the_points_of_the_same_face():
    shape = np.array([(-0.5, 0), (0.5, 0), (0, 0.5), (-0.4, 1), (0.4, 1)])
    points = shape * 60 + (200, 150)
    chin, hairline = 150 + 1.72 * 60, 150 - 1.06 * 60
    by_box = frame_by_box(np.array([150, hairline, 250, chin]), "chip")
    by_points = frame_by_points(points, "chip")
    assert by_box[0] == pytest.approx(by_points[0], rel=0.05)
    assert np.abs(mapped(by_box, points) - mapped(by_points, points)).max() < 4


@given(height=st.integers(1, 3000), width=st.integers(1, 3000), layout=st.sampled_from(sorted(SIZES_PX)))
def test_the_middle_fills_the_layout_and_no_more(height, width, layout):
    a, b, x, c, d, y = frame_centre((height, width), layout)
    assert (b, c, a) == (0, 0, d)
    wanted_height, wanted_width = SIZES_PX[layout]
    # edges of the layout in the photo
    left, right = ((-0.5 - x) / a, (wanted_width - 0.5 - x) / a)
    top, bottom = ((-0.5 - y) / d, (wanted_height - 0.5 - y) / d)
    sides = {"across": (left + 0.5, width - 0.5 - right), "down": (top + 0.5, height - 0.5 - bottom)}
    for before, after in sides.values():
        assert before == pytest.approx(after, abs=1e-6 * max(height, width))
        assert before > -1e-6 * max(height, width)
    assert min(abs(sides["across"][0]), abs(sides["down"][0])) < 1e-6 * max(height, width)


def test_a_crop_as_is_stays_exact():
    crop = draw_face(112, seed=2).pixels
    made = issue_photo(crop, PLAIN)
    expected = add_mesh(crop, MESH)
    np.testing.assert_array_equal(made.clean, crop)
    np.testing.assert_array_equal(made.mask, expected.mask)
    np.testing.assert_array_equal(decode_image(made.image).pixels, expected.pixels)
    assert (made.ink, made.opacity) == (expected.ink, expected.opacity)


def test_a_portrait_of_the_size_of_a_portrait_is_the_photo():
    photo = np.random.default_rng(0).integers(0, 256, (220, 178, 3), dtype=np.uint8)
    made = issue_photo(photo, replace(PLAIN, layout="portrait", frame=frame_centre(photo.shape, "portrait")))
    np.testing.assert_array_equal(made.clean, photo)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**31),
    layout=st.sampled_from(LAYOUTS),
    family=st.sampled_from(FAMILIES),
    lossless=st.booleans(),
)
@example(seed=2144, layout="portrait", family="sines", lossless=False)
def test_drawn_issuances_are_within_their_ranges_and_make_the_same_bytes_again(
    seed, layout, family, lossless
):
    ranges = IssueRanges(
        families=(family,), mesh=UNSEEN_RANGES, layout=layout, jpeg_quality=None if lossless else (30, 90)
    )
    one = draw_issuance(ranges, (seed, 1), PHOTO.pixels.shape, PHOTO.points)
    assert one == draw_issuance(ranges, (seed, 1), PHOTO.pixels.shape, PHOTO.points)
    assert one != draw_issuance(ranges, (seed, 2), PHOTO.pixels.shape, PHOTO.points)
    assert one.mesh.family == family
    assert one.mesh.ranges is UNSEEN_RANGES
    assert 0 <= one.blur_sigma_px <= 0.8
    assert one.jpeg_quality is None if lossless else 30 <= one.jpeg_quality <= 90
    first, second = (issue_photo(PHOTO.pixels, one) for _ in range(2))
    assert first.image == second.image
    size = SIZES_PX.get(layout, (200, 200))
    assert first.clean.shape == (*size, 3) == decode_image(first.image).pixels.shape
    assert first.mask.shape == size
    assert first.mask.dtype == np.float32
    assert 0 <= first.mask.min() <= first.mask.max() <= 1
    # each head is as large as one of 55 to 65 %
    if layout != "as-is":
        bounds = [frame_by_points(PHOTO.points, layout, share)[0] for share in (0.55, 0.65)]
        assert bounds[0] <= one.frame[0] <= bounds[1]


def test_reduced_clean_picture_and_mask_explain_the_issued_one():
    """Area averages are linear, so away from rounding the blend holds after the reduction, too."""
    frame = frame_by_points(PHOTO.points, "portrait")
    made = issue_photo(PHOTO.pixels, replace(PLAIN, layout="portrait", frame=frame, scale=2.0))
    seen = decode_image(made.image).pixels.astype(float)
    share = made.opacity * made.mask.astype(float)[..., None]
    off = np.abs(made.clean * (1 - share) + share * np.array(made.ink) - seen)
    assert off.mean() < 0.6
    assert np.array_equal(seen[made.mask == 0], made.clean[made.mask == 0])


def test_a_large_photo_is_framed_without_aliasing():
    fine = np.zeros((2200, 1780, 3), np.uint8)
    fine[:, ::2] = 255
    made = issue_photo(fine, replace(PLAIN, layout="chip", frame=frame_centre(fine.shape, "chip")))
    assert made.clean.std() < 5
    assert made.clean.mean() == pytest.approx(127.5, abs=2)


def test_beyond_the_photo_is_white():
    dark = np.zeros((50, 50, 3), np.uint8)
    points = np.array([(15.0, 20), (35, 20), (25, 30), (17, 40), (33, 40)])
    made = issue_photo(dark, replace(PLAIN, layout="portrait", frame=frame_by_points(points, "portrait")))
    corners = made.clean[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.min() == 255
    assert made.clean[92, 89].max() == 0


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"layout": "postcard"}, "layout must be one of as-is, portrait, chip, got 'postcard'"),
        ({"layout": "chip"}, "all layouts but as-is need one"),
        ({"frame": (1.0, 0, 0, 0, 1, 0)}, "all layouts but as-is need one"),
        ({"layout": "chip", "frame": (1.0, 0, 0, 1, 0, 0)}, "invertible"),
        ({"layout": "chip", "frame": (np.nan, 0, 0, 0, 1, 0)}, "invertible"),
        ({"scale": 2.0}, "1 for as-is"),
        ({"blur_sigma_px": -1.0}, "blur_sigma_px must be in 0..10"),
        ({"jpeg_quality": 0}, r"jpeg_quality must be in 1\.\.100"),
    ],
)
def test_issuances_that_make_no_sense_are_refused(facts, reason):
    with pytest.raises(ValueError, match=reason):
        Issuance(mesh=MESH, **facts)


def test_bad_ranges_faces_and_pictures_are_refused():
    for facts, reason in (
        ({"families": ()}, "families must be some of sines"),
        ({"families": ("moire",)}, "families must be some of sines"),
        ({"jpeg_quality": (90, 30)}, "jpeg_quality must be 1 <= low <= high <= 100, got 90, 30"),
        ({"scale": (0.5, 1.0)}, "scale must be 1 <= low"),
        ({"layout": "a4"}, "layout must be one of"),
    ):
        with pytest.raises(ValueError, match=reason):
            IssueRanges(**facts)
    with pytest.raises(ValueError, match="two eyes apart"):
        frame_by_points(np.zeros((5, 2)), "chip")
    with pytest.raises(ValueError, match="layout must be one of portrait, chip, got 'as-is'"):
        frame_by_points(PHOTO.points, "as-is")
    with pytest.raises(ValueError, match="expected a box"):
        frame_by_box(np.array([5, 5, 5, 9]), "chip")
    with pytest.raises(BadArray):
        issue_photo(np.zeros((5, 5), np.uint8), PLAIN)
