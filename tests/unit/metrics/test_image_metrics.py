import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineament.metrics import image as m


def pair(seed, height=24, width=31, noise=25):
    rng = np.random.default_rng(seed)
    ramp = np.add.outer(np.arange(height) * 4, np.arange(width) * 3)[..., None] + rng.integers(0, 60, 3)
    original = np.clip(ramp, 0, 255).astype(np.uint8)
    picture = np.clip(original + rng.normal(0, noise, original.shape), 0, 255).astype(np.uint8)
    return picture, original


def test_psnr_of_a_toy():
    original = np.zeros((4, 4, 3), np.uint8)
    picture = original.copy()
    picture[0, 0, 0] = 255
    assert m.psnr(picture, original) == pytest.approx(10 * math.log10(48))
    assert m.psnr(original, original) == math.inf
    mask = np.zeros((4, 4), bool)
    mask[0, 0] = True
    assert m.psnr_masked(picture, original, mask) == pytest.approx(10 * math.log10(3))
    assert m.psnr_masked(picture, original, ~mask) == math.inf


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(11, 30), st.integers(11, 30), st.floats(1, 90))
def test_equals_scikit_image(seed, height, width, noise):
    published = pytest.importorskip("skimage.metrics")
    picture, original = pair(seed, height, width, noise)
    settings_of_the_paper = {
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
        "data_range": 255,
        "channel_axis": -1,
    }
    expected = published.structural_similarity(picture, original, **settings_of_the_paper)
    assert m.ssim(picture, original) == pytest.approx(expected, abs=1e-10)
    if (picture != original).any():
        ratio = published.peak_signal_noise_ratio(original, picture, data_range=255)
        assert m.psnr(picture, original) == pytest.approx(ratio)


def test_ssim_equals_a_loop_over_windows():
    picture, original = pair(4, 13, 12)
    grid = np.arange(-5, 6)
    window = np.exp(-(grid[:, None] ** 2 + grid[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for top in range(3):
        for left in range(2):
            for channel in range(3):
                x, y = (
                    p[top : top + 11, left : left + 11, channel].astype(float) for p in (picture, original)
                )
                mx, my = (window * x).sum(), (window * y).sum()
                vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
                cxy = (window * (x - mx) * (y - my)).sum()
                c1, c2 = 2.55**2, 7.65**2
                values.append((2 * mx * my + c1) * (2 * cxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    assert m.ssim(picture, original) == pytest.approx(np.mean(values))


def test_noise_lowers_both_and_equality_is_one():
    figures = [(m.psnr(*pair(7, noise=n)), m.ssim(*pair(7, noise=n))) for n in (5, 20, 60)]
    assert figures == sorted(figures, reverse=True)
    original = pair(7)[1]
    assert m.ssim(original, original) == pytest.approx(1)


def test_masked_ratio_is_that_of_the_pixels_cut_out():
    picture, original = pair(2)
    mask = np.zeros(picture.shape[:2], bool)
    mask[3:9, 4:20] = True
    assert m.psnr_masked(picture, original, mask) == pytest.approx(
        m.psnr(picture[3:9, 4:20], original[3:9, 4:20])
    )


def test_wrong_pictures_are_refused():
    picture, original = pair(1)
    with pytest.raises(ValueError, match="of one size"):
        m.psnr(picture[1:], original)
    with pytest.raises(ValueError, match="uint8 RGB"):
        m.psnr(picture / 255, original)
    with pytest.raises(ValueError, match="not empty"):
        m.psnr_masked(picture, original, np.zeros(picture.shape[:2], bool))
    with pytest.raises(ValueError, match="11 px"):
        m.ssim(picture[:10], original[:10])
