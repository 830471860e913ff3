"""Losses and networks compared on the same data, budget and seeds: the grid of ``reports/training-grid.json``.

Every head trains one thin network; every network trains with ArcFace. All see the same pictures for the same number of
steps; LFW is for evaluation only, and so are the held people. A run that is done is not done again, so the command may
be stopped and started; ``--workers`` runs go side by side, each on one thread.

    python -m benchmarks.training_grid --pack train.rec --held held.rec --lfw lfw_aligned112 --work runs/grid \
        --json reports/training-grid.json
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch

from lineament.embedding.training import (
    Augmentation,
    BackboneConfig,
    DataConfig,
    EmbeddingConfig,
    HeadConfig,
    InputConfig,
)
from lineament.embedding.training.build import open_task
from lineament.embedding.training.data import CropSource
from lineament.embedding.training.task import embed
from lineament.engine import LoopConfig, OptimConfig, Ranks, ScheduleConfig, fit
from lineament.evaluation.machine import this_machine
from lineament.evaluation.protocols import pictures_of
from lineament.evaluation.samples import SampleEmbeddings
from lineament.evaluation.trials import read_pairs
from lineament.evaluation.verification import SystemUsed, score_trials, verification_report
from lineament.packs import open_pack

SEEDS = (0, 1, 2)
THIN_STEPS, THIN_BATCH, THIN_PX = 1_000, 64, 48
NETWORK_STEPS, NETWORK_BATCH = 320, 32
SCALE = 32.0
"""Of all normalised softmax losses: the published 64 is meant for tens of thousands of subjects."""
SUBJECTS = 16
"""In a batch of the losses that compare the pictures of a batch."""

HEADS: Mapping[str, Mapping[str, float | int | str]] = {
    "softmax": {},
    "normalised-softmax": {"scale": SCALE},
    "softmax-center": {},
    "crystal": {},
    "sphereface": {},
    "am-softmax": {"scale": SCALE},
    "arcface": {"scale": SCALE},
    "combined": {"scale": SCALE},
    "subcenter-arcface": {"scale": SCALE},
    "adaface": {"scale": SCALE},
    "magface": {"scale": SCALE},
    "circle": {},
    "contrastive": {},
    "triplet-euclidean": {},
    "triplet-cosine": {},
    "circle-pairs": {},
}
BALANCED = ("contrastive", "triplet-euclidean", "triplet-cosine", "circle-pairs")
NETWORKS: Mapping[str, tuple[int, int]] = {
    "mobilefacenet": (64, 128),
    "sphere_resnet20": (64, 512),
    "sphere_resnet36": (64, 512),
    "inception_resnet_v1": (96, 512),
    "iresnet50": (64, 512),
}
"""Input side px and length of the features of each network."""


@dataclass(frozen=True, slots=True)
class Run:
    """One cell of the grid for one seed."""

    backbone: str
    head: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.backbone}-{self.head}-{self.seed}"


def grid() -> list[Run]:
    """Seeds outside, so that an interrupted grid has every cell once before it has any twice."""
    losses = [Run("thin_net16", head, seed) for seed in SEEDS for head in HEADS]
    return losses[: len(HEADS)] + [Run(name, "arcface", 0) for name in NETWORKS] + losses[len(HEADS) :]


def configuration(run: Run, pack: Path, held: Path) -> EmbeddingConfig:
    thin = run.backbone.startswith("thin")
    side, embedding = (THIN_PX, 128) if thin else NETWORKS[run.backbone]
    steps, batch = (THIN_STEPS, THIN_BATCH) if thin else (NETWORK_STEPS, NETWORK_BATCH)
    return EmbeddingConfig(
        name="grid",
        data=DataConfig(
            pack=pack,
            held=held,
            batch=batch,
            subjects=SUBJECTS if run.head in BALANCED else 0,
            held_limit=700,
        ),
        backbone=BackboneConfig(name=run.backbone, embedding=embedding),
        head=HeadConfig(name=run.head, settings=HEADS[run.head]),
        crop=InputConfig(height_px=side, width_px=side),
        augmentation=Augmentation(flip=0.5),
        loop=LoopConfig(
            steps=steps,
            optim=OptimConfig(lr=0.05, weight_decay=5e-4),
            schedule=ScheduleConfig(kind="cosine", warmup_steps=steps // 20),
            channels_last=True,
            clip_norm=5.0,
            checkpoint_every=steps,
            seed=run.seed,
            threads=1,
            prefetch_workers=1,
        ),
    )


def measured(run: Run, arguments: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Train and evaluate one cell."""
    config = configuration(run, arguments.pack, arguments.held)
    with open_task(config, Ranks()) as task:
        cost = sum(p.numel() for p in task.modules["backbone"].parameters())
        before_s = time.process_time()
        result = fit(task, config.loop, out, resume=True)
        cpu_s = time.process_time() - before_s
        lfw = lfw_report(task.modules["backbone"], config.crop, arguments.lfw, run.name)
    return {
        **asdict(run),
        "input_px": config.crop.height_px,
        "parameters": cost,
        "pictures_seen": config.loop.steps * config.data.batch,
        "held": dict(result.measures),
        "lfw": lfw,
        "wall_s": result.seconds,
        "cpu_s": cpu_s,
        "images_per_cpu_s": config.loop.steps * config.data.batch / cpu_s,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def lfw_report(backbone: torch.nn.Module, crop: InputConfig, folder: Path, name: str) -> dict[str, Any]:
    """View 2 figures of a network in torch, on crops brought to its size."""
    trials = read_pairs(folder / "pairs.txt")
    start = time.perf_counter()
    with open_pack(pictures_of(folder)) as pack:
        source = CropSource(pack, crop, in_memory=False)
        place = {sample: index for index, sample in enumerate(pack.names)}
        vectors = np.concatenate(
            [
                embed(backbone, np.stack([source.crop(place[s]) for s in trials.samples[k : k + 256]]), crop)
                for k in range(0, len(trials.samples), 256)
            ]
        )
    samples = SampleEmbeddings(
        vectors, np.ones(len(vectors), np.bool_), {}, name, time.perf_counter() - start
    )
    report = verification_report(
        score_trials(trials, samples), samples, SystemUsed(name, ()), folder.name, "aligned crops"
    )
    document = json.loads(report.to_json())
    for bulky in ("evidence", "machine"):
        document.pop(bulky, None)
    return dict(document)


def summary(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean over seeds of each cell, with the spread of the seeds and the subject interval of the first one."""
    rows = []
    for key in dict.fromkeys((c["backbone"], c["head"]) for c in cells):
        runs = sorted((c for c in cells if (c["backbone"], c["head"]) == key), key=lambda c: c["seed"])
        tars = [1 - r["lfw"]["points"][0]["fnmr"] for r in runs]
        accuracies = [r["lfw"]["folds"]["accuracy"] for r in runs]
        eers = [r["lfw"]["eer"] for r in runs]
        point = runs[0]["lfw"]["points"][0]
        rows.append(
            {
                "backbone": key[0],
                "head": key[1],
                "seeds": len(runs),
                "tar_at_far_0.01": mean(tars),
                "tar_sd_of_seeds": stdev(tars) if len(tars) > 1 else None,
                "tar_interval95_of_first_seed": [1 - point["fnmr_high"], 1 - point["fnmr_low"]],
                "accuracy": mean(accuracies),
                "accuracy_sd_of_seeds": stdev(accuracies) if len(accuracies) > 1 else None,
                "eer": mean(eers),
                "held_tar_at_far_0.01": mean(r["held"]["tar_at_far_0.01"] for r in runs),
                "images_per_cpu_s": mean(r["images_per_cpu_s"] for r in runs),
                "peak_mb": max(r["peak_mb"] for r in runs),
                "parameters": runs[0]["parameters"],
                "input_px": runs[0]["input_px"],
            }
        )
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The summary in Markdown."""
    lines = [
        "| network | loss | seeds | TAR at FAR 1 % (sd of seeds) | 95 % of people, first seed | accuracy | EER | held "
        "people, TAR at FAR 1 % | images/s a core | peak MB |",
        "|" + "---|" * 10,
    ]
    for row in rows:
        sd = "" if row["tar_sd_of_seeds"] is None else f" ({row['tar_sd_of_seeds']:.3f})"
        low, high = row["tar_interval95_of_first_seed"]
        lines.append(
            f"| {row['backbone']} {row['input_px']} px | {row['head']} | {row['seeds']} | "
            f"{row['tar_at_far_0.01']:.3f}{sd} | {low:.3f} to {high:.3f} | {row['accuracy']:.4f} | {row['eer']:.4f} | "
            f"{row['held_tar_at_far_0.01']:.3f} | {row['images_per_cpu_s']:.0f} | {row['peak_mb']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = _arguments()
    if arguments.one:
        (run,) = (r for r in grid() if r.name == arguments.one)
        out = arguments.work / run.name
        document = measured(run, arguments, out)
        (out / "cell.json").write_text(json.dumps(document, indent=1))
        return
    missing = [run for run in grid() if not (arguments.work / run.name / "cell.json").is_file()]
    command = [sys.executable, "-m", "benchmarks.training_grid", *sys.argv[1:], "--one"]
    if not arguments.only_report:
        with ThreadPoolExecutor(arguments.workers) as pool:
            for run, done in zip(missing, pool.map(lambda r: _run([*command, r.name]), missing), strict=True):
                print(run.name, "done" if done == 0 else f"failed with {done}", flush=True)
    cells = [
        json.loads(path.read_text())
        for run in grid()
        if (path := arguments.work / run.name / "cell.json").is_file()
    ]
    rows = summary(cells)
    example = configuration(grid()[0], arguments.pack, arguments.held)
    settings = json.loads(
        json.dumps(asdict(replace(example, data=DataConfig(pack=Path("pack")))), default=str)
    )
    report = {
        "machine": asdict(this_machine()),
        "settings_of_the_first_cell": settings,
        "data": {
            "pack": arguments.pack.name,
            "held": arguments.held.name,
            "evaluation": "LFW View 2, aligned crops",
        },
        "summary": rows,
        "cells": cells,
    }
    arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    arguments.json.with_suffix(".md").write_text(table(rows))
    print(table(rows))


def _run(command: list[str]) -> int:
    return subprocess.run(command, check=False).returncode


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Losses and networks on the same data, budget and seeds")
    for name in ("--pack", "--held", "--lfw", "--work", "--json"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--one", default="", help="name of a run: do this one only, in this process")
    parser.add_argument("--only-report", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
