"""A trained restorer as a folder that ``lineament models add`` takes."""

import copy
import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lineament.core.arrays import FloatArray, ImageArray
from lineament.core.errors import ModelError, RuntimeUnavailable
from lineament.nets import Restorer, traced
from lineament.nets.restorer import Answers
from lineament.zoo.card import ExportCard, card_text
from lineament.zoo.exporting import GOLDEN_FILE, MODEL_FILE, opened, packed, runtimes, whole_folder
from lineament.zoo.files import write_atomic
from lineament.zoo.manifest import Golden, InputSpec, Manifest, Weight, manifest_text
from lineament.zoo.user import CARD_FILE, MANIFEST_FILE

INPUT, RESTORED, MASK, SCORE = "pictures", "restored", "mask", "score"
FACTORY = "lineament.demesh.network:NetworkRemover"
MAX_DIFFERENCE = 1e-3
"""A quarter of a byte: what every f32 runtime may differ by, in [0, 1]."""
_TRACED_PX = 112


class _Bounded(nn.Module):
    """A restorer whose answers are in [0, 1]."""

    def __init__(self, restorer: Restorer) -> None:
        super().__init__()
        self.restorer = restorer
        self.names = (RESTORED, MASK, SCORE) if restorer.with_score else (RESTORED, MASK)

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        answers: Answers = self.restorer(pictures)
        made = answers.pictures.clamp(0, 1), torch.sigmoid(answers.ink)
        return made if answers.mesh is None else (*made, torch.sigmoid(answers.mesh))


def export_restorer(
    restorer: Restorer, out: Path, card: ExportCard, settings: Mapping[str, float], pictures: ImageArray
) -> Path:
    """Write a trained restorer as a model of the zoo, and prove that it is the same network.

    Args:
        restorer: as it was trained; it is not changed.
        out: folder to write; it appears whole or not at all. An earlier export there is replaced.
        card: what only the maker knows.
        settings: of the manifest: measured thresholds.
        pictures: (N, S, S, 3) uint8 RGB to compare on, N at least 1; none of them is stored.

    Returns: the folder.

    Raises:
        ModelError: torch cannot export the network, or a runtime gives other pictures in f32.
        ConfigError: ``out`` holds something else.
    """
    answers = _Bounded(copy.deepcopy(restorer).cpu().float()).eval()
    free = {0: "batch", 2: "height", 3: "width"}
    axes = dict.fromkeys((INPUT, RESTORED, MASK), free) | (
        {SCORE: {0: "batch"}} if restorer.with_score else {}
    )
    model = traced(answers, _TRACED_PX, (INPUT, *answers.names), axes)
    data = model.SerializeToString(deterministic=True)
    lines = _agreement(data, answers, pictures)
    golden = _golden(answers)
    manifest = Manifest(
        schema=1,
        name=card.name,
        task="restore",
        factory=FACTORY,
        summary=card.summary,
        publisher=f"{card.publisher}; recipe {card.recipe}, configuration {card.config_digest}",
        paper=card.paper,
        weights=(Weight(file=MODEL_FILE, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data)),),
        licence=card.licence,
        input=InputSpec(
            colour="RGB",
            shape=("batch", 3, "height", "width"),
            mean=(0.0, 0.0, 0.0),
            std=(255.0, 255.0, 255.0),
        ),
        golden=Golden(
            file=GOLDEN_FILE, sha256=hashlib.sha256(golden).hexdigest(), rtol=1e-3, atol=MAX_DIFFERENCE
        ),
        settings=dict(settings),
        metric=card.metrics,
    )
    with whole_folder(out) as folder:
        write_atomic(folder / MODEL_FILE, data)
        write_atomic(folder / GOLDEN_FILE, golden)
        sections = [("Agreement with the trained network", lines)]
        write_atomic(folder / CARD_FILE, card_text(card, manifest, sections).encode())
        write_atomic(folder / MANIFEST_FILE, manifest_text(manifest).encode())
    return out


def _network_input(pictures: ImageArray) -> FloatArray:
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), np.float32) / np.float32(255)


def _run(answers: _Bounded, inputs: FloatArray) -> dict[str, FloatArray]:
    with torch.inference_mode():
        made = answers(torch.from_numpy(inputs))
    return {name: found.numpy() for name, found in zip(answers.names, made, strict=True)}


def _agreement(data: bytes, answers: _Bounded, pictures: ImageArray) -> list[str]:
    inputs = _network_input(pictures)
    trained = _run(answers, inputs)
    lines = []
    for runtime in runtimes():
        try:
            with opened(data, runtime) as session:
                found = session.run({INPUT: inputs})
        except RuntimeUnavailable:  # a processor without bf16 shows only when the network is loaded
            continue
        difference = max(float(np.abs(found[name] - wanted).max()) for name, wanted in trained.items())
        line = f"{runtime.backend} {runtime.precision}: largest difference {difference:.2g}, {len(pictures)} pictures"
        if runtime.precision == "f32" and not difference <= MAX_DIFFERENCE:
            raise ModelError(
                f"expected the exported restorer to differ by at most {MAX_DIFFERENCE:g}, got {line}"
            )
        lines.append(line)
    return lines


def _golden(answers: _Bounded) -> bytes:
    """Outputs for a drawn picture: a smooth one with two dark lines."""
    rows, columns = np.mgrid[0:48, 0:64].astype(np.float32)
    smooth = np.stack([rows * 3, columns * 3, 200 - rows * 2], axis=-1)
    wave = 24 + 10 * np.sin(columns / 7)
    smooth[np.abs(rows - wave) < 1.2] = 60
    picture = smooth.astype(np.uint8)[None]
    inputs = _network_input(picture)
    outputs = {f"model/out/{name}": found for name, found in _run(answers, inputs).items()}
    return packed({f"model/in/{INPUT}": inputs} | outputs)
