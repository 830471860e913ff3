"""How long measuring takes: error rates of many scores, probes against distractors, and LFW View 2 as a whole."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.distractors import DIMENSION
from benchmarks.figures import Figure, summary
from benchmarks.systems import models
from lineament.evaluation.protocols import verify_aligned
from lineament.metrics.verification import auc, eer, fnmr_at_fmr
from lineament.zoo.session import Runtime

ROOT = Path(__file__).resolve().parents[1]
FULL_SCORES, FULL_DISTRACTORS = 100_000_000, 1_000_000
SCORES, DISTRACTORS, PROBES = 10_000_000, 100_000, 1000
QUICK_SCORES, QUICK_DISTRACTORS, QUICK_PROBES = 100_000, 2000, 50
MATED_SHARE = 0.01
FMR = 1e-3
SCORES_BAR_S = 20.0
DISTRACTORS_BAR_S = 120.0
DISTRACTORS_BAR_MB = 3 * 1024.0
LFW_BAR_S = 60.0
LFW_MODEL = "mobilefacenet"


def evaluation(quick: bool, million: bool) -> Iterator[Figure]:
    """Each figure from one run: nothing is loaded that a second one would find warm.

    Args:
        quick: small sizes, without LFW.
        million: the sizes that have a bar: 100 million scores, a million distractors.
    """
    if quick:
        yield from scores(QUICK_SCORES)
        yield from distractors(QUICK_DISTRACTORS, QUICK_PROBES)
        return
    yield from scores(FULL_SCORES if million else SCORES)
    yield from distractors(FULL_DISTRACTORS if million else DISTRACTORS, PROBES)
    yield from lfw()


def scores(count: int) -> Iterator[Figure]:
    """FNMR at FMR, EER and AUC of drawn scores, one in a hundred of them mated."""
    rng = np.random.default_rng(0)
    n_mated = round(MATED_SHARE * count)
    mated, nonmated = rng.normal(0.6, 0.15, n_mated), rng.normal(0.0, 0.15, count - n_mated)
    stage = f"evaluation, rates of {count:,} scores"
    works: dict[str, Callable[[], float]] = {
        f"FNMR at FMR {FMR:g}": lambda: fnmr_at_fmr(mated, nonmated, FMR).fnmr,
        "EER": lambda: eer(mated, nonmated),
        "AUC": lambda: auc(mated, nonmated),
    }
    total = 0.0
    for name, work in works.items():
        began = time.perf_counter()
        value = work()
        seconds = time.perf_counter() - began
        total += seconds
        yield summary([seconds], stage, name, "s", items=count, note=f"{value:.6f}")
    bar = SCORES_BAR_S if count == FULL_SCORES else None
    yield summary([total], stage, "all three", "s", items=count, bar=bar)


def distractors(count: int, probes: int) -> Iterator[Figure]:
    """The MegaFace protocol, exact, in a new process; drawing the vectors does not count."""
    command = [sys.executable, "-m", "benchmarks.distractors", str(count), str(probes)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    full = count == FULL_DISTRACTORS
    stage = f"evaluation, MegaFace {count:,} distractors x {probes:,} probes x {DIMENSION}"
    yield summary(
        [found["seconds"]],
        stage,
        "exact, time",
        "s",
        items=found["n_nonmated"],
        bar=DISTRACTORS_BAR_S if full else None,
        note=f"rank-1 {found['rank1']:.4f}, TAR {found['tar']:.4f} at FAR {found['far']:g}",
    )
    yield summary(
        [found["peak_mb"]], stage, "exact, peak memory", "MB", bar=DISTRACTORS_BAR_MB if full else None
    )


def lfw() -> Iterator[Figure]:
    """LFW View 2 from its crops to the report with intervals, where the data and the weights are here."""
    data = Path(os.environ.get("LINEAMENT_SHARED", ROOT.parent / "shared")) / "data" / "lfw_aligned112"
    if not data.is_dir() or LFW_MODEL not in models("embedding"):
        return
    runtime = Runtime("auto").resolved()
    began = time.perf_counter()
    report = verify_aligned(data, LFW_MODEL, runtime).report
    seconds = time.perf_counter() - began
    accuracy = f", accuracy {report.folds.accuracy:.4f}" if report.folds else ""
    yield summary(
        [seconds],
        "evaluation, LFW View 2 from crops",
        f"{LFW_MODEL}, {runtime.backend} {runtime.precision}",
        "s",
        items=report.n_samples,
        bar=LFW_BAR_S,
        note=f"everything included; embedding {report.wall_s:.1f} s{accuracy}",
    )
