"""MegaFace on real people: faces of one data set among those of another, filled up with drawn ones to a million.

Embeds the distractors, draws further ones from the normal distribution with their mean and covariance (one a person,
scaled to unit length) into a ``.npy``, and then runs ``lineament evaluate megaface`` as a user would. Drawn vectors
have no twins, no copies and no wrong labels, so figures beyond the real distractors are those of the model of the
draw; ``check`` in the report says how far the tails of both kinds lie apart.

    python -m benchmarks.megaface --probes train_celeba112.zip --distractors train_bollywood64.zip \
        --json reports/megaface-celeba-bollywood.json
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.calibration_honesty import drawn
from lineament.core.arrays import FloatArray
from lineament.evaluation.megaface_probes import probes_of_folder
from lineament.evaluation.own import Measured
from lineament.evaluation.sets import PictureSource
from lineament.evaluation.systems import product_of
from lineament.evaluation.vectors import blocks, embed_pictures
from lineament.pipeline import Engine
from lineament.zoo.options import FetchOptions
from lineament.zoo.profiles import find_profile

MILLION = 1_000_000
CHUNK = 10_000
SEED = 11
TAIL_RATES = (1e-3, 1e-4, 1e-5)


def measured_by(profile: str) -> Measured:
    """The profile as ``lineament evaluate megaface`` runs it, with the same cache."""
    known = find_profile(profile)
    folder = FetchOptions.from_environment().cache / "embeddings"
    return product_of(known, Engine.from_profile(known), folder)


def write_drawn(path: Path, like: FloatArray, count: int) -> None:
    """``count`` drawn unit vectors as a ``.npy``, a chunk in memory at a time."""
    rng = np.random.default_rng(SEED)
    rows = np.lib.format.open_memmap(path, "w+", np.float32, (count, like.shape[1]))
    for start in range(0, count, CHUNK):
        rows[start : start + CHUNK] = drawn(min(CHUNK, count - start), like, rng)
    rows.flush()


def tails(probes: FloatArray, real: FloatArray, path: Path) -> list[dict[str, float]]:
    """Similarities of probes with as many drawn as real distractors, at the same small rates."""
    made = np.load(path, mmap_mode="r")[: len(real)]
    found = []
    for rate in TAIL_RATES:
        real_at, drawn_at = (
            float(np.quantile(probes @ part.T, 1 - rate)) for part in (real, np.asarray(made))
        )
        found.append({"rate": rate, "real": real_at, "drawn": drawn_at})
    return found


def main() -> None:
    arguments = _arguments()
    measured = measured_by(arguments.profile)
    with TemporaryDirectory(prefix="megaface-") as work:
        folder = Path(work)
        with PictureSource(arguments.probes) as source:
            probes, used = probes_of_folder(source, measured.acquisition, measured.space)
        with PictureSource(arguments.distractors) as source:
            kept = folder / "real.f4"
            part = embed_pictures(source, measured.acquisition, measured.space, kept, used)
        real = np.concatenate(list(blocks([part])))
        path = folder / "drawn.npy"
        write_drawn(path, real, arguments.largest - len(real))
        report = folder / "report.json"
        command = [
            *(sys.executable, "-m", "lineament", "evaluate", "megaface", arguments.probes, arguments.distractors, path),
            *("--profile", arguments.profile, "--report", report, "--plot", arguments.json.with_suffix(".png")),
        ]  # fmt: skip
        subprocess.run(list(map(str, command)), check=True)
        document: dict[str, Any] = {
            "definition": __doc__,
            "drawn": arguments.largest - len(real),
            "seed_of_draw": SEED,
            "check": tails(probes.vectors, real, path),
            "report": json.loads(report.read_text(encoding="utf-8")),
        }
    arguments.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.megaface", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--probes", type=Path, required=True, help="folder or zip, person/photo.jpg")
    parser.add_argument("--distractors", type=Path, required=True, help="folder or zip of other people")
    parser.add_argument("--profile", default="mobile")
    parser.add_argument("--largest", type=int, default=MILLION, help="distractors, real and drawn together")
    parser.add_argument("--json", type=Path, required=True, help="report to write; a picture goes beside it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
