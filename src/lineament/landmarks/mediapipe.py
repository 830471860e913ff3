"""MediaPipe's face mesh: 468 points from a square crop around one face.

Source: Kartynnik, Ablavatski, Grishchenko and Grundmann, "Real-time Facial Surface Geometry from Monocular Video on
Mobile GPUs", CVPR Workshops 2019; crop as in MediaPipe's published face landmark graph.
"""

from collections.abc import Sequence

import numpy as np

from lineament.core.arrays import FloatArray, ImageArray, check_image
from lineament.core.types import Detection, Detections, Landmarks
from lineament.geometry import apply, invert, roll_deg, warp
from lineament.geometry.similarity import Matrix
from lineament.zoo.loading import LoadedModel
from lineament.zoo.tensor import to_tensor

INPUT_PX = 192
ENLARGE = 1.5
"""Side of the crop over the side of a square as large as the box."""
FACES_PER_RUN = 16
_SCORE_LIMIT = np.float32(80)
"""Logits are cut here before the sigmoid, so that exp stays finite in float32."""

EYE_IMAGE_LEFT = (33, 133)
"""Outer and inner corner."""
EYE_IMAGE_RIGHT = (263, 362)
"""Outer and inner corner."""
NOSE_TIP = 1
MOUTH_CORNERS = (61, 291)
"""Image left, image right."""


class MediaPipeMesh:
    """Points follow MediaPipe's canonical face model; depth is dropped."""

    scheme = "mediapipe-468"

    def __init__(self, model: LoadedModel) -> None:
        self.name = model.manifest.name
        self._spec = model.manifest.input
        self._session = model.session

    def locate(self, images: Sequence[ImageArray], detections: Sequence[Detections]) -> list[list[Landmarks]]:
        """Points of each face; see :class:`lineament.landmarks.base.LandmarkModel`."""
        if len(images) != len(detections):
            raise ValueError(f"expected detections for {len(images)} images, got {len(detections)}")
        for index, pixels in enumerate(images):
            check_image(pixels, f"images[{index}]")
        faces = [(picture, face) for picture, of in enumerate(detections) for face in of]
        found: list[list[Landmarks]] = [[] for _ in images]
        for start in range(0, len(faces), FACES_PER_RUN):
            part = faces[start : start + FACES_PER_RUN]
            matrices = [crop_matrix(face) for _, face in part]
            crops = [warp(images[p], m, INPUT_PX) for (p, _), m in zip(part, matrices, strict=True)]
            points, presence = self._run(np.stack(crops))
            for slot, (picture, _) in enumerate(part):
                mapped = apply(invert(matrices[slot]), points[slot]).astype(np.float32)
                found[picture].append(Landmarks(mapped, self.scheme, float(presence[slot])))
        return found

    def _run(self, crops: ImageArray) -> tuple[FloatArray, FloatArray]:
        """(N, 468, 2) points in px of the crops, and (N,) scores that a face is there."""
        out = self._session.run({self._session.inputs[0]: to_tensor(crops, self._spec)})
        logits = np.clip(out["presence"].reshape(len(crops)), -_SCORE_LIMIT, _SCORE_LIMIT)
        points = out["points"].reshape(len(crops), -1, 3)[:, :, :2] - np.float32(0.5)
        return points, np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def crop_matrix(face: Detection) -> Matrix:
    """Picture px to crop px: a square around the box's centre, turned so that the eyes are level.

    Its side is :data:`ENLARGE` times the square root of the box's area. For the square boxes of MediaPipe's own
    detector that is the published rule (longer side times 1.5); for the taller boxes of other detectors the longer
    side would show the face too small. Without both eyes the square is not turned.

    Args:
        face: box and points, px of the picture.

    Returns:
        (2, 3) float64.
    """
    box = face.box.astype(np.float64)
    centre, side = (box[:2] + box[2:]) / 2, float(np.sqrt(np.prod(box[2:] - box[:2]))) * ENLARGE
    roll = roll_deg(face.points)
    angle = 0.0 if np.isnan(roll) else -np.radians(roll)
    scale = INPUT_PX / max(side, 1e-3)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.full(2, (INPUT_PX - 1) / 2)
    return np.concatenate([linear, (middle - linear @ centre)[:, None]], axis=1)
