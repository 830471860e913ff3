"""Train a mesh remover from a configuration, and export what came out."""

from pathlib import Path
from typing import cast

from lineament.demesh.training.build import config_digest, open_restoration
from lineament.demesh.training.config import RestorationConfig
from lineament.demesh.training.export import export_restorer
from lineament.demesh.training.task import RestorationTask
from lineament.engine import RunResult, TrainedRun, fit_and_export, process_group
from lineament.nets import Restorer
from lineament.zoo.card import ExportCard
from lineament.zoo.manifest import Licence

MODEL_FOLDER = "model"


def train_restorer(config: RestorationConfig, out: Path) -> TrainedRun | None:
    """Train, or go on with what lies in ``out``; at the end export the weights.

    Under torchrun every rank calls this with the same arguments; every rank but the first gives None.

    Args:
        config: what is trained, on what, how.
        out: folder of the run.

    Raises:
        ConfigError: settings that do not go together, or another run lies in ``out``.
        DataError: a pack cannot be read.
        ModelError: the recogniser cannot be had, or the export does not agree with what was trained.
        TrainingError: the loss diverged, or a checkpoint cannot be read or written.
    """
    with process_group(config.loop.device) as ranks, open_restoration(config, ranks) as task:
        return fit_and_export(
            task, config.loop, ranks, out, lambda result: _export(config, task, result, out / MODEL_FOLDER)
        )


def _export(config: RestorationConfig, task: RestorationTask, result: RunResult, out: Path) -> Path:
    """Export the restorer of a task with its present weights; gives the folder."""
    facts = task.facts()
    net, loss = config.restorer, config.loss
    asked = f"pixels ({loss.pixel}, {1 + loss.on_mesh:g} under ink), mask {loss.mask:g}, features {loss.feature:g}"
    card = ExportCard(
        name=config.name,
        summary=(
            f"Restorer of portraits under a mesh: {net.name} of width {net.width}, loss of {asked}, "
            f"{result.step} steps of {config.data.batch} pictures."
        ),
        publisher="not named",
        licence=Licence(
            code="Apache-2.0",
            weights="not decided by its trainer",
            data="not stated by its trainer",
            commercial_use=False,
        ),
        data=f"{facts['pictures']:,} aligned crops, pack digest {facts['pack']}",
        recipe=config.recipe,
        config_digest=config_digest(config),
        limits=("Measured on the held people of its training at most; measure it before use.",),
    )
    restorer = cast("Restorer", task.modules["restorer"])
    return export_restorer(restorer, out, card, {}, task.batch(0).pixels[:4])
