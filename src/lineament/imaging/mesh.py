"""Security meshes (网纹) and other print over portraits: drawn from a seed, with the exact clean picture and mask.

Sources: DeMeshNet (Zhang et al., arXiv 1611.05271) for the task; the look of the sine family was measured on a public
sample of 178 x 220 px: dark grey lines about 2.8 px wide, about half transparent, over 25 to 29 % of the picture, two
families that cross. The patent family follows claim 1 of CN110175961B. Lengths are px of a portrait 220 px high and
scale with the picture.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np

from lineament.core.arrays import ImageArray, check_image
from lineament.imaging.mesh_curves import Curve, MaskArray, draw_curves, draw_words, rosette, sine_curve

Family = Literal["sines", "patent", "rosettes", "words"]
FAMILIES: tuple[Family, ...] = get_args(Family)
Lines = Mapping[str, float | str]
"""What was drawn for the lines of a family, by name; lengths are px of the picture."""
REFERENCE_PX = 220
"""Height of the portrait in which lengths are given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshRanges:
    """From where the parameters of a mesh are drawn, evenly in [low, high]. Tests hold ranges out.

    Attributes:
        period_px: of waves.
        amplitude_px: of waves, half of peak to peak.
        spacing_px: between neighbouring lines, of both families together.
        width_px: of lines.
        slope: rise of the axis of a family, px a px.
        opacity: of the ink.
        grey: of the ink, [0, 255].
    """

    period_px: tuple[float, float] = (35.0, 60.0)
    amplitude_px: tuple[float, float] = (20.0, 60.0)
    spacing_px: tuple[float, float] = (35.0, 60.0)
    width_px: tuple[float, float] = (1.5, 3.5)
    slope: tuple[float, float] = (-0.2, 0.2)
    opacity: tuple[float, float] = (0.3, 0.7)
    grey: tuple[float, float] = (0.0, 90.0)

    def __post_init__(self) -> None:
        for name in ("period_px", "amplitude_px", "spacing_px", "width_px", "opacity"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name} must be 0 < low <= high, got {low}, {high}")
        if self.opacity[1] > 1 or not 0 <= self.grey[0] <= self.grey[1] <= 255:
            raise ValueError(
                f"opacity must end at 1 and grey lie in [0, 255], got {self.opacity} and {self.grey}"
            )


