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
    np.array([(43.9, 46.2), (103.1, 46.2), (73.5, 81.2), (47.8, 107.8), (99.2, 107.8)]),
)
"""The 150 px crop for dlib's network, for detectors that give eye centres, nose tip and mouth corners.

dlib aligns by other points (eye corners and nose base, or 51 of 68 landmarks), so its own chip was measured first: on
789 faces of LFW View 1 and 68 faces of web photos the points of YuNet and CenterFace (from px centres) were mapped
through dlib's chip transform and their medians made symmetric: (46.1, 45.5) (100.9, 45.5) (73.5, 77.9) (49.7, 102.6)
(97.3, 102.6), with a robust standard deviation over faces of 2 to 3 px for the eyes and 2 to 7 px for nose and mouth.

Crops fitted to five noisy points do better a little tighter and lower. Of 17 crops (scale 1.00 to 1.12, 0 to 4 px
down) this one, scale 1.08 and 3 px down, had the best accuracy on LFW View 1 with flip average; its neighbours
lie within 0.5 points. View 1 is meant for such choices, so its figure for this crop is optimistic by about as much.
"""


def resized(template: CropTemplate, size_px: int) -> CropTemplate:
    """The same crop in another resolution, named "arcface-64" after the family and its size.

    Args:
        template: the crop.
        size_px: width and height wanted; pixel edges, not pixel centres, are scaled.
    """
    family, _, _ = template.name.rpartition("-")
    points = (template.points + 0.5) * (size_px / template.size_px) - 0.5
    return CropTemplate(f"{family}-{size_px}", size_px, points)


ARCFACE_SIZES_PX = (48, 56, 64, 80, 96, 128, 160)
"""Other resolutions of the ArcFace crop that networks are trained on."""
TEMPLATES: Mapping[str, CropTemplate] = MappingProxyType(
    {
        t.name: t
        for t in (ARCFACE_112, DLIB_150, *(resized(ARCFACE_112, size_px) for size_px in ARCFACE_SIZES_PX))
    }
)
"""Every template by its name."""
