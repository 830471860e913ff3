"""A whole run: train, or go on, and export what came out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lineament.engine.checkpoint import load_weights
from lineament.engine.config import LoopConfig
from lineament.engine.distributed import Ranks
from lineament.engine.loop import RunResult, fit
from lineament.engine.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedRun:
    """What a run came to.

    Attributes:
        result: steps, measures, checkpoints.
        model: folder of the exported model; None when the run was stopped before its end.
    """

    result: RunResult
    model: Path | None


def fit_and_export(
    task: Task, config: LoopConfig, ranks: Ranks, out: Path, export: Callable[[RunResult], Path]
) -> TrainedRun | None:
    """Train, or go on with what lies in ``out``; a finished run is exported with its best weights.

    Under torchrun every rank calls this with the same arguments; every rank but the first gives None.

    Args:
        task: what is trained.
        config: settings of the loop.
        ranks: this rank among the others.
        out: folder of the run.
        export: writes the model of the task's present weights and gives its folder.

    Raises:
        ConfigError: another run lies in ``out``.
        TrainingError: the loss diverged, or a checkpoint cannot be read or written.
    """
    result = fit(task, config, out, resume=True)
    if ranks.rank != 0:
        return None
    if not result.finished:
        return TrainedRun(result=result, model=None)
    if result.best is not None:
        load_weights(result.best, task.modules)
    return TrainedRun(result=result, model=export(result))
