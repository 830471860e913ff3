"""From a configuration to a task: packs opened, weights drawn or loaded, head and teacher in place."""

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lineament.core.arrays import FloatArray
from lineament.core.errors import ConfigError
from lineament.embedding.training.config import DataConfig, DistillationConfig, EmbeddingConfig
from lineament.embedding.training.data import CropSource
from lineament.embedding.training.heads import build_head
from lineament.embedding.training.start import started_backbone
from lineament.embedding.training.task import Batches, EmbeddingTask, HeldPeople
from lineament.embedding.training.verification import (
    fold_measures,
    measure_names,
    pair_scores,
    verification_measures,
)
from lineament.engine import BalancedSampler, LoopConfig, Ranks, Sampler, ShuffledSampler
from lineament.nets import build_backbone
from lineament.packs import UNKNOWN, FilePack, Pairs, open_pack, refuse_evaluation_sets
from lineament.packs.datasets import refuse_lfw


@contextmanager
def open_task(config: EmbeddingConfig, ranks: Ranks) -> Iterator[EmbeddingTask]:
    """The task of a configuration, on one rank; its packs are closed at the end.

    Args:
        config: what is trained, on what.
        ranks: this rank among the others.

    Raises:
        ConfigError: settings that do not go together, all of them listed, or that these packs cannot serve.
        DataError: a pack cannot be read, has faults, or is one of LFW.
        ModelError: the weights to start from cannot be had.
    """
    refuse_evaluation_sets(config.data.pack)
    if config.loop.best and config.data.held is None:
        raise ConfigError(
            f"loop.best is {config.loop.best!r}, but nothing is measured without data.held: name a held pack, or "
            "leave loop.best empty"
        )
    with open_pack(config.data.pack, strict=True) as pack:
        refuse_lfw(pack.names, config.data.pack)
        _check_subjects(config, pack)
        torch.manual_seed(config.loop.seed)
        backbone = _backbone(config)
        modules = nn.ModuleDict({"backbone": backbone})
        if config.head.name:
            modules["head"] = _head(config, len(pack.subjects), backbone)
        source = CropSource(pack, config.crop, config.data.in_memory)
        batches = Batches(
            source=source,
            sampler=_sampler(config.data, source.labels, config.loop.seed),
            augmentation=config.augmentation,
            seed=config.loop.seed,
            rank=ranks.rank,
            ranks=ranks.world,
            keep_clean=config.distillation is not None,
        )
        yield EmbeddingTask(
            modules,
            batches,
            config.crop,
            teacher=_teacher(config, backbone),
            held=_held(config) if ranks.rank == 0 else None,
            facts=_facts(config, pack),
            head_weight=config.head.weight,
        )


def _check_subjects(config: EmbeddingConfig, pack: FilePack) -> None:
    """Heads and batches by subject need to know whose every picture is."""
    n_unknown = int((pack.labels == UNKNOWN).sum())
    if n_unknown and (config.head.name or config.data.subjects):
        raise ConfigError(
            f"data.pack {config.data.pack}: {'head.name' if config.head.name else 'data.subjects'} needs the subject "
            f"of every picture, {n_unknown:,} of {len(pack):,} have none; leave those out, or train without labels "
            "(distillation, head.name and data.subjects unset)"
        )


def _backbone(config: EmbeddingConfig) -> nn.Module:
    try:
        drawn = (
            build_backbone(
                config.backbone.name, (config.crop.height_px, config.crop.width_px), config.backbone.embedding
            )
            if config.backbone.name
            else None
        )
    except ValueError as error:
        raise ConfigError(f"backbone: {error}") from error
    return started_backbone(config.start, drawn, config.crop)


def _head(config: EmbeddingConfig, subjects: int, backbone: nn.Module) -> nn.Module:
    dimension = int(backbone.embedding)  # type: ignore[arg-type]
    return build_head(config.head.name, dimension, subjects, **config.head.settings)


