"""Lines of security patterns as polylines, and polylines as coverage masks."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]
"""(K, 2) x, y px; the origin is the centre of the top left pixel."""
MaskArray = NDArray[np.float32]
"""(H, W) share of each pixel that a pattern covers, in [0, 1]."""

_OVERSAMPLING = 4
_FRACTION_BITS = 4


def sine_curve(
    columns: NDArray[np.float64], *, level: float, slope: float, amplitude: float, period: float, phase: float
) -> Curve:
    """``y = level + slope * x + amplitude * sin(2 pi x / period + phase)`` over columns x; all in px and radians.

    Args:
        columns: (K,) x, px.
        level: y at x = 0 without the wave.
        slope: rise of the axis, px a px.
        amplitude: half of peak to peak.
        period: along x.
        phase: of the wave at x = 0.
    """
    rows = level + slope * columns + amplitude * np.sin(2 * np.pi * columns / period + phase)
    return np.stack([columns, rows], axis=1)


def rosette(centre: tuple[float, float], radius: float, depth: float, petals: int, turn: float) -> Curve:
    """A closed guilloche line, ``r = radius * (1 + depth * sin(petals * t + turn))`` round a centre, px."""
    angles = np.linspace(0, 2 * np.pi, 40 * petals + 1)
    radii = radius * (1 + depth * np.sin(petals * angles + turn))
    return np.stack([centre[0] + radii * np.cos(angles), centre[1] + radii * np.sin(angles)], axis=1)


def draw_curves(curves: Sequence[Curve], width_px: float, height: int, width: int) -> MaskArray:
    """Coverage of lines, drawn four times as large and averaged down.

    Args:
        curves: the lines.
        width_px: their width.
        height: of the mask.
        width: of the mask.
    """
    scale = _OVERSAMPLING
    canvas = np.zeros((height * scale, width * scale), np.uint8)
    shifted = [
        np.rint(((curve + 0.5) * scale - 0.5) * (1 << _FRACTION_BITS)).astype(np.int32) for curve in curves
    ]
    cv2.polylines(
        canvas, shifted, False, 255, max(1, round(width_px * scale)), cv2.LINE_8, shift=_FRACTION_BITS
    )
    small = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) * np.float32(1 / 255)


def draw_words(words: str, height: int, width: int, size_px: float, turn_deg: float) -> MaskArray:
    """Coverage of a text repeated over the whole picture, as watermarks are.

    Args:
        words: Latin letters and digits (OpenCV's line font has no others).
        height: of the mask.
        width: of the mask.
        size_px: height of capital letters.
        turn_deg: rotation, counter-clockwise.
    """
    font, thickness = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(size_px / 8))
    scale = size_px / 21.0  # capital letters of this font are 21 px high at scale 1
    (length, _), _ = cv2.getTextSize(words, font, scale, thickness)
    side = int(np.hypot(height, width)) + 1
    sheet = np.zeros((side, side), np.uint8)
    for row, top in enumerate(np.arange(size_px, side + size_px, 3 * size_px)):
        first = -(row % 2) * length * 0.6
        for left in np.arange(first, side, length * 1.3):
            cv2.putText(sheet, words, (int(left), int(top)), font, scale, 255, thickness, cv2.LINE_AA)
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), turn_deg, 1.0)
    matrix[:, 2] += np.array([(width - side) / 2, (height - side) / 2])
    turned = cv2.warpAffine(sheet, matrix, (width, height), flags=cv2.INTER_LINEAR)
    return np.asarray(turned, np.float32) * np.float32(1 / 255)
