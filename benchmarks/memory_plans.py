"""Does the memory planner keep its word? Plans against the measured peak of a real run, each in a process of its own.

python -m benchmarks.memory_plans --pack train.rec --json reports/memory-plans.json
"""

import argparse
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lineament.embedding.training import BackboneConfig, EmbeddingConfig, HeadConfig, InputConfig
from lineament.embedding.training.planning import peak_memory, plan_run
from lineament.engine import OptimConfig
from lineament.evaluation.machine import this_machine
from lineament.recipes import RECIPES, override

CASES: tuple[tuple[str, int, int, int, str, str, int], ...] = (
    ("thin_net16", 48, 48, 128, "arcface", "f32", 512),
    ("thin_net32", 64, 64, 128, "softmax-center", "f32", 256),
    ("mobilefacenet", 112, 112, 128, "arcface", "f32", 160),
    ("mobilefacenet", 112, 112, 128, "arcface", "bf16", 192),
    ("sphere_resnet20", 112, 96, 512, "am-softmax", "f32", 160),
    ("inception_resnet_v1", 160, 160, 512, "softmax-center", "f32", 144),
    ("iresnet50", 64, 64, 512, "arcface", "f32", 160),
)
"""Network, height and width px, numbers, head, precision, batch."""


def configuration(pack: Path, case: tuple[str, int, int, int, str, str, int]) -> EmbeddingConfig:
    name, height, width, embedding, head, precision, batch = case
    base = override(
        RECIPES["thin_arcface_cpu"](pack, None), [f"loop.precision={precision}", "loop.threads=1"]
    )
    made = replace(
        base,
        data=replace(base.data, batch=batch, in_memory=False),
        backbone=BackboneConfig(name=name, embedding=embedding),
        head=HeadConfig(name=head),
        crop=InputConfig(height_px=height, width_px=width),
    )
    adam = head == "softmax-center"
    return replace(
        made, loop=replace(made.loop, optim=OptimConfig(kind="adamw", lr=1e-3) if adam else made.loop.optim)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Memory plans against measured peaks")
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for case in CASES:
        config = configuration(arguments.pack, case)
        plan = plan_run(config)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            measured = pool.submit(peak_memory, config, case[-1]).result()
        error = plan.peak / measured - 1
        rows.append(
            {"case": case, "plan": plan.to_json(), "measured_peak_bytes": measured, "error": round(error, 4)}
        )
        print(
            f"{' '.join(map(str, case))}: planned {plan.peak / 2**20:,.0f}, {measured / 2**20:,.0f} MiB, {error:+.1%}"
        )
    report = {
        "machine": asdict(this_machine()),
        "largest_error": max(abs(r["error"]) for r in rows),
        "cases": rows,
    }
    arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
