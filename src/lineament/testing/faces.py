"""Drawn faces with exact boxes and points, for tests that have no data.

A drawn face is plain geometry with a few dozen seeded measures and colours: the same seed is the same "person" at
any size, place and roll. Detectors and embedding networks are not expected to like it; the fakes of
:mod:`lineament.testing.fakes` do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray, ImageArray, check_floats, check_image, frozen
from lineament.core.types import Detections

_FRACTION_BITS = 4
_HEAD_WIDTH = 0.72
_HEAD_CENTRE = (0.5, 0.52)

_Outline = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class DrawnFace:
    """A picture of one face.

    Attributes:
        pixels: (S, S, 3) uint8 RGB.
        box: (4,) float32 xyxy, px; encloses the head without hair.
        points: (5, 2) float32 x, y px in the order of :data:`lineament.core.types.POINT_NAMES`.
    """

    pixels: ImageArray
    box: FloatArray
    points: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixels", frozen(check_image(self.pixels)))
        object.__setattr__(self, "box", frozen(check_floats(self.box, (4,), "box")))
        object.__setattr__(self, "points", frozen(check_floats(self.points, (5, 2), "points")))


@dataclass(frozen=True, slots=True, eq=False)
class DrawnScene:
    """A picture of several faces.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        detections: exact boxes and points in the order in which the faces were placed, all with score 1.
    """

    pixels: ImageArray
    detections: Detections

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixels", frozen(check_image(self.pixels)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a face stands in a scene.

    Attributes:
        seed: who it is.
        x_px: column of the middle of the drawn square.
        y_px: row of the middle of the drawn square.
        size_px: side of the drawn square; the head is about 0.7 of it wide.
        roll_deg: clockwise turn.
    """

    seed: int
    x_px: float
    y_px: float
    size_px: float
    roll_deg: float = 0.0


def draw_face(size_px: int = 160, seed: int = 0, roll_deg: float = 0.0) -> DrawnFace:
    """Draw one face that fills a square picture.

    Args:
        size_px: side of the picture.
        seed: who it is.
        roll_deg: clockwise turn of the head.

    Returns:
        The picture with its exact box and points.
    """
    middle = (size_px - 1) / 2
    scene = draw_scene(
        size_px, size_px, [Place(seed=seed, x_px=middle, y_px=middle, size_px=size_px, roll_deg=roll_deg)]
    )
    face = scene.detections[0]
    return DrawnFace(scene.pixels, face.box, face.points)


def draw_scene(height: int, width: int, places: Sequence[Place], background_seed: int = 0) -> DrawnScene:
    """Draw faces onto one picture, later ones over earlier ones.

    Args:
        height: rows.
        width: columns.
        places: who stands where; a face may reach beyond the picture, its box then does too.
        background_seed: colours of the background.

    Returns:
        The picture with exact boxes and points.
    """
    canvas = _background(height, width, background_seed)
    drawn = [_draw(canvas, place) for place in places]
    if not drawn:
        return DrawnScene(canvas, Detections.none())
    boxes, points = (np.stack(values).astype(np.float32) for values in zip(*drawn, strict=True))
    return DrawnScene(canvas, Detections(boxes, np.ones(len(boxes), np.float32), points))


