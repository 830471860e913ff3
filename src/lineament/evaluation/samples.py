"""From the pictures of a trial list to one embedding each, or to the reason why there is none."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray, ImageArray, ScoreArray, check_floats, frozen
from lineament.core.errors import DataError, InputError
from lineament.core.types import Face, Image, Refusal
from lineament.embedding.cache import EmbeddingCache, Outcome
from lineament.evaluation.sets import PictureSource
from lineament.imaging.decode import decode_image
from lineament.metrics.bootstrap import PairScores

Progress = Callable[[int, int], None]
"""Called with the number of pictures done and the number of all pictures."""
BATCH = 64
UNREADABLE = "unreadable"
"""Refusal of a picture that cannot be decoded."""


class CropEmbedder(Protocol):
    """What :func:`embed_crops` needs of an embedder: aligned crops in, unit vectors out."""

    name: str
    space: str

    def embed(self, crops: ImageArray) -> FloatArray:
        """(N, S, S, 3) uint8 RGB crops to (N, D) float32 unit vectors."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class SampleEmbeddings:
    """One embedding for each sample, where one could be made.

    Attributes:
        vectors: (S, D) float32 unit vectors; zeros for a sample that was refused.
        acquired: (S,) bool, False for a sample that was refused.
        refusals: how many samples were refused for each reason.
        space: id of the embedding space.
        wall_s: time for reading, decoding and embedding, s.
        n_from_cache: samples whose outcome an earlier run had kept; ``wall_s`` is no speed then.
    """

    vectors: FloatArray
    acquired: NDArray[np.bool_]
    refusals: dict[str, int]
    space: str
    wall_s: float
    n_from_cache: int = 0

    def __post_init__(self) -> None:
        vectors = check_floats(self.vectors, (len(self.acquired), None), "vectors")
        object.__setattr__(self, "vectors", frozen(vectors))
        object.__setattr__(self, "acquired", frozen(self.acquired))

    @property
    def fta_rate(self) -> float:
        """Failure-to-acquire rate: the fraction of samples that were refused."""
        return 1.0 - float(np.mean(self.acquired))


def _decode(name: str, data: bytes) -> Image | str:
    return decode_image(data, name=name)


def decode_or_refuse(name: str, data: bytes) -> Image | str:
    """The picture, or the refusal "unreadable": for pictures of which nobody has promised that they are sound.

    Args:
        name: of the picture.
        data: its encoded bytes.
    """
    try:
        return decode_image(data, name=name)
    except InputError:
        return UNREADABLE


@dataclass(frozen=True, slots=True)
class Acquisition:
    """From the bytes of pictures to outcomes.

    Attributes:
        embed: one vector or refusal for each picture.
        decode: picture or refusal from a name and bytes; raises on unreadable bytes unless told otherwise.
        cache: outcomes of earlier runs, of the same embedding space and extraction; None keeps nothing.
    """

    embed: Callable[[Sequence[Image]], Sequence[Outcome]]
    decode: Callable[[str, bytes], Image | str] = _decode
    cache: EmbeddingCache | None = None

    def outcomes(self, named: Sequence[tuple[str, bytes]]) -> tuple[list[Outcome], int]:
        """One outcome for each picture, equal bytes looked at once, and how many of them the cache knew.

        Args:
            named: names and encoded bytes.
        """
        digests = [hashlib.sha256(data).hexdigest() for _, data in named]
        known = self.cache.find(digests) if self.cache is not None else {}
        fresh: dict[str, Outcome] = {}
        images: dict[str, Image] = {}
        for digest, (name, data) in zip(digests, named, strict=True):
            if digest not in known and digest not in fresh and digest not in images:
                decoded = self.decode(name, data)
                if isinstance(decoded, str):
                    fresh[digest] = decoded
                else:
                    images[digest] = decoded
        if images:
            fresh.update(zip(images, self.embed(list(images.values())), strict=True))
        if self.cache is not None and fresh:
            self.cache.store(fresh)
        found = [known[digest] if digest in known else fresh[digest] for digest in digests]
        return found, sum(digest in known for digest in digests)


def acquire_samples(
    samples: Sequence[str],
    source: PictureSource,
    acquisition: Acquisition,
    space: str,
    progress: Progress | None = None,
) -> SampleEmbeddings:
    """Embeddings of the pictures of a source, a batch at a time.

    Args:
        samples: names of the pictures in ``source``.
        source: the pictures.
        acquisition: how bytes become vectors.
        space: id of the embedding space of the vectors.
        progress: told after every batch.

    Raises:
        DataError: pictures are missing, or none of them gave a vector.
    """
    start_s = time.perf_counter()
    source.require(samples)
    found, n_known = acquire_all(samples, source.read, acquisition, progress)
    wall_s = time.perf_counter() - start_s
    return replace(collect_outcomes(found, space, str(source.path), wall_s), n_from_cache=n_known)


