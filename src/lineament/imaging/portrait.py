"""What happens to an ID photo before somebody compares it: framed, meshed, blurred, reduced, compressed.

Sources: DeMeshNet (Zhang et al., arXiv 1611.05271) for photos of 178 x 220 px under a mesh that are blurred a little
and compressed by JPEG; chips of ID cards hold photos of 102 x 126 px. Every step is a function of an
:class:`Issuance`, so the same picture and the same issuance give the same bytes again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import ImageArray, check_image
from lineament.imaging.encode import encode_jpeg, encode_png
from lineament.imaging.mesh import DEFAULT_RANGES, FAMILIES, Family, Lines, Mesh, MeshRanges, add_mesh
from lineament.imaging.mesh_curves import MaskArray

Layout = Literal["as-is", "portrait", "chip"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
SIZES_PX: Mapping[Layout, tuple[int, int]] = MappingProxyType({"portrait": (220, 178), "chip": (126, 102)})
"""Height and width of the layouts that have a size of their own."""
Frame = tuple[float, float, float, float, float, float]
"""Rows of the (2, 3) matrix that maps px of the photo to px of the layout."""
Points = NDArray[np.floating[Any]]

_EYES_HEIGHT = 0.42
"""Height of the eyes in an ID photo, from the top: room for hair above a head of 60 %, and less than half."""
_HEAD_EYES_TO_MOUTH = 3.4
"""Crown to chin in distances between eyes and mouth, or between the eyes, which are as long in a face seen straight.

