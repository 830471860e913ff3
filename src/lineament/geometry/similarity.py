"""Similarity transforms of the plane (turn, scale, shift; never a mirror) as (2, 3) matrices."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
"""(2, 3) float64: ``y = matrix[:, :2] @ x + matrix[:, 2]``."""
Points = NDArray[np.floating[Any]]
"""Floating point coordinates of any width."""


def fit_similarity(source: Points, target: Points) -> Matrix:
    """The similarity that brings ``source`` closest to ``target`` in the least squares sense.

    Same optimum as Umeyama, "Least-squares estimation of transformation parameters between two point
    patterns", PAMI 1991, without reflection. See :func:`fit_similarities`.

    Args:
        source: (K, 2) x, y; points with a NaN are left out.
        target: (K, 2) x, y.

    Returns:
        (2, 3) float64, source to target.

    Raises:
        ValueError: fewer than two different finite points.
    """
    return np.asarray(fit_similarities(source[None], target)[0], dtype=np.float64)


def fit_similarities(sources: Points, target: Points) -> Matrix:
    """:func:`fit_similarity` for many point sets at once.

    In the plane, turning and scaling is multiplication by one complex number, so the optimum needs no singular
    value decomposition: with centred points z (source) and w (target) it is Σ conj(z) w / Σ |z|².

    Args:
        sources: (N, K, 2) x, y; points with a NaN are left out.
        target: (K, 2) x, y.

    Returns:
        (N, 2, 3) float64, source to target.

    Raises:
        ValueError: a point set has fewer than two different finite points; says which.
    """
    if sources.ndim != 3 or sources.shape[1:] != target.shape or target.shape[-1] != 2:
        raise ValueError(
            f"expected (N, K, 2) sources and a (K, 2) target, got {sources.shape}, {target.shape}"
        )
    used = np.asarray(np.isfinite(sources).all(-1) & np.isfinite(target).all(-1))
    weight = used / np.maximum(used.sum(1, keepdims=True), 1)
    xy = np.where(used[..., None], sources, 0.0).astype(np.float64)
    z = xy[..., 0] + 1j * xy[..., 1]
    w = np.where(used, target[:, 0] + 1j * target[:, 1], 0.0)
    z_mean, w_mean = (weight * z).sum(1), (weight * w).sum(1)
    z_centred = np.where(used, z - z_mean[:, None], 0.0)
    spread = (np.abs(z_centred) ** 2).sum(1)
    poor = (used.sum(1) < 2) | (spread <= 1e-18 * np.abs(z_mean) ** 2)
    if poor.any():
        first = int(np.argmax(poor))
        raise ValueError(
            f"a similarity needs at least two different finite points, got {sources[first].tolist()} "
            f"for point set {first}"
        )
    turn = (z_centred.conj() * (w - w_mean[:, None])).sum(1) / spread
    shift = w_mean - turn * z_mean
    rows = [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]]
    return np.array(rows, dtype=np.float64).transpose(2, 0, 1)


def invert(matrix: Matrix) -> Matrix:
    """The inverse of an affine (2, 3) matrix.

    Raises:
        ValueError: the matrix is singular.
    """
    linear = matrix[:, :2]
    if not abs(np.linalg.det(linear)) > 0:
        raise ValueError(f"cannot invert the singular matrix {matrix.tolist()}")
    inverse = np.linalg.inv(linear)
    return np.concatenate([inverse, -inverse @ matrix[:, 2:]], axis=1)


def compose(outer: Matrix, inner: Matrix) -> Matrix:
    """The (2, 3) matrix that applies ``inner`` first and ``outer`` next."""
    linear = outer[:, :2] @ inner[:, :2]
    return np.concatenate([linear, outer[:, :2] @ inner[:, 2:] + outer[:, 2:]], axis=1)


def apply(matrix: Matrix, points: Points) -> Matrix:
    """Map points.

    Args:
        matrix: (2, 3).
        points: (..., 2) x, y; NaN stays NaN.

    Returns:
        float64 of the same shape as ``points``.
    """
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2], dtype=np.float64)


def scale_of(matrix: Matrix) -> float:
    """Length in the target per length in the source: the square root of the area factor."""
    return float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))


def roll_deg(points: Points) -> float:
    """In-plane angle of the line between the eyes.

    Args:
        points: (5, 2) x, y in the order of :data:`lineament.core.types.POINT_NAMES`.

    Returns:
        Degrees in (-180, 180], 0 for level eyes, positive when the face is turned clockwise as seen in the
        picture; NaN when an eye is missing.
    """
    across = points[1] - points[0]
    return float(np.degrees(np.arctan2(across[1], across[0])))