def acquire_all(
    samples: Sequence[str],
    read: Callable[[str], bytes],
    acquisition: Acquisition,
    progress: Progress | None = None,
) -> tuple[list[Outcome], int]:
    """One outcome for each sample, a batch at a time, and how many of them the cache knew.

    Args:
        samples: names of the pictures.
        read: encoded bytes of a picture by name.
        acquisition: how bytes become vectors.
        progress: told after every batch.
    """
    found: list[Outcome] = []
    n_known = 0
    for start in range(0, len(samples), BATCH):
        names = samples[start : start + BATCH]
        outcomes, known = acquisition.outcomes([(name, read(name)) for name in names])
        found += outcomes
        n_known += known
        if progress is not None:
            progress(start + len(names), len(samples))
    return found, n_known


def collect_outcomes(found: Sequence[Outcome], space: str, source: str, wall_s: float) -> SampleEmbeddings:
    """Outcomes in one value.

    Args:
        found: one for each sample.
        space: id of the embedding space.
        source: where the pictures came from, for the message of an error.
        wall_s: time that it took, s.

    Raises:
        DataError: no sample gave a vector.
    """
    vectors = [outcome for outcome in found if not isinstance(outcome, str)]
    if not vectors:
        raise DataError(f"none of {len(found)} pictures of {source} gave a face")
    acquired = np.array([not isinstance(outcome, str) for outcome in found])
    rows = np.zeros((len(found), len(vectors[0])), np.float32)
    rows[acquired] = np.stack(vectors)
    refusals = Counter(outcome for outcome in found if isinstance(outcome, str))
    return SampleEmbeddings(rows, acquired, dict(sorted(refusals.items())), space, wall_s)


def embed_crops(
    samples: Sequence[str],
    source: PictureSource,
    embedder: CropEmbedder,
    size_px: int,
    progress: Progress | None = None,
    cache: EmbeddingCache | None = None,
) -> SampleEmbeddings:
    """Embed pictures that are aligned crops already.

    Args:
        samples: names of the pictures in ``source``.
        source: the crops, each ``size_px`` square.
        embedder: gets batches of crops; averaging with mirror images is its own matter.
        size_px: side of the crops, px.
        progress: told after every batch.
        cache: vectors of earlier runs of the same embedder on aligned crops.

    Raises:
        DataError: pictures are missing, unreadable or of another size.
    """

    def decode(name: str, data: bytes) -> Image | str:
        return decode_crop(name, data, size_px)

    acquisition = Acquisition(lambda images: embed_images(embedder, images), decode, cache)
    return acquire_samples(samples, source, acquisition, embedder.space, progress)


def decode_crop(name: str, data: bytes, size_px: int) -> Image:
    """An aligned crop.

    Args:
        name: of the picture.
        data: its encoded bytes.
        size_px: side that it must have, px.

    Raises:
        DataError: a picture of another size.
        DecodeError: not a readable picture.
    """
    image = decode_image(data, name=name)
    if image.pixels.shape != (size_px, size_px, 3):
        raise DataError(
            f"picture {name}: expected a crop of {size_px} x {size_px} px, "
            f"got {image.width} x {image.height}; take the end-to-end protocol for unaligned pictures"
        )
    return image


def embed_images(embedder: CropEmbedder, crops: Sequence[Image]) -> list[FloatArray]:
    """One vector for each crop."""
    return list(embedder.embed(np.stack([image.pixels for image in crops])))


def outcomes_of(found: Sequence[Face | Refusal]) -> list[Outcome]:
    """Vectors and reasons of what a pipeline gave."""
    return [face.embedding.vector if isinstance(face, Face) else str(face.reason) for face in found]


def pair_similarities(vectors: FloatArray, pairs: NDArray[np.int32]) -> ScoreArray:
    """Cosine similarity of each pair.

    Args:
        vectors: (S, D) float32 unit vectors.
        pairs: (P, 2) indices of rows.

    Returns: (P,) float64.
    """
    scores = np.empty(len(pairs))
    chunk = 1 << 16
    for start in range(0, len(pairs), chunk):
        a, b = pairs[start : start + chunk].T
        scores[start : start + chunk] = np.einsum("pd,pd->p", vectors[a], vectors[b])
    return scores


def all_pair_scores(vectors: FloatArray, subjects: NDArray[np.int32]) -> PairScores:
    """Similarities of every pair of samples once, from one matrix product a block.

    Args:
        vectors: (S, D) float32 unit vectors.
        subjects: (S,) int32 number of each sample's subject.
    """
    n = len(vectors)
    rows = [vectors[i : i + 512] @ vectors[i:].T for i in range(0, n, 512)]
    scores = np.concatenate([block[k, k + 1 :] for block in rows for k in range(len(block))])
    later = n - 1 - np.arange(n)
    first = np.repeat(subjects, later)
    second = np.concatenate([subjects[i + 1 :] for i in range(n)])
    return PairScores(scores.astype(np.float64), first, second)
