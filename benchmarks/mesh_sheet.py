"""Forty seeded triples, under a mesh, restored, clean, of two photographs in the public domain.

Ten of each family, framed and issued as ID photos of 178 x 220 px; the patent's lines were never trained on. Both
photographs come out of package files.

    python -m benchmarks.mesh_sheet --remover demesh --out docs/pictures/mesh-removed.jpg
"""

import argparse
from pathlib import Path

import numpy as np

from benchmarks.mesh_pictures import sheet
from lineament.core.arrays import FloatArray, ImageArray
from lineament.core.errors import InputError
from lineament.core.types import Refusal
from lineament.demesh import load_remover
from lineament.evaluation.demo import demo_subjects
from lineament.imaging import decode_image
from lineament.imaging.mesh import FAMILIES
from lineament.imaging.portrait import IssueRanges, draw_issuance, issue_photo
from lineament.pipeline import FacePipeline
from lineament.zoo.files import write_atomic
from lineament.zoo.options import FetchOptions

TRIPLES = 40
SHOWN = slice(20, 200)
"""Rows of the portrait on the sheet: the head."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Before, after and clean")
    parser.add_argument("--remover", default="demesh")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    pipeline, remover = FacePipeline.from_profile("open"), load_remover(arguments.remover)
    photos: list[tuple[ImageArray, FloatArray]] = []
    for subject in demo_subjects(FetchOptions.from_environment()):
        face = pipeline.extract_one(subject.image)
        if isinstance(face, Refusal) or face.detection.points is None:
            raise InputError(f"no face was found in the photograph of {subject.name}")
        photos.append((subject.image.pixels, face.detection.points))
    before, after, clean = [], [], []
    for seed in range(TRIPLES):
        family = FAMILIES[seed * len(FAMILIES) // TRIPLES]
        pixels, points = photos[seed % len(photos)]
        ranges = IssueRanges(families=(family,), layout="portrait", jpeg_quality=(60, 95))
        issued = issue_photo(pixels, draw_issuance(ranges, (seed,), pixels.shape, points))
        before.append(decode_image(issued.image).pixels[SHOWN])
        after.append(remover.restore([decode_image(issued.image).pixels])[0].pixels[SHOWN])
        clean.append(issued.clean[SHOWN])
    write_atomic(arguments.out, sheet(np.stack(before), np.stack(after), np.stack(clean)))


if __name__ == "__main__":
    main()
