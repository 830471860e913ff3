"""How much two embedders lose on degraded crops: LFW View 2 with the second picture of every pair degraded.

Each degradation is drawn with a fixed seed for each picture. TAR at two FARs for every embedder, the difference of each
later embedder to the first with its paired 95 % interval (bootstrap over subjects), and the same on pairs of held
people where a pack is given: all pairs of different pictures, the second one degraded.

    python -m benchmarks.robustness --lfw lfw_aligned112 --held held.rec --model mobilefacenet \
        --model mobilefacenet.robust --json reports/robust-low-resolution.json
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lineament.core.arrays import FloatArray, ImageArray
from lineament.embedding import Embedder, load_embedder
from lineament.evaluation.machine import this_machine
from lineament.evaluation.protocols import pictures_of, weights_of
from lineament.evaluation.samples import pair_similarities
from lineament.evaluation.trials import read_pairs
from lineament.imaging import decode_image
from lineament.imaging.mesh import Mesh, add_mesh
from lineament.metrics import PairScores, Resampling, paired_tar_at_far, tar_at_far_protocol
from lineament.metrics.lfw import fold_accuracy
from lineament.packs import open_pack

FARS = (1e-2, 1e-3)
PLAN = Resampling(replicates=1000, seed=0)
BATCH = 64
HELD_PAIRS = 60_000


def low_resolution(side_px: int) -> Callable[[ImageArray, int], ImageArray]:
    """Averaged down to a side and bicubic up again, as a face that is small in its photo is aligned."""

    def degrade(crop: ImageArray, seed: int) -> ImageArray:  # noqa: ARG001 nothing is drawn
        small = cv2.resize(crop, (side_px, side_px), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, crop.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8)

    return degrade


def blurred(crop: ImageArray, seed: int) -> ImageArray:
    sigma = np.random.default_rng(seed).uniform(1.5, 3.0)
    return np.asarray(cv2.GaussianBlur(crop, (0, 0), sigma), np.uint8)


def compressed(crop: ImageArray, seed: int) -> ImageArray:
    quality = int(np.random.default_rng(seed).integers(5, 20))
    _, data = cv2.imencode(".jpg", crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])


def meshed(crop: ImageArray, seed: int) -> ImageArray:
    return add_mesh(crop, Mesh(family="sines", seed=seed)).pixels


DEGRADATIONS: Mapping[str, Callable[[ImageArray, int], ImageArray]] = {
    "clean": lambda crop, _seed: crop,
    "28 px": low_resolution(28),
    "20 px": low_resolution(20),
    "16 px": low_resolution(16),
    "12 px": low_resolution(12),
    "blur": blurred,
    "JPEG 5 to 19": compressed,
    "mesh": meshed,
}


def vectors(embedder: Embedder, crops: Sequence[ImageArray], name: str) -> FloatArray:
    degrade = DEGRADATIONS[name]
    return np.concatenate(
        [
            embedder.embed(np.stack([degrade(c, k + i) for i, c in enumerate(crops[k : k + BATCH])]))
            for k in range(0, len(crops), BATCH)
        ]
    )


def scores_of(
    embedder: Embedder, crops: Sequence[ImageArray], pairs: np.ndarray, names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Similarities of pairs, first picture clean, second degraded, for each degradation."""
    clean = vectors(embedder, crops, "clean")
    seconds, place = np.unique(pairs[:, 1], return_inverse=True)
    found = {}
    for name in names:
        other = clean[seconds] if name == "clean" else vectors(embedder, [crops[k] for k in seconds], name)
        both = np.concatenate([clean, other])
        found[name] = pair_similarities(
            both, np.stack([pairs[:, 0], len(clean) + place], axis=1).astype(np.int32)
        )
    return found


def compared(
    scores: Mapping[str, Mapping[str, np.ndarray]],
    subjects: np.ndarray,
    pairs: np.ndarray,
    folds: np.ndarray | None,
) -> list[dict[str, Any]]:
    """A row for each degradation and model."""
    rows = []
    first = next(iter(scores))
    a, b = subjects[pairs[:, 0]], subjects[pairs[:, 1]]
    for name in scores[first]:
        base = PairScores(scores[first][name], a, b)
        for model, found in scores.items():
            own = PairScores(found[name], a, b)
            clean_threshold = tar_at_far_protocol(
                found["clean"][own.mated], found["clean"][~own.mated], FARS[1]
            ).threshold
            row: dict[str, Any] = {
                "degradation": name,
                "model": model,
                "tar": [
                    tar_at_far_protocol(own.scores[own.mated], own.scores[~own.mated], far).tar
                    for far in FARS
                ],
                "fmr_at_threshold_of_clean_0.001": float(np.mean(own.scores[~own.mated] >= clean_threshold)),
                "tar_at_threshold_of_clean_0.001": float(np.mean(own.scores[own.mated] >= clean_threshold)),
            }
            if folds is not None:
                row["accuracy"] = fold_accuracy(own.scores, own.mated, folds).accuracy
            if model != first:
                row["difference_to_first"] = [asdict(d) for d in paired_tar_at_far(own, base, FARS, PLAN)]
            rows.append(row)
            print(name, model, [round(t, 4) for t in row["tar"]], row.get("accuracy"), flush=True)
    return rows


def lfw(models: Mapping[str, Embedder], folder: Path) -> list[dict[str, Any]]:
    trials = read_pairs(folder / "pairs.txt")
    with open_pack(pictures_of(folder)) as pack:
        place = {name: index for index, name in enumerate(pack.names)}
        crops = [decode_image(pack.read(place[s]).image).pixels for s in trials.samples]
    scores = {name: scores_of(e, crops, trials.pairs, list(DEGRADATIONS)) for name, e in models.items()}
    return compared(scores, trials.subject_of_sample, trials.pairs, trials.folds)


def held(models: Mapping[str, Embedder], path: Path) -> list[dict[str, Any]]:
    """Every mated pair and as many drawn non-mated ones of people that no model was trained on."""
    with open_pack(path) as pack:
        crops = [decode_image(pack.read(k).image).pixels for k in range(len(pack))]
        subjects = np.asarray(pack.labels, np.int32)
    first, second = np.triu_indices(len(crops), 1)
    mated = subjects[first] == subjects[second]
    others = np.random.default_rng(0).choice(np.flatnonzero(~mated), HELD_PAIRS, replace=False)
    chosen = np.concatenate([np.flatnonzero(mated), np.sort(others)])
    pairs = np.stack([first[chosen], second[chosen]], axis=1)
    scores = {name: scores_of(e, crops, pairs, list(DEGRADATIONS)) for name, e in models.items()}
    return compared(scores, subjects, pairs, None)


def main() -> None:
    parser = argparse.ArgumentParser(description="Embedders on degraded crops")
    parser.add_argument("--lfw", type=Path, required=True)
    parser.add_argument("--held", type=Path)
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    models = {name: load_embedder(name) for name in arguments.model}
    report = {
        "protocol": "the second picture of every pair degraded, seeded; TAR at FAR 1 % and 0.1 % of the same pairs",
        "models": [
            {"name": n, "space": e.space, "weights": [asdict(w) for w in weights_of(n)]}
            for n, e in models.items()
        ],
        "bootstrap": asdict(PLAN),
        "machine": asdict(this_machine()),
        "lfw_view2": lfw(models, arguments.lfw),
        "held_people": held(models, arguments.held) if arguments.held else [],
    }
    arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