DEFAULT_RANGES = MeshRanges()
UNSEEN_RANGES = MeshRanges(
    period_px=(62.0, 80.0),
    amplitude_px=(10.0, 18.0),
    spacing_px=(24.0, 33.0),
    width_px=(1.2, 2.4),
    opacity=(0.45, 0.75),
    grey=(0.0, 120.0),
)
"""Ranges that overlap with the default ones only in width, opacity and grey: for tests on what was never trained on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """One mesh: everything that is needed to draw it again.

    Attributes:
        family: kind of lines.
        seed: of every number that the family draws.
        ranges: where they come from.
    """

    family: Family
    seed: int
    ranges: MeshRanges = DEFAULT_RANGES

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"family must be one of {', '.join(FAMILIES)}, got {self.family!r}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")


@dataclass(frozen=True, slots=True, eq=False)
class Ink:
    """The print of a mesh, without a picture under it.

    Attributes:
        mask: (H, W) float32 share of each pixel that ink covers, in [0, 1].
        colour: (3,) red, green, blue of the ink, [0, 255].
        opacity: of the ink, (0, 1].
        lines: what was drawn for them.
    """

    mask: MaskArray
    colour: tuple[float, float, float]
    opacity: float
    lines: Lines

    def over(self, clean: ImageArray) -> ImageArray:
        """(H, W, 3) uint8 RGB: ``clean * (1 - opacity * mask) + opacity * mask * colour``, rounded."""
        share = (self.opacity * self.mask)[..., None]
        pixels = clean * (1 - share) + share * np.array(self.colour, np.float32)
        return np.asarray(np.rint(pixels), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class MeshedPicture:
    """A picture with a mesh over it.

    Attributes:
        pixels: (H, W, 3) uint8 RGB under the mesh.
        mask: (H, W) float32 share of each pixel that ink covers, in [0, 1].
        ink: (3,) red, green, blue of the ink, [0, 255].
        opacity: of the ink.
        lines: what was drawn for its lines.
    """

    pixels: ImageArray
    mask: MaskArray
    ink: tuple[float, float, float]
    opacity: float
    lines: Lines


def draw_mesh(mesh: Mesh, height: int, width: int) -> Ink:
    """The print of a mesh for a picture of a size, px."""
    rng = np.random.default_rng([mesh.seed, FAMILIES.index(mesh.family)])
    mask, lines = _DRAWERS[mesh.family](rng, mesh.ranges, height, width)
    mask = np.minimum(mask, 1.0)  # blurred or interpolated ones may be rounded up
    opacity = float(rng.uniform(*mesh.ranges.opacity))
    grey = float(rng.uniform(*mesh.ranges.grey))
    colour = (grey, grey, grey)
    if mesh.family == "words" and rng.random() < 0.5:
        colour = (
            float(rng.uniform(150, 220)),
            float(rng.uniform(0, 60)),
            float(rng.uniform(0, 60)),
        )  # seals are red
    return Ink(mask, colour, opacity, lines)


def add_mesh(clean: ImageArray, mesh: Mesh) -> MeshedPicture:
    """Lay a mesh over a picture: ``clean * (1 - opacity * mask) + opacity * mask * ink``.

    Args:
        clean: (H, W, 3) uint8 RGB; the exact target of a restoration.
        mesh: what is drawn.

    Returns: the picture, rounded to bytes, and the mask.

    Raises:
        BadArray: ``clean`` is no picture.
    """
    height, width = check_image(clean).shape[:2]
    ink = draw_mesh(mesh, height, width)
    return MeshedPicture(ink.over(clean), ink.mask, ink.colour, ink.opacity, ink.lines)


def _sines(rng: np.random.Generator, ranges: MeshRanges, height: int, width: int) -> tuple[MaskArray, Lines]:
    """Two families of shifted sine-like lines that cross, amplitude and period wandering a little along x."""
    unit = height / REFERENCE_PX
    period, amplitude, spacing = (
        rng.uniform(*span) * unit for span in (ranges.period_px, ranges.amplitude_px, ranges.spacing_px)
    )
    line_px = rng.uniform(*ranges.width_px) * unit
    slopes = rng.uniform(*ranges.slope, 2)
    phase = rng.uniform(0, 2 * np.pi)
    columns = np.arange(-2.0, width + 2.0, max(1.0, period / 24))
    wander = 1 + 0.1 * np.sin(2 * np.pi * columns / (3.1 * period) + rng.uniform(0, 2 * np.pi))
    stretched = columns + 0.15 * period * np.sin(2 * np.pi * columns / (4.3 * period))
    curves: list[Curve] = []
    for family, slope in enumerate(slopes):
        reach = amplitude * 1.1 + abs(slope) * width
        levels = np.arange(-reach, height + reach, 2 * spacing) + rng.uniform(0, 2 * spacing)
        for level in levels:
            curve = sine_curve(
                stretched,
                level=0.0,
                slope=0.0,
                amplitude=amplitude,
                period=period,
                phase=phase + family * np.pi + rng.normal(0, 0.1),
            )
            rows = level + slope * columns + curve[:, 1] * wander
            curves.append(np.stack([columns, rows], axis=1))
    lines: Lines = {
        "period_px": period,
        "amplitude_px": amplitude,
        "spacing_px": spacing,
        "width_px": line_px,
        "slope_1": float(slopes[0]),
        "slope_2": float(slopes[1]),
        "phase_rad": phase,
        "curves": len(curves),
    }
    return draw_curves(curves, line_px, height, width), lines


def _patent(rng: np.random.Generator, ranges: MeshRanges, height: int, width: int) -> tuple[MaskArray, Lines]:
    """Four horizontal and four vertical lines, in tenths of a side ``u(1,5) + sin(u(4,6) t) + u(1,5) (j -+ 2 u(0,1))``.

    Dilated, blurred and warped by a sine as the claim allows.
    """
    along = np.linspace(-0.05, 1.05, 120)
    curves = []
    for vertical in (False, True):
        sign = 1.0 if vertical else -1.0
        for line in range(4):
            base, step = rng.uniform(1, 5, 2)
            across = (
                base
                + np.sin(-sign * rng.uniform(4, 6) * along * np.pi)
                + step * (line + sign * 2 * rng.random())
            )
            across = np.mod(across + 1, 12) - 1 if np.ptp(across) > 12 else across
            across += 0.3 * np.sin(2 * np.pi * along * rng.uniform(1, 3))
            points = (across / 10, along) if vertical else (along, across / 10)
            curves.append(np.stack([points[0] * width, points[1] * height], axis=1))
    line_px = rng.uniform(*ranges.width_px) * height / REFERENCE_PX * rng.uniform(1.0, 1.6)
    mask = draw_curves(curves, line_px, height, width)
    sigma = rng.uniform(0, 0.8) * height / REFERENCE_PX
    if sigma > 0.2:
        mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma), np.float32)
    return mask, {"width_px": line_px, "blur_sigma_px": sigma, "curves": len(curves)}


def _rosettes(
    rng: np.random.Generator, ranges: MeshRanges, height: int, width: int
) -> tuple[MaskArray, Lines]:
    """Two to four guilloche rosettes of nested lines, as printed on first-generation cards."""
    unit = height / REFERENCE_PX
    curves = []
    for _ in range(int(rng.integers(2, 5))):
        centre = (float(rng.uniform(0, width)), float(rng.uniform(0, height)))
        petals, depth = int(rng.integers(5, 14)), rng.uniform(0.1, 0.35)
        outer = rng.uniform(40, 110) * unit
        for turn, radius in enumerate(np.linspace(0.25, 1.0, int(rng.integers(4, 8))) * outer):
            curves.append(rosette(centre, float(radius), float(depth), petals, turn * 0.6))
    line_px = rng.uniform(*ranges.width_px) * 0.6 * unit
    return draw_curves(curves, line_px, height, width), {"width_px": line_px, "curves": len(curves)}


def _words(rng: np.random.Generator, ranges: MeshRanges, height: int, width: int) -> tuple[MaskArray, Lines]:  # noqa: ARG001
    """A watermark: one line of letters over and over."""
    letters = "".join(rng.choice(list("ABCDEFGHJKLMNPRSTUVWXYZ0123456789 "), int(rng.integers(6, 14))))
    size_px = max(6.0, float(rng.uniform(8, 18)) * height / REFERENCE_PX)
    turn_deg = float(rng.uniform(-50, 50))
    lines: Lines = {"letters": letters, "size_px": size_px, "turn_deg": turn_deg}
    return draw_words(letters, height, width, size_px, turn_deg), lines


_DRAWERS = {"sines": _sines, "patent": _patent, "rosettes": _rosettes, "words": _words}
