"""YuNet: anchor-free heads at strides 8, 16 and 32.

Source: Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 2023.
"""

from collections.abc import Mapping

import numpy as np

from lineament.core.arrays import FloatArray
from lineament.detection.postprocess import Candidates, join
from lineament.detection.single_shot import SingleShot
from lineament.zoo.loading import LoadedModel

STRIDES_PX = (8, 16, 32)


class YuNet(SingleShot):
    """Input BGR 0 to 255, padded with black to a multiple of 32."""

    def __init__(self, model: LoadedModel) -> None:
        super().__init__(model, decode)


def decode(outputs: Mapping[str, FloatArray], size: tuple[int, int], min_score: float) -> list[Candidates]:
    """Candidates of each picture of a batch.

    With cell (column, row) of stride s: score = sqrt(class · objectness); centre = (cell + d) · s; width and
    height = exp(log size) · s; point = (cell + d) · s.

    Args:
        outputs: for each stride ``cls_s``, ``obj_s`` (N, cells, 1), ``bbox_s`` (N, cells, 4) as dx, dy, log w,
            log h, and ``kps_s`` (N, cells, 10), cells row by row.
        size: (height, width) of the padded batch, px.
        min_score: lowest score that counts.
    """
    levels = [_scores(outputs, stride) for stride in STRIDES_PX]
    return [
        join([_level(outputs, s, size[1] // s, n, levels[i][n], min_score) for i, s in enumerate(STRIDES_PX)])
        for n in range(len(levels[0]))
    ]


def _scores(outputs: Mapping[str, FloatArray], stride: int) -> FloatArray:
    """(N, cells) scores of one level."""
    product = np.clip(outputs[f"cls_{stride}"], 0, 1) * np.clip(outputs[f"obj_{stride}"], 0, 1)
    return np.asarray(np.sqrt(product[..., 0]), np.float32)


def _level(
    outputs: Mapping[str, FloatArray], stride: int, columns: int, n: int, scores: FloatArray, min_score: float
) -> Candidates:
    (index,) = np.nonzero(scores >= min_score)
    cell = np.stack([index % columns, index // columns], axis=1).astype(np.float32)
    raw = outputs[f"bbox_{stride}"][n, index]
    centre, half = (cell + raw[:, :2]) * stride, np.exp(raw[:, 2:]) * (stride / 2)
    points = (cell[:, None] + outputs[f"kps_{stride}"][n, index].reshape(-1, 5, 2)) * stride
    return Candidates(np.concatenate([centre - half, centre + half], axis=1), scores[index], points)
