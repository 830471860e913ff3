"""MTCNN: three networks in cascade, over an image pyramid.

Source: Zhang, Zhang, Li and Qiao, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional
Networks", IEEE Signal Processing Letters 2016, and the order of steps of the authors' released code. That code
counts px from 1, cuts coordinates to whole px and adds 1 to some widths; here boxes are continuous, and only
the squares that are cut out are rounded to whole px.
"""

import copy
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray, ImageArray, check_image
from lineament.core.types import Detections
from lineament.detection.base import DetectionSettings
from lineament.detection.postprocess import Candidates, Limits, best, limited, sound
from lineament.detection.preprocess import padded_batches, resize
from lineament.geometry import area, iou, nms, scale_boxes
from lineament.zoo.loading import LoadedModel
from lineament.zoo.tensor import to_tensor

CELL_PX, STRIDE_PX = 12, 2
"""Window and step of the first network."""
CROPS_PER_RUN = 256
MAX_PROPOSALS = 2000
"""Windows of one picture and pyramid level, and of one picture after the first network, that go on; the best."""
MAX_REFINED = 400
"""Windows of one picture that reach the third network; the best."""


class _Windows(NamedTuple):
    """Windows of all pictures: which picture, where, how good, and how the edges should move (fractions)."""

    picture: NDArray[np.intp]
    boxes: FloatArray
    scores: FloatArray
    shifts: FloatArray

    def at(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> "_Windows":
        return _Windows(self.picture[index], self.boxes[index], self.scores[index], self.shifts[index])


class Mtcnn:
    """Cascade of proposal, refinement and output network; all windows of all pictures share batches.

    Settings of the manifest: ``min_score_pnet``, ``min_score_rnet`` and ``min_score`` (third network);
    ``nms_level`` and ``nms_pyramid`` (overlaps within a level and over all), ``nms_rnet``; ``nms_iou`` (last
    suppression; overlap here is the shared area over the smaller one); ``min_face_px`` (smallest face searched;
    a larger one in :class:`DetectionSettings` saves the finest levels); ``pyramid_factor``.
    """

    def __init__(self, model: LoadedModel) -> None:
        self.name = model.manifest.name
        self._sessions = model.sessions
        self._spec = model.manifest.input
        self._numbers = model.manifest.settings
        self._limits = Limits.decide(DetectionSettings(), self._numbers)

    def with_settings(self, settings: DetectionSettings) -> Self:
        """The same networks with other settings."""
        other = copy.copy(self)
        other._limits = Limits.decide(settings, self._numbers)
        return other

    def detect(self, images: Sequence[ImageArray]) -> list[Detections]:
        """Faces of each picture; see :class:`lineament.detection.base.Detector`."""
        for index, pixels in enumerate(images):
            check_image(pixels, f"images[{index}]")
        windows = self._propose(images)
        windows = self._refine(images, windows)
        return self._finish(images, windows)

    def _propose(self, images: Sequence[ImageArray]) -> _Windows:
        """Squares of the first network."""
        smallest = max(self._limits.min_face_px, self._numbers["min_face_px"])
        sizes = [pyramid(p.shape, smallest, self._numbers["pyramid_factor"]) for p in images]
        owner = np.array([i for i, of in enumerate(sizes) for _ in of], np.intp)
        levels = [resize(images[i], *size) for i, of in enumerate(sizes) for size in of]
        parts = [_empty()]
        for members, canvas in padded_batches(levels, 1):
            out = self._run("pnet", canvas)
            for slot, member in enumerate(members):
                found = level_windows(
                    out["scores"][slot, 0], out["boxes"][slot], self._numbers["min_score_pnet"]
                )
                index = owner[member]
                height, width = images[index].shape[:2]
                boxes = scale_boxes(found.boxes, width / canvas.shape[2], height / canvas.shape[1])
                found = found._replace(boxes=boxes, picture=np.full(len(boxes), index, np.intp))
                parts.append(_suppressed(found, self._numbers["nms_level"]))
        joined = _Windows(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        kept = _suppressed(joined, self._numbers["nms_pyramid"])
        return kept._replace(boxes=squares(moved(kept.boxes, kept.shifts)))

    def _refine(self, images: Sequence[ImageArray], windows: _Windows) -> _Windows:
        """Squares that the second network keeps."""
        out = self._judge("rnet", images, windows, 24)
        scored = windows._replace(scores=out["scores"][:, 0], shifts=out["boxes"])
        scored = scored.at(scored.scores > self._numbers["min_score_rnet"])
        kept = _suppressed(scored, self._numbers["nms_rnet"], MAX_REFINED)
        return kept._replace(boxes=squares(moved(kept.boxes, kept.shifts)))

    def _finish(self, images: Sequence[ImageArray], windows: _Windows) -> list[Detections]:
        """Faces that the third network keeps; its points count from the square's corner."""
        out = self._judge("onet", images, windows, 48)
        scores, low = out["scores"][:, 0], windows.boxes[:, None, :2]
        points = low + out["points"].reshape(-1, 2, 5).transpose(0, 2, 1) * (windows.boxes[:, None, 2:] - low)
        all_found = Candidates(moved(windows.boxes, out["boxes"]), scores, points)
        found = []
        for index in range(len(images)):
            mine = windows.picture == index
            own = sound(Candidates(*(column[mine] for column in all_found)), self._limits.min_score)
            own = best(own, len(own.scores))
            keep = suppress_contained(own.boxes, self._limits.nms_iou)
            found.append(limited(Candidates(*(column[keep] for column in own)), self._limits))
        return found

    def _judge(
        self, role: str, images: Sequence[ImageArray], windows: _Windows, size: int
    ) -> dict[str, FloatArray]:
        """Outputs of the second or third network for every window."""
        outputs = {"scores": [np.zeros((0, 1), np.float32)], "boxes": [np.zeros((0, 4), np.float32)]}
        if role == "onet":
            outputs["points"] = [np.zeros((0, 10), np.float32)]
        edges = range(0, len(windows.boxes) + CROPS_PER_RUN, CROPS_PER_RUN)
        for start, end in pairwise(edges):
            part = windows.at(np.arange(start, min(end, len(windows.boxes))))
            crops = [cut(images[i], box, size) for i, box in zip(part.picture, part.boxes, strict=True)]
            out = self._run(role, np.stack(crops))
            for name, values in outputs.items():
                values.append(out[name])
        return {name: np.concatenate(values) for name, values in outputs.items()}

    def _run(self, role: str, canvas: ImageArray) -> Mapping[str, FloatArray]:
        session = self._sessions[role]
        return session.run({session.inputs[0]: to_tensor(canvas, self._spec)})


def _empty() -> _Windows:
    none = np.zeros((0, 4), np.float32)
    return _Windows(np.zeros(0, np.intp), none, np.zeros(0, np.float32), none)


def pyramid(shape: Sequence[int], min_face_px: float, factor: float) -> list[tuple[int, int]]:
    """Sizes (height, width) of the pyramid's levels, largest first.

    The first level shows faces of ``min_face_px`` in one window; each further one is smaller by ``factor``, while
    a window fits.

    Args:
        shape: height and width of the picture; more entries are ignored.
        min_face_px: smallest face that is searched.
        factor: in (0, 1).
    """
    sizes, scale = [], CELL_PX / min_face_px
    while min(shape[:2]) * scale >= CELL_PX:
        sizes.append((int(np.ceil(shape[0] * scale)), int(np.ceil(shape[1] * scale))))
        scale *= factor
    return sizes


def level_windows(scores: FloatArray, shifts: FloatArray, min_score: float) -> _Windows:
    """Windows of one level in px of that level, at most :data:`MAX_PROPOSALS`; the picture's number is left 0.

    Args:
        scores: (rows, columns) probability of a face.
        shifts: (4, rows, columns) movement of left, top, right and bottom edge, in window sizes.
        min_score: lowest score that counts.
    """
    row, column = np.nonzero(scores >= min_score)
    order = np.argsort(-scores[row, column], kind="stable")[:MAX_PROPOSALS]
    row, column = row[order], column[order]
    low = np.stack([column, row], axis=1).astype(np.float32) * STRIDE_PX - np.float32(0.5)
    boxes = np.concatenate([low, low + CELL_PX], axis=1)
    return _Windows(np.zeros(len(row), np.intp), boxes, scores[row, column], shifts[:, row, column].T)


def _suppressed(windows: _Windows, max_iou: float, most: int = MAX_PROPOSALS) -> _Windows:
    """Greedy suppression within each picture; at most ``most`` windows of a picture, the best."""
    keep = [np.zeros(0, np.intp)]
    for picture in np.unique(windows.picture):
        (mine,) = np.nonzero(windows.picture == picture)
        keep.append(mine[nms(windows.boxes[mine], windows.scores[mine], max_iou)[:most]])
    return windows.at(np.concatenate(keep))


def suppress_contained(boxes: FloatArray, max_overlap: float) -> NDArray[np.intp]:
    """Greedy suppression by the share of the smaller box that overlaps.

    Args:
        boxes: (N, 4) xyxy, px, best first.
        max_overlap: largest shared area over the smaller box's area that two kept boxes may have.

    Returns:
        Indices of the kept boxes, best first.
    """
    areas = area(boxes)
    overlap = iou(boxes, boxes)
    shared = overlap / (1 + overlap) * (areas[:, None] + areas[None, :])
    clash = shared > max_overlap * np.minimum(areas[:, None], areas[None, :])
    kept: list[int] = []
    for index in range(len(boxes)):
        if not clash[index, kept].any():
            kept.append(index)
    return np.array(kept, np.intp)


def moved(boxes: FloatArray, shifts: FloatArray) -> FloatArray:
    """Boxes (N, 4) with each edge moved by the given fractions (N, 4) of width and height."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(boxes + shifts * np.concatenate([sides, sides], axis=1), np.float32)


def squares(boxes: FloatArray) -> FloatArray:
    """Squares of the longer side around the same centres, with edges between px.

    Rounding to whole px lets a square be cut out without resampling twice; what the network says about it
    counts from the rounded edges, so nothing is lost.
    """
    centre, side = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True)
    side = np.maximum(np.rint(side), 1)
    low = np.rint(centre - side / 2 + np.float32(0.5)) - np.float32(0.5)
    return np.concatenate([low, low + side], axis=1).astype(np.float32)


def cut(pixels: ImageArray, square: FloatArray, size: int) -> ImageArray:
    """A square of a picture, black beyond its border, as (size, size, 3) uint8.

    Args:
        pixels: (H, W, 3) uint8.
        square: (4,) xyxy, px, of :func:`squares`.
        size: px.
    """
    x0, y0, x1, y1 = (int(v) for v in np.rint(square + np.float32(0.5)))
    inside = pixels[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
    if inside.shape[:2] != (y1 - y0, x1 - x0):
        canvas = np.zeros((y1 - y0, x1 - x0, 3), np.uint8)
        top, left = max(-y0, 0), max(-x0, 0)
        canvas[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
        inside = canvas
    return resize(inside, size, size)
