"""The mesh remover protocol and its results."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from lineament.core.arrays import FloatArray, ImageArray, check_floats, check_image, frozen
from lineament.core.errors import BadArray


@dataclass(frozen=True, slots=True, eq=False)
class MeshFinding:
    """Whether ink lies over a picture, and where.

    Attributes:
        score: in [0, 1]; higher is surer. Pictures are told apart by a threshold that was measured for the remover.
        mask: (H, W) float32 in [0, 1], probability that ink covers the pixel.
    """

    score: float
    mask: FloatArray

    def __post_init__(self) -> None:
        mask = frozen(check_floats(self.mask, (None, None), "mask"))
        object.__setattr__(self, "mask", mask)
        if not 0.0 <= self.score <= 1.0:
            raise BadArray(f"a mesh score must be in [0, 1], got {self.score}")
        if mask.size == 0 or not np.all((mask >= 0) & (mask <= 1)):
            raise BadArray(f"a mesh mask must hold values in [0, 1], got {mask.shape}")


@dataclass(frozen=True, slots=True, eq=False)
class Restoration:
    """A picture with its mesh taken off.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, as large as the picture was.
        finding: what lay over it.
    """

    pixels: ImageArray
    finding: MeshFinding

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixels", frozen(check_image(self.pixels)))
        if self.pixels.shape[:2] != self.finding.mask.shape:
            raise BadArray(
                f"the mask must be as large as the picture, got {self.finding.mask.shape} "
                f"and {self.pixels.shape[:2]}"
            )


@runtime_checkable
class MeshRemover(Protocol):
    """Finds a mesh over portraits and takes it off.

    Attributes:
        name: name of the model in the zoo, or of the method.
    """

    name: str

    def restore(self, pictures: Sequence[ImageArray]) -> list[Restoration]:
        """Restored pictures, whether a mesh was found or not: whoever calls decides by the score.

        Args:
            pictures: (H, W, 3) uint8 RGB each; sizes may differ.

        Returns: one value a picture, in order.

        Raises:
            BadArray: a picture of another shape or dtype.
        """
        ...
