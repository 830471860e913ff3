"""CenterFace: a face is a peak of a heat map at stride 4.

Source: Xu, Yan, Yang, Sun, Feng and Song, "CenterFace: Joint Face Detection and Alignment Using Face as Point",
Scientific Programming 2020.
"""

from collections.abc import Mapping

import numpy as np

from lineament.core.arrays import FloatArray
from lineament.detection.postprocess import Candidates
from lineament.detection.single_shot import SingleShot
from lineament.zoo.loading import LoadedModel

STRIDE_PX = 4


class CenterFace(SingleShot):
    """Input RGB 0 to 255, padded with black to a multiple of 32 (the published code stretches the picture)."""

    def __init__(self, model: LoadedModel) -> None:
        super().__init__(model, decode)


def decode(outputs: Mapping[str, FloatArray], size: tuple[int, int], min_score: float) -> list[Candidates]:
    """Candidates of each picture of a batch.

    Centre = (cell + offset + 0.5) · 4; height and width = exp(scale) · 4; a point is the box's corner plus the
    given fractions of height and width. Unlike the published code, boxes are not cut at the border: that
    would shift the points, which count from the corner.

    Args:
        outputs: ``heatmap`` (N, 1, rows, columns), ``scale`` (N, 2, …) as log h, log w, ``offset`` (N, 2, …)
            as dy, dx, ``landmarks`` (N, 10, …) as five times y, x.
        size: (height, width) of the padded batch, px; the maps carry it already.
        min_score: lowest score that counts.
    """
    del size
    return [_picture(outputs, n, min_score) for n in range(len(outputs["heatmap"]))]


def _picture(outputs: Mapping[str, FloatArray], n: int, min_score: float) -> Candidates:
    scores = outputs["heatmap"][n, 0]
    row, column = np.nonzero(scores >= min_score)

    def at_peaks(name: str) -> FloatArray:
        """(N, 2) or (N, 5, 2) values at the peaks as x, y; the network gives y, x."""
        values = outputs[name][n][:, row, column].T
        return np.asarray(values.reshape(-1, values.shape[1] // 2, 2)[:, :, ::-1], np.float32)

    cell = np.stack([column, row], axis=1).astype(np.float32)
    sides = np.exp(at_peaks("scale")[:, 0]) * STRIDE_PX
    centre = (cell + at_peaks("offset")[:, 0] + np.float32(0.5)) * STRIDE_PX
    low = centre - sides / 2
    points = low[:, None] + at_peaks("landmarks") * sides[:, None]
    return Candidates(np.concatenate([low, low + sides], axis=1), scores[row, column], points)
