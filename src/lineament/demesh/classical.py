"""Mesh removal without training, for comparison: median, inpainting (Telea 2004), frequency notch.

None of them says reliably whether a picture is meshed: their masks and scores come from simple detectors.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from lineament.core.arrays import FloatArray, ImageArray, check_image
from lineament.demesh.base import MeshFinding, Restoration
from lineament.demesh.network import mesh_score

LINE_PX = 7
"""Side of the element of the black-hat: lines of up to so many px are found in a portrait of about 220 px."""
LINE_CONTRAST = 48.0
"""Grey levels by which a line is darker than what lies around it before the mask is sure of it."""
INPAINT_FROM = 0.25
"""Mask value from which on a pixel is painted over."""
INPAINT_RADIUS_PX = 3.0
LOW_SHARE = 0.04
"""Frequencies below this, cycles a px, hold the face and are left alone."""
PEAK_FACTOR = 20.0
"""A frequency is a peak when its amplitude exceeds the median of its ring by this factor."""


def dark_lines(pixels: ImageArray) -> FloatArray:
    """Where thin dark lines are: the black-hat (closing minus picture) of the grey picture.

    Args:
        pixels: (H, W, 3) uint8 RGB.

    Returns: (H, W) float32 in [0, 1]; 1 where a structure of at most :data:`LINE_PX` px is darker than its
        surroundings by :data:`LINE_CONTRAST` grey levels or more. Brows, lashes and nostrils are found too.

    Source: F. Meyer, black top-hat transform (1979).
    """
    grey = cv2.cvtColor(check_image(pixels), cv2.COLOR_RGB2GRAY)
    element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (LINE_PX, LINE_PX))
    depth = cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, element).astype(np.float32)
    return np.asarray(np.minimum(depth / np.float32(LINE_CONTRAST), 1), np.float32)


class MedianFilter:
    """The 5 x 5 median of each channel: takes off lines of up to two px, and fine detail with them."""

    name = "median-5"

    def restore(self, pictures: Sequence[ImageArray]) -> list[Restoration]:
        """See :class:`lineament.demesh.base.MeshRemover`; the mask is that of :func:`dark_lines`."""
        return [_restored(p, np.asarray(cv2.medianBlur(check_image(p), 5), np.uint8)) for p in pictures]


class TeleaInpainting:
    """Paints lines over from their borders by fast marching.

    Source: A. Telea, An image inpainting technique based on the fast marching method, 2004 (OpenCV's).
    """

    name = "telea"

    def restore(self, pictures: Sequence[ImageArray]) -> list[Restoration]:
        """See :class:`lineament.demesh.base.MeshRemover`; lines are found by :func:`dark_lines`."""
        return self.restore_at(pictures, [dark_lines(p) for p in pictures])

    def restore_at(self, pictures: Sequence[ImageArray], masks: Sequence[FloatArray]) -> list[Restoration]:
        """The same with masks that are known, as when the exact mesh is.

        Args:
            pictures: (H, W, 3) uint8 RGB each.
            masks: (H, W) float32 in [0, 1], one a picture.

        Raises:
            ValueError: not as many masks as pictures.
            BadArray: a mask of another size than its picture.
        """
        found = []
        for pixels, mask in zip(pictures, masks, strict=True):
            finding = MeshFinding(mesh_score(mask), mask)
            holes = (mask >= INPAINT_FROM).astype(np.uint8)
            if holes.shape == check_image(pixels).shape[:2]:
                painted = cv2.inpaint(pixels, holes, INPAINT_RADIUS_PX, cv2.INPAINT_TELEA)
            else:
                painted = pixels  # the value's own check says what is wrong
            found.append(Restoration(np.asarray(painted, np.uint8), finding))
        return found


class FrequencyNotch:
    """Peaks of the spectrum outside of the low frequencies are lowered to the median of their ring.

    Meshes that repeat exactly give sharp peaks; wandering ones, such as those of ID photos, spread them out.
    """

    name = "notch"

    def restore(self, pictures: Sequence[ImageArray]) -> list[Restoration]:
        """See :class:`lineament.demesh.base.MeshRemover`; the mask is that of :func:`dark_lines`."""
        return [_restored(p, _notched(check_image(p))) for p in pictures]


def _notched(pixels: ImageArray) -> ImageArray:
    """All channels with the same notches, found in the grey picture."""
    height, width = pixels.shape[:2]
    mirrored = np.pad(pixels, ((0, height), (0, width), (0, 0)), mode="symmetric")  # no jump at the borders
    spectrum = np.fft.rfft2(mirrored.astype(np.float64), axes=(0, 1))
    across = np.fft.rfftfreq(2 * width)
    frequency = np.hypot(np.fft.fftfreq(2 * height)[:, None], across[None])
    amplitude = np.abs(spectrum).mean(axis=2)
    ring = np.rint(frequency * max(height, width)).astype(np.intp)
    limit = PEAK_FACTOR * _ring_medians(amplitude, ring)[ring]
    is_peak = (amplitude > limit) & (frequency > LOW_SHARE)
    gain = np.divide(limit / PEAK_FACTOR, amplitude, out=np.ones_like(amplitude), where=is_peak)
    back = np.fft.irfft2(spectrum * gain[..., None], s=(2 * height, 2 * width), axes=(0, 1))
    return np.clip(np.rint(back[:height, :width]), 0, 255).astype(np.uint8)


def _ring_medians(amplitude: np.ndarray, ring: np.ndarray) -> np.ndarray:
    """Median amplitude of each ring of equal frequency, by one sort."""
    order = np.lexsort((amplitude.ravel(), ring.ravel()))
    counts = np.bincount(ring.ravel())
    starts = np.cumsum(counts) - counts
    middle = np.minimum(starts + counts // 2, ring.size - 1)
    return np.asarray(amplitude.ravel()[order][middle])


def _restored(pixels: ImageArray, restored: ImageArray) -> Restoration:
    mask = dark_lines(pixels)
    return Restoration(restored, MeshFinding(mesh_score(mask), mask))
