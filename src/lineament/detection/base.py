"""The detector protocol and the settings that all detectors share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from lineament.core.arrays import ImageArray
from lineament.core.types import Detections


@runtime_checkable
class Detector(Protocol):
    """Finds faces.

    Attributes:
        name: name of the model in the zoo.
    """

    name: str

    def detect(self, images: Sequence[ImageArray]) -> list[Detections]:
        """Faces of each picture.

        Args:
            images: (H, W, 3) uint8 RGB pictures; sizes may differ.

        Returns: one value for each picture, best score first, coordinates in px of that picture; faces may reach
            beyond its border.
        """
        ...


@dataclass(frozen=True, slots=True)
class DetectionSettings:
    """Which faces count.

    Attributes:
        min_score: lowest score of a face, in [0, 1]; None takes the manifest's number.
        nms_iou: largest overlap of two faces, in [0, 1]; None takes the manifest's number.
        min_face_px: shortest side that a face's box may have, px of the picture given.
        max_faces: at most so many faces of a picture, the best scores; None keeps all.
    """

    min_score: float | None = None
    nms_iou: float | None = None
    min_face_px: float = 0.0
    max_faces: int | None = None

    def __post_init__(self) -> None:
        for name in ("min_score", "nms_iou"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} must be in [0, 1], got {value}")
        if not self.min_face_px >= 0:
            raise ValueError(f"min_face_px must not be negative, got {self.min_face_px}")
        if self.max_faces is not None and self.max_faces < 1:
            raise ValueError(f"max_faces must be at least 1, got {self.max_faces}")


@runtime_checkable
class AdjustableDetector(Detector, Protocol):
    """A detector whose settings can differ from its manifest's."""

    def with_settings(self, settings: DetectionSettings) -> Detector:
        """The same network with other settings; the weights are shared."""
        ...
