"""From a configuration to a task: crops read, restorer drawn, recogniser frozen, held pictures spoilt."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import numpy as np
import onnx
import torch
from torch import nn

from lineament.core.arrays import ImageArray
from lineament.core.errors import ConfigError, DataError, InputError
from lineament.demesh.training.config import (
    LossConfig,
    MeshConfig,
    RestorationConfig,
    RestorationData,
    RestorerConfig,
)
from lineament.demesh.training.spoil import Spoilt, spoil, stacked
from lineament.demesh.training.task import Portraits, Recogniser, RestorationTask
from lineament.engine import Ranks, ShuffledSampler, load_weights
from lineament.engine.config import digest
from lineament.geometry import ARCFACE_112
from lineament.imaging import decode_image
from lineament.nets import RESTORERS, OnnxModule, Restorer
from lineament.packs import FilePack, open_pack, refuse_evaluation_sets
from lineament.packs.datasets import refuse_lfw
from lineament.zoo.licence import check_licence
from lineament.zoo.manifest import find_model
from lineament.zoo.store import ensure_weights

_HELD_SEED = 2**31 - 1
"""Meshes of the held pictures are never those of a training step."""


@contextmanager
def open_restoration(config: RestorationConfig, ranks: Ranks) -> Iterator[RestorationTask]:
    """The task of a configuration, on one rank.

    Args:
        config: what is trained, on what.
        ranks: this rank among the others.

    Raises:
        ConfigError: settings that do not go together, or a pack that must not be trained on.
        DataError: a pack cannot be read, has faults, or is one of LFW.
        ModelError: the recogniser cannot be had.
    """
    refuse_evaluation_sets(config.data.pack)
    if config.restorer.name not in RESTORERS:
        raise ConfigError(
            f"restorer.name: no restorer is called {config.restorer.name!r}; there are {', '.join(RESTORERS)}"
        )
    _check_best(config)
    torch.manual_seed(config.loop.seed)
    restorer = _restorer(config.restorer)
    with open_pack(config.data.pack, strict=True) as pack:
        refuse_lfw(pack.names, config.data.pack)
        crops = read_crops(pack, np.arange(len(pack)))
        pack_digest = pack.digest
    portraits = Portraits(
        crops=crops,
        mesh=config.mesh,
        sampler=ShuffledSampler(len(crops), config.data.batch, config.loop.seed),
        seed=config.loop.seed,
        rank=ranks.rank,
        ranks=ranks.world,
    )
    held = _held(config.data, config.mesh) if ranks.rank == 0 else None
    yield RestorationTask(
        restorer,
        portraits,
        config.loss,
        recogniser=frozen_recogniser(config.loss) if config.loss.feature else None,
        held=held,
        facts=_facts(config, pack_digest, len(crops)),
    )


def _check_best(config: RestorationConfig) -> None:
    """Refuse at once a measure that would be missing hours later."""
    features = ("cosine",) if config.loss.feature else ()
    known = ("psnr_under_ink_db", "mask_iou", *features) if config.data.held else ()
    if config.loop.best and config.loop.best not in known:
        raise ConfigError(
            f"loop.best must be one of {', '.join(known) or 'none (nothing is measured without data.held)'}, got "
            f"{config.loop.best!r}; choose one of them, or leave it empty"
        )


def _restorer(config: RestorerConfig) -> Restorer:
    restorer = RESTORERS[config.name](config.width, config.with_mask, config.with_score)
    if config.start is not None:
        known = Restorer(restorer.trunk, config.width, config.with_mask)
        known.residual = restorer.residual
        if config.with_mask:
            known.mask = restorer.mask
        load_weights(config.start, nn.ModuleDict({"restorer": known}))
    return restorer


def frozen_recogniser(loss: LossConfig) -> Recogniser:
    """The embedder of ``loss.recogniser``.

    Raises:
        ConfigError: it does not take the ArcFace crop of 112 px.
        ModelError: it cannot be had.
    """
    manifest = find_model(loss.recogniser, "embedding")
    check_licence(manifest)
    spec = manifest.input
    if spec.template != ARCFACE_112.name or spec.colour != "RGB":
        raise ConfigError(
            f"loss.recogniser {loss.recogniser}: expected RGB crops of {ARCFACE_112.name}, it takes {spec.colour} of "
            f"{spec.template}"
        )
    (file,) = ensure_weights(manifest).values()
    return Recogniser(OnnxModule(onnx.load(file.path)), tuple(spec.mean), tuple(spec.std))


def read_crops(pack: FilePack, indices: np.ndarray) -> ImageArray:
    """(N, 112, 112, 3) uint8 RGB crops of some records.

    Raises:
        DataError: a record is no aligned crop of 112 px.
    """
    side = ARCFACE_112.size_px
    crops = np.empty((len(indices), side, side, 3), np.uint8)
    for place, index in enumerate(indices):
        record = pack.read(int(index))
        try:
            pixels = decode_image(record.image, name=record.name).pixels
        except InputError as error:
            raise DataError(f"record {index} ({record.name}) is no readable picture: {error}") from error
        if pixels.shape != crops.shape[1:]:
            raise DataError(
                f"record {index} ({record.name}): expected an aligned crop of {side} px, got {pixels.shape[1]} x "
                f"{pixels.shape[0]} px; align the pack first (lineament data align)"
            )
        crops[place] = pixels
    return crops


def _held(data: RestorationData, mesh: MeshConfig) -> Spoilt | None:
    if data.held is None:
        return None
    with open_pack(data.held, strict=True) as pack:
        chosen = np.random.default_rng(0).permutation(len(pack))[: data.held_limit]
        crops = read_crops(pack, chosen)
    return stacked(
        [spoil(crop, mesh, np.random.default_rng([_HELD_SEED, place])) for place, crop in enumerate(crops)]
    )


def _facts(config: RestorationConfig, digest: str, pictures: int) -> dict[str, str | int | float]:
    """Everything that must stay the same when a run goes on, beside the settings of the loop."""
    parts = {name: getattr(config, name) for name in ("mesh", "restorer", "loss")}
    settings = {name: json.dumps(asdict(part), sort_keys=True, default=str) for name, part in parts.items()}
    return {"pack": digest, "pictures": pictures, "batch": config.data.batch, **settings}


def config_digest(config: RestorationConfig) -> str:
    """First 16 hex digits of the SHA-256 of the configuration without its paths."""
    settings = asdict(config)
    for name in ("pack", "held"):
        del settings["data"][name]
    settings["restorer"]["start"] = str(settings["restorer"]["start"] is not None)
    return digest(settings)[:16]
