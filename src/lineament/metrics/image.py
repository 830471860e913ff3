"""Likeness of two pictures: peak signal-to-noise ratio and structural similarity."""

import math

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import ImageArray, ScoreArray, check_image, describe

_PEAK = 255.0
_SIGMA_PX = 1.5
_RADIUS_PX = 5
_C1 = (0.01 * _PEAK) ** 2
_C2 = (0.03 * _PEAK) ** 2


def _check_pair(picture: ImageArray, original: ImageArray) -> None:
    check_image(picture, "picture")
    check_image(original, "original")
    if picture.shape != original.shape:
        raise ValueError(f"pictures must be of one size, got {describe(picture)} and {describe(original)}")


def psnr(picture: ImageArray, original: ImageArray) -> float:
    """Peak signal-to-noise ratio over all pixels and channels, dB; +inf for equal pictures.

    Args:
        picture: (H, W, 3) uint8.
        original: (H, W, 3) uint8.

    Source: 10 log10(255² / mean squared error).
    """
    _check_pair(picture, original)
    return psnr_masked(picture, original, np.ones(picture.shape[:2], np.bool_))


def psnr_masked(picture: ImageArray, original: ImageArray, mask: NDArray[np.bool_]) -> float:
    """Peak signal-to-noise ratio over the pixels of a mask, dB; +inf when they are equal.

    Args:
        picture: (H, W, 3) uint8.
        original: (H, W, 3) uint8.
        mask: (H, W) bool, True for the pixels that count.

    Raises:
        ValueError: sizes differ, or no pixel counts.
    """
    _check_pair(picture, original)
    if mask.shape != picture.shape[:2] or mask.dtype != np.bool_ or not mask.any():
        raise ValueError(f"the mask must be {picture.shape[:2]} bool and not empty, got {describe(mask)}")
    difference = picture[mask].astype(np.float64) - original[mask]
    error = float(np.mean(difference**2))
    return 10 * math.log10(_PEAK**2 / error) if error > 0 else math.inf


def _blurred(values: ScoreArray) -> ScoreArray:
    """Gaussian means of all complete 11 × 11 windows of (H, W, 3) values."""
    offsets = np.arange(-_RADIUS_PX, _RADIUS_PX + 1)
    weights = np.exp(-(offsets**2) / (2 * _SIGMA_PX**2))
    weights /= weights.sum()
    height, width = (values.shape[axis] - 2 * _RADIUS_PX for axis in (0, 1))
    down = sum(w * values[k : k + height] for k, w in enumerate(weights))
    return np.asarray(sum(w * down[:, k : k + width] for k, w in enumerate(weights)))


def ssim(picture: ImageArray, original: ImageArray) -> float:
    """Mean structural similarity over complete windows and channels, at most 1 (equal pictures).

    Args:
        picture: (H, W, 3) uint8, at least 11 px on each side.
        original: (H, W, 3) uint8.

    Raises:
        ValueError: sizes differ, or a side is shorter than the window.

    Source: Z. Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, 2004: Gaussian
    window of 11 px with sigma 1.5, K1 = 0.01, K2 = 0.03, population covariance. Each channel is judged by itself.
    """
    _check_pair(picture, original)
    if min(picture.shape[:2]) <= 2 * _RADIUS_PX:
        raise ValueError(f"structural similarity needs at least 11 px on each side, got {describe(picture)}")
    x, y = picture.astype(np.float64), original.astype(np.float64)
    mean_x, mean_y = _blurred(x), _blurred(y)
    variance_x, variance_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    above = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    below = (mean_x**2 + mean_y**2 + _C1) * (variance_x + variance_y + _C2)
    return float(np.mean(above / below))
