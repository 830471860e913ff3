"""The evaluation rules of FDDB: discrete and continuous ROC of rectangles against annotated ellipses.

Regions are sets of pixels inside the picture. For every threshold the detections of at least that score are
assigned one to one to the faces so that the total overlap is largest; the assignment is made anew each time.

Source: V. Jain, E. Learned-Miller, FDDB: A Benchmark for Face Detection in Unconstrained Settings, UM-CS-2010-009.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray, ScoreArray, check_floats, frozen
from lineament.metrics.assignment import best_assignment

MATCH_OVERLAP = 0.5
# The evaluation tool draws regions on whole pixels and their outlines with them.
_OUTLINE_PX = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class FddbPicture:
    """Detections and annotated faces of one picture; pixel indices count from 0.

    Attributes:
        boxes: (N, 4) float32 xyxy px: x, y, x + w, y + h of the handed-in list; both ends are inside.
        scores: (N,) float32, on any scale.
        ellipses: (M, 5) float32 semi-axes (major, minor) px, angle of the major one rad from the x axis towards y,
            centre x, y px.
        size_px: width and height of the picture; regions end there.
    """

    boxes: FloatArray
    scores: FloatArray
    ellipses: FloatArray
    size_px: tuple[int, int]

    def __post_init__(self) -> None:
        check_floats(self.scores, (None,), "scores")
        check_floats(self.boxes, (len(self.scores), 4), "boxes")
        check_floats(self.ellipses, (None, 5), "ellipses")
        if min(self.size_px) < 1:
            raise ValueError(f"a picture has at least one pixel, got {self.size_px}")
        for name in ("boxes", "scores", "ellipses"):
            object.__setattr__(self, name, frozen(getattr(self, name)))


@dataclass(frozen=True, slots=True, eq=False)
class FddbRoc:
    """Both curves over all pictures together, from the highest threshold down.

    Attributes:
        thresholds: (K,) float32 decreasing: detections of at least this score are in the point.
        false_positives: (K,) int64 detections that match no face by more than half.
        discrete: (K,) float64 faces matched by more than half / all faces.
        continuous: (K,) float64 sum of the overlaps of all assigned pairs / all faces.
    """

    thresholds: FloatArray
    false_positives: NDArray[np.int64]
    discrete: ScoreArray
    continuous: ScoreArray


def region_overlaps(ellipses: FloatArray, boxes: FloatArray, size_px: tuple[int, int]) -> ScoreArray:
    """Pixels shared by an ellipse and a rectangle over pixels in either, for every pair.

    As in the published tool, centres and corners are rounded to pixels, semi-axes are cut to whole pixels, and the
    outline belongs to the region.

    Args:
        ellipses: (M, 5) float32 as in :class:`FddbPicture`.
        boxes: (N, 4) float32 xyxy px.
        size_px: width and height of the picture.

    Returns:
        (M, N) float64 in [0, 1].
    """
    width, height = size_px
    corners = np.rint(boxes.astype(np.float64))
    left, top = np.maximum(corners[:, 0], 0), np.maximum(corners[:, 1], 0)
    right, bottom = np.minimum(corners[:, 2], width - 1), np.minimum(corners[:, 3], height - 1)
    box_pixels = np.maximum(right - left + 1, 0) * np.maximum(bottom - top + 1, 0)
    overlaps = np.zeros((len(ellipses), len(boxes)))
    for i, ellipse in enumerate(ellipses.astype(np.float64)):
        rows, first, last = _ellipse_rows(ellipse, width, height)
        ellipse_pixels = np.sum(np.maximum(last - first + 1, 0))
        inside = (rows >= top[:, None]) & (rows <= bottom[:, None])
        length = np.minimum(last, right[:, None]) - np.maximum(first, left[:, None]) + 1
        shared = np.sum(np.maximum(length, 0), axis=1, where=inside)
        union = ellipse_pixels + box_pixels - shared
        overlaps[i] = np.divide(shared, union, out=np.zeros(len(boxes)), where=union > 0)
    return overlaps


def _ellipse_rows(ellipse: ScoreArray, width: int, height: int) -> tuple[ScoreArray, ScoreArray, ScoreArray]:
    """Rows that an ellipse touches, and its first and last pixel in each of them."""
    major, minor = np.trunc(ellipse[:2]) + _OUTLINE_PX
    cos, sin = np.cos(ellipse[2]), np.sin(ellipse[2])
    centre_x, centre_y = np.rint(ellipse[3:])
    reach = np.hypot(major * sin, minor * cos)
    rows = np.arange(max(np.ceil(centre_y - reach), 0), min(np.floor(centre_y + reach), height - 1) + 1)
    y = rows - centre_y
    # a x² + 2 b x y + c y² = 1 solved for x
    a = (cos / major) ** 2 + (sin / minor) ** 2
    b = cos * sin * (1 / major**2 - 1 / minor**2)
    c = (sin / major) ** 2 + (cos / minor) ** 2
    half = np.sqrt(np.maximum((b * y) ** 2 - a * (c * y**2 - 1), 0)) / a
    middle = centre_x - b * y / a
    return rows, np.maximum(np.ceil(middle - half), 0), np.minimum(np.floor(middle + half), width - 1)


def _steps(picture: FddbPicture) -> Iterator[tuple[float, int, int, float]]:
    """Each threshold of a picture with its detections, matched faces, and summed overlap."""
    overlaps = region_overlaps(picture.ellipses, picture.boxes, picture.size_px)
    for threshold in np.unique(picture.scores)[::-1]:
        taken = overlaps[:, picture.scores >= threshold]
        rows, columns = best_assignment(taken)
        values = taken[rows, columns]
        yield float(threshold), taken.shape[1], int(np.sum(values > MATCH_OVERLAP)), float(values.sum())


def fddb_roc(pictures: Sequence[FddbPicture]) -> FddbRoc:
    """Both curves of a detector over all pictures together.

    Args:
        pictures: all pictures of all folds, those without detections included.

    Raises:
        ValueError: no annotated face.
    """
    n_faces = sum(len(p.ellipses) for p in pictures)
    if n_faces == 0:
        raise ValueError("the curves need at least one annotated face, got none")
    changes: list[tuple[float, int, int, float]] = []
    for picture in pictures:
        before = (0, 0, 0.0)
        for threshold, detections, matched, overlap in _steps(picture):
            changes.append((threshold, detections - before[0], matched - before[1], overlap - before[2]))
            before = (detections, matched, overlap)
    table = np.array(changes, np.float64).reshape(-1, 4)
    table = table[np.argsort(-table[:, 0], kind="stable")]
    last = np.flatnonzero(np.diff(table[:, 0], append=-np.inf))
    n_detections, n_matched, total_overlap = np.cumsum(table[:, 1:], axis=0)[last].T
    return FddbRoc(
        thresholds=table[last, 0].astype(np.float32),
        false_positives=(n_detections - n_matched).astype(np.int64),
        discrete=n_matched / n_faces,
        continuous=total_overlap / n_faces,
    )


def fddb_rate_at(rates: ScoreArray, roc: FddbRoc, false_positives: int) -> float:
    """The rate that a curve reaches with at most a number of false positives, as tables of FDDB print it.

    Args:
        rates: ``roc.discrete`` or ``roc.continuous``.
        roc: the curves.
        false_positives: over all pictures: 100, 500, 1,000 or 2,000 in publications.
    """
    fits = roc.false_positives <= false_positives
    return float(rates[fits].max()) if fits.any() else 0.0
