"""Rates of occlusion flags: is a facial point hidden? All points of all faces are pooled.

Source: X. Burgos-Artizzu, P. Perona, P. Dollár, Robust face landmark estimation under occlusion, ICCV 2013 (COFW:
recall at 80 % precision).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import ScoreArray, describe

COFW_PRECISION = 0.8


@dataclass(frozen=True, slots=True)
class OcclusionRates:
    """Precision and recall of "occluded".

    Attributes:
        precision: of the points called occluded, the fraction that are; NaN when none is called so.
        recall: of the occluded points, the fraction called so.
    """

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Harmonic mean of both; 0 when nothing was found."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total > 0 else 0.0


@dataclass(frozen=True, slots=True)
class OcclusionPoint:
    """The threshold with the highest recall whose precision suffices.

    Attributes:
        threshold: a point is called occluded when score >= threshold; +inf when no threshold suffices.
        precision: reached there; NaN when no threshold suffices.
        recall: reached there; 0 when no threshold suffices.
    """

    threshold: float
    precision: float
    recall: float


def _check(values: NDArray[np.generic], occluded: NDArray[np.bool_]) -> None:
    if values.shape != occluded.shape or occluded.dtype != np.bool_:
        raise ValueError(
            f"predictions and bool truth must be of one shape, got {describe(values)} and {describe(occluded)}"
        )
    if not occluded.any():
        raise ValueError("recall needs at least one occluded point, got none")


def occlusion_rates(predicted: NDArray[np.bool_], occluded: NDArray[np.bool_]) -> OcclusionRates:
    """Precision and recall of given flags.

    Args:
        predicted: bool of any shape, True for points called occluded; False throughout for a face not found.
        occluded: bool of the same shape, the truth.

    Raises:
        ValueError: shapes differ, or no point is occluded.
    """
    _check(predicted, occluded)
    hits = int(np.count_nonzero(predicted & occluded))
    called = int(np.count_nonzero(predicted))
    return OcclusionRates(hits / called if called else math.nan, hits / int(np.count_nonzero(occluded)))


def _curve(scores: ScoreArray, occluded: NDArray[np.bool_]) -> tuple[ScoreArray, ScoreArray, ScoreArray]:
    """Distinct scores from the highest down, with precision and recall of "at least this score"."""
    _check(scores, occluded)
    flat = np.asarray(scores, dtype=np.float64).ravel()
    if not np.isfinite(flat).all():
        raise ValueError("occlusion scores must be finite; give a face that was not found the lowest score")
    order = np.argsort(-flat, kind="stable")
    values, flags = flat[order], occluded.ravel()[order]
    last = np.flatnonzero(np.diff(values, append=-np.inf))
    hits = np.cumsum(flags)[last]
    return values[last], hits / (last + 1), hits / np.count_nonzero(flags)


def recall_at_precision(
    scores: ScoreArray, occluded: NDArray[np.bool_], precision: float = COFW_PRECISION
) -> OcclusionPoint:
    """The highest recall at any observed threshold whose precision reaches ``precision``; no interpolation.

    Args:
        scores: of any shape, finite, higher for points more likely occluded.
        occluded: bool of the same shape, the truth.
        precision: a fraction in (0, 1]; 0.8 in the figures for COFW.

    Raises:
        ValueError: shapes differ, no point is occluded, or a precision out of range.
    """
    if not 0 < precision <= 1:
        raise ValueError(f"a precision is a fraction in (0, 1], got {precision}")
    thresholds, reached, recall = _curve(scores, occluded)
    fits = np.flatnonzero(reached >= precision)
    if len(fits) == 0:
        return OcclusionPoint(math.inf, math.nan, 0.0)
    best = fits[-1]
    return OcclusionPoint(float(thresholds[best]), float(reached[best]), float(recall[best]))


def occlusion_average_precision(scores: ScoreArray, occluded: NDArray[np.bool_]) -> float:
    """Mean precision over the occluded points; the fraction of occluded points is what chance gives.

    Args:
        scores: of any shape, finite, higher for points more likely occluded.
        occluded: bool of the same shape, the truth.

    Raises:
        ValueError: shapes differ, or no point is occluded.
    """
    _, precision, recall = _curve(scores, occluded)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))
