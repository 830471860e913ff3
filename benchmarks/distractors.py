"""One MegaFace run on drawn unit vectors in a process of its own, for its time and its memory.

``python -m benchmarks.distractors COUNT PROBES`` prints, as JSON, the seconds of the comparison without those of the
drawing, the largest resident memory of the process, and rates at which to see that the run found what was drawn.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lineament.core.arrays import FloatArray
from lineament.metrics.megaface import megaface_rank_rate, megaface_run, megaface_tar_at_far

DIMENSION = 512
PHOTOS = 5
MATE_COSINE = 0.6
BLOCK = 4000
FAR = 1e-6


def unit(vectors: FloatArray) -> FloatArray:
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


class Drawn:
    """Blocks of unit vectors, and the time that drawing them took."""

    def __init__(self, count: int, rng: np.random.Generator) -> None:
        self.count, self.rng, self.seconds = count, rng, 0.0

    def __iter__(self) -> Iterator[FloatArray]:
        for start in range(0, self.count, BLOCK):
            began = time.perf_counter()
            rows = min(BLOCK, self.count - start)
            block = unit(self.rng.standard_normal((rows, DIMENSION), np.float32))
            self.seconds += time.perf_counter() - began
            yield block


def probes(
    count: int, rng: np.random.Generator
) -> tuple[FloatArray, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Photos of people, five of each, two of them at a cosine of 0.6 on average."""
    subjects = np.arange(count, dtype=np.int64) // PHOTOS
    people = unit(rng.standard_normal((int(subjects[-1]) + 1, DIMENSION), np.float32))
    noise = unit(rng.standard_normal((count, DIMENSION), np.float32))
    photos = np.float32(MATE_COSINE**0.5) * people[subjects] + np.float32((1 - MATE_COSINE) ** 0.5) * noise
    return unit(photos), subjects


def peak_mb() -> float:
    """Largest resident memory of this process so far."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Not ru_maxrss: on Linux it holds the peak of the parent, too.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**10
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    count, n_probes = map(int, sys.argv[1:])
    rng = np.random.default_rng(0)
    photos, subjects = probes(n_probes, rng)
    drawn = Drawn(count, rng)
    began = time.perf_counter()
    run = megaface_run(photos, subjects, drawn)
    seconds = time.perf_counter() - began - drawn.seconds
    far = max(FAR, 1 / run.n_nonmated)
    found = {
        "seconds": seconds,
        "peak_mb": peak_mb(),
        "n_nonmated": run.n_nonmated,
        "rank1": megaface_rank_rate(run, 1),
        "far": far,
        "tar": megaface_tar_at_far(run, far),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
