"""What a new process costs: start of the command line, resident memory."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Effort, Figure, summary
from benchmarks.systems import pictures, runtimes

COLD_BAR_S = 1.5
MEMORY_BAR_MB = 400.0
FMR = "0.01"
DECIDED = (0, 1)
"""Exit codes of a verification that came to a decision."""
MEMORY_PROGRAM = """
import os, sys
from pathlib import Path
from lineament.pipeline import FacePipeline
from lineament.imaging import read_image
from lineament.zoo.session import Runtime
pipeline = FacePipeline.from_profile("open", Runtime(sys.argv[1]))
import psutil
loaded = psutil.Process().memory_info().rss
pipeline.extract_many([read_image(p) for p in sys.argv[2:]])
print(loaded / 2**20, psutil.Process().memory_info().rss / 2**20)
"""


def cold(effort: Effort) -> Iterator[Figure]:
    """``lineament --version`` and ``lineament verify`` in new processes, files in the page cache."""
    yield _repeated(
        [sys.executable, "-m", "lineament", "--version"], "start, lineament --version", "", effort
    )
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "lineament", "verify", *_written(Path(folder)), "--fmr", FMR]
        for backend in _backends():
            yield _repeated(
                [*command, "--backend", backend],
                "start, load, verify two 1 MP JPEG, profile open",
                backend,
                effort,
                bar=COLD_BAR_S,
            )


def _repeated(
    command: list[str], stage: str, system: str, effort: Effort, bar: float | None = None
) -> Figure:
    seconds = []
    for _ in range(effort.processes + 1):
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds.append(time.perf_counter() - start)
        if done.returncode not in DECIDED:
            raise SystemExit(f"{stage}: exit code {done.returncode}: {done.stderr.strip()}")
    return summary(seconds[1:], stage, system, "s", bar=bar, note="new process each time")


def memory(effort: Effort) -> Iterator[Figure]:
    """Resident memory of a process that holds the open profile, before and after its first pictures."""
    with tempfile.TemporaryDirectory() as folder:
        files = _written(Path(folder))
        for backend in _backends():
            loaded, used = [], []
            for _ in range(max(1, effort.processes // 3)):
                command = [sys.executable, "-c", MEMORY_PROGRAM, backend, *files]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                before, after = map(float, done.stdout.split())
                loaded.append(before)
                used.append(after)
            yield summary(
                loaded, "resident memory, profile open", f"{backend}, loaded", "MB", bar=MEMORY_BAR_MB
            )
            yield summary(used, "resident memory, profile open", f"{backend}, after two 1 MP pictures", "MB",
                          bar=MEMORY_BAR_MB)  # fmt: skip


def _backends() -> list[str]:
    return list(dict.fromkeys(runtime.backend for _, runtime in runtimes()))


def _written(folder: Path) -> list[str]:
    paths = []
    for number, picture in enumerate(pictures()[0]):
        path = folder / f"{number}.jpg"
        path.write_bytes(picture.jpeg)
        paths.append(str(path))
    return paths
