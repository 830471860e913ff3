"""A trained embedder as a folder that ``lineament models add`` takes: network, golden vectors, manifest, card.

::

    backbone ─ to_onnx ─ model.onnx ─┬ golden.npz     outputs of the torch network for drawn pictures
                                     ├ manifest.toml  input exactly as in training, licences, figures
                                     └ MODEL_CARD.md
"""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from lineament.core.arrays import FloatArray, ImageArray, check_crops
from lineament.core.errors import ModelError, RuntimeUnavailable
from lineament.embedding.onnx import OnnxEmbedder
from lineament.embedding.training.config import InputConfig
from lineament.embedding.training.task import embed, network_input
from lineament.embedding.training.to_onnx import INPUT, OUTPUT, MiddleColumns, to_onnx
from lineament.zoo.card import Agreement, ExportCard, card_text
from lineament.zoo.exporting import GOLDEN_FILE, MODEL_FILE, opened, packed, runtimes, whole_folder
from lineament.zoo.files import write_atomic
from lineament.zoo.loading import LoadedModel
from lineament.zoo.manifest import Golden, Manifest, Weight, manifest_text
from lineament.zoo.user import CARD_FILE, MANIFEST_FILE

MIN_COSINE = 0.9999
MAX_DIFFERENCE = 1e-4
"""What every f32 runtime must keep, between unit vectors of the same crop."""
RANDOM_CROPS = 8
FACTORY = "lineament.embedding.onnx:OnnxEmbedder"


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """A finished export.

    Attributes:
        folder: what ``lineament models add`` takes.
        manifest: as written.
        agreements: with the trained network, one for each runtime of this machine.
    """

    folder: Path
    manifest: Manifest
    agreements: tuple[Agreement, ...]


def export_embedder(
    backbone: nn.Module, out: Path, card: ExportCard, crop: InputConfig, crops: ImageArray
) -> ExportedModel:
    """Write a trained backbone as a model of the zoo, and prove that it is the same network.

    Args:
        backbone: (B, 3, H, W) float, normalised, to (B, D) features, as it was trained; it is not changed.
        out: folder to write; it appears whole or not at all. An earlier export there is replaced.
        card: what only the maker knows.
        crop: size and normalisation of training.
        crops: (N, S, S, 3) uint8 RGB aligned crops to compare on, N at least 1; none of them is stored.

    Raises:
        ModelError: torch cannot export the network, or a runtime gives other vectors: in f32 a cosine below 0.9999
            or a component off by more than 1e-4. bf16 is measured and written down.
        ConfigError: ``out`` holds something else.
        ValueError: no crops, or of another size.
    """
    check_crops(crops, crop.height_px)
    if not len(crops):
        raise ValueError("expected at least one crop to compare the exported network on, got none")
    drawn = np.random.default_rng(0).integers(0, 256, (RANDOM_CROPS, *crops.shape[1:]), np.uint8)
    everything = np.concatenate([crops, drawn])
    square = crop.height_px == crop.width_px
    data = to_onnx(
        backbone if square else MiddleColumns(backbone, crop.columns), crop.height_px
    ).SerializeToString(deterministic=True)
    golden = _golden(backbone, crop)
    manifest = _manifest(card, crop, data, golden)
    agreements = tuple(_agreements(manifest, data, everything, embed(backbone, everything, crop)))
    sections = [("Agreement with the trained network", [agreement_words(a) for a in agreements])]
    with whole_folder(out) as folder:
        write_atomic(folder / MODEL_FILE, data)
        write_atomic(folder / GOLDEN_FILE, golden[0])
        write_atomic(folder / CARD_FILE, card_text(card, manifest, sections).encode())
        write_atomic(folder / MANIFEST_FILE, manifest_text(manifest).encode())
    return ExportedModel(out, manifest, agreements)


def golden_pictures(side_px: int) -> ImageArray:
    """Two smooth drawn pictures (2, side_px, side_px, 3) uint8 RGB, in few grey levels so that they pack well."""
    coarse = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(side_px)) * 255
    smooth = functional.interpolate(coarse, size=(side_px, side_px), mode="bilinear", align_corners=True)
    pictures: ImageArray = (smooth // 8 * 8).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    return pictures


def _golden(backbone: nn.Module, crop: InputConfig) -> tuple[bytes, float]:
    """The golden file, and the largest of its outputs."""
    pictures = golden_pictures(crop.height_px)
    device = next(backbone.parameters()).device
    training = backbone.training
    backbone.eval()
    try:
        with torch.inference_mode():
            square = network_input(
                pictures,
                InputConfig(height_px=crop.height_px, width_px=crop.height_px, mean=crop.mean, std=crop.std),
                torch.device("cpu"),
            )
            features = backbone(network_input(pictures, crop, device)).float().cpu().numpy()
    finally:
        backbone.train(training)
    arrays = {f"model/in/{INPUT}": square.contiguous().numpy(), f"model/out/{OUTPUT}": features}
    return packed(arrays), float(np.abs(features).max())


def _manifest(card: ExportCard, crop: InputConfig, data: bytes, golden: tuple[bytes, float]) -> Manifest:
    stored, largest = golden
    digest = hashlib.sha256(stored).hexdigest()
    with np.load(io.BytesIO(stored), allow_pickle=False) as arrays:
        dimension = int(arrays[f"model/out/{OUTPUT}"].shape[1])
    return Manifest(
        schema=1,
        name=card.name,
        task="embedding",
        factory=FACTORY,
        summary=card.summary,
        publisher=f"{card.publisher}; recipe {card.recipe}, configuration {card.config_digest}",
        paper=card.paper,
        dimension=dimension,
        weights=(Weight(file=MODEL_FILE, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data)),),
        licence=card.licence,
        input=crop.spec,
        golden=Golden(file=GOLDEN_FILE, sha256=digest, rtol=1e-3, atol=2e-4 * max(largest, 1e-6)),
        metric=card.metrics,
    )


def _agreements(
    manifest: Manifest, data: bytes, crops: ImageArray, trained: FloatArray
) -> Iterator[Agreement]:
    for runtime in runtimes():
        try:
            with opened(data, runtime) as session:
                found = OnnxEmbedder(LoadedModel(manifest, {"model": session})).embed(crops)
        except RuntimeUnavailable:  # a processor without bf16 shows only when the network is loaded
            continue
        cosine = float((found * trained).sum(1).min())
        difference = float(np.abs(found - trained).max())
        made = Agreement(runtime.backend, runtime.precision, len(crops), cosine, difference)
        if runtime.precision == "f32" and not (cosine >= MIN_COSINE and difference <= MAX_DIFFERENCE):
            raise ModelError(
                f"expected {manifest.name} to give in {runtime.backend} what it gives in torch (cosine of at least "
                f"{MIN_COSINE}, components within {MAX_DIFFERENCE:g}), got {agreement_words(made)}; look for layers "
                "that depend on the batch or on random numbers in evaluation mode"
            )
        yield made


def agreement_words(agreement: Agreement) -> str:
    """One line for a card or an error."""
    return (
        f"{agreement.runtime} {agreement.precision}: smallest cosine {agreement.min_cosine:.6f}, largest difference "
        f"{agreement.max_difference:.2g}, {agreement.crops} crops"
    )
