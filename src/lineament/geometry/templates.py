"""Where the five points of a face lie in an aligned crop."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import describe, frozen
from lineament.core.errors import BadArray


@dataclass(frozen=True, slots=True, eq=False)
class CropTemplate:
    """A crop that embedding networks of one kind expect.

    Attributes:
        name: name in manifests.
        size_px: width and height of the crop.
        points: (5, 2) float64 x, y px in the crop, in the order of :data:`lineament.core.types.POINT_NAMES`.
    """

    name: str
    size_px: int
    points: NDArray[np.float64]

    def __post_init__(self) -> None:
        points = np.asarray(self.points, dtype=np.float64)
        if points.shape != (5, 2) or not np.isfinite(points).all():
            raise BadArray(f"a crop template needs (5, 2) finite points, got {describe(points)}")
        if self.size_px < 1:
            raise BadArray(f"a crop template needs size_px >= 1, got {self.size_px}")
        object.__setattr__(self, "points", frozen(points))


ARCFACE_112 = CropTemplate(
    "arcface-112",
    112,
    np.array(
        [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
    ),
)
"""The crop of ArcFace (Deng et al., CVPR 2019) and of nearly every network trained since."""

DLIB_150 = CropTemplate(
    "dlib-150",
    150,
    np.array([(46.1, 45.5), (100.9, 45.5), (73.5, 77.9), (49.7, 102.6), (97.3, 102.6)]),
)
"""dlib's own 150 px chip with padding 0.25, for detectors that give eye centres, nose tip and mouth corners.

dlib aligns by other points (eye corners and nose base, or 51 of 68 landmarks), so these five were measured: on 789
faces of LFW View 1 and 68 faces of web photos, found by dlib's frontal detector, the points of YuNet and of
CenterFace (from px centres) were mapped through dlib's chip transform (5-point and 68-point predictor); the medians
over faces were averaged over predictors and detectors, and both sides were made mirror images of each other. The
two detectors differ by up to 1.4 px at eyes and nose and 2.8 px at the mouth; the robust standard deviation over
faces is 2 to 3 px for the eyes and 2 to 7 px for nose and mouth. Crops fitted to these points have 0.98 to 1.00
times the scale of dlib's chips in the median (standard deviation 0.04 to 0.06), on LFW with less than 1 px of shift.
"""

TEMPLATES: Mapping[str, CropTemplate] = MappingProxyType({t.name: t for t in (ARCFACE_112, DLIB_150)})
"""Every template by its name."""
