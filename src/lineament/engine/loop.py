"""The training loop, in the order it runs."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from lineament.core.errors import ConfigError, TrainingError
from lineament.engine.allocator import freed_memory_kept
from lineament.engine.card import environment, versions, write_card
from lineament.engine.checkpoint import CheckpointFolder, read_state, read_tensors
from lineament.engine.config import LoopConfig, differences, digest, resolved
from lineament.engine.distributed import broadcast_object, process_group
from lineament.engine.log import RunLog
from lineament.engine.prefetch import Prefetcher
from lineament.engine.task import Task, WithBatchSize, WithFacts, WithPictures
from lineament.engine.trained import Trained, prepare
from lineament.engine.watch import LossWatch, stop_requests


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a call of :func:`fit` came to.

    Attributes:
        step: steps done, those of earlier parts included.
        finished: whether those are all; False when SIGTERM or Ctrl-C stopped the run: resume it.
        measures: last ones; empty when nothing was measured.
        checkpoint: the last one.
        best: the one with the best measure, if the settings name a measure.
        best_measures: its measures.
        seconds: wall time of all parts.
    """

    step: int
    finished: bool
    measures: Mapping[str, float]
    checkpoint: Path
    best: Path | None
    best_measures: Mapping[str, float]
    seconds: float


@dataclass(slots=True)
class _Progress:
    """What a run knows about itself, beside the weights."""

    watch: LossWatch
    step: int = 0
    measures: dict[str, float] = field(default_factory=dict)
    best_step: int | None = None
    best_measures: dict[str, float] = field(default_factory=dict)
    seconds_before: float = 0.0


def fit(task: Task, config: LoopConfig, out: Path, *, resume: bool) -> RunResult:
    """Train a task. Under torchrun every rank calls this with the same settings and folder.

    At the end the task's modules are in evaluation mode and hold the weights that were measured: the running
    mean if there is one, else the last ones.

    Args:
        task: what is trained; see :class:`Task`. Random numbers in its loss come from torch's default generator.
        config: settings.
        out: folder of the run: ``checkpoints/``, ``events/`` (TensorBoard), ``log.jsonl``, ``card.json``,
            ``card.md``, ``loss.png``.
        resume: go on from the newest sound checkpoint in ``out``, or begin when there is none. One killed and
            resumed run on one thread of a processor gives the same weights, bit for bit, as an uninterrupted one.

    Raises:
        ConfigError: ``out`` holds another run; settings or data differ from those of the run to resume (all
            differences are listed); no such device.
        TrainingError: the loss diverged, a checkpoint cannot be read or written; gives the step and the last
            checkpoint.
    """
    with (
        process_group(config.device) as ranks,
        _threads(config.threads),
        freed_memory_kept(),
        stop_requests() as stop,
    ):
        trained = prepare(task.modules, config, ranks)
        checkpoints = CheckpointFolder(out / "checkpoints", config.keep)
        progress = _begin(task, trained, checkpoints, resume=resume)
        images = (
            task.batch_size * config.accumulate * ranks.world if isinstance(task, WithBatchSize) else None
        )
        with RunLog(out, progress.step, config, images=images, active=ranks.rank == 0) as log:
            _train(task, trained, progress, checkpoints, log, stop)
            seconds = progress.seconds_before + log.seconds
        trained.finish()
        result = _result(progress, checkpoints, config, seconds)
        if ranks.rank == 0:
            _write_card(out, result, trained)
        return result


def _train(
    task: Task,
    trained: Trained,
    progress: _Progress,
    checkpoints: CheckpointFolder,
    log: RunLog,
    stop: threading.Event,
) -> None:
    """The loop itself, from the steps done so far to the last one or until somebody wants it to stop."""
    config = trained.config
    k = config.accumulate  # batches of one step
    first, last = progress.step * k, config.steps * k
    if isinstance(task, WithPictures) and trained.ranks.rank == 0 and first < last:
        log.pictures(task.pictures(task.batch(first)))
    depth, workers = config.prefetch_depth, config.prefetch_workers
    with Prefetcher(task.batch, first, last, depth=depth, workers=workers) as batches:
        finished = stopped = progress.step == config.steps
        while not (finished or stopped):
            learning_rate = trained.begin(progress.step)
            losses = [trained.backward(task, next(batches)) for _ in range(k)]
            own = torch.stack([loss.total for loss in losses]).mean()
            loss, norm, stopped = trained.update(own, stop.is_set())
            _check(progress, checkpoints, trained, loss, norm)
            if trained.mean is not None:
                trained.mean.update(progress.step)
            progress.step += 1
            log.step(progress.step, loss, norm, learning_rate, losses[-1])

            finished = progress.step == config.steps
            is_best = False
            if finished or (config.measure_every and progress.step % config.measure_every == 0):
                is_best = _measure(task, trained, progress, log)
            if finished or stopped or is_best or progress.step % config.checkpoint_every == 0:
                _save(task, trained, progress, checkpoints, log.seconds)
                log.go_on()


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _facts(task: Task) -> dict[str, Any]:
    return dict(task.facts()) if isinstance(task, WithFacts) else {}


