"""How much memory a run needs, before it starts: measured on its own first steps with small batches.

A model of every allocation was tried first (what torch's allocator hands out, two batch sizes, a straight line): it was
10 to 25 % low, because buffers of the convolution library and holes in the heap are not in it. So the run itself is
made, for three steps and two batch sizes, each in a process of its own, and a straight line is laid through the peaks.
"""

import multiprocessing
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from lineament.core.errors import ConfigError
from lineament.embedding.training.build import open_task
from lineament.embedding.training.config import EmbeddingConfig
from lineament.engine import Ranks, ScheduleConfig, fit
from lineament.packs import open_pack

SMALL_BATCH, LARGE_BATCH, HUGE_BATCH = 32, 96, 384
"""Large enough that activations, not the optimiser or the library's buffers, make the peak of the networks here.

The third is for thin networks, whose peak at the second is hardly more than at the first.
"""
Peak = tuple[int, int]
"""Pictures in a batch, and the peak of memory with it, bytes."""
_TOLD = 1.5
_STEPS = 3
_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """Memory of a run on one rank. Bytes; resident memory of the process, on a GPU what torch reserves there.

    Attributes:
        batch: pictures in a batch of the rank that was asked about.
        fixed: what does not depend on the batch: program, weights, gradients, optimiser, head.
        per_image: activations and pixels of each picture of a batch.
        crops: decoded crops that are kept in memory; 0 on a GPU, as they stay in the host's.
        limit: memory that may be used; 0 when it was not told.
        measured: batch and measured peak of the steps behind this plan.
    """

    batch: int
    fixed: int
    per_image: int
    crops: int
    limit: int
    measured: tuple[Peak, ...]

    @property
    def peak(self) -> int:
        """Largest memory of the run."""
        return self.peak_of(self.batch)

    @property
    def largest_batch(self) -> int:
        """Largest batch that fits in :attr:`limit`; 0 when none does."""
        return max(0, (self.limit - self.fixed - self.crops) // max(self.per_image, 1))

    def peak_of(self, batch: int) -> int:
        """Largest memory with another batch."""
        return self.fixed + self.crops + batch * self.per_image

    def to_json(self) -> dict[str, Any]:
        """All numbers, bytes."""
        return {
            "batch": self.batch,
            "peak_bytes": self.peak,
            "fixed_bytes": self.fixed,
            "bytes_per_image": self.per_image,
            "crops_bytes": self.crops,
            "limit_bytes": self.limit or None,
            "largest_batch": self.largest_batch if self.limit else None,
            "measured": [{"batch": batch, "peak_bytes": peak} for batch, peak in self.measured],
        }

    def text(self) -> str:
        """The plan for people."""
        lines = [
            f"batch {self.batch}: {self.peak / _MIB:,.0f} MiB at the peak",
            f"  {self.fixed / _MIB:,.0f} MiB program, weights, gradients, optimiser and head",
            f"  {self.batch * self.per_image / _MIB:,.0f} MiB activations, {self.per_image / _MIB:.2f} MiB a picture",
            f"  {self.crops / _MIB:,.0f} MiB crops kept in memory (data.in_memory)",
        ]
        if self.limit:
            fits = self.peak <= self.limit
            lines.append(
                f"{'fits' if fits else 'does not fit'} in {self.limit / _MIB:,.0f} MiB; "
                + (
                    f"the largest batch that does is {self.largest_batch}"
                    if self.largest_batch
                    else "no batch does"
                )
            )
        return "\n".join(lines)


def plan_run(config: EmbeddingConfig, limit: int = 0) -> MemoryPlan:
    """Measure the memory of first steps with two or three small batches, and what follows for the run's own batch.

    Args:
        config: the run.
        limit: memory that may be used, bytes; 0 asks for no largest batch.

    Raises:
        ConfigError: settings that do not go together, or a run whose first steps fail.
        DataError: the pack cannot be read or has faults.
    """
    device = config.loop.device
    with open_pack(config.data.pack, strict=True) as pack:
        is_kept = config.data.in_memory and device == "cpu"
        crops = len(pack) * config.crop.height_px**2 * 3 if is_kept else 0
    measured = two_peaks(lambda batch: _in_new_process(config, batch), lambda: _available(device))
    (small, low), (large, high) = measured
    per_image = max(0, round((high - low) / (large - small)))
    return MemoryPlan(
        batch=config.data.batch,
        fixed=low - small * per_image,
        per_image=per_image,
        crops=crops,
        limit=limit,
        measured=measured,
    )


def two_peaks(peak: Callable[[int], int], available: Callable[[], int]) -> tuple[Peak, Peak]:
    """Peaks of two batches that are far enough apart to tell a slope, and fit into memory.

    Args:
        peak: measures the peak of a batch, bytes.
        available: tells the memory that a run can have, bytes.

    Returns: a smaller batch and its peak, then a larger one.
    """
    low = peak(SMALL_BATCH)
    # Three times the first peak is more than the second batch can need.
    if 3 * low >= available():
        return (SMALL_BATCH // 2, peak(SMALL_BATCH // 2)), (SMALL_BATCH, low)
    high = peak(LARGE_BATCH)
    if high < _TOLD * low:  # hardly more than the program itself: a larger batch tells the slope
        return (LARGE_BATCH, high), (HUGE_BATCH, peak(HUGE_BATCH))
    return (SMALL_BATCH, low), (LARGE_BATCH, high)


def _in_new_process(config: EmbeddingConfig, batch: int) -> int:
    """:func:`peak_memory` in a process of its own, since the peak of a process never falls."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(peak_memory, config, batch).result()
        except BrokenProcessPool as error:
            raise ConfigError(
                f"a few steps with {batch} pictures ended the process, most likely for want of memory; choose a "
                "smaller network or crop"
            ) from error


def _available(device: str) -> int:
    """Memory that a new process can have, bytes: that of the GPU, else as Linux estimates it; 0 if nothing tells."""
    if device == "cuda":
        return torch.cuda.mem_get_info()[0]
    info = Path("/proc/meminfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 0)


def peak_memory(config: EmbeddingConfig, batch: int) -> int:
    """Peak memory, bytes, of a few steps of a run with another batch; to be asked in a new process.

    Args:
        config: the run.
        batch: pictures in a batch.

    Raises:
        ConfigError: settings that do not go together, or no Linux.
    """
    # Nothing but memory is asked, so the crops need not stay and subjects need no company.
    data = replace(config.data, batch=batch, subjects=0, held=None, in_memory=False)
    loop = replace(
        config.loop,
        steps=_STEPS,
        schedule=ScheduleConfig(),
        measure_every=0,
        checkpoint_every=_STEPS,
        best="",
    )
    short = replace(config, data=data, loop=loop)
    with tempfile.TemporaryDirectory(prefix="lineament-plan-") as folder, open_task(short, Ranks()) as task:
        fit(task, loop, Path(folder), resume=False)
    if config.loop.device == "cuda":
        return torch.cuda.max_memory_reserved()
    status = Path("/proc/self/status")
    if not status.is_file():
        raise ConfigError(
            "planning memory needs Linux, which tells the peak of a process in /proc/self/status"
        )
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
