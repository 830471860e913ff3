"""Packs made of other packs: some of the records, or the records of several."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from lineament.core.arrays import frozen
from lineament.packs.base import UNKNOWN, Fault, LabelArray, Pack, Record
from lineament.packs.filepack import FilePack, Index
from lineament.packs.info import Origin


def selected(
    pack: FilePack,
    records: Sequence[int],
    faults: Sequence[Fault],
    path: Path,
    reopen: Callable[[Path], FilePack],
) -> FilePack:
    """Some records of a pack, with the same names; subjects of which none is left are left out.

    Args:
        pack: the records; closed with the new pack.
        records: numbers of those that stay, in their order.
        faults: of the new pack.
        path: of the new pack.
        reopen: opens ``path`` again, in another process.
    """
    old = np.asarray(pack.labels[list(records)], np.int64)
    kept = [label for label in np.unique(old).tolist() if label != UNKNOWN]
    new = np.full(len(pack.subjects) + 1, UNKNOWN, np.int64)
    new[kept] = np.arange(len(kept))
    index = Index(
        [pack.names[record] for record in records],
        new[old],
        [pack.subjects[label] for label in kept],
        tuple(faults),
    )
    return FilePack(
        path,
        index,
        lambda number: pack.read(records[number]).image,
        lambda: pack.__exit__(None, None, None),
        reopen,
    )


class JoinedPack:
    """The records of several packs one after the other, as one :class:`lineament.packs.Pack`.

    Names of records and subjects get the name of their pack in front ("celeba/7201/001085.jpg"), so that equal names
    of two packs stay two; labels are numbered on. Whether two subjects are one person is not decided here.
    """

    def __init__(self, packs: Sequence[tuple[str, Pack]]) -> None:
        """Join packs; closing the result closes them.

        Args:
            packs: name and pack.

        Raises:
            ValueError: no pack, an empty name, or one name for two packs.
        """
        prefixes = [prefix for prefix, _ in packs]
        if not packs or not all(prefixes) or len(set(prefixes)) < len(prefixes):
            raise ValueError(f"expected packs with different names, got {', '.join(prefixes) or 'none'}")
        self._packs = [pack for _, pack in packs]
        self._starts = np.cumsum([0, *map(len, self._packs)])
        offsets = np.cumsum([0, *(len(pack.subjects) for pack in self._packs)]).tolist()
        self._names = [f"{prefix}/{name}" for prefix, pack in packs for name in pack.names]
        self._subjects = [f"{prefix}/{subject}" for prefix, pack in packs for subject in pack.subjects]
        moved = [
            np.where(pack.labels == UNKNOWN, UNKNOWN, pack.labels + offset)
            for pack, offset in zip(self._packs, offsets, strict=False)
        ]
        self._labels = frozen(np.concatenate(moved))

    @property
    def subjects(self) -> Sequence[str]:
        """Name of each subject; labels are indices into it."""
        return self._subjects

    @property
    def names(self) -> Sequence[str]:
        """Name of each record."""
        return self._names

    @property
    def labels(self) -> LabelArray:
        """(N,) int64 label of each record."""
        return self._labels

    def __len__(self) -> int:
        return len(self._names)

    def read(self, index: int) -> Record:
        """The record at ``index``.

        Args:
            index: number from 0 to ``len(pack) - 1``.

        Raises:
            IndexError: no such record.
            DataError: it cannot be read.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"the packs hold {len(self)} records, asked for number {index}")
        place = int(np.searchsorted(self._starts, index, side="right")) - 1
        image = self._packs[place].read(index - int(self._starts[place])).image
        return Record(self._names[index], int(self._labels[index]), image)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pack in self._packs:
            pack.__exit__(kind, error, trace)


def joined_origin(packs: Sequence[FilePack]) -> Origin:
    """Sources and terms of several packs, each once, in one text.

    Args:
        packs: that are joined; those that tell nothing add nothing.
    """
    known = [pack.info.origin for pack in packs if pack.info]
    sources = dict.fromkeys(origin.source for origin in known if origin.source)
    terms = dict.fromkeys(origin.terms for origin in known if origin.terms)
    return Origin("; ".join(sources), "; ".join(terms))
