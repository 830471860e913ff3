"""The embeddings of a pack of aligned crops."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray, ImageArray, check_floats, frozen
from lineament.core.errors import DataError, InputError
from lineament.embedding import Embedder, load_embedder
from lineament.embedding.cache import EmbeddingCache, Outcome
from lineament.embedding.rewarped import RewarpedEmbedder
from lineament.geometry import ARCFACE_112
from lineament.imaging import decode_image
from lineament.packs import UNKNOWN, LabelArray, Pack
from lineament.zoo.session import Runtime

HOW = "aligned 112 px crops, one by one"
"""Way of extraction, for the cache of embeddings."""
Progress = Callable[[int, int], None]
BATCH = 256


@dataclass(frozen=True, slots=True, eq=False)
class PackVectors:
    """One embedding for each record of a pack that has one.

    Attributes:
        vectors: (N, D) float32 unit vectors; zeros where there is none.
        known: (N,) bool, False for a record that gave no embedding.
        labels: (N,) int64 label of each record; :data:`lineament.packs.UNKNOWN` also where there is no embedding.
        faults: record number and reason of each record without an embedding.
    """

    vectors: FloatArray
    known: NDArray[np.bool_]
    labels: LabelArray
    faults: tuple[tuple[int, str], ...]

    def __post_init__(self) -> None:
        vectors = check_floats(self.vectors, (len(self.known), None), "vectors")
        object.__setattr__(self, "vectors", frozen(vectors))


def load_crop_embedder(model: str, runtime: Runtime | None = None) -> Embedder | RewarpedEmbedder:
    """An embedder for ArcFace crops; one of another template gets them re-warped.

    Args:
        model: name in the zoo; "NAME+flip" averages with the mirror image.
        runtime: how to run it.

    Raises:
        ModelError: it cannot be had.
    """
    embedder = load_embedder(model, runtime)
    return embedder if embedder.template == ARCFACE_112.name else RewarpedEmbedder(embedder)


def embed_pack(
    pack: Pack,
    embedder: Embedder | RewarpedEmbedder,
    cache: EmbeddingCache | None = None,
    progress: Progress | None = None,
) -> PackVectors:
    """Embed every record; one that cannot be read or is no crop of 112 px becomes a fault.

    Memory is 4 bytes for each number of the result, and some batches of crops.

    Args:
        pack: aligned crops.
        embedder: for ArcFace crops (:func:`load_crop_embedder`).
        cache: vectors of earlier runs of the same space and :data:`HOW`.
        progress: told after every batch.

    Raises:
        DataError: no record gave an embedding.
    """
    rows: FloatArray | None = None
    faults: list[tuple[int, str]] = []
    for start in range(0, len(pack), BATCH):
        indices = range(start, min(start + BATCH, len(pack)))
        for index, outcome in zip(indices, _outcomes(pack, indices, embedder, cache), strict=True):
            if isinstance(outcome, str):
                faults.append((index, outcome))
                continue
            if rows is None:
                rows = np.zeros((len(pack), len(outcome)), np.float32)
            rows[index] = outcome
        if progress is not None:
            progress(indices.stop, len(pack))
    if rows is None:
        first = f", the first because of: {faults[0][1]}" if faults else ""
        raise DataError(f"none of {len(pack)} records is an aligned crop{first}; see lineament data align")
    known = np.ones(len(pack), np.bool_)
    known[[index for index, _ in faults]] = False
    return PackVectors(rows, known, np.where(known, pack.labels, UNKNOWN), tuple(faults))


def _outcomes(
    pack: Pack, indices: Sequence[int], embedder: Embedder | RewarpedEmbedder, cache: EmbeddingCache | None
) -> list[Outcome]:
    """A vector or a reason for each record of a batch; equal bytes are embedded once."""
    digests: list[str] = []
    fresh: dict[str, Outcome] = {}
    pictures: dict[str, tuple[str, bytes]] = {}
    for index in indices:
        try:
            record = pack.read(index)
        except DataError as error:
            digests.append(f"record {index}")
            fresh[digests[-1]] = str(error)
            continue
        digests.append(hashlib.sha256(record.image).hexdigest())
        pictures[digests[-1]] = (record.name, record.image)
    found = cache.find(list(pictures)) if cache is not None and pictures else {}
    crops: dict[str, ImageArray] = {}
    for digest, (name, data) in pictures.items():
        if digest not in found:
            crop = read_crop(name, data)
            if isinstance(crop, str):
                fresh[digest] = crop
            else:
                crops[digest] = crop
    if crops:
        made = dict(zip(crops, embedder.embed(np.stack(list(crops.values()))), strict=True))
        if cache is not None:
            cache.store(made)
        found |= made
    return [found[digest] if digest in found else fresh[digest] for digest in digests]


def read_crop(name: str, data: bytes) -> ImageArray | str:
    """An aligned crop, or why it is none.

    Args:
        name: of the record, for messages.
        data: its encoded picture.

    Returns: (112, 112, 3) uint8 RGB, or a sentence.
    """
    try:
        pixels = decode_image(data, name=name).pixels
    except InputError as error:
        return str(error)
    side = ARCFACE_112.size_px
    if pixels.shape[:2] != (side, side):
        return f"{name}: expected {side} x {side} px, got {pixels.shape[1]} x {pixels.shape[0]}"
    return pixels
