"""Array types and the checks that every boundary makes."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lineament.core.errors import BadArray

ImageArray = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB; a batch is (N, H, W, 3)."""
FloatArray = NDArray[np.float32]
ScoreArray = NDArray[np.float64]
T = TypeVar("T", bound=np.generic)


def describe(value: Any) -> str:
    """Shape and dtype of ``value`` as an error message says them."""
    if isinstance(value, np.ndarray):
        return f"{value.shape} {value.dtype}"
    return type(value).__name__


def check_image(pixels: Any, name: str = "image") -> ImageArray:
    """Return ``pixels`` when it is a non-empty (H, W, 3) uint8 array.

    Raises:
        BadArray: anything else; says what came.
    """
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.dtype != np.uint8
        or pixels.ndim != 3
        or pixels.shape[2] != 3
        or pixels.size == 0
    ):
        raise BadArray(f"{name} must be a non-empty (H, W, 3) uint8 RGB array, got {describe(pixels)}")
    return pixels


def check_crops(pixels: Any, size: int, name: str = "crops") -> ImageArray:
    """Return ``pixels`` when it is an (N, size, size, 3) uint8 array; N may be zero.

    Raises:
        BadArray: anything else; says what came.
    """
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.dtype != np.uint8
        or pixels.ndim != 4
        or pixels.shape[1:] != (size, size, 3)
    ):
        raise BadArray(f"{name} must be (N, {size}, {size}, 3) uint8 RGB, got {describe(pixels)}")
    return pixels


def check_floats(values: Any, shape: tuple[int | None, ...], name: str) -> FloatArray:
    """Return ``values`` when it is float32 of ``shape``; ``None`` in ``shape`` admits any length.

    Raises:
        BadArray: anything else; says what came.
    """
    fits = (
        isinstance(values, np.ndarray)
        and values.dtype == np.float32
        and values.ndim == len(shape)
        and all(want is None or want == have for want, have in zip(shape, values.shape, strict=True))
    )
    if not fits:
        want = "(" + ", ".join("N" if n is None else str(n) for n in shape) + ")"
        raise BadArray(f"{name} must be {want} float32, got {describe(values)}")
    return values  # type: ignore[no-any-return]


def frozen(values: NDArray[T]) -> NDArray[T]:
    """A read-only view of ``values``, so that a value object cannot change under its holder."""
    view = values.view()
    view.flags.writeable = False
    return view
