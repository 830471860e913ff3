"""Batches of padded pictures, and where resizing moves a point."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineament.core.errors import BadArray
from lineament.detection import preprocess
from lineament.detection.preprocess import padded_batches, resize
from lineament.geometry import scale_points


@given(st.lists(st.tuples(st.integers(1, 70), st.integers(1, 70)), max_size=8), st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_each_picture_once_padded_with_black(sizes: list[tuple[int, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    seen = []
    for members, canvas in padded_batches(images, 32):
        assert canvas.shape[1] % 32 == 0
        assert canvas.shape[2] % 32 == 0
        for slot, index in enumerate(members):
            height, width = sizes[index]
            assert 0 <= canvas.shape[1] - height < 32
            assert 0 <= canvas.shape[2] - width < 32
            np.testing.assert_array_equal(canvas[slot, :height, :width], images[index])
            assert not canvas[slot, height:].any()
            assert not canvas[slot, :, width:].any()
        seen += members
    assert sorted(seen) == list(range(len(images)))


def test_runs_stay_small() -> None:
    images = [np.zeros((512, 512, 3), np.uint8)] * 9
    runs = [canvas.shape for _, canvas in padded_batches(images, 32)]
    assert len(runs) > 1
    assert all(n * h * w <= preprocess.PIXELS_PER_RUN for n, h, w, _ in runs)


def test_a_picture_larger_than_a_run_still_runs() -> None:
    ((members, canvas),) = padded_batches([np.zeros((1100, 1100, 3), np.uint8)], 32)
    assert members == [0]
    assert canvas.shape == (1, 1120, 1120, 3)


def test_says_which_picture_is_wrong() -> None:
    good = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(BadArray, match=r"images\[1\]"):
        list(padded_batches([good, good[:, :, 0]], 32))


@pytest.mark.parametrize(("height", "width"), [(60, 90), (30, 40), (240, 320), (91, 121), (300, 71)])
def test_resize_moves_a_spot_as_scale_points_says(height: int, width: int) -> None:
    """The centre of mass of a soft spot, before and after."""
    y, x = np.mgrid[:120, :160].astype(np.float32)
    centre = np.array([[71.3, 48.6]], np.float32)
    spot = 255 * np.exp(-((x - centre[0, 0]) ** 2 + (y - centre[0, 1]) ** 2) / (2 * 8.0**2))
    small = resize(cv2.merge([spot.astype(np.uint8)] * 3), height, width)[:, :, 0].astype(np.float64)
    y, x = np.mgrid[:height, :width]
    found = np.array([(small * x).sum(), (small * y).sum()]) / small.sum()
    want = scale_points(centre, width / 160, height / 120)[0]
    np.testing.assert_allclose(found, want, atol=0.05)


def test_resize_to_the_same_size_is_the_same_picture() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (7, 9, 3), np.uint8)
    assert resize(pixels, 7, 9) is pixels


def test_shrinking_averages() -> None:
    """A chequered picture becomes grey; plain bilinear sampling would alias to black or white."""
    chequer = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    small = resize(cv2.merge([chequer] * 3), 8, 8)
    assert np.abs(small.astype(int) - 127).max() <= 1
