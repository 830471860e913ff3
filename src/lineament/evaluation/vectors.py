"""Embeddings of many pictures as blocks of unit vectors: saved ones mapped from disk, fresh ones kept in a file."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray, describe
from lineament.core.errors import DataError
from lineament.evaluation.samples import BATCH, Acquisition, Progress
from lineament.evaluation.sets import DAMAGED_ZIP, PictureSource, is_picture

BLOCK = 4000
"""Rows that are in memory at a time."""
SAVED = (".npy", ".npz")
"""What files of saved embeddings are called."""
RowArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class VectorPart:
    """Vectors of one file or folder.

    Attributes:
        name: of the file or folder.
        rows: (N, D) floating point, of any length but zero; may be mapped from disk.
        space: id of the embedding space; empty when the file does not say.
        digest: sha256 of the file, or over the names and bytes of the pictures.
        names: name of each row's picture; empty when the file does not say.
        refusals: how many pictures gave no vector, by reason.
        n_copies: pictures that were left out because the same bytes count already.
        refused_names: names of the pictures that gave no vector, where the file says them.
    """

    name: str
    rows: NDArray[np.floating]
    space: str
    digest: str
    names: tuple[str, ...] = ()
    refusals: tuple[tuple[str, int], ...] = ()
    n_copies: int = 0
    refused_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def block(self, rows: RowArray | slice) -> FloatArray:
        """Some rows as float32 of unit length.

        Raises:
            DataError: a row with a number that is not finite, or of length zero.
        """
        taken = np.array(self.rows[rows], np.float32)
        lengths = np.linalg.norm(taken, axis=1, keepdims=True)
        wrong = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
        if len(wrong):
            row = np.arange(len(self.rows))[rows][wrong[0]]
            raise DataError(
                f"embeddings {self.name}, row {row}: expected finite numbers that are not all zero, got a vector of "
                f"length {float(lengths[wrong[0], 0]):g}; leave such rows out"
            )
        return np.asarray(taken / lengths, np.float32)


def blocks(parts: Sequence[VectorPart], rows: RowArray | None = None) -> Iterator[FloatArray]:
    """Unit vectors of several parts, :data:`BLOCK` rows at a time.

    Args:
        parts: in the order in which rows are counted.
        rows: sorted numbers over all parts; all when left out.

    Raises:
        DataError: a row that is no vector.
    """
    first = 0
    for part in parts:
        if rows is None:
            for start in range(0, len(part), BLOCK):
                yield part.block(slice(start, start + BLOCK))
        else:
            mine = rows[np.searchsorted(rows, first) : np.searchsorted(rows, first + len(part))] - first
            for start in range(0, len(mine), BLOCK):
                yield part.block(mine[start : start + BLOCK])
        first += len(part)


def read_vectors(path: Path) -> VectorPart:
    """Saved embeddings.

    Args:
        path: ``.npy`` with (N, D) floating point numbers, which is mapped and not loaded, or the ``.npz`` that
            ``lineament embed`` writes.

    Raises:
        DataError: the file is missing, damaged or of another form.
    """
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if path.suffix.lower() == ".npy":
            return VectorPart(
                path.name, _checked(path, np.load(path, mmap_mode="r", allow_pickle=False)), "", digest
            )
        with np.load(path, allow_pickle=False) as file:
            space, names = str(file["space"]), tuple(map(str, file["paths"]))
            refused_names, refused = tuple(map(str, file["refused_paths"])), file["refused_reasons"]
            rows = _checked(path, file["vectors"])
    except (OSError, ValueError, KeyError, *DAMAGED_ZIP) as error:
        raise DataError(
            f"embeddings {path} cannot be read: {error}; expected (N, D) numbers in a .npy, or the .npz of "
            "`lineament embed`"
        ) from error
    reasons, counts = np.unique(refused, return_counts=True)
    refusals = tuple(zip(map(str, reasons), counts.tolist(), strict=True))
    for named, count, what in ((names, len(rows), "vectors"), (refused_names, len(refused), "refusals")):
        if len(named) != count:
            raise DataError(
                f"embeddings {path}: expected a path for each of {count} {what}, got {len(named)}"
            )
    return VectorPart(path.name, rows, space, digest, names, refusals, refused_names=refused_names)


def _checked(path: Path, rows: Any) -> NDArray[np.floating]:
    if (
        not isinstance(rows, np.ndarray)
        or rows.ndim != 2
        or 0 in rows.shape
        or not np.issubdtype(rows.dtype, np.floating)
    ):
        raise DataError(
            f"embeddings {path}: expected (N, D) floating point numbers, at least one row, got {describe(rows)}"
        )
    return rows


def embed_pictures(
    source: PictureSource,
    acquisition: Acquisition,
    space: str,
    kept: Path,
    known: frozenset[str] = frozenset(),
    progress: Progress | None = None,
) -> VectorPart:
    """Vectors of all pictures of a folder or zip, written to a file as they are made: memory does not grow with them.

    Equal pictures count once. Hidden files and files that are no pictures are left out.

    Args:
        source: the pictures, in folders of any depth.
        acquisition: how bytes become vectors; refusals are counted.
        space: id of the embedding space.
        kept: file to write the vectors to; the result reads from it.
        known: sha256 of pictures that count elsewhere and are left out here.
        progress: told after every batch.

    Raises:
        DataError: no picture gave a vector, or the file cannot be written.
    """
    names = [name for name in source.names() if is_picture(name)]
    seen = set(known)
    used: list[str] = []
    refusals: dict[str, int] = {}
    total, width = hashlib.sha256(), 0
    try:
        with kept.open("wb") as file:
            for start in range(0, len(names), BATCH):
                batch = [(name, source.read(name)) for name in names[start : start + BATCH]]
                fresh = [pair for pair in batch if _is_new(pair, seen, total)]
                for (name, _), outcome in zip(fresh, acquisition.outcomes(fresh)[0], strict=True):
                    if isinstance(outcome, str):
                        refusals[outcome] = refusals.get(outcome, 0) + 1
                        continue
                    file.write(np.ascontiguousarray(outcome, "<f4").tobytes())
                    used.append(name)
                    width = len(outcome)
                if progress is not None:
                    progress(start + len(batch), len(names))
    except OSError as error:
        raise DataError(
            f"embeddings cannot be kept in {kept}: {error.strerror}; make room, or set TMPDIR to a folder that has it"
        ) from error
    if not used:
        raise DataError(f"none of {len(names)} pictures of {source.path} gave a face")
    rows = np.memmap(kept, "<f4", "r", shape=(len(used), width))
    n_copies = len(names) - len(used) - sum(refusals.values())
    said = tuple(sorted(refusals.items()))
    return VectorPart(source.path.name, rows, space, total.hexdigest(), tuple(used), said, n_copies)


def _is_new(picture: tuple[str, bytes], seen: set[str], total: "hashlib._Hash") -> bool:
    """True for bytes that were not seen; counts all of them in ``total``."""
    name, data = picture
    digest = hashlib.sha256(data).hexdigest()
    total.update(f"{name}\t{digest}\n".encode())
    if digest in seen:
        return False
    seen.add(digest)
    return True
