"""Do the rules of FDDB and WIDER FACE give what their own tools give? Checked on what is published with them.

**FDDB**: the detections of an MTCNN that were handed in, and the two curves that the published tool made of them. The
pictures are not needed but for their sizes, and stand here as 450 x 450 px, the longest side in the set: faces that
are cut off at a shorter edge overlap a little less than on the real picture, some faces of 5,171.

**WIDER FACE**: the annotations of the validation set as if they were detections. Two annotated faces cannot be found
by any detector under the tool's rules: ``impossible`` lists them. One repeats the box of another face, so that its
detection is a second one of that face, which stays a proposal and so counts as false; one has a negative width and
overlaps nothing, itself included. Both are what the tool's own rules give (the first of equal overlaps is taken, a
further detection of a found face stays a proposal); so with them no average precision is 1, and without them each is.

    python -m benchmarks.detection_protocols eval_gt --json reports/detection-protocols.json
"""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from lineament.core.arrays import FloatArray
from lineament.evaluation.boxlists import ScoredBoxes
from lineament.evaluation.fddb import fddb_curves, read_fddb_detections, read_fddb_labels
from lineament.evaluation.widerface import WiderLabels, read_wider_labels, wider_result
from lineament.metrics.fddb import fddb_rate_at
from lineament.metrics.widerface import iou_inclusive

LONGEST_PX = 450
FALSE_POSITIVES = (10, 50, 100, 200)
FDDB_LIMIT_FACES = 4
OFFICIAL_FACES = (7211, 13_319, 31_958)
"""Faces of the three lists of the validation set: easy, medium, hard."""


def fddb(folder: Path) -> dict[str, Any]:
    """Both curves beside the published ones, point by point."""
    labels, example = read_fddb_labels(folder), folder / "example_mtcnn"
    found = read_fddb_detections(sorted(example.glob("fold-*-out.txt")))
    curves = fddb_curves(labels, found, {label.name: (LONGEST_PX, LONGEST_PX) for label in labels})
    # The tool lists the lowest threshold first, and ends with a point at which nothing is detected.
    discrete, continuous = (np.loadtxt(example / f"MTCNN{kind}ROC.txt")[-2::-1] for kind in ("Disc", "Cont"))
    n_faces = sum(len(label.ellipses) for label in labels)
    apart = float(np.abs(curves.discrete - discrete[:, 0]).max()) * n_faces
    return {
        "pictures": len(labels),
        "faces": n_faces,
        "points": len(curves.thresholds),
        "same_thresholds": bool(np.allclose(curves.thresholds, discrete[:, 2], rtol=1e-5)),
        "largest_difference_discrete_faces": apart,
        "largest_difference_continuous": float(np.abs(curves.continuous - continuous[:, 0]).max()),
        "largest_difference_false_positives": int(np.abs(curves.false_positives - discrete[:, 1]).max()),
        "at_false_positives": [
            {
                "false_positives": count,
                "discrete": fddb_rate_at(curves.discrete, curves, count),
                "discrete_published": float(discrete[discrete[:, 1] <= count, 0].max()),
                "continuous": fddb_rate_at(curves.continuous, curves, count),
                "continuous_published": float(continuous[continuous[:, 1] <= count, 0].max()),
            }
            for count in FALSE_POSITIVES
        ],
        "reproduced": apart <= FDDB_LIMIT_FACES,
    }


def as_detections(labels: list[WiderLabels]) -> dict[str, ScoredBoxes]:
    return {label.name: ScoredBoxes(label.boxes, np.ones(len(label.boxes), np.float32)) for label in labels}


def impossible_faces(label: WiderLabels) -> dict[int, str]:
    """Rows of faces that their own box does not find, and why."""
    if not len(label.boxes):
        return {}
    overlaps = iou_inclusive(label.boxes, label.boxes)
    found = {}
    for row in np.flatnonzero(overlaps.argmax(axis=1) != np.arange(len(label.boxes))).tolist():
        other = int(overlaps[row].argmax())
        same = overlaps[row, other] > 0
        found[row] = f"the box of face {other} once more" if same else "no pixel inside: overlaps nothing"
    return found


def without(label: WiderLabels, rows: dict[int, str]) -> WiderLabels:
    kept = ~np.isin(np.arange(len(label.boxes)), list(rows))
    return replace(
        label,
        boxes=label.boxes[kept],
        easy=label.easy[kept],
        medium=label.medium[kept],
        hard=label.hard[kept],
    )


def width_height(box: FloatArray) -> list[float]:
    """x, y, width, height as in the annotation."""
    x, y, right, bottom = box.tolist()
    return [x, y, right - x, bottom - y]


def wider(folder: Path) -> dict[str, Any]:
    """Average precision of the annotations against themselves."""
    labels = list(read_wider_labels(folder))
    bad = {label.name: impossible_faces(label) for label in labels}
    cleaned = [without(label, bad[label.name]) for label in labels]
    whole, clean = (wider_result(part, as_detections(part)) for part in (labels, cleaned))
    return {
        "pictures": len(labels),
        "faces": sum(len(label.boxes) for label in labels),
        "as_published": asdict(whole),
        "official_counts": whole.n_faces == OFFICIAL_FACES,
        "impossible": [
            {
                "picture": label.name,
                "face": row,
                "xywh_px": width_height(label.boxes[row]),
                "why": why,
                "easy": bool(label.easy[row]),
                "medium": bool(label.medium[row]),
                "hard": bool(label.hard[row]),
            }
            for label in labels
            for row, why in bad[label.name].items()
        ],
        "without_the_impossible": asdict(clean),
        "exactly_one_without_them": (clean.easy, clean.medium, clean.hard) == (1.0, 1.0, 1.0),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.detection_protocols", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("data", type=Path, help="folder with fddb and widerface_val")
    parser.add_argument("--json", type=Path, help="report to write")
    arguments = parser.parse_args()
    report = {
        "definition": __doc__,
        "fddb": fddb(arguments.data / "fddb"),
        "widerface": wider(arguments.data / "widerface_val"),
    }
    text = json.dumps(report, indent=1)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
