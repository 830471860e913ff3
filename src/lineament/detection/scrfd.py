"""SCRFD: two anchors in each cell at strides 8, 16 and 32, boxes as distances from the cell's origin.

Source: Guo, Deng, Lattas and Zafeiriou, "Sample and Computation Redistribution for Efficient Face Detection",
ICLR 2022.
"""

from collections.abc import Mapping

import numpy as np

from lineament.core.arrays import FloatArray
from lineament.detection.postprocess import Candidates, join
from lineament.detection.single_shot import SingleShot
from lineament.zoo.loading import LoadedModel

STRIDES_PX = (8, 16, 32)


class Scrfd(SingleShot):
    """Input RGB, (pixel - 127.5) / 128, padded to a multiple of 32."""

    def __init__(self, model: LoadedModel) -> None:
        super().__init__(model, decode)


def decode(outputs: Mapping[str, FloatArray], size: tuple[int, int], min_score: float) -> list[Candidates]:
    """Candidates of each picture of a batch.

    With cell (column, row) of stride s: the box is cell · s - (l, t) · s to cell · s + (r, b) · s, a point is
    (cell + d) · s.

    Args:
        outputs: for each stride ``score_s`` (N, 2, rows, columns), ``bbox_s`` (N, 8, rows, columns) as two times
            l, t, r, b, and ``kps_s`` (N, 20, rows, columns).
        size: (height, width) of the padded batch, px; the maps carry it already.
        min_score: lowest score that counts.
    """
    del size
    pictures = len(outputs[f"score_{STRIDES_PX[0]}"])
    return [join([_level(outputs, s, n, min_score) for s in STRIDES_PX]) for n in range(pictures)]


def _level(outputs: Mapping[str, FloatArray], stride: int, n: int, min_score: float) -> Candidates:
    scores = outputs[f"score_{stride}"][n]
    anchor, row, column = np.nonzero(scores >= min_score)
    shape = scores.shape[1:]
    cell = np.stack([column, row], axis=1).astype(np.float32)
    reach = outputs[f"bbox_{stride}"][n].reshape(2, 4, *shape)[anchor, :, row, column]
    shift = outputs[f"kps_{stride}"][n].reshape(2, 10, *shape)[anchor, :, row, column].reshape(-1, 5, 2)
    boxes = np.concatenate([cell - reach[:, :2], cell + reach[:, 2:]], axis=1) * stride
    return Candidates(boxes, scores[anchor, row, column], (cell[:, None] + shift) * stride)