def _background(height: int, width: int, seed: int) -> ImageArray:
    """A soft gradient between four seeded colours."""
    corners = np.random.default_rng([seed, 1]).integers(90, 200, (2, 2, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


class _Person:
    """Seeded measures and colours. Lengths are fractions of the drawn square."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 2])

        def colour(low: int, high: int) -> NDArray[np.int64]:
            return rng.integers(low, high, 3)

        self.skin = np.clip(rng.integers(90, 230) + np.array([25, -10, -40]) + colour(-20, 21), 0, 255)
        self.hair, self.iris, self.lips = (
            colour(10, 200),
            colour(20, 160),
            colour(0, 90) + np.array([140, 0, 20]),
        )
        self.brow = self.hair // 2
        self.head = (_HEAD_WIDTH / 2, _HEAD_WIDTH / 2 * rng.uniform(1.15, 1.3))
        self.hair_line = rng.uniform(0.18, 0.34)
        self.eye_gap, self.eye_y = rng.uniform(0.13, 0.18), rng.uniform(0.42, 0.48)
        self.eye_size = (rng.uniform(0.05, 0.075), rng.uniform(0.025, 0.045))
        self.brow_lift, self.brow_tilt = rng.uniform(0.06, 0.1), rng.uniform(-0.03, 0.03)
        self.brow_size = (rng.uniform(0.06, 0.09), rng.uniform(0.01, 0.022))
        self.nose_y, self.nose_width = rng.uniform(0.58, 0.64), rng.uniform(0.03, 0.06)
        self.mouth_y, self.mouth_gap = rng.uniform(0.72, 0.78), rng.uniform(0.08, 0.13)
        self.mouth_height = rng.uniform(0.02, 0.045)

    def points(self) -> _Outline:
        """The five points."""
        left, right, mid = 0.5 - self.eye_gap, 0.5 + self.eye_gap, 0.5
        mouth = (mid - self.mouth_gap, mid + self.mouth_gap)
        return np.array(
            [
                (left, self.eye_y),
                (right, self.eye_y),
                (mid, self.nose_y),
                (mouth[0], self.mouth_y),
                (mouth[1], self.mouth_y),
            ]
        )

    def shapes(self) -> list[tuple[_Outline, NDArray[np.int64]]]:
        """Outlines with their colours, from back to front."""
        head = _ellipse(_HEAD_CENTRE, self.head)
        top = head[:, 1] <= self.hair_line
        hair = _ellipse((0.5, 0.46), (self.head[0] * 1.1, self.head[1]))
        shapes = [(hair, self.hair), (head, self.skin), (head[top], self.hair)]
        left, right, nose, mouth_left, mouth_right = self.points()
        for eye, tilt in ((left, -self.brow_tilt), (right, self.brow_tilt)):
            shapes.append((_ellipse(eye, self.eye_size), np.array([245, 245, 245])))
            shapes.append((_ellipse(eye, (self.eye_size[1] * 0.9,) * 2), self.iris))
            shapes.append((_ellipse(eye, (self.eye_size[1] * 0.4,) * 2), np.array([10, 10, 10])))
            brow = _ellipse((0.0, 0.0), self.brow_size)
            brow[:, 1] += brow[:, 0] * tilt / self.brow_size[0]
            shapes.append((brow + eye - (0.0, self.brow_lift), self.brow))
        side = np.array([self.nose_width, 0.0])
        bridge = np.array([(0.5, self.eye_y + 0.02), nose + side, nose - side])
        shapes.append((bridge, self.skin * 8 // 10))
        mouth = _ellipse((mouth_left + mouth_right) / 2, (self.mouth_gap, self.mouth_height))
        shapes.append((mouth, self.lips))
        return shapes


def _ellipse(centre: Sequence[float] | _Outline, radii: tuple[float, ...]) -> _Outline:
    """An outline of 64 corners."""
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    return np.asarray(centre) + np.stack([np.cos(angle) * radii[0], np.sin(angle) * radii[1]], axis=1)


def _draw(canvas: ImageArray, place: Place) -> tuple[_Outline, _Outline]:
    """Draw one face; returns its box and points in px."""
    angle = np.radians(place.roll_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def to_px(outline: _Outline) -> _Outline:
        moved = (outline - 0.5) @ turn.T * place.size_px + (place.x_px, place.y_px)
        return np.asarray(moved, np.float64)

    person = _Person(place.seed)
    for outline, colour in person.shapes():
        corners = np.round(to_px(outline) * 2**_FRACTION_BITS).astype(np.int32)
        cv2.fillPoly(canvas, [corners], colour.tolist(), cv2.LINE_AA, _FRACTION_BITS)
    head = to_px(_ellipse(_HEAD_CENTRE, person.head))
    return np.concatenate([head.min(0), head.max(0)]), to_px(person.points())
