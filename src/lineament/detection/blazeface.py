"""BlazeFace, short range: 896 anchors on a picture of 128 px, for faces that fill a good part of it.

Source: Bazarevsky, Kartynnik, Vakunov, Raveendran and Grundmann, "BlazeFace: Sub-millisecond Neural Face Detection
on Mobile GPUs", CVPR Workshops 2019.
"""

import copy
from collections.abc import Sequence
from typing import Self

import numpy as np

from lineament.core.arrays import FloatArray, ImageArray, check_image
from lineament.core.types import Detections
from lineament.detection.base import DetectionSettings
from lineament.detection.postprocess import Candidates, Limits, best, limited, sound
from lineament.detection.preprocess import resize
from lineament.geometry import iou
from lineament.zoo.loading import LoadedModel
from lineament.zoo.tensor import to_tensor

INPUT_PX = 128
GRIDS = ((8, 2), (16, 6))
"""Stride in px, and anchors in each cell."""
PICTURES_PER_RUN = 32
_SCORE_LIMIT = np.float32(80)
"""Logits are cut here before the sigmoid, so that exp stays finite in float32."""


class BlazeFace:
    """Letterboxes each picture to 128 px; gives eyes and nose, and NaN for the corners of the mouth."""

    def __init__(self, model: LoadedModel) -> None:
        self.name = model.manifest.name
        self._spec = model.manifest.input
        self._defaults = model.manifest.settings
        self._session = model.session
        self._anchors = anchors()
        self._limits = Limits.decide(DetectionSettings(), self._defaults)

    def with_settings(self, settings: DetectionSettings) -> Self:
        """The same network with other settings."""
        other = copy.copy(self)
        other._limits = Limits.decide(settings, self._defaults)
        return other

    def detect(self, images: Sequence[ImageArray]) -> list[Detections]:
        """Faces of each picture; see :class:`lineament.detection.base.Detector`."""
        boxed = [letterbox(check_image(p, f"images[{i}]")) for i, p in enumerate(images)]
        found = []
        for start in range(0, len(boxed), PICTURES_PER_RUN):
            part = boxed[start : start + PICTURES_PER_RUN]
            tensor = to_tensor(np.stack([pixels for pixels, _, _ in part]), self._spec)
            out = self._session.run({self._session.inputs[0]: tensor})
            for slot, (_, factor, shift) in enumerate(part):
                candidates = self._decode(out["boxes"][slot], out["scores"][slot, :, 0])
                found.append(limited(_restored(candidates, factor, shift), self._limits))
        return found

    def _decode(self, raw: FloatArray, logits: FloatArray) -> Candidates:
        """Blended candidates in px of the network's input, counted from its edge."""
        exponent = -np.clip(logits, -_SCORE_LIMIT, _SCORE_LIMIT)
        scores = np.asarray(1 / (1 + np.exp(exponent)), np.float32)
        (index,) = np.nonzero(scores >= self._limits.min_score)
        pairs = raw[index].reshape(-1, 8, 2)
        centre, half = pairs[:, 0] + self._anchors[index], pairs[:, 1] / 2
        boxes = np.concatenate([centre - half, centre + half], axis=1)
        points = np.full((len(index), 5, 2), np.nan, np.float32)
        points[:, :3] = pairs[:, 2:5] + self._anchors[index, None]
        found = sound(Candidates(boxes, scores[index], points), self._limits.min_score)
        return blend(best(found, len(found.scores)), self._limits.nms_iou)


def anchors() -> FloatArray:
    """(896, 2) float32 centres x, y in px of the input, counted from its edge, in the order of the outputs."""
    parts = []
    for stride, repeats in GRIDS:
        line = (np.arange(INPUT_PX // stride, dtype=np.float32) + np.float32(0.5)) * stride
        y, x = np.meshgrid(line, line, indexing="ij")
        parts.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), repeats, axis=0))
    return np.concatenate(parts)


def letterbox(pixels: ImageArray) -> tuple[ImageArray, FloatArray, FloatArray]:
    """A picture on a black square of 128 px without distortion.

    Returns:
        (128, 128, 3) uint8; (2,) size there / size in the picture along x and y; (2,) x, y of its top-left corner.
    """
    height, width = pixels.shape[:2]
    scale = INPUT_PX / max(height, width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (INPUT_PX - rows) // 2, (INPUT_PX - columns) // 2
    canvas = np.zeros((INPUT_PX, INPUT_PX, 3), np.uint8)
    canvas[top : top + rows, left : left + columns] = resize(pixels, rows, columns)
    return canvas, np.array([columns / width, rows / height], np.float32), np.array([left, top], np.float32)


def _restored(found: Candidates, factor: FloatArray, shift: FloatArray) -> Candidates:
    """From px of the input, counted from its edge, to px of the picture, counted from the first px's centre."""
    boxes = (found.boxes.reshape(-1, 2, 2) - shift) / factor - np.float32(0.5)
    points = (found.points - shift) / factor - np.float32(0.5)
    return Candidates(boxes.reshape(-1, 4), found.scores, points)


def blend(found: Candidates, min_iou: float) -> Candidates:
    """Suppression that averages: a face is the mean of the overlapping candidates, weighted by their scores.

    Args:
        found: candidates, best first.
        min_iou: candidates that overlap the best one by more than this belong to it.

    Returns:
        One candidate for each group, with its best score; best first.
    """
    waiting = np.arange(len(found.scores))
    groups = []
    while len(waiting):
        same = iou(found.boxes[waiting[:1]], found.boxes[waiting])[0] > min_iou
        same[0] = True
        groups.append(waiting[same])
        waiting = waiting[~same]
    if not groups:
        return found
    shares = [found.scores[g] / found.scores[g].sum() for g in groups]
    boxes = np.stack([s @ found.boxes[g] for g, s in zip(groups, shares, strict=True)])
    points = np.stack([np.tensordot(s, found.points[g], 1) for g, s in zip(groups, shares, strict=True)])
    return Candidates(boxes, np.array([found.scores[g[0]] for g in groups], np.float32), points)
