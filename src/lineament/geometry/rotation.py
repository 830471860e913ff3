"""Quarter turns of pictures, and where points and boxes go.

To come back, turn by the negative angle with the shape of the turned picture::

    turned = turn(pixels, 90)
    found = detect(turned)
    points = turn_points(found.points, -90, turned.shape)

Turning moves coordinates but never renames points: "image left" stays the side in the frame in which the face was
found, and is upright.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from lineament.core.arrays import FloatArray, ImageArray
from lineament.geometry.similarity import Points

_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def _quarter(deg_clockwise: int) -> int:
    """``deg_clockwise`` as 0, 90, 180 or 270."""
    if deg_clockwise % 90:
        raise ValueError(f"a quarter turn is a multiple of 90 degrees, got {deg_clockwise}")
    return deg_clockwise % 360


def turn(pixels: ImageArray, deg_clockwise: int) -> ImageArray:
    """Turn a picture without resampling.

    Args:
        pixels: (H, W, 3) uint8.
        deg_clockwise: any multiple of 90.

    Returns:
        (H, W, 3) or (W, H, 3) uint8; ``pixels`` itself for a turn by 0.

    Raises:
        ValueError: not a multiple of 90.
    """
    angle = _quarter(deg_clockwise)
    return pixels if angle == 0 else np.asarray(cv2.rotate(pixels, _TURNS[angle]), np.uint8)


def turn_points(points: Points, deg_clockwise: int, shape: Sequence[int]) -> FloatArray:
    """Where points lie after :func:`turn`.

    Args:
        points: (..., 2) x, y px; NaN stays NaN.
        deg_clockwise: any multiple of 90.
        shape: height and width (more entries are ignored) of the picture that ``points`` belong to, before the turn.

    Returns:
        float32 of the same shape.

    Raises:
        ValueError: not a multiple of 90.
    """
    angle, (height, width) = _quarter(deg_clockwise), shape[:2]
    x, y = points[..., 0].astype(np.float32), points[..., 1].astype(np.float32)
    right, bottom = np.float32(width - 1), np.float32(height - 1)
    turned = {0: (x, y), 90: (bottom - y, x), 180: (right - x, bottom - y), 270: (y, right - x)}[angle]
    return np.stack(turned, axis=-1)


def turn_boxes(boxes: Points, deg_clockwise: int, shape: Sequence[int]) -> FloatArray:
    """Where boxes lie after :func:`turn`.

    Args:
        boxes: (N, 4) xyxy, px.
        deg_clockwise: any multiple of 90.
        shape: height and width (more entries are ignored) of the picture that ``boxes`` belong to, before the turn.

    Returns:
        (N, 4) float32 xyxy, px.

    Raises:
        ValueError: not a multiple of 90.
    """
    corners = turn_points(boxes.reshape(-1, 2, 2), deg_clockwise, shape)
    return np.concatenate([corners.min(1), corners.max(1)], axis=1)
