"""Weights to begin with: a model of the zoo, a checkpoint, or the ones that were drawn."""

import onnx
from torch import nn

from lineament.core.errors import ConfigError
from lineament.embedding.training.config import InputConfig, StartConfig
from lineament.engine import load_weights
from lineament.nets import OnnxModule, freeze
from lineament.zoo.licence import check_licence
from lineament.zoo.manifest import find_model
from lineament.zoo.store import ensure_weights


def started_backbone(start: StartConfig, drawn: nn.Module | None, crop: InputConfig) -> nn.Module:
    """The backbone with the weights that a run begins with, its first stages frozen as asked.

    Args:
        start: where weights come from.
        drawn: a backbone with fresh weights; None when the architecture is that of ``start.model``.
        crop: input of the run; it must be that of the model, since the weights know no other.

    Raises:
        ConfigError: input or architecture do not fit.
        ModelError: the model cannot be had.
        TrainingError: the checkpoint cannot be read or is of another backbone.
    """
    if start.model:
        if drawn is not None:
            raise ConfigError(
                f"start.model {start.model} brings its own network: leave backbone.name empty, or start from "
                "a checkpoint"
            )
        backbone: nn.Module = _zoo_network(start.model, crop)
    elif drawn is None:
        raise ConfigError("no network: set backbone.name, or start.model")
    else:
        backbone = drawn
        if start.checkpoint is not None:
            load_weights(start.checkpoint, nn.ModuleDict({"backbone": backbone}))
    if start.frozen:
        freeze(backbone, start.frozen)  # type: ignore[arg-type]
    return backbone


def _zoo_network(name: str, crop: InputConfig) -> OnnxModule:
    manifest = find_model(name, "embedding")
    check_licence(manifest)
    spec = manifest.input
    theirs = (spec.colour, spec.template, tuple(spec.mean), tuple(spec.std))
    ours = ("RGB", crop.template, tuple(crop.mean), tuple(crop.std))
    if theirs != ours or crop.width_px != crop.height_px:
        raise ConfigError(
            f"start.model {name} takes colour, template, mean and std {theirs}, the run's crop gives {ours}: set crop "
            "to the model's"
        )
    (file,) = ensure_weights(manifest).values()
    return OnnxModule(onnx.load(file.path))
