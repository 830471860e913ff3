"""Which way is up, by the evidence of the faces themselves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import ImageArray
from lineament.core.types import Detections
from lineament.detection.base import Detector
from lineament.geometry import turn
from lineament.zoo.manifest import list_models

TURNS_DEG = (0, 90, 180, 270)
MAX_TILT_DEG = 45.0
"""A face that leans more than this would be found upright in another quarter turn."""


@dataclass(frozen=True, slots=True, eq=False)
class Upright:
    """A picture turned so that its faces stand upright.

    Attributes:
        rotation_deg: clockwise turn that was applied: 0, 90, 180 or 270.
        detections: the faces, in px of the turned picture.
        pixels: (H, W, 3) uint8 RGB, the turned picture.
    """

    rotation_deg: int
    detections: Detections
    pixels: ImageArray


def find_upright(detector: Detector, pixels: ImageArray) -> Upright:
    """One picture of :func:`find_upright_many`."""
    return find_upright_many(detector, [pixels])[0]


def find_upright_many(detector: Detector, images: Sequence[ImageArray]) -> list[Upright]:
    """Turn each picture to where its best upright face has the highest score.

    The evidence for a turn is the best score among faces whose points stand upright: eyes level within 45°, nose
    and mouth below them. A picture as it is wins ties, so one without faces is not turned. When the evidence for
    leaving it reaches the manifest's ``sure_score``, a score that no face in a wrong turn reached when it was
    measured, the other turns are not looked at.

    Args:
        detector: any detector that gives eyes, and nose or mouth.
        images: (H, W, 3) uint8 RGB.
    """
    sure = _sure_score(detector.name)
    found = [[faces] for faces in detector.detect(images)]
    unsure = [i for i, of in enumerate(found) if upright_score(of[0]) < sure]
    turned = iter(detector.detect([turn(images[i], deg) for i in unsure for deg in TURNS_DEG[1:]]))
    for index in unsure:
        found[index] += [next(turned) for _ in TURNS_DEG[1:]]
    results = []
    for pixels, of in zip(images, found, strict=True):
        best = int(np.argmax([upright_score(faces) for faces in of]))
        results.append(Upright(TURNS_DEG[best], of[best], turn(pixels, TURNS_DEG[best])))
    return results


def upright_score(faces: Detections) -> float:
    """Best score among the faces that stand upright; 0 without any."""
    return float(np.max(faces.scores, initial=0.0, where=standing(faces)))


def standing(faces: Detections) -> NDArray[np.bool_]:
    """(N,) True for faces whose eyes are level and above nose and mouth, both within 45°.

    A missing mouth is made up for by the nose; a face without eyes does not count.
    """
    eyes, lower = faces.points[:, :2], faces.points[:, 2:]
    known = np.asarray(np.isfinite(lower).all(-1))
    middle = np.where(known[..., None], lower, 0).sum(1) / np.maximum(known.sum(1), 1)[:, None]
    across, down = eyes[:, 1] - eyes[:, 0], middle - eyes.mean(1)
    limit = np.tan(np.radians(MAX_TILT_DEG))
    level = (across[:, 0] > 0) & (np.abs(across[:, 1]) <= limit * across[:, 0])
    below = (down[:, 1] > 0) & (np.abs(down[:, 0]) <= limit * down[:, 1])
    return np.asarray(level & below & known.any(1))


def _sure_score(name: str) -> float:
    """Score above which a turn needs no comparison; infinite where none was measured."""
    manifest = list_models().get(name)
    return float("inf") if manifest is None else manifest.settings.get("sure_score", float("inf"))
