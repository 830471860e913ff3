"""Mesh removers whose network is one ONNX graph: pictures in, restored pictures and ink masks out."""

from collections.abc import Sequence

import cv2
import numpy as np

from lineament.core.arrays import FloatArray, ImageArray, check_image
from lineament.core.errors import ManifestError
from lineament.demesh.base import MeshFinding, Restoration
from lineament.zoo.loading import LoadedModel
from lineament.zoo.manifest import Manifest
from lineament.zoo.tensor import to_tensor

SEEN_PX = 224
"""Longest side at which the network sees a picture, the height of ID photos: lines grow with the portrait."""
MULTIPLE_PX = 16
"""Sides of the network's input are multiples of this; the rest is filled by reflection and cut off again."""
SCORED_SHARE = 0.1
"""The score is the mean of this share of the mask's highest values: ink over a tenth of the picture is enough."""
BATCH = 8
"""Pictures in one run of the network: bounds memory."""


def remover_id(manifest: Manifest, precision: str) -> str:
    """Id of a remover and its scale of scores, known without its weights; records of thresholds belong to one.

    Args:
        manifest: the model.
        precision: arithmetic of the network, "f32" or "bf16".
    """
    return f"{manifest.name}@{manifest.digest(precision, f'{SEEN_PX} px')}"


class NetworkRemover:
    """A :class:`lineament.demesh.base.MeshRemover` over one network.

    The network was trained on portraits of about 220 px, and lines are as wide as the portrait makes them, so larger
    pictures are reduced to :data:`SEEN_PX` for it. Only what it changed is enlarged and added to the original: pixels
    that it leaves alone stay as they were, to the byte, and fine detail is not lost. The edges of lines in pictures of
    megapixels stay a little soft, by a few px; aligned face crops are smaller than that.
    """

    def __init__(self, model: LoadedModel) -> None:
        """Wrap a loaded network.

        Args:
            model: manifest of task "restore" with its session.

        Raises:
            ManifestError: the network has not one input and the outputs "restored" and "mask"; "score" may be there.
        """
        session = model.session
        if len(session.inputs) != 1 or not {"restored", "mask"} <= set(session.outputs):
            raise ManifestError(
                f'{model.manifest.name}: a mesh remover has one input and the outputs "restored" and "mask", got '
                f"inputs {session.inputs} and outputs {session.outputs}"
            )
        self.name = model.manifest.name
        self.id = remover_id(model.manifest, model.precision)
        self._spec = model.manifest.input
        self._session = session

    def restore(self, pictures: Sequence[ImageArray]) -> list[Restoration]:
        """Restored pictures; see :class:`lineament.demesh.base.MeshRemover`."""
        seen = [_reduced(check_image(p, f"pictures[{i}]")) for i, p in enumerate(pictures)]
        found: list[Restoration | None] = [None] * len(pictures)
        for places in _equal_sizes(seen):
            for start in range(0, len(places), BATCH):
                chunk = places[start : start + BATCH]
                restored, masks, scores = self._run(np.stack([seen[i] for i in chunk]))
                for i, pixels, mask, score in zip(chunk, restored, masks, scores, strict=True):
                    found[i] = _brought_back(pictures[i], seen[i], pixels, MeshFinding(score, mask))
        return [restoration for restoration in found if restoration is not None]

    def _run(self, batch: ImageArray) -> tuple[FloatArray, FloatArray, list[float]]:
        """(N, H, W, 3) float32 restored pictures in [0, 255], (N, H, W) masks and N scores of (N, H, W, 3) pictures."""
        height, width = batch.shape[1:3]
        below, right = -height % MULTIPLE_PX, -width % MULTIPLE_PX
        filled = np.pad(batch, ((0, 0), (0, below), (0, right), (0, 0)), mode="symmetric")
        out = self._session.run({self._session.inputs[0]: to_tensor(filled, self._spec)})
        restored = out["restored"][:, :, :height, :width].transpose(0, 2, 3, 1)
        masks = np.clip(out["mask"][:, 0, :height, :width], 0, 1)
        scores = out["score"][:, 0].tolist() if "score" in out else [mesh_score(mask) for mask in masks]
        return np.clip(restored, 0, 1) * np.float32(255), masks, scores


def mesh_score(mask: FloatArray) -> float:
    """Mean of the highest tenth of a mask's values: the score of networks that give none.

    Args:
        mask: (H, W) float32 in [0, 1].
    """
    count = max(1, round(mask.size * SCORED_SHARE))
    highest = np.partition(mask, mask.size - count, axis=None)[-count:]
    return float(min(highest.mean(dtype=np.float64), 1.0))


def _reduced(pixels: ImageArray) -> ImageArray:
    height, width = pixels.shape[:2]
    factor = SEEN_PX / max(height, width)
    if factor >= 1:
        return pixels
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _equal_sizes(pictures: Sequence[ImageArray]) -> list[list[int]]:
    """Indices of pictures, those of one size together."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, pixels in enumerate(pictures):
        groups.setdefault(pixels.shape, []).append(i)
    return list(groups.values())


def _brought_back(
    original: ImageArray, seen: ImageArray, restored: FloatArray, finding: MeshFinding
) -> Restoration:
    """The change that was made at the size that the network saw, at the size of the original."""
    change, mask = restored - seen, finding.mask
    if original.shape != seen.shape:
        size = (original.shape[1], original.shape[0])
        change = np.asarray(cv2.resize(change, size, interpolation=cv2.INTER_LINEAR), np.float32)
        mask = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR), np.float32)
    pixels = np.clip(np.rint(original + change), 0, 255).astype(np.uint8)
    return Restoration(pixels, MeshFinding(finding.score, np.ascontiguousarray(mask)))
