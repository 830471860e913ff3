"""The landmark protocol."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from lineament.core.arrays import ImageArray
from lineament.core.types import Detections, Landmarks


@runtime_checkable
class LandmarkModel(Protocol):
    """Places dense points on faces that a detector found.

    Attributes:
        name: name of the model in the zoo.
        scheme: name of the point order; every result carries it.
    """

    name: str
    scheme: str

    def locate(self, images: Sequence[ImageArray], detections: Sequence[Detections]) -> list[list[Landmarks]]:
        """Points of each face of each picture.

        Args:
            images: (H, W, 3) uint8 RGB pictures; sizes may differ.
            detections: the faces of each picture, px of that picture.

        Returns: for each picture one value for each of its faces, in the same order, in px of that picture.

        Raises:
            ValueError: not as many detections as images.
        """
        ...
