"""The detector protocol."""

from collections.abc import Sequence
from typing import Protocol

from lineament.core.arrays import ImageArray
from lineament.core.types import Detections


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
