"""Which clean pictures a mesh remover would touch: counts by set, and a sheet of the surest mistakes to look at.

Stripes, fences, glasses, hats and brickwork look like lines; nothing here carries a mesh.

    python -m benchmarks.mesh_false_alarms --pictures lfw_view1_208 --pictures lmk_helen --pictures det_facemask \
        --json reports/mesh-false-alarms.json --sheet runs/false-alarms.jpg

The sheet shows pictures of the sets: keep it as you keep them.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lineament.core.arrays import ImageArray
from lineament.core.errors import InputError
from lineament.demesh import MeshGate, load_mesh_gate
from lineament.evaluation.machine import this_machine
from lineament.evaluation.sets import PictureSource
from lineament.imaging import decode_image, encode_jpeg
from lineament.imaging.formats import SUFFIXES
from lineament.metrics.binomial import clopper_pearson
from lineament.zoo.files import write_atomic

RATE = 1e-3
SHOWN, COLUMNS, TILE_PX = 40, 10, 140


def main() -> None:
    parser = argparse.ArgumentParser(description="Clean pictures that would be touched")
    parser.add_argument(
        "--pictures", type=Path, action="append", required=True, help="folder with zips, or a folder"
    )
    parser.add_argument("--remover", default="demesh")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    gate = load_mesh_gate(arguments.remover, RATE)
    rows: list[dict[str, Any]] = []
    surest: list[tuple[float, ImageArray, ImageArray]] = []
    for folder in arguments.pictures:
        found = list(scored(gate, folder))
        touched = sum(score >= gate.threshold for score, *_ in found)
        around = clopper_pearson(touched, len(found))
        rows.append(
            {
                "set": folder.name,
                "pictures": len(found),
                "touched": touched,
                "interval95": [around.low, around.high],
                "highest": max(score for score, *_ in found),
            }
        )
        print(rows[-1], flush=True)
        surest = sorted([*surest, *found], key=lambda one: -one[0])[:SHOWN]
    report: dict[str, Any] = {"machine": asdict(this_machine()), "remover": gate.id, "record": gate.record}
    report |= {"rate": gate.rate, "threshold": gate.threshold, "sets": rows}
    arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if arguments.sheet:
        write_atomic(arguments.sheet, sheet([(before, after) for _, before, after in surest]))


def scored(gate: MeshGate, folder: Path) -> Iterator[tuple[float, ImageArray, ImageArray]]:
    """Score of each readable picture, and small versions of it before and after."""
    for source_of in sorted(folder.glob("*.zip")) or [folder]:
        with PictureSource(source_of) as source:
            for name in source.names():
                if not name.lower().endswith(tuple(SUFFIXES)):
                    continue
                try:
                    pixels = decode_image(source.read(name), name=name).pixels
                except InputError:
                    continue
                made = gate.restore(pixels)
                yield made.finding.score, _tile(pixels), _tile(made.pixels)


def sheet(pairs: list[tuple[ImageArray, ImageArray]]) -> bytes:
    """Pictures above what would become of them, as one JPEG."""
    tiles = [np.concatenate(pair) for pair in pairs]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % COLUMNS)
    rows = [np.concatenate(tiles[k : k + COLUMNS], axis=1) for k in range(0, len(tiles), COLUMNS)]
    return encode_jpeg(np.concatenate(rows), 85)


def _tile(pixels: ImageArray) -> ImageArray:
    return np.asarray(cv2.resize(pixels, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA), np.uint8)


if __name__ == "__main__":
    main()
