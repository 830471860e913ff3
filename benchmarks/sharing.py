"""``python -m benchmarks.sharing``: would requests that share a batch cost less than one by one?

A request is a verification of two photographs of 1 MP, decoded. One by one, each goes through the pipeline by itself;
shared, the pictures of k requests go through the detector together and their crops through the embedder together.
Networks take one thread, as in the engine, and what is counted is the CPU time of the process, which other work on
the machine hardly moves. Rounds alternate; the figure is the median of the ratios of the rounds.

python -m benchmarks.sharing --json reports/bench-sharing.json
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.systems import pictures
from lineament.core.arrays import ImageArray
from lineament.core.errors import LineamentError
from lineament.detection.upright import find_upright_many
from lineament.evaluation.machine import this_machine
from lineament.geometry import TEMPLATES, align
from lineament.pipeline import FacePipeline
from lineament.zoo.profiles import list_profiles
from lineament.zoo.session import Runtime

REQUESTS = (2, 4, 8)
ROUNDS = 7


@dataclass(frozen=True, slots=True)
class Sharing:
    """What sharing a batch is worth.

    Attributes:
        profile: models.
        stage: "detect", "embed", or "both".
        requests: that share a batch.
        alone_ms: CPU time of one request by itself, ms (median).
        shared_ms: CPU time of one request in a batch, ms (median).
        gain: median over the rounds of alone / shared.
        lowest: smallest of them.
        highest: largest of them.
    """

    profile: str
    stage: str
    requests: int
    alone_ms: float
    shared_ms: float
    gain: float
    lowest: float
    highest: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sharing")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    found, what = [], pictures()[1]
    for profile in list_profiles():
        try:
            pipeline = FacePipeline.from_profile(profile, Runtime(threads=1))
        except LineamentError as error:
            print(f"{profile}: left out: {error}")
            continue
        for one in _measure(profile, pipeline, arguments.rounds):
            found.append(one)
            print(
                f"{one.profile:<9} {one.stage:<7} {one.requests} requests: {one.alone_ms:6.1f} ms alone, "
                f"{one.shared_ms:6.1f} shared, gain {one.gain:.2f} [{one.lowest:.2f}, {one.highest:.2f}]",
                flush=True,
            )
    if arguments.json:
        report = {"machine": asdict(this_machine()), "pictures": what, "rounds": arguments.rounds}
        report["figures"] = [asdict(one) for one in found]
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _measure(profile: str, pipeline: FacePipeline, rounds: int) -> Iterator[Sharing]:
    pair = [p.pixels for p in pictures()[0]]
    crop_pair = np.concatenate([_crops(pipeline, pixels) for pixels in pair])
    for requests in REQUESTS:
        images, crops = pair * requests, np.concatenate([crop_pair] * requests)
        stages: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "detect": (partial(_look, pipeline, pair), partial(_look, pipeline, images)),
            "embed": (partial(_embed, pipeline, crop_pair, 1), partial(_embed, pipeline, crops, len(crops))),
        }
        times = {s: _alternate(alone, shared, requests, rounds) for s, (alone, shared) in stages.items()}
        times["both"] = times["detect"] + times["embed"]
        for stage, table in times.items():
            gains = table[:, 0] / table[:, 1]
            alone_ms, shared_ms = np.median(table, axis=0)
            numbers = (alone_ms, shared_ms, np.median(gains), gains.min(), gains.max())
            yield Sharing(profile, stage, requests, *(round(float(n), 3) for n in numbers))


def _alternate(
    alone: Callable[[], object], shared: Callable[[], object], requests: int, rounds: int
) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    """(rounds, 2) CPU ms of one request, alone and shared."""
    alone(), shared()
    rows = []
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(requests):
            alone()
        middle = time.process_time()
        shared()
        rows.append(((middle - start) / requests * 1e3, (time.process_time() - middle) / requests * 1e3))
    return np.array(rows)


def _look(pipeline: FacePipeline, images: Sequence[ImageArray]) -> None:
    """Alone, a request looks at its two pictures one after the other, as the pipeline does."""
    if len(images) == 2:
        for pixels in images:
            find_upright_many(pipeline.detector, [pixels])
    else:
        find_upright_many(pipeline.detector, images)


def _embed(pipeline: FacePipeline, crops: ImageArray, size: int) -> None:
    for start in range(0, len(crops), size):
        pipeline.embedder.embed(crops[start : start + size])


def _crops(pipeline: FacePipeline, pixels: ImageArray) -> ImageArray:
    """The crop of the picture's best face; noise where a detector finds none (drawn pictures)."""
    template = TEMPLATES[pipeline.embedder.template]
    faces = find_upright_many(pipeline.detector, [pixels])[0].detections
    if len(faces) == 0:
        noise = np.random.default_rng(0).integers(0, 256, (template.size_px, template.size_px, 3))
        return noise.astype(np.uint8)[None]
    return align(pixels, faces.points[0], template).pixels[None]


if __name__ == "__main__":
    main()
