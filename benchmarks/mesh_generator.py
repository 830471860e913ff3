"""How many faces a second one core puts under a mesh, for each family: fast enough to be an augmentation?

python -m benchmarks.mesh_generator --json reports/mesh-generator.json

CPU time of the process, so that other work on the machine counts little. "mesh" lays a mesh over an aligned crop of
112 px, "issue" also blurs it and stores it as JPEG, "portrait" frames a photo of 250 px and issues it at 178 x 220 px.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from lineament.curation.mesh_records import RANGES
from lineament.evaluation.machine import this_machine
from lineament.imaging.mesh import FAMILIES, Family, Mesh, add_mesh
from lineament.imaging.portrait import IssueRanges, Layout, draw_issuance, issue_photo
from lineament.testing import DrawnFace, draw_face

BAR = 300.0
"""Faces a second and core that the mesh alone must reach at 112 px."""
BATCHES = 9


@dataclass(frozen=True, slots=True)
class Speed:
    """One measured speed.

    Attributes:
        family: of the meshes.
        ranges: of their parameters, by name.
        work: "mesh", "issue" or "portrait".
        per_second: faces a second of CPU time, median over batches.
        slowest: the same of the slowest batch.
        bar: the least that is asked for; None without one.
    """

    family: str
    ranges: str
    work: str
    per_second: float
    slowest: float
    bar: float | None


def speeds(faces: int) -> list[Speed]:
    """All of them.

    Args:
        faces: in each of the batches.
    """
    crop, photo = draw_face(112, 1), draw_face(250, 1)
    found = []
    for family in FAMILIES:
        for ranges in RANGES:
            works: dict[str, Callable[[int], object]] = {
                "mesh": _meshed(crop, family, ranges),
                "issue": _issued(crop, family, ranges, "as-is"),
                "portrait": _issued(photo, family, ranges, "portrait"),
            }
            for name, work in works.items():
                rates = [_rate(work, batch * faces, faces) for batch in range(BATCHES + 1)][1:]
                bar = BAR if name == "mesh" else None
                found.append(Speed(family, ranges, name, float(np.median(rates)), min(rates), bar))
    return found


def _meshed(face: DrawnFace, family: Family, ranges: str) -> Callable[[int], object]:
    return lambda seed: add_mesh(face.pixels, Mesh(family=family, seed=seed, ranges=RANGES[ranges]))


def _issued(face: DrawnFace, family: Family, ranges: str, layout: Layout) -> Callable[[int], object]:
    drawn = IssueRanges(families=(family,), mesh=RANGES[ranges], layout=layout)

    def issue(seed: int) -> object:
        return issue_photo(face.pixels, draw_issuance(drawn, (seed,), face.pixels.shape, face.points))

    return issue


def _rate(work: Callable[[int], object], first: int, faces: int) -> float:
    began = time.process_time()
    for seed in range(first, first + faces):
        work(seed)
    return faces / (time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of drawn meshes")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--faces", type=int, default=60, help="in each of nine batches")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    found = speeds(arguments.faces)
    print(f"{'family':10} {'ranges':8} {'work':9} {'faces/s':>8} {'slowest':>8}  bar")
    for speed in found:
        met = "" if speed.bar is None else "met" if speed.slowest >= speed.bar else "MISSED"
        print(
            f"{speed.family:10} {speed.ranges:8} {speed.work:9} {speed.per_second:8.0f} {speed.slowest:8.0f}  {met}"
        )
    report = {"machine": asdict(this_machine()), "bar": BAR, "speeds": [asdict(speed) for speed in found]}
    arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
