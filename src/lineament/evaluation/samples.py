"""From the pictures of a trial list to one embedding each, or to the reason why there is none."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray, ImageArray, ScoreArray, check_floats, frozen
from lineament.core.errors import DataError
from lineament.core.types import Face, Image, Refusal
from lineament.evaluation.sets import PictureSource
from lineament.imaging.decode import decode_image
from lineament.metrics.bootstrap import PairScores

Progress = Callable[[int, int], None]
"""Called with the number of pictures done and the number of all pictures."""
BATCH = 64


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
    """

    vectors: FloatArray
    acquired: NDArray[np.bool_]
    refusals: dict[str, int]
    space: str
    wall_s: float

    def __post_init__(self) -> None:
        vectors = check_floats(self.vectors, (len(self.acquired), None), "vectors")
        object.__setattr__(self, "vectors", frozen(vectors))
        object.__setattr__(self, "acquired", frozen(self.acquired))

    @property
    def fta_rate(self) -> float:
        """Failure-to-acquire rate: the fraction of samples that were refused."""
        return 1.0 - float(np.mean(self.acquired))


def _batches(
    samples: Sequence[str], source: PictureSource, progress: Progress | None
) -> Iterator[list[tuple[str, Image]]]:
    source.require(samples)
    for start in range(0, len(samples), BATCH):
        names = samples[start : start + BATCH]
        yield [(name, decode_image(source.read(name), name=name)) for name in names]
        if progress is not None:
            progress(start + len(names), len(samples))


def embed_crops(
    samples: Sequence[str],
    source: PictureSource,
    embedder: CropEmbedder,
    size_px: int,
    progress: Progress | None = None,
) -> SampleEmbeddings:
    """Embed pictures that are aligned crops already.

    Args:
        samples: names of the pictures in ``source``.
        source: the crops, each ``size_px`` square.
        embedder: gets batches of crops; averaging with mirror images is its own matter.
        size_px: side of the crops, px.
        progress: told after every batch.

    Raises:
        DataError: pictures are missing, unreadable or of another size.
    """
    start_s = time.perf_counter()
    vectors: list[FloatArray] = []
    for batch in _batches(samples, source, progress):
        for name, image in batch:
            if image.pixels.shape != (size_px, size_px, 3):
                raise DataError(
                    f"picture {name} of {source.path}: expected a crop of {size_px} x {size_px} px, "
                    f"got {image.width} x {image.height}; take the end-to-end protocol for unaligned pictures"
                )
        vectors.append(embedder.embed(np.stack([image.pixels for _, image in batch])))
    acquired = np.ones(len(samples), np.bool_)
    wall_s = time.perf_counter() - start_s
    return SampleEmbeddings(np.concatenate(vectors), acquired, {}, embedder.space, wall_s)


def extract_samples(
    samples: Sequence[str],
    source: PictureSource,
    extract: Callable[[Sequence[Image]], Sequence[Face | Refusal]],
    progress: Progress | None = None,
) -> SampleEmbeddings:
    """Run whole pictures through a pipeline; refusals are counted and stay in the list.

    Args:
        samples: names of the pictures in ``source``.
        source: the pictures.
        extract: one face or refusal for each picture; which face of several is meant is for the protocol, and
            so for the caller, to say.
        progress: told after every batch.

    Raises:
        DataError: pictures are missing or unreadable, or none of them gave a face.
    """
    start_s = time.perf_counter()
    found: list[Face | Refusal] = []
    for batch in _batches(samples, source, progress):
        found += extract([image for _, image in batch])
    wall_s = time.perf_counter() - start_s
    faces = {i: face.embedding for i, face in enumerate(found) if isinstance(face, Face)}
    if not faces:
        raise DataError(f"none of {len(samples)} pictures of {source.path} gave a face")
    spaces = sorted({embedding.space for embedding in faces.values()})
    if len(spaces) > 1:
        raise ValueError(f"all embeddings must be of one space, got {', '.join(spaces)}")
    acquired = np.array([i in faces for i in range(len(samples))])
    vectors = np.zeros((len(samples), len(next(iter(faces.values())).vector)), np.float32)
    vectors[acquired] = np.stack([faces[i].vector for i in sorted(faces)])
    refusals = Counter(str(face.reason) for face in found if isinstance(face, Refusal))
    return SampleEmbeddings(vectors, acquired, dict(sorted(refusals.items())), spaces[0], wall_s)


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
