"""What a run writes while it goes: TensorBoard events, JSON lines, one line in the terminal."""

import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from lineament.core.errors import TrainingError
from lineament.engine.config import LoopConfig
from lineament.engine.task import StepLoss

if TYPE_CHECKING:
    from rich.progress import Progress

LOG_FILE = "log.jsonl"


def resident_bytes() -> int:
    """Memory of this process that is in RAM, in bytes; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file aside and put it in place, so that it is never there by halves.

    Raises:
        TrainingError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise TrainingError(f"{path} cannot be written: {error}") from error


def read_log(out: Path, last: int) -> list[dict[str, Any]]:
    """Lines of ``log.jsonl`` up to a step, oldest first.

    Each has ``step`` (steps done) and either ``loss`` (mean over the steps of this part of the run since the line
    before), ``parts``, ``learning_rate``, ``gradient_norm``, ``steps_per_s`` (of those since the last measure or
    checkpoint), ``images_per_s`` (all ranks; null when the task does not tell its batch size), ``memory_bytes`` and
    ``seconds`` (of this part of the run), or ``measures``.
    """
    path = out / LOG_FILE
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            line = json.loads(text)
        except ValueError:  # the end of a line that a killed run did not finish
            continue
        if line["step"] <= last:
            lines.append(line)
    return lines


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


class RunLog:
    """The log of one rank; only rank zero writes. A context manager.

    Args:
        out: folder of the run.
        first: steps done before; later lines of an interrupted part are dropped.
        config: settings.
        images: pictures in one step of all ranks; None when nobody tells.
        active: whether this rank writes.
    """

    def __init__(
        self, out: Path, first: int, config: LoopConfig, *, images: int | None, active: bool
    ) -> None:
        self._out = out
        self._first = first
        self._config = config
        self._images = images
        self._active = active
        self._losses: list[float] = []
        self._timed = 0
        self._begin = self._since = time.perf_counter()

    def __enter__(self) -> Self:
        if self._active:
            from tensorboardX import SummaryWriter

            kept = (json.dumps(line) + "\n" for line in read_log(self._out, self._first))
            write_whole(self._out / LOG_FILE, "".join(kept).encode())
            self._lines = (self._out / LOG_FILE).open("a", encoding="utf-8")
            self._events = SummaryWriter(str(self._out / "events"), purge_step=self._first + 1)
            self._progress = self._progress_line()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._active:
            self._lines.close()
            self._events.close()
            if self._progress is not None:
                self._progress.stop()

    def _progress_line(self) -> "Progress | None":
        if not sys.stderr.isatty():
            return None
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        progress = Progress(*columns, console=Console(stderr=True))
        progress.add_task("training", total=self._config.steps, completed=self._first)
        progress.start()
        return progress

    @property
    def seconds(self) -> float:
        """Wall time of this part of the run."""
        return time.perf_counter() - self._begin

    def step(
        self, done: int, loss: float, gradient_norm: float, learning_rate: float, last: StepLoss
    ) -> None:
        """Take note of a step; every ``log_every`` steps of it and those before are written.

        Args:
            done: steps done, this one included.
            loss: mean over the step and all ranks.
            gradient_norm: before clipping.
            learning_rate: base one.
            last: loss of the last batch of this rank, for its parts and histograms.
        """
        if not self._active:
            return
        self._losses.append(loss)
        self._timed += 1
        if done % self._config.log_every and done != self._config.steps:
            return
        speed = self._timed / max(time.perf_counter() - self._since, 1e-9)
        scalars = {
            "loss": float(np.mean(self._losses)),
            "learning_rate": learning_rate,
            "gradient_norm": gradient_norm,
            "steps_per_s": speed,
            "images_per_s": None if self._images is None else speed * self._images,
            "memory_bytes": resident_bytes(),
        }
        parts = {name: float(value) for name, value in last.parts.items()}
        for name, value in (scalars | {f"parts/{name}": value for name, value in parts.items()}).items():
            if value is not None and math.isfinite(value):
                self._events.add_scalar(name, value, done)
        for name, values in last.histograms.items():
            self._events.add_histogram(name, values.detach().float().cpu().numpy(), done)
        self._write(done, scalars | {"parts": parts, "seconds": self.seconds})
        if self._progress is not None:
            self._progress.update(
                self._progress.task_ids[0], completed=done, description=f"loss {scalars['loss']:.4g}"
            )
        self._losses.clear()
        self.go_on()

    def go_on(self) -> None:
        """Leave out of the speed whatever took time since the last step (a measure, a checkpoint)."""
        self._timed = 0
        self._since = time.perf_counter()

    def measures(self, done: int, measures: Mapping[str, float]) -> None:
        """Write measures after a number of steps."""
        if not self._active or not measures:
            return
        for name, value in measures.items():
            if math.isfinite(value):
                self._events.add_scalar(f"measures/{name}", value, done)
        self._write(done, {"measures": measures})

    def pictures(self, pictures: NDArray[np.uint8]) -> None:
        """Write up to 64 sample pictures, (N, H, W, 3) uint8 RGB, as one grid."""
        if self._active:
            self._events.add_images("batch", pictures[:64], self._first, dataformats="NHWC")

    def _write(self, done: int, line: Mapping[str, Any]) -> None:
        plain = {
            key: {k: _finite(v) for k, v in value.items()}
            if isinstance(value, Mapping)
            else (_finite(value) if isinstance(value, float) else value)
            for key, value in line.items()
        }
        try:
            self._lines.write(json.dumps({"step": done, **plain}) + "\n")
            self._lines.flush()
        except OSError as error:
            raise TrainingError(f"step {done}: {self._out / LOG_FILE} cannot be written: {error}") from error
