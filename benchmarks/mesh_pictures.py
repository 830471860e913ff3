"""How restored pictures look, whether meshes are found, and a sheet of examples."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.mesh_data import Meshed
from benchmarks.mesh_methods import Restored
from lineament.core.arrays import ImageArray
from lineament.imaging import encode_jpeg
from lineament.metrics import auc, psnr, psnr_masked, ssim
from lineament.metrics.binomial import clopper_pearson

LIKENESS_PICTURES = 1000
"""Pictures that likeness is measured on, evenly spaced in the list: structural similarity is slow."""
SHEET_TRIPLES = 40
SHEET_COLUMNS = 4
SHEET_BYTES = 400_000
SHEET_SEED = 6
_GAP_PX = 4


@dataclass(frozen=True, slots=True)
class Likeness:
    """Restored pictures beside the clean ones, means over pictures.

    Attributes:
        condition: what lay over them.
        method: what took it off; empty for none.
        psnr_db: over all pixels.
        psnr_ink_db: over the pixels under ink.
        ssim: structural similarity.
        mask_iou: of the mask at 0.5 with the inked pixels, those of all pictures together; None without a mask.
        n: pictures; ``mask_iou`` is over all.
    """

    condition: str
    method: str
    psnr_db: float
    psnr_ink_db: float
    ssim: float
    mask_iou: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Found:
    """Meshes that a method's score finds under one condition.

    Attributes:
        condition: what lay over the pictures.
        auc: area under the ROC of meshed against clean pictures.
        found: share of meshed pictures at or above the threshold; None without one.
        low: lower end of its exact 95 % interval, pictures taken as independent.
        high: upper end.
        n: meshed pictures.
    """

    condition: str
    auc: float
    found: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Detector:
    """What a method's score is worth as a detector of meshes.

    Attributes:
        method: its name.
        threshold: a picture counts as meshed from it on; None where none was given.
        touched: share of clean pictures at or above the threshold.
        low: lower end of its exact 95 % interval, pictures taken as independent.
        high: upper end.
        n_clean: clean pictures.
        clean_quantile: score that one in a thousand clean pictures exceeds; says where a threshold may lie.
        conditions: meshed pictures.
    """

    method: str
    threshold: float | None
    touched: float | None
    low: float | None
    high: float | None
    n_clean: int
    clean_quantile: float
    conditions: tuple[Found, ...]


def likeness(
    clean: ImageArray,
    meshed: Meshed,
    restored: ImageArray,
    masks: NDArray[np.bool_] | None,
    names: tuple[str, str],
) -> Likeness:
    """Likeness of restored pictures to the clean ones.

    Args:
        clean: (R, H, W, 3) uint8 RGB.
        meshed: the same under mesh.
        restored: (R, H, W, 3) uint8 RGB.
        masks: (R, H, W) where ink is thought to be; None where nobody said.
        names: of condition and method.
    """
    chosen = np.unique(np.linspace(0, len(clean) - 1, min(LIKENESS_PICTURES, len(clean))).astype(int))
    inked = [k for k in chosen if meshed.ink[k].any()]
    return Likeness(
        *names,
        float(np.mean([psnr(restored[k], clean[k]) for k in chosen])),
        float(np.mean([psnr_masked(restored[k], clean[k], meshed.ink[k]) for k in inked])),
        float(np.mean([ssim(restored[k], clean[k]) for k in chosen])),
        None if masks is None else mask_iou(masks, meshed.ink),
        len(chosen),
    )


def mask_iou(found: NDArray[np.bool_], ink: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks, of all pictures together; 1 where both are empty.

    Args:
        found: (R, H, W) where ink is thought to be.
        ink: (R, H, W) where it is.
    """
    either = np.count_nonzero(found | ink)
    return np.count_nonzero(found & ink) / either if either else 1.0


def detector(
    method: str, threshold: float | None, clean: Restored, meshed: Mapping[str, NDArray[np.float64]]
) -> Detector:
    """Detector figures of one method.

    Args:
        method: its name.
        threshold: a picture counts as meshed from it on.
        clean: what the method made of clean pictures.
        meshed: scores of meshed pictures by condition.
    """

    def share(scores: NDArray[np.float64]) -> tuple[float | None, float | None, float | None]:
        if threshold is None:
            return None, None, None
        hits = int(np.count_nonzero(scores >= threshold))
        interval = clopper_pearson(hits, len(scores))
        return hits / len(scores), interval.low, interval.high

    return Detector(
        method,
        threshold,
        *share(clean.scores),
        len(clean.scores),
        float(np.quantile(clean.scores, 0.999, method="higher")),
        tuple(
            Found(name, auc(scores, clean.scores), *share(scores), len(scores))
            for name, scores in meshed.items()
        ),
    )


def sheet(before: ImageArray, after: ImageArray, clean: ImageArray) -> bytes:
    """Seeded triples before, after and clean, side by side, as one JPEG of at most :data:`SHEET_BYTES`.

    Args:
        before: (T, H, W, 3) uint8 RGB under mesh.
        after: (T, H, W, 3) uint8 RGB restored.
        clean: (T, H, W, 3) uint8 RGB.
    """
    triples = [np.concatenate(three, axis=1) for three in zip(before, after, clean, strict=True)]
    framed = [np.pad(t, ((0, _GAP_PX), (0, _GAP_PX), (0, 0)), constant_values=255) for t in triples]
    framed += [np.full_like(framed[0], 255)] * (-len(framed) % SHEET_COLUMNS)
    rows = [
        np.concatenate(framed[k : k + SHEET_COLUMNS], axis=1) for k in range(0, len(framed), SHEET_COLUMNS)
    ]
    pixels = np.concatenate(rows)
    for quality in range(90, 20, -5):
        data = encode_jpeg(pixels, quality)
        if len(data) <= SHEET_BYTES:
            return data
    raise ValueError(f"expected a sheet of at most {SHEET_BYTES} bytes, {pixels.shape} pixels need more")


def sheet_places(n: int) -> NDArray[np.int64]:
    """Which of ``n`` references are shown."""
    chosen = np.random.default_rng(SHEET_SEED).choice(n, min(SHEET_TRIPLES, n), replace=False)
    return np.sort(chosen).astype(np.int64)
