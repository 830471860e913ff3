"""Joint scales: a detector that looks at each picture at several sizes."""

import copy
from collections.abc import Sequence
from typing import Self

import numpy as np

from lineament.core.arrays import ImageArray, check_image
from lineament.core.types import Detections
from lineament.detection.base import DetectionSettings, Detector
from lineament.detection.postprocess import Candidates, Limits, join, select
from lineament.detection.preprocess import resize
from lineament.geometry import scale_boxes, scale_points

DEFAULT_SIDES_PX = (160, 640)
LARGE_PX = 300
"""A face whose longer side has more px in one size is taken from a smaller size, if there is one.

Detectors see such faces in parts: on close-ups that exceed the frame by a tenth, CenterFace at 640 px alone found
47 %, mixed with 160 px 80 %, and all of them when the large size leaves large faces to the small one; any bound
from 150 to 300 px gives the same."""
MAX_ENLARGE = 2.0
"""Pictures are not enlarged by more than this: it costs time and shows nothing new."""
DEFAULTS = {"min_score": 0.0, "nms_iou": 0.4}
"""Scores are judged by the inner detector; faces of two sizes are the same when they overlap by more than this."""


class JointScales:
    """Finds faces that fill the picture and faces in a crowd.

    Each picture is resized so that its longest side has each of the given lengths, all sizes of all pictures are
    given to the inner detector at once, and the faces are mapped back and merged by suppression.
    """

    def __init__(
        self,
        detector: Detector,
        sides_px: Sequence[int] = DEFAULT_SIDES_PX,
        settings: DetectionSettings | None = None,
    ) -> None:
        """Look through ``detector`` at several sizes.

        Args:
            detector: judges scores; its own size filter would work in px of the resized pictures, so leave it open.
            sides_px: longest sides, px; a small picture is at most doubled.
            settings: which of the merged faces count, in px of the pictures given.
        """
        if not sides_px or min(sides_px) < 1:
            raise ValueError(f"sides_px must name at least one length in px, got {tuple(sides_px)}")
        self.name = detector.name
        self.sides_px = tuple(sorted(set(sides_px)))
        self._detector = detector
        self._limits = Limits.decide(settings or DetectionSettings(), DEFAULTS)

    def with_settings(self, settings: DetectionSettings) -> Self:
        """The same detector with other settings of the merged faces."""
        other = copy.copy(self)
        other._limits = Limits.decide(settings, DEFAULTS)
        return other

    def detect(self, images: Sequence[ImageArray]) -> list[Detections]:
        """Faces of each picture; see :class:`lineament.detection.base.Detector`."""
        sizes = [_sizes(check_image(p, f"images[{i}]"), self.sides_px) for i, p in enumerate(images)]
        views = [view for p, of in zip(images, sizes, strict=True) for view in _views(p, of)]
        seen = iter(self._detector.detect(views))
        found = []
        for pixels, of in zip(images, sizes, strict=True):
            parts = [_mapped(_in_range(next(seen), i > 0), size, pixels.shape) for i, size in enumerate(of)]
            found.append(select(join(parts), self._limits))
        return found


def _views(pixels: ImageArray, sizes: Sequence[tuple[int, int]]) -> list[ImageArray]:
    """The picture at each of the rising sizes, each made from the next larger one: a fraction of the work."""
    views = [pixels]
    for size in reversed(sizes):
        views.append(resize(views[-1], *size))
    return views[:0:-1]


def _sizes(pixels: ImageArray, sides_px: Sequence[int]) -> list[tuple[int, int]]:
    """Sizes (height, width) at which a picture is looked at, without repetition."""
    height, width = pixels.shape[:2]
    longest = max(height, width)
    sides = [min(s, round(longest * MAX_ENLARGE)) for s in sides_px]
    sizes = [(max(1, round(height * s / longest)), max(1, round(width * s / longest))) for s in sides]
    return list(dict.fromkeys(sizes))


def _in_range(found: Detections, has_smaller: bool) -> Candidates:
    """Faces of one size without those that a smaller size shows better, if there is one."""
    large = (found.boxes[:, 2:] - found.boxes[:, :2]).max(1, initial=0.0) > LARGE_PX
    keep = ~(large & has_smaller)
    return Candidates(found.boxes[keep], found.scores[keep], found.points[keep])


def _mapped(found: Candidates, seen: tuple[int, int], shape: Sequence[int]) -> Candidates:
    """Faces found at size ``seen`` in px of a picture of ``shape``."""
    factors = (shape[1] / seen[1], shape[0] / seen[0])
    return Candidates(
        np.asarray(scale_boxes(found.boxes, *factors)), found.scores, scale_points(found.points, *factors)
    )
