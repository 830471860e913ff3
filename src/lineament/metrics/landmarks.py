"""Errors of facial points: normalised mean error, its cumulative distribution, area under it, and failures.

The normaliser decides the figure: the same points are 30 to 40 % worse by the distance of the pupils than by that of
the outer eye corners. Name it beside every number. A picture without points has the error +inf: it fails, adds
nothing to the area, and leaves the mean without meaning.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray, ScoreArray, describe

_TIE = 1e-12


def _check_points(points: FloatArray, name: str) -> ScoreArray:
    values = np.asarray(points, dtype=np.float64)
    if values.ndim != 3 or values.shape[1] == 0 or values.shape[2] != 2:
        raise ValueError(f"{name} must be (N, K, 2) with K >= 1, got {describe(values)}")
    return values


def _check_errors(errors: ScoreArray) -> ScoreArray:
    values = np.asarray(errors, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or np.isnan(values).any() or (values < 0).any():
        raise ValueError(
            f"errors must be a non-empty (N,) array of numbers >= 0 or +inf, got {describe(values)}"
        )
    return values


def point_distance(truth: FloatArray, first: Sequence[int], second: Sequence[int]) -> ScoreArray:
    """Distance between the centres of two groups of true points: the normalisers of the eyes.

    Args:
        truth: (N, K, 2) true points, px.
        first: indices (from 0) of the first group. Of 68 points: ``[36]`` for the outer corner (inter-ocular),
            ``range(36, 42)`` for the pupil (inter-pupil).
        second: indices of the second group: ``[45]``, ``range(42, 48)``.

    Returns:
        (N,) float64 px.
    """
    values = _check_points(truth, "truth")
    centres = (values[:, list(group)].mean(axis=1) for group in (first, second))
    return np.asarray(np.linalg.norm(next(centres) - next(centres), axis=1))


def _extent(truth: FloatArray) -> ScoreArray:
    values = _check_points(truth, "truth")
    return np.asarray(np.nanmax(values, axis=1) - np.nanmin(values, axis=1))


def box_size(truth: FloatArray) -> ScoreArray:
    """Square root of the area of the box around the true points: normaliser of "NME box".

    Args:
        truth: (N, K, 2) true points, px; NaN for a point that is not annotated.

    Returns:
        (N,) float64 px.
    """
    return np.asarray(np.sqrt(np.prod(_extent(truth), axis=1)))


def box_diagonal(truth: FloatArray) -> ScoreArray:
    """Diagonal of the box around the true points: normaliser of the Menpo challenge.

    Args:
        truth: (N, K, 2) true points, px; NaN for a point that is not annotated.

    Returns:
        (N,) float64 px.
    """
    return np.asarray(np.linalg.norm(_extent(truth), axis=1))


def nme(points: FloatArray, truth: FloatArray, normaliser_px: ScoreArray) -> ScoreArray:
    """Normalised mean error of each picture, a fraction.

    Args:
        points: (N, K, 2) found points, px; NaN throughout for a picture in which none were found.
        truth: (N, K, 2) true points, px; NaN for a point that is not annotated or is left out.
        normaliser_px: (N,) px, above 0; see :func:`point_distance`, :func:`box_size`, :func:`box_diagonal`.

    Returns:
        (N,) float64; +inf where a point that is annotated was not found.

    Raises:
        ValueError: wrong shapes, a normaliser that is not positive, or a picture without an annotated point.
    """
    found, right = _check_points(points, "points"), _check_points(truth, "truth")
    scale = np.asarray(normaliser_px, dtype=np.float64)
    if found.shape != right.shape or scale.shape != right.shape[:1]:
        raise ValueError(
            f"points, truth and normaliser_px must be of one set, got {describe(found)}, {describe(right)} "
            f"and {describe(scale)}"
        )
    if not (scale > 0).all():
        raise ValueError(
            "normalisers must be above 0 px; a picture with both eyes in one place cannot be used"
        )
    annotated = np.asarray(~np.isnan(right).any(axis=2))
    if not annotated.any(axis=1).all():
        raise ValueError("every picture needs at least one annotated point; leave the others out")
    distances = np.linalg.norm(found - right, axis=2)
    distances[annotated & np.isnan(distances)] = np.inf
    return np.asarray(np.mean(distances, axis=1, where=annotated) / scale)


def ced(errors: ScoreArray, limits: ScoreArray) -> ScoreArray:
    """Cumulative error distribution: the fraction of pictures with an error of at most each limit.

    Args:
        errors: (N,) normalised errors; +inf for a picture without points.
        limits: (L,) limits.

    Returns:
        (L,) float64.
    """
    values = np.sort(_check_errors(errors))
    return np.asarray(np.searchsorted(values, np.asarray(limits) + _TIE, side="right") / len(values))


def auc_at(errors: ScoreArray, limit: float) -> float:
    """Area under the cumulative error distribution up to ``limit``, divided by ``limit``; exact, in [0, 1].

    Args:
        errors: (N,) normalised errors; +inf for a picture without points.
        limit: 0.08 with the outer eye corners, 0.10 with the pupils, 0.07 with the box, by custom.

    Raises:
        ValueError: a limit that is not above 0.

    Source: the integral of the step function is the mean of max(0, limit - error) / limit. Differs from code that
    samples the curve: coarse steps give up to half a step more or less.
    """
    if limit <= 0:
        raise ValueError(f"the limit must be above 0, got {limit}")
    return float(np.mean(np.maximum(limit - _check_errors(errors), 0)) / limit)


def failure_rate(errors: ScoreArray, limit: float) -> float:
    """Fraction of pictures with an error above ``limit``; one that equals it does not fail.

    Args:
        errors: (N,) normalised errors; +inf for a picture without points.
        limit: as in :func:`auc_at`.
    """
    values = _check_errors(errors)
    return int(np.count_nonzero(values > limit + _TIE)) / len(values)


def jitter(points: FloatArray, truth: FloatArray, normaliser_px: ScoreArray) -> float:
    """Mean normalised error of the motion between consecutive frames of one video.

    Args:
        points: (N, K, 2) found points of N >= 2 consecutive frames, px.
        truth: (N, K, 2) true points, px.
        normaliser_px: (N,) px; that of the later frame is used.

    Raises:
        ValueError: fewer than two frames, or what :func:`nme` refuses.
    """
    found, right = _check_points(points, "points"), _check_points(truth, "truth")
    if len(found) < 2:
        raise ValueError(f"motion needs at least two frames, got {len(found)}")
    return float(nme(np.diff(found, axis=0), np.diff(right, axis=0), np.asarray(normaliser_px)[1:]).mean())


def mean_error(errors: ScoreArray) -> float:
    """Mean error; NaN as soon as one picture has no points, for then there is none.

    Args:
        errors: (N,) normalised errors; +inf for a picture without points.
    """
    values = _check_errors(errors)
    return float(values.mean()) if np.isfinite(values).all() else float("nan")


def visible_only(truth: FloatArray, occluded: NDArray[np.bool_]) -> FloatArray:
    """True points with the occluded ones left out, so that :func:`nme` judges the visible ones alone.

    Args:
        truth: (N, K, 2) true points, px.
        occluded: (N, K) bool.
    """
    kept = np.array(truth, copy=True)
    kept[occluded] = np.nan
    return kept
