"""Box arithmetic on continuous ``xyxy`` boxes.

The origin is the centre of the top-left pixel, so the area of a picture reaches from -0.5 to width - 0.5.
Widths and areas are plain differences: nothing adds 1.
"""

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray
from lineament.geometry.similarity import Points


def area(boxes: Points) -> FloatArray:
    """Areas of boxes; a box whose ends are swapped has none.

    Args:
        boxes: (N, 4) xyxy, px.

    Returns:
        (N,) float32, px².
    """
    boxes = boxes.astype(np.float32, copy=False)
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], np.float32(0))
    return sides[:, 0] * sides[:, 1]


def iou(a: Points, b: Points) -> FloatArray:
    """Intersection over union of every box of ``a`` with every box of ``b``.

    Args:
        a: (N, 4) xyxy, px.
        b: (M, 4) xyxy, px.

    Returns:
        (N, M) float32 in [0, 1]; 0 where both boxes have no area.
    """
    first, second = a.astype(np.float32, copy=False), b.astype(np.float32, copy=False)
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.maximum(high - low, np.float32(0))
    shared = sides[..., 0] * sides[..., 1]
    union = area(first)[:, None] + area(second)[None, :] - shared
    overlap: FloatArray = np.zeros(shared.shape, np.float32)
    np.divide(shared, union, out=overlap, where=union > 0)
    return overlap


def nms(boxes: Points, scores: Points, max_iou: float) -> NDArray[np.intp]:
    """Greedy non-maximum suppression.

    Boxes are taken from the best score down (equal scores: lower index first); each one removes the boxes that
    overlap it by more than ``max_iou``.

    Args:
        boxes: (N, 4) xyxy, px.
        scores: (N,), finite.
        max_iou: the largest overlap that two kept boxes may have, in [0, 1].

    Returns:
        Indices of the kept boxes, best first.
    """
    waiting = np.argsort(-scores, kind="stable")
    kept = []
    while len(waiting):
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        waiting = waiting[iou(boxes[best][None], boxes[waiting])[0] <= max_iou]
    return np.array(kept, dtype=np.intp)


def clip_boxes(boxes: Points, height: int, width: int) -> FloatArray:
    """Cut boxes at the picture's edges.

    Args:
        boxes: (N, 4) xyxy, px.
        height: rows of the picture.
        width: columns of the picture.

    Returns:
        (N, 4) float32 within [-0.5, width - 0.5] and [-0.5, height - 0.5].
    """
    upper = np.array([width, height, width, height], np.float32) - np.float32(0.5)
    return np.clip(boxes.astype(np.float32, copy=False), np.float32(-0.5), upper)


def scale_points(points: Points, factor_x: float, factor_y: float) -> FloatArray:
    """Positions of points after the picture was resized.

    Resizing keeps the outer edges of a picture in place, not its pixel centres: x becomes
    (x + 0.5) · factor - 0.5.

    Args:
        points: (..., 2) x, y px.
        factor_x: new width / old width.
        factor_y: new height / old height.

    Returns:
        float32 of the same shape.
    """
    factors = np.array([factor_x, factor_y], np.float32)
    return (points.astype(np.float32, copy=False) + np.float32(0.5)) * factors - np.float32(0.5)


def scale_boxes(boxes: Points, factor_x: float, factor_y: float) -> FloatArray:
    """Boxes after the picture was resized; see :func:`scale_points`.

    Args:
        boxes: (N, 4) xyxy, px.
        factor_x: new width / old width.
        factor_y: new height / old height.

    Returns:
        (N, 4) float32.
    """
    return scale_points(boxes.reshape(-1, 2, 2), factor_x, factor_y).reshape(-1, 4)
