"""What detectors of one network and one pass have in common."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Self

import numpy as np

from lineament.core.arrays import FloatArray, ImageArray
from lineament.core.types import Detections
from lineament.detection.base import DetectionSettings
from lineament.detection.postprocess import Candidates, Limits, select
from lineament.detection.preprocess import padded_batches
from lineament.zoo.loading import LoadedModel
from lineament.zoo.tensor import to_tensor

MULTIPLE_PX = 32
"""The coarsest stride of these networks; rows and columns of their input must be multiples of it."""
Decode = Callable[[Mapping[str, FloatArray], tuple[int, int], float], list[Candidates]]
"""Outputs of a batch, its (height, width) and the lowest score that counts to candidates of each picture, in px."""


class SingleShot:
    """Pads pictures to the stride, runs them in batches of equal size, decodes and selects.

    These networks count coordinates from the edge of the picture: they were trained on pictures mirrored as
    x to width - x, and the mean of what they find in a face and in its mirror image shows the half px. Boxes and
    points are therefore moved by -0.5 px.

    Pictures are not scaled: see :class:`lineament.detection.scales.JointScales`.
    """

    def __init__(self, model: LoadedModel, decode: Decode) -> None:
        """Take over a loaded model.

        Args:
            model: manifest and one network; the manifest's settings have ``min_score`` and ``nms_iou``.
            decode: the family's arithmetic.
        """
        self.name = model.manifest.name
        self._spec = model.manifest.input
        self._defaults = model.manifest.settings
        self._session = model.session
        self._decode = decode
        self._limits = Limits.decide(DetectionSettings(), self._defaults)

    def with_settings(self, settings: DetectionSettings) -> Self:
        """The same network with other settings."""
        other = copy.copy(self)
        other._limits = Limits.decide(settings, self._defaults)
        return other

    def detect(self, images: Sequence[ImageArray]) -> list[Detections]:
        """Faces of each picture; see :class:`lineament.detection.base.Detector`."""
        found = [Detections.none()] * len(images)
        for members, canvas in padded_batches(images, MULTIPLE_PX):
            outputs = self._session.run({self._session.inputs[0]: to_tensor(canvas, self._spec)})
            size = (canvas.shape[1], canvas.shape[2])
            candidates = self._decode(outputs, size, self._limits.min_score)
            for index, of_picture in zip(members, candidates, strict=True):
                found[index] = select(_from_edge(of_picture), self._limits)
        return found


def _from_edge(found: Candidates) -> Candidates:
    """From coordinates that count from the picture's edge to such that count from the first px's centre."""
    half = np.float32(0.5)
    return Candidates(found.boxes - half, found.scores, found.points - half)