def _teacher(config: EmbeddingConfig, backbone: nn.Module) -> tuple[nn.Module, DistillationConfig] | None:
    """A frozen copy of the backbone as it starts."""
    if config.distillation is None:
        return None
    teacher = copy.deepcopy(backbone).eval().requires_grad_(False)
    return teacher, config.distillation


def _sampler(data: DataConfig, labels: NDArray[np.int64], seed: int) -> Sampler:
    if not data.subjects:
        return ShuffledSampler(len(labels), data.batch, seed)
    try:
        return BalancedSampler(labels, data.subjects, data.batch // data.subjects, seed)
    except ValueError as error:
        raise ConfigError(f"data.subjects: {error}") from error


def _held(config: EmbeddingConfig) -> HeldPeople | None:
    """The pairs of a verification pack; of another pack the first pictures, whole subjects in a fixed order."""
    data = config.data
    if data.held is None:
        return None
    with open_pack(data.held, strict=True) as pack:
        source = CropSource(pack, config.crop, in_memory=False)
        if pack.pairs is not None:
            pairs = pack.pairs
            n_mated = int(pairs.mated.sum())
            _check_measures(config, n_mated, len(pairs.mated) - n_mated)
            crops = np.stack([source.crop(index) for index in range(len(pack))])
            return HeldPeople(crops, lambda features: _of_pairs(features, pairs))
        order = np.random.default_rng(0).permutation(len(pack.subjects))
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        known = np.flatnonzero(source.labels != UNKNOWN)
        chosen = known[np.argsort(place[source.labels[known]], kind="stable")[: data.held_limit]]
        labels = source.labels[chosen]
        sizes = np.bincount(labels)
        n_mated = int((sizes * (sizes - 1) // 2).sum())
        _check_measures(config, n_mated, len(labels) * (len(labels) - 1) // 2 - n_mated)
        crops = np.stack([source.crop(int(index)) for index in chosen])
    return HeldPeople(crops, lambda features: _of_all(features, labels))


def _check_measures(config: EmbeddingConfig, n_mated: int, n_different: int) -> None:
    """Refuse at once what a measure would stumble over hours later."""
    held, best = config.data.held, config.loop.best
    if not n_mated or not n_different:
        raise ConfigError(
            f"data.held {held}: expected pictures of two subjects or more, one of them with two pictures, got "
            f"{n_mated:,} mated and {n_different:,} non-mated pairs; hold more people, or raise data.held_limit "
            f"({config.data.held_limit})"
        )
    known = measure_names(n_different)
    if best and best not in known:
        raise ConfigError(
            f"loop.best must be one of {', '.join(known)}, which the {n_different:,} non-mated pairs of data.held "
            f"{held} allow, got {best!r}; choose one of them, or hold more people"
        )


def _of_pairs(features: FloatArray, pairs: Pairs) -> dict[str, float]:
    scores = np.einsum("pd,pd->p", features[pairs.records[:, 0]], features[pairs.records[:, 1]])
    return dict(fold_measures(scores.astype(np.float64), pairs.mated))


def _of_all(features: FloatArray, labels: NDArray[np.int64]) -> dict[str, float]:
    return dict(verification_measures(*pair_scores(features, labels)))


def _facts(config: EmbeddingConfig, pack: FilePack) -> dict[str, str | int | float]:
    """Everything that must stay the same when a run goes on, beside the settings of the loop."""
    settings = asdict(replace(config, loop=LoopConfig(steps=1)))
    for name in ("loop", "answers", "recipe"):
        del settings[name]
    del settings["data"]["pack"], settings["data"]["held"], settings["data"]["in_memory"]
    flat: dict[str, str | int | float] = {
        "pack": pack.digest,
        "pictures": len(pack),
        "subjects": len(pack.subjects),
    }
    for group, values in settings.items():
        flat[group] = (
            json.dumps(values, sort_keys=True, default=str) if isinstance(values, dict) else str(values)
        )
    return flat
