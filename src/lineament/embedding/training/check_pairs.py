"""Crops to calibrate int8 on, and pairs to judge it by, from packs."""

from pathlib import Path

import numpy as np

from lineament.core.arrays import ImageArray
from lineament.core.errors import ConfigError
from lineament.embedding.training.config import InputConfig
from lineament.embedding.training.data import CropSource
from lineament.embedding.training.quantise import CheckPairs
from lineament.packs import UNKNOWN, open_pack
from lineament.zoo.manifest import InputSpec

CALIBRATION_CROPS = 128
MOST_PAIRS = 3_000
"""Mated pairs, and as many times two non-mated ones."""


def calibration_crops(path: Path, spec: InputSpec) -> ImageArray:
    """(N, S, S, 3) uint8 RGB crops of a pack, evenly spread, in a model's size.

    Args:
        path: pack of aligned crops.
        spec: input of the model.

    Raises:
        DataError: the pack cannot be read or has faults.
    """
    with open_pack(path, strict=True) as pack:
        source = CropSource(pack, _input(spec), in_memory=False)
        chosen = np.linspace(0, len(pack) - 1, min(CALIBRATION_CROPS, len(pack))).astype(int)
        return np.stack([source.crop(int(index)) for index in chosen])


def held_pairs(path: Path, spec: InputSpec, far: float) -> CheckPairs:
    """Pairs of a pack: its own when it is a verification pack, else drawn ones of known subjects with a fixed seed.

    Args:
        path: pack of aligned crops of people that were not trained on.
        spec: input of the model.
        far: false accept rate at which TAR is compared.

    Raises:
        ConfigError: no mated or too few non-mated pairs.
        DataError: the pack cannot be read or has faults.
    """
    with open_pack(path, strict=True) as pack:
        source = CropSource(pack, _input(spec), in_memory=False)
        if pack.pairs is not None:
            pairs, mated = pack.pairs.records, pack.pairs.mated
        else:
            known = np.flatnonzero(source.labels != UNKNOWN)
            first, second = (known[place] for place in np.triu_indices(len(known), 1))
            same = source.labels[first] == source.labels[second]
            rng = np.random.default_rng(0)
            chosen = np.concatenate(
                [
                    rng.permutation(np.flatnonzero(same))[:MOST_PAIRS],
                    rng.permutation(np.flatnonzero(~same))[: 2 * MOST_PAIRS],
                ]
            )
            pairs, mated = np.stack([first[chosen], second[chosen]], axis=1), same[chosen]
        if not mated.any() or far * (~mated).sum() < 1:
            raise ConfigError(
                f"{path}: expected mated pairs and {1 / far:.0f} or more non-mated ones for FAR {far:g}, got "
                f"{int(mated.sum())} and {int((~mated).sum())}"
            )
        crops = np.stack([source.crop(index) for index in range(len(pack))])
    return CheckPairs(
        crops[pairs[:, 0]], crops[pairs[:, 1]], np.asarray(mated), far, f"{len(mated):,} pairs of {path.name}"
    )


def _input(spec: InputSpec) -> InputConfig:
    side = int(spec.shape[-1])
    return InputConfig(height_px=side, width_px=side, mean=spec.mean, std=spec.std)
