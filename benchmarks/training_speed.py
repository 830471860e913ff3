"""Training throughput beside a plain, well-written loop, on the same pack, network, head, optimiser and batch.

The plain loop is what one would write by hand: torch's DataLoader with one worker process, crops decoded beforehand,
mirror images, forward, backward, step; no log, no checkpoint, no checks. Ours is ``fit`` with its log, prefetch,
divergence watch and augmentation. Both run in turns, each for some steps after a warm-up, in a process of its own with
the same number of threads; the figure is the median over the turns.

    python -m benchmarks.training_speed --pack train.rec --threads 2 --json reports/training-speed.json
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from lineament.embedding.training import (
    BackboneConfig,
    DataConfig,
    EmbeddingConfig,
    HeadConfig,
    InputConfig,
)
from lineament.embedding.training.build import open_task
from lineament.embedding.training.data import CropSource
from lineament.embedding.training.heads import build_head
from lineament.engine import LoopConfig, OptimConfig, Ranks, ScheduleConfig, fit
from lineament.evaluation.machine import this_machine
from lineament.nets import build_backbone
from lineament.packs import open_pack

CASES: tuple[tuple[str, int, int], ...] = (
    ("thin_net16", 48, 128),
    ("mobilefacenet", 112, 128),
    ("iresnet50", 112, 512),
)
BATCHES = {"thin_net16": 64, "mobilefacenet": 32, "iresnet50": 8}
STEPS = {"thin_net16": 150, "mobilefacenet": 14, "iresnet50": 8}
WARM_UP = 4
NOTE = "published for one P40 GPU: MobileFaceNet 260, L-ResNet-50 30 to 40 samples/s"


class Crops(Dataset[tuple[torch.Tensor, int]]):
    """Decoded crops with mirror images, as a map-style dataset."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        self.pixels, self.labels = pixels, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        crop = torch.from_numpy(self.pixels[index])
        if torch.rand(()) < 0.5:
            crop = crop.flip(1)
        return (crop.permute(2, 0, 1).float() - 127.5) / 127.5, int(self.labels[index])


def endless(loader: DataLoader[Any]) -> Iterator[Any]:
    while True:
        yield from loader


def decoded(config: EmbeddingConfig, count: int) -> Crops:
    """The first ``count`` pictures of a pack."""
    with open_pack(config.data.pack) as pack:
        source = CropSource(pack, config.crop, in_memory=False)
        count = min(len(pack), count)
        return Crops(np.stack([source.crop(index) for index in range(count)]), source.labels[:count])


def plain(config: EmbeddingConfig, count: int) -> float:
    """Images a second of the hand-written loop, without its warm-up."""
    torch.set_num_threads(config.loop.threads)
    data = decoded(config, count)
    name, side, embedding = config.backbone.name, config.crop.height_px, config.backbone.embedding
    batch = config.data.batch
    backbone: nn.Module = build_backbone(name, (side, side), embedding)
    backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    head = build_head("arcface", embedding, int(data.labels.max()) + 1, scale=32.0)
    parameters = [*backbone.parameters(), *head.parameters()]
    optimiser = torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=5e-4)
    batches = endless(
        DataLoader(data, batch, shuffle=True, num_workers=1, drop_last=True, persistent_workers=True)
    )
    began = []
    for _ in range(WARM_UP + STEPS[name] + 1):
        pictures, labels = next(batches)
        began.append(time.perf_counter())
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=config.loop.precision == "bf16"):
            loss = head(backbone(pictures.to(memory_format=torch.channels_last)), labels).total
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        loss.item()
    return STEPS[name] * batch / (began[-1] - began[WARM_UP])


class Timed:
    """A task whose batches are counted: how long each call of ``loss`` waited for the loop, and when it began."""

    def __init__(self, task: Any) -> None:
        self._task = task
        self.began: list[float] = []
        self.modules = task.modules

    def batch(self, step: int) -> Any:
        return self._task.batch(step)

    def loss(self, batch: Any) -> Any:
        self.began.append(time.perf_counter())
        return self._task.loss(batch)

    def measure(self) -> dict[str, float]:
        return {}


def ours(config: EmbeddingConfig) -> float:
    """Images a second of one run of ``fit``, without its warm-up."""
    with tempfile.TemporaryDirectory(prefix="lineament-speed-") as folder, open_task(config, Ranks()) as task:
        for index in range(
            len(task._batches.source)
        ):  # decoded before the clock starts, as for the plain loop
            task._batches.source.crop(index)
        timed = Timed(task)
        fit(timed, config.loop, Path(folder), resume=False)
    taken = timed.began[-1] - timed.began[WARM_UP]
    return (len(timed.began) - 1 - WARM_UP) * config.data.batch / taken


def configuration(
    pack: Path, name: str, side: int, embedding: int, precision: str, threads: int
) -> EmbeddingConfig:
    steps = WARM_UP + STEPS[name] + 1
    return EmbeddingConfig(
        name="speed",
        data=DataConfig(pack=pack, batch=BATCHES[name]),
        backbone=BackboneConfig(name=name, embedding=embedding),
        head=HeadConfig(name="arcface", settings={"scale": 32.0}),
        crop=InputConfig(height_px=side, width_px=side),
        loop=LoopConfig(
            steps=steps,
            optim=OptimConfig(lr=0.01, weight_decay=5e-4),
            schedule=ScheduleConfig(),
            precision="bf16" if precision == "bf16" else "f32",
            channels_last=True,
            checkpoint_every=steps,
            threads=threads,
            prefetch_workers=1,
        ),
    )


def in_new_process(measure: Callable[[], float]) -> float:
    """What ``measure`` gives: a process keeps settings and memory of what it did before."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure).result()


def compared(arguments: argparse.Namespace, case: tuple[str, int, int], precision: str) -> dict[str, Any]:
    name, side, embedding = case
    config = configuration(arguments.pack, name, side, embedding, precision, arguments.threads)
    rounds: list[tuple[float, float]] = []
    for number in range(arguments.rounds):
        seeded = replace(config, loop=replace(config.loop, seed=number))
        turns = {"ours": partial(ours, seeded), "plain": partial(plain, seeded, arguments.pictures)}
        # Neither loop is always the one that finds a warm machine.
        order = list(turns) if number % 2 else list(turns)[::-1]
        found = {turn: in_new_process(turns[turn]) for turn in order}
        rounds.append((found["ours"], found["plain"]))
    row = {
        "network": name,
        "input_px": side,
        "precision": precision,
        "batch": config.data.batch,
        "images_per_s": median(m for m, _ in rounds),
        "plain_loop_images_per_s": median(p for _, p in rounds),
        "ratio": median(m / p for m, p in rounds),
        "rounds": rounds,
    }
    print({k: v for k, v in row.items() if k != "rounds"}, flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description="Training throughput beside a plain loop")
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument(
        "--only",
        choices=[c[0] for c in CASES],
        action="append",
        help="measure these again, keep the other rows",
    )
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    kept = json.loads(arguments.json.read_text())["cases"] if arguments.only else []
    wanted = [case for case in CASES if case[0] in (arguments.only or [case[0]])]
    rows = [row for row in kept if row["network"] not in {case[0] for case in wanted}]
    rows += [compared(arguments, case, precision) for case in wanted for precision in ("f32", "bf16")]
    report = {"machine": asdict(this_machine()), "threads": arguments.threads, "note": NOTE, "cases": rows}
    arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