def _everywhere(value: Any, trained: Trained) -> Any:
    """Rank zero's value."""
    return broadcast_object(value) if trained.ranks.world > 1 else value


def _begin(task: Task, trained: Trained, checkpoints: CheckpointFolder, *, resume: bool) -> _Progress:
    """Progress of a new run, or of the one to resume, whose weights are loaded."""
    config = trained.config
    there = _everywhere(checkpoints.steps(), trained)
    if there and not resume:
        raise ConfigError(
            f"{checkpoints.folder} holds a run of {there[-1]} steps: resume it or choose another folder"
        )
    if not there:
        return _Progress(LossWatch(config.diverged_at))
    newest = _everywhere(checkpoints.newest() if trained.ranks.rank == 0 else None, trained)
    if newest is None:
        raise TrainingError(
            f"all {len(there)} checkpoints in {checkpoints.folder} are damaged: begin another run"
        )
    path, state = newest
    facts = {"facts": _facts(task)}
    changed = differences(state["config"] | {"facts": state["facts"]}, resolved(config) | facts)
    if changed:
        raise ConfigError(
            f"{path} was trained with other settings or data; set them back or begin another run: "
            + "; ".join(changed)
        )
    if state["step"] > config.steps:
        raise ConfigError(
            f"{path} is {state['step']} steps long, steps is {config.steps}: ask for as many or more"
        )
    trained.restore(read_tensors(path, state))
    trained.scaler.load_state_dict(state["scaler"])
    told = state["progress"]
    return _Progress(
        LossWatch(config.diverged_at, told["losses"], told["skipped"]),
        state["step"],
        told["measures"],
        told["best_step"],
        told["best_measures"],
        told["seconds"],
    )


def _check(
    progress: _Progress, checkpoints: CheckpointFolder, trained: Trained, loss: float, norm: float
) -> None:
    fault = progress.watch.fault(loss, norm, may_skip=trained.scaler.is_enabled())
    if fault is not None:
        steps = checkpoints.steps()
        last = checkpoints.path(steps[-1]) if steps else "none"
        raise TrainingError(
            f"step {progress.step}: training diverged: {fault}; last good checkpoint: {last}. "
            f"Try a lower learning rate, a longer warm-up, clip_norm, or precision bf16 or f32"
        )


def _measure(task: Task, trained: Trained, progress: _Progress, log: RunLog) -> bool:
    """Measure on rank zero; whether it is the best so far."""
    measures: dict[str, float] = {}
    if trained.ranks.rank == 0:
        with trained.measured():
            measures = {name: float(value) for name, value in task.measure().items()}
    progress.measures = _everywhere(measures, trained)
    log.measures(progress.step, progress.measures)
    log.go_on()
    best = trained.config.best
    if not best:
        return False
    if best not in progress.measures:
        raise ConfigError(
            f"best must be one of the measures ({', '.join(progress.measures) or 'none'}), got {best!r}"
        )
    sign = 1 if trained.config.best_is == "highest" else -1
    if progress.best_step is None or sign * progress.measures[best] > sign * progress.best_measures[best]:
        progress.best_step, progress.best_measures = progress.step, progress.measures
        return True
    return False


def _save(
    task: Task, trained: Trained, progress: _Progress, checkpoints: CheckpointFolder, seconds: float
) -> None:
    tensors = trained.tensors()
    if trained.ranks.rank != 0:
        return
    config = resolved(trained.config)
    state = {
        "config": config,
        "config_digest": digest(config),
        "facts": _facts(task),
        "ranks": trained.ranks.world,
        "versions": versions(),
        "scaler": trained.scaler.state_dict(),
        "progress": {
            "losses": progress.watch.losses,
            "skipped": progress.watch.skipped,
            "measures": progress.measures,
            "best_step": progress.best_step,
            "best_measures": progress.best_measures,
            "seconds": progress.seconds_before + seconds,
        },
    }
    checkpoints.save(progress.step, tensors, state, best=progress.best_step)


def _result(
    progress: _Progress, checkpoints: CheckpointFolder, config: LoopConfig, seconds: float
) -> RunResult:
    return RunResult(
        step=progress.step,
        finished=progress.step == config.steps,
        measures=progress.measures,
        checkpoint=checkpoints.path(progress.step),
        best=None if progress.best_step is None else checkpoints.path(progress.best_step),
        best_measures=progress.best_measures,
        seconds=seconds,
    )


def _write_card(out: Path, result: RunResult, trained: Trained) -> None:
    run = {
        "result": {
            "steps": result.step,
            "finished": result.finished,
            "wall_time_s": round(result.seconds, 3),
            "checkpoint": result.checkpoint.name,
            "best": None if result.best is None else result.best.name,
            "best_measures": dict(result.best_measures),
        },
        "environment": environment(trained.config.device, trained.ranks.world),
    }
    write_card(out, read_state(result.checkpoint), run)
