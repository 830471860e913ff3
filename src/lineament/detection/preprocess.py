"""Pictures of any size as batches of equal size."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from lineament.core.arrays import ImageArray, check_image

PIXELS_PER_RUN = 1_000_000
"""Padded pixels in one run, so that a long list of pictures does not need a large memory."""


def padded_batches(images: Sequence[ImageArray], multiple: int) -> Iterator[tuple[list[int], ImageArray]]:
    """Pictures that share one padded size, in runs of limited size.

    The padding is black, to the right and below, so that coordinates stay as they are.

    Args:
        images: (H, W, 3) uint8 RGB.
        multiple: rows and columns are padded up to a multiple of this.

    Yields:
        Indices into ``images``, and these pictures as (N, height, width, 3) uint8.

    Raises:
        BadArray: not a picture; says which.
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for index, pixels in enumerate(images):
        height, width = check_image(pixels, f"images[{index}]").shape[:2]
        size = (-(-height // multiple) * multiple, -(-width // multiple) * multiple)
        groups.setdefault(size, []).append(index)
    for (height, width), members in groups.items():
        step = max(1, PIXELS_PER_RUN // (height * width))
        for start in range(0, len(members), step):
            part = members[start : start + step]
            canvas = np.zeros((len(part), height, width, 3), np.uint8)
            for slot, index in enumerate(part):
                rows, columns = images[index].shape[:2]
                canvas[slot, :rows, :columns] = images[index]
            yield part, canvas


def resize(pixels: ImageArray, height: int, width: int) -> ImageArray:
    """A picture at another size: area mean when it shrinks, bilinear when it grows.

    Edges stay in place, so a point x moves to (x + 0.5) · factor - 0.5; see :func:`lineament.geometry.scale_points`.
    """
    if (height, width) == pixels.shape[:2]:
        return pixels
    shrinks = height <= pixels.shape[0] and width <= pixels.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=how), np.uint8)
