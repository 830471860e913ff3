"""Train an embedder from a configuration, and export what came out."""

from dataclasses import asdict
from pathlib import Path

from lineament.embedding.training.build import open_task
from lineament.embedding.training.config import EmbeddingConfig
from lineament.embedding.training.export import export_embedder
from lineament.embedding.training.task import EmbeddingTask
from lineament.engine import RunResult, TrainedRun, fit_and_export, process_group
from lineament.engine.config import digest
from lineament.zoo.card import ExportCard
from lineament.zoo.manifest import Licence

EXPORT_CROPS = 16
"""Crops on which the exported network is compared with the trained one."""
MODEL_FOLDER = "model"


def train(config: EmbeddingConfig, out: Path) -> TrainedRun | None:
    """Train, or go on with what lies in ``out``; at the end export the best weights.

    Under torchrun every rank calls this with the same arguments; every rank but the first gives None.

    Args:
        config: what is trained, on what, how.
        out: folder of the run.

    Raises:
        ConfigError: settings that do not go together, or another run lies in ``out``.
        DataError: a pack cannot be read.
        ModelError: the weights to start from cannot be had, or the export does not agree with what was trained.
        TrainingError: the loss diverged, or a checkpoint cannot be read or written.
    """
    with process_group(config.loop.device) as ranks, open_task(config, ranks) as task:
        return fit_and_export(
            task,
            config.loop,
            ranks,
            out,
            lambda result: export_task(config, task, result, out / MODEL_FOLDER),
        )


def export_task(config: EmbeddingConfig, task: EmbeddingTask, result: RunResult, out: Path) -> Path:
    """Export the backbone of a task with its present weights; gives the folder.

    Args:
        config: of the run.
        task: with the weights to export.
        result: of the run.
        out: folder of the model.

    Raises:
        ModelError: the exported network does not agree with the trained one.
    """
    facts = task.facts()
    whose = f"{facts['subjects']:,} subjects" if facts["subjects"] else "people who are not named"
    card = ExportCard(
        name=config.name,
        summary=(
            f"{config.backbone.name or config.start.model}, {embedding_of(task)} numbers, trained with "
            f"{config.head.name or 'distillation'} for {result.step} steps of {config.data.batch} pictures."
        ),
        publisher=config.answers.publisher,
        licence=Licence(
            code=config.answers.code_licence,
            weights=config.answers.weights_licence,
            data=config.answers.data_licence,
            commercial_use=config.answers.commercial_use,
        ),
        data=f"{facts['pictures']:,} pictures of {whose}, pack digest {facts['pack']}",
        recipe=config.recipe,
        config_digest=config_digest(config),
        limits=config.answers.limits,
    )
    return export_embedder(task.modules["backbone"], out, card, config.crop, task.sample(EXPORT_CROPS)).folder


def config_digest(config: EmbeddingConfig) -> str:
    """First 16 hex digits of the SHA-256 of the resolved configuration without its paths."""
    settings = asdict(config)
    for name in ("pack", "held"):
        del settings["data"][name]
    settings["start"]["checkpoint"] = str(settings["start"]["checkpoint"] is not None)
    return digest(settings)[:16]


def embedding_of(task: EmbeddingTask) -> int:
    """Length of the features of a task's backbone."""
    return int(task.modules["backbone"].embedding)  # type: ignore[arg-type]
