"""``python -m benchmarks``: every stage, end to end, a new process, memory, search and evaluation.

python -m benchmarks --json reports/bench.json
python -m benchmarks --only embed,nets --quick
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import evaluation, processes, search, stages
from benchmarks.figures import FULL, QUICK, Effort, Figure, document, table
from benchmarks.systems import pictures, runtimes
from lineament.evaluation.machine import this_machine

STAGES: dict[str, Callable[[Effort], Iterator[Figure]]] = {
    "decode": stages.decode,
    "detect": stages.detect,
    "align": stages.crop,
    "embed": stages.embed,
    "nets": stages.nets,
    "verify": stages.verify,
    "cold": processes.cold,
    "memory": processes.memory,
}
SEARCH = "search"
EVALUATION = "evaluation"
SIZES = (10_000, 100_000)
MILLION = 1_000_000
PROBES = 4000
QUICK_SIZES = (2_000,)
QUICK_PROBES = 50


def main() -> None:
    arguments = _arguments()
    effort = QUICK if arguments.quick else FULL
    figures: list[Figure] = []
    galleries: list[dict[str, Any]] = []
    for name, stage in STAGES.items():
        if name in arguments.only:
            for figure in stage(effort):
                figures.append(figure)
                _tell(figure)
    if SEARCH in arguments.only:
        sizes = QUICK_SIZES if arguments.quick else (*SIZES, *((MILLION,) if arguments.million else ()))
        probes = QUICK_PROBES if arguments.quick else PROBES
        for figure, found in search.gallery(effort, sizes, probes):
            figures.append(figure)
            galleries += [found] if found else []
            _tell(figure)
    if EVALUATION in arguments.only:
        for figure in evaluation.evaluation(arguments.quick, arguments.million):
            figures.append(figure)
            _tell(figure)
    print(table(figures))
    if arguments.json:
        report = {
            "machine": asdict(this_machine()),
            "load_average": os.getloadavg()[0],
            "effort": asdict(effort),
            "runtimes": {label: asdict(runtime) for label, runtime in runtimes()},
            "pictures": pictures()[1],
            "figures": document(figures),
            "galleries": galleries,
        }
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        print(f"written to {arguments.json}")


def _arguments() -> argparse.Namespace:
    every = [*STAGES, SEARCH, EVALUATION]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Speed and memory of Lineament."
    )
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument(
        "--only", default=",".join(every), help=f"stages, comma separated: {', '.join(every)}"
    )
    parser.add_argument("--quick", action="store_true", help="few repetitions: only to see that it works")
    parser.add_argument(
        "--million",
        action="store_true",
        help="also search among a million templates; evaluate 100 million scores and a million distractors",
    )
    arguments = parser.parse_args()
    arguments.only = arguments.only.split(",")
    unknown = [name for name in arguments.only if name not in every]
    if unknown:
        parser.error(f"unknown stages {', '.join(unknown)}; there are {', '.join(every)}")
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
    return arguments


def _tell(figure: Figure) -> None:
    print(f"{figure.stage}, {figure.system}: {figure.median:.3g} {figure.unit}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