The eyes lie at half the height of a head. The lower side of the box of a face lies 1.72 such distances below them: the
median of 173 faces of LFW View 1.
"""
_HEAD_FACE_BOX = 1.25
"""Crown to chin in heights of a face box, which goes from the hairline to the chin."""
_MAX_SUPERSAMPLING = 16
_WHITE = (255.0, 255.0, 255.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuance:
    """How one photo was issued: everything that is needed to issue it again.

    Attributes:
        mesh: what is printed over it.
        layout: its size; "as-is" keeps that of the photo.
        frame: part of the photo that the layout shows; None exactly for "as-is".
        scale: height at which the mesh is laid in heights of the layout, >= 1; reduced by area afterwards.
        blur_sigma_px: of the Gaussian blur after the mesh, px of the meshed picture before it is reduced; 0 for none.
        jpeg_quality: 1 to 100; None for PNG, without loss.
    """

    mesh: Mesh
    layout: Layout = "as-is"
    frame: Frame | None = None
    scale: float = 1.0
    blur_sigma_px: float = 0.0
    jpeg_quality: int | None = None

    def __post_init__(self) -> None:
        _check_layout(self.layout)
        if (self.frame is None) != (self.layout == "as-is"):
            raise ValueError(f"layout {self.layout} got frame {self.frame}; all layouts but as-is need one")
        if self.frame is not None:
            a, b, _, c, d, _ = self.frame
            if not np.isfinite(self.frame).all() or a * d == b * c:
                raise ValueError(f"frame must be an invertible finite (2, 3) matrix, got {self.frame}")
        if not 1 <= self.scale <= 4 or (self.layout == "as-is" and self.scale != 1):
            raise ValueError(f"scale must be in 1..4, and 1 for as-is, got {self.scale}")
        if not 0 <= self.blur_sigma_px <= 10:
            raise ValueError(f"blur_sigma_px must be in 0..10, got {self.blur_sigma_px}")
        if self.jpeg_quality is not None and not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"jpeg_quality must be in 1..100, or None for PNG, got {self.jpeg_quality}")


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueRanges:
    """From where issuances are drawn, evenly in [low, high].

    Attributes:
        families: kinds of meshes, each as likely as the others.
        mesh: ranges of their parameters.
        layout: of all pictures.
        head_share: crown to chin in heights of the layout, where the face is known.
        scale: see :class:`Issuance`; not drawn for "as-is".
        blur_sigma_px: see :class:`Issuance`.
        jpeg_quality: None for PNG, without loss.
    """

    families: tuple[Family, ...] = ("sines",)
    mesh: MeshRanges = DEFAULT_RANGES
    layout: Layout = "as-is"
    head_share: tuple[float, float] = (0.55, 0.65)
    scale: tuple[float, float] = (1.0, 1.5)
    blur_sigma_px: tuple[float, float] = (0.0, 0.8)
    jpeg_quality: tuple[int, int] | None = (30, 90)

    def __post_init__(self) -> None:
        _check_layout(self.layout)
        if not self.families or not set(self.families) <= set(FAMILIES):
            raise ValueError(f"families must be some of {', '.join(FAMILIES)}, got {self.families}")
        spans = {
            "head_share": (self.head_share, 0.1, 1.0),
            "scale": (self.scale, 1.0, 4.0),
            "blur_sigma_px": (self.blur_sigma_px, 0.0, 10.0),
            "jpeg_quality": (self.jpeg_quality or (1, 100), 1, 100),
        }
        for name, ((low, high), least, most) in spans.items():
            if not least <= low <= high <= most:
                raise ValueError(f"{name} must be {least:g} <= low <= high <= {most:g}, got {low}, {high}")


@dataclass(frozen=True, slots=True, eq=False)
class IssuedPhoto:
    """An issued photo and what lies under its mesh; all of one size.

    Attributes:
        image: the encoded picture.
        clean: (H, W, 3) uint8 RGB before mesh, blur and compression; the exact target of a restoration.
        mask: (H, W) float32 share of each pixel that ink covers, in [0, 1]; not blurred.
        ink: (3,) red, green, blue of the ink, [0, 255].
        opacity: of the ink.
        lines: what was drawn for its lines, px of the meshed picture before it is reduced.
    """

    image: bytes
    clean: ImageArray
    mask: MaskArray
    ink: tuple[float, float, float]
    opacity: float
    lines: Lines


def draw_issuance(
    ranges: IssueRanges, seed: tuple[int, ...], shape: tuple[int, ...], points: Points | None = None
) -> Issuance:
    """Draw how a photo is issued.

    Args:
        ranges: from where.
        seed: numbers >= 0 that decide everything that is drawn.
        shape: height and width of the photo first, px.
        points: (5, 2) x, y px of its face; None frames the middle of the photo.

    Raises:
        ValueError: points without two eyes apart.
    """
    rng = np.random.default_rng(seed)
    mesh = Mesh(
        family=ranges.families[int(rng.integers(len(ranges.families)))],
        seed=int(rng.integers(2**31)),
        ranges=ranges.mesh,
    )
    head_share, scale, sigma = (
        float(rng.uniform(*span)) for span in (ranges.head_share, ranges.scale, ranges.blur_sigma_px)
    )
    quality = None if ranges.jpeg_quality is None else int(rng.integers(*ranges.jpeg_quality, endpoint=True))
    layout = ranges.layout
    frame = None
    if layout != "as-is":
        frame = frame_centre(shape, layout) if points is None else frame_by_points(points, layout, head_share)
    return Issuance(
        mesh=mesh,
        layout=layout,
        frame=frame,
        scale=1.0 if layout == "as-is" else scale,
        blur_sigma_px=sigma,
        jpeg_quality=quality,
    )


def frame_by_points(points: Points, layout: Layout, head_share: float = 0.6) -> Frame:
    """The framing of ID photos: eyes level, in the middle, 42 % from the top.

    The size of the head is told by the larger of two distances, as a turn of the head shortens that between the eyes,
    and a nod that from the eyes to the mouth.

    Args:
        points: (5, 2) x, y px in the order of :data:`lineament.core.types.POINT_NAMES`.
        layout: "portrait" or "chip".
        head_share: crown to chin in heights of the layout.

    Raises:
        ValueError: points without two eyes apart, or a layout without a size.
    """
    known = np.asarray(points, np.float64)
    if known.shape != (5, 2) or not np.isfinite(known).all() or (known[0] == known[1]).all():
        raise ValueError(f"expected five finite x, y points with two eyes apart, got {known.tolist()}")
    eyes, mouth, across = known[:2].mean(0), known[3:].mean(0), known[1] - known[0]
    between = float(np.hypot(*across))
    unit = max(float(np.hypot(*(mouth - eyes))), between)
    cosine, sine = across / between
    return _placed(eyes, (cosine, sine), _HEAD_EYES_TO_MOUTH * unit, layout, head_share)


def frame_by_box(box: Points, layout: Layout, head_share: float = 0.6) -> Frame:
    """:func:`frame_by_points` of an upright face of which only a box from hairline to chin is known.

    Args:
        box: (4,) xyxy px.
        layout: "portrait" or "chip".
        head_share: crown to chin in heights of the layout.

    Raises:
        ValueError: a box without area, or a layout without a size.
    """
    left, top, right, bottom = (float(side) for side in box)
    if not (left < right and top < bottom):
        raise ValueError(f"expected a box x1 < x2, y1 < y2, got {left:g}, {top:g}, {right:g}, {bottom:g}")
    head = _HEAD_FACE_BOX * (bottom - top)
    eyes = np.array([(left + right) / 2, bottom - head / 2])
    return _placed(eyes, (1.0, 0.0), head, layout, head_share)


def frame_centre(shape: tuple[int, ...], layout: Layout) -> Frame:
    """The largest part in the middle of a photo that has the sides of a layout.

    Args:
        shape: height and width of the photo first, px.
        layout: "portrait" or "chip".

    Raises:
        ValueError: a layout without a size.
    """
    height, width = _size(layout)
    factor = max(height / shape[0], width / shape[1])
    return (
        factor,
        0.0,
        (width - 1 - factor * (shape[1] - 1)) / 2,
        0.0,
        factor,
        (height - 1 - factor * (shape[0] - 1)) / 2,
    )


def issue_photo(photo: ImageArray, issuance: Issuance) -> IssuedPhoto:
    """Frame, mesh, blur, reduce and encode a photo.

    Args:
        photo: (H, W, 3) uint8 RGB, upright. Where the frame reaches beyond it, the layout is white.
        issuance: how.

    Raises:
        BadArray: ``photo`` is no picture.
    """
    large, size = check_image(photo), photo.shape[:2]
    if issuance.frame is not None:
        size = _size(issuance.layout)
        large = _framed(photo, issuance.frame, size, issuance.scale)
    made = add_mesh(large, issuance.mesh)
    pixels, sigma = made.pixels, issuance.blur_sigma_px
    if sigma > 0:
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)
    clean, mask, pixels = (_reduced(part, size) for part in (large, made.mask, pixels))
    mask = np.minimum(mask, 1.0)  # a mean of ones may be rounded up
    quality = issuance.jpeg_quality
    image = encode_png(pixels) if quality is None else encode_jpeg(pixels, quality)
    return IssuedPhoto(image, clean, mask, made.ink, made.opacity, made.lines)


def _check_layout(layout: str) -> None:
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, got {layout!r}")


def _size(layout: Layout) -> tuple[int, int]:
    if layout not in SIZES_PX:
        raise ValueError(f"layout must be one of {', '.join(SIZES_PX)}, got {layout!r}")
    return SIZES_PX[layout]


def _placed(
    eyes: NDArray[np.float64], turn: tuple[float, float], head_px: float, layout: Layout, head_share: float
) -> Frame:
    """The frame in which a head stands as in ID photos; ``turn`` is (cosine, sine) of the line of the eyes."""
    height, width = _size(layout)
    a, b = (head_share * height / head_px * part for part in turn)
    x, y = (width - 1) / 2, _EYES_HEIGHT * height - 0.5
    return (
        float(a),
        float(b),
        float(x - a * eyes[0] - b * eyes[1]),
        float(-b),
        float(a),
        float(y + b * eyes[0] - a * eyes[1]),
    )


def _framed(photo: ImageArray, frame: Frame, size: tuple[int, int], scale: float) -> ImageArray:
    """The part of a photo that a layout shows, ``scale`` times as large, without aliasing."""
    height, width = (round(side * scale) for side in size)
    matrix = np.array(frame).reshape(2, 3)
    step = float(np.sqrt(abs(np.linalg.det(matrix[:, :2])))) * scale
    fine = min(_MAX_SUPERSAMPLING, max(1, int(np.ceil(1 / step))))
    factors = np.array([width / size[1], height / size[0]]) * fine
    matrix = matrix * factors[:, None]
    matrix[:, 2] += (factors - 1) / 2
    drawn = cv2.warpAffine(
        photo,
        matrix,
        (width * fine, height * fine),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=_WHITE,
    )
    return _reduced(np.asarray(drawn, np.uint8), (height, width))


def _reduced(pixels: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    if pixels.shape[:2] == size:
        return pixels
    return np.asarray(cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA), pixels.dtype)
