"""LFW View 2 with a mesh over one side of every pair, made again alike from names alone."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import ImageArray
from lineament.core.errors import DataError
from lineament.evaluation.protocols import pictures_of
from lineament.evaluation.samples import decode_crop
from lineament.evaluation.sets import PictureSource
from lineament.evaluation.trials import N_FOLDS, Trials, read_pairs
from lineament.geometry import ARCFACE_112
from lineament.imaging import decode_image, encode_jpeg
from lineament.imaging.mesh import DEFAULT_RANGES, UNSEEN_RANGES, Family, Mesh, MeshRanges, add_mesh

JPEG_QUALITY = (60, 95)
INK_SHARE = 0.25
"""From this share of a pixel on under ink it counts as inked, in the truth of masks."""
ID_PHOTO_PX = (178, 220)
"""Width and height of the portrait that speed is measured on."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What is laid over the references.

    Attributes:
        name: for tables.
        family: of the lines.
        ranges: where their parameters come from.
    """

    name: str
    family: Family
    ranges: MeshRanges = DEFAULT_RANGES


SEEN = "seen family"
UNSEEN = "unseen family"
CONDITIONS = (
    Condition(SEEN, "sines"),
    Condition("unseen ranges", "sines", UNSEEN_RANGES),
    Condition(UNSEEN, "patent"),
    Condition("rosettes", "rosettes"),
    Condition("words", "words"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Lfw:
    """Pairs with their crops; the first picture of each pair is the reference.

    Attributes:
        trials: pairs and folds.
        crops: (S, 112, 112, 3) uint8 RGB of the samples of the trials.
        references: (R,) samples that are the first of some pair, rising.
        place: (P,) index into ``references`` of each pair's first picture.
        sha256: digest of the pictures.
    """

    trials: Trials
    crops: ImageArray
    references: NDArray[np.int64]
    place: NDArray[np.int64]
    sha256: str

    @property
    def reference_names(self) -> tuple[str, ...]:
        """(R,) names of the references."""
        return tuple(self.trials.samples[k] for k in self.references)


@dataclass(frozen=True, slots=True, eq=False)
class Meshed:
    """The references under one condition.

    Attributes:
        pixels: (R, 112, 112, 3) uint8 RGB, mesh and JPEG.
        ink: (R, 112, 112) True where ink covers at least :data:`INK_SHARE` of a pixel.
    """

    pixels: ImageArray
    ink: NDArray[np.bool_]


def read_lfw(folder: Path, n_pairs: int = 0) -> Lfw:
    """Pairs and crops of LFW View 2.

    Args:
        folder: ``pairs.txt`` and the aligned crops.
        n_pairs: of every fold the same number of first mated and first non-mated pairs, so many in all; 0 takes all.

    Raises:
        DataError: data that cannot be read, or fewer pairs than a mated and a non-mated one a fold.
    """
    trials = read_pairs(folder / "pairs.txt")
    if n_pairs:
        trials = _some(trials, n_pairs)
    size = ARCFACE_112.size_px
    with PictureSource(pictures_of(folder)) as source:
        source.require(trials.samples)
        crops = np.stack([decode_crop(n, source.read(n), size).pixels for n in trials.samples])
        digest = source.digest(trials.samples)
    references, place = np.unique(trials.pairs[:, 0], return_inverse=True)
    return Lfw(trials, crops, references.astype(np.int64), place.astype(np.int64), digest)


def _some(trials: Trials, n_pairs: int) -> Trials:
    """The first pairs of each kind in each fold, and the samples that they need."""
    each = n_pairs // (2 * N_FOLDS)
    if each < 1 or n_pairs > len(trials.pairs):
        raise DataError(f"expected {2 * N_FOLDS} to {len(trials.pairs):,} pairs, got {n_pairs}")
    kinds = 2 * trials.folds + trials.mated
    chosen = np.sort(np.concatenate([np.flatnonzero(kinds == kind)[:each] for kind in np.unique(kinds)]))
    needed, pairs = np.unique(trials.pairs[chosen], return_inverse=True)
    return replace(
        trials,
        protocol=f"{trials.protocol}; the first {each} of each kind in each fold",
        samples=tuple(trials.samples[k] for k in needed),
        subjects=tuple(trials.subjects[k] for k in needed),
        pairs=pairs.reshape(-1, 2).astype(np.int32),
        folds=trials.folds[chosen],
    )


def seed_of(name: str, condition: Condition) -> int:
    """Seed of a picture's mesh and JPEG: of its name, so that samples of the pairs get the same meshes as all."""
    return zlib.crc32(f"{condition.name}/{name}".encode())


def lay_mesh(crops: ImageArray, names: Sequence[str], condition: Condition) -> Meshed:
    """Mesh over crops, then JPEG of a quality drawn from :data:`JPEG_QUALITY`, ends included.

    Args:
        crops: (R, 112, 112, 3) uint8 RGB.
        names: of the pictures.
        condition: what is drawn.
    """
    pixels = np.empty_like(crops)
    ink = np.empty(crops.shape[:3], np.bool_)
    low, high = JPEG_QUALITY
    for k, (crop, name) in enumerate(zip(crops, names, strict=True)):
        seed = seed_of(name, condition)
        meshed = add_mesh(crop, Mesh(family=condition.family, seed=seed, ranges=condition.ranges))
        quality = int(np.random.default_rng([seed, 1]).integers(low, high + 1))
        pixels[k] = decode_image(encode_jpeg(meshed.pixels, quality)).pixels
        ink[k] = meshed.mask >= INK_SHARE
    return Meshed(pixels, ink)


def id_photo(crop: ImageArray) -> ImageArray:
    """A picture of the size of an ID photo, for timings."""
    return np.asarray(cv2.resize(crop, ID_PHOTO_PX, interpolation=cv2.INTER_CUBIC), np.uint8)
