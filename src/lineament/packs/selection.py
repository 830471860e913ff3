"""Which records of a pack make another one: all, all in another order, or those of some subjects."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lineament.core.errors import DataError
from lineament.packs.base import UNKNOWN, Fault, IndexArray, Pairs, Record
from lineament.packs.filepack import FilePack
from lineament.packs.info import Format, PackInfo
from lineament.packs.pictures import suffix_of
from lineament.packs.writing import write_pack

Progress = Callable[[int, int], None]
"""Called with the records that are done and the records in all."""
_STEP = 64
"""Records between two calls of a :data:`Progress`."""


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Records of a pack in a new order.

    Attributes:
        records: (N,) int64 record numbers in the source; one may come again (a picture in several pairs).
        subjects: (S,) int64 labels in the source; the new label is the place here.
        pairs: comparisons between the new records; None without any.
    """

    records: IndexArray
    subjects: IndexArray
    pairs: Pairs | None = None


def every_record(pack: FilePack, file_format: Format, records: IndexArray | None = None) -> Selection:
    """All records as a format needs them: "bin" pair after pair, else in their order.

    Args:
        pack: the source.
        file_format: of the pack that is to be written.
        records: (N,) numbers of those that are to be taken, ascending; None for all.

    Raises:
        DataError: "bin" is wanted and the pack has no pairs.
    """
    taken = np.arange(len(pack)) if records is None else records
    kept = _kept_pairs(pack, taken)
    if file_format == "bin":
        return _pair_after_pair(pack, kept)
    return Selection(taken, np.arange(len(pack.subjects)), _renumbered(kept, taken, len(pack)))


def shuffled(pack: FilePack, file_format: Format, seed: int) -> Selection:
    """All records in a drawn order; for "bin" all pairs in a drawn order.

    Args:
        pack: the source.
        file_format: of the pack that is to be written.
        seed: of the order.

    Raises:
        DataError: "bin" is wanted and the pack has no pairs.
    """
    rng = np.random.default_rng(seed)
    if file_format == "bin":
        order = rng.permutation(0 if pack.pairs is None else len(pack.pairs.mated))
        pairs = pack.pairs and Pairs(pack.pairs.records[order], pack.pairs.mated[order])
        return _pair_after_pair(pack, pairs)
    taken = rng.permutation(len(pack))
    return Selection(taken, np.arange(len(pack.subjects)), _renumbered(pack.pairs, taken, len(pack)))


def split_by_subject(pack: FilePack, n_held: int, seed: int) -> tuple[Selection, Selection]:
    """The records of most subjects, and those of ``n_held`` drawn other ones; nobody is in both.

    Labels are counted anew in each part; subjects without a record are left out. Pairs go along where both pictures
    fall into one part.

    Args:
        pack: the source.
        n_held: number of subjects of the second part, from 1 to one less than all.
        seed: of the draw.

    Raises:
        ValueError: no such number.
        DataError: records whose subject is unknown.
    """
    unknown = int(np.count_nonzero(pack.labels == UNKNOWN))
    if unknown:
        raise DataError(
            f"pack {pack.path}: the subject of {unknown} records is unknown, so they cannot be split by subject"
        )
    present = np.unique(pack.labels)
    if not 1 <= n_held < len(present):
        raise ValueError(
            f"the held part must have 1 to {len(present) - 1} of {len(present)} subjects, got {n_held}"
        )
    held = np.sort(np.random.default_rng(seed).choice(present, n_held, replace=False))
    parts = []
    for subjects in (np.setdiff1d(present, held), held):
        records = np.flatnonzero(np.isin(pack.labels, subjects))
        pairs = _renumbered(_kept_pairs(pack, records), records, len(pack))
        parts.append(Selection(records, subjects, pairs))
    return parts[0], parts[1]


def without(pack: FilePack, left_out: Collection[int]) -> Selection:
    """All records but some, in their order; subjects of which none stays are left out, pairs stay where both do.

    Args:
        pack: the source.
        left_out: numbers of the records that go.
    """
    records = np.setdiff1d(np.arange(len(pack)), np.array(sorted(left_out), np.int64))
    present = np.unique(pack.labels[records])
    pairs = _renumbered(_kept_pairs(pack, records), records, len(pack))
    return Selection(records, present[present != UNKNOWN], pairs)


def _kept_pairs(pack: FilePack, records: IndexArray) -> Pairs | None:
    """The pairs both of whose records are taken."""
    if pack.pairs is None:
        return None
    whole = np.isin(pack.pairs.records, records).all(axis=1)
    return Pairs(pack.pairs.records[whole], pack.pairs.mated[whole])


def _renumbered(pairs: Pairs | None, records: IndexArray, total: int) -> Pairs | None:
    if pairs is None:
        return None
    place = np.zeros(total, np.int64)
    place[records] = np.arange(len(records))
    return Pairs(place[pairs.records], pairs.mated)


def _pair_after_pair(pack: FilePack, pairs: Pairs | None) -> Selection:
    if pairs is None or not len(pairs.mated):
        raise DataError(
            f"pack {pack.path} has no pairs, and .bin holds nothing else; choose another format, or add pairs.csv"
        )
    taken = pairs.records.ravel()
    new = Pairs(np.arange(len(taken)).reshape(-1, 2), pairs.mated)
    return Selection(taken, np.arange(len(pack.subjects)), new)


def readable_records(pack: FilePack, progress: Progress | None = None) -> tuple[IndexArray, list[Fault]]:
    """Reads every record; returns the numbers of those that can be read, and why the others cannot.

    Args:
        pack: what to read.
        progress: told how far it is.
    """
    sound, faults = [], []
    for number in counted(np.arange(len(pack)), progress):
        try:
            pack.read(number)
        except DataError as error:
            faults.append(Fault(number, str(error)))
        else:
            sound.append(number)
    return np.array(sound, np.int64), faults


def write_selection(
    pack: FilePack, selection: Selection, path: Path, file_format: Format, progress: Progress | None = None
) -> PackInfo:
    """Write some records of a pack as another one; pictures are copied byte for byte, source and terms go along.

    Args:
        pack: the source.
        selection: which records.
        path: what to write; it must not be there.
        file_format: its format.
        progress: told how far it is.

    Raises:
        DataError: a record cannot be read, or the new pack cannot be written; nothing is left of it.
    """
    subjects = [pack.subjects[label] for label in selection.subjects.tolist()]
    origin = pack.info.origin if pack.info else None
    records = _records(pack, selection, progress)
    return write_pack(records, path, file_format, subjects, pairs=selection.pairs, origin=origin)


def _records(pack: FilePack, selection: Selection, progress: Progress | None) -> Iterator[Record]:
    new = np.full(len(pack.subjects) + 1, UNKNOWN)  # the last one is for label -1
    new[selection.subjects] = np.arange(len(selection.subjects))
    again = len(np.unique(selection.records)) < len(selection.records)
    for place, number in enumerate(counted(selection.records, progress)):
        record = pack.read(number)
        name = f"{place:08d}{suffix_of(record.image)}" if again else record.name
        yield replace(record, name=name, label=int(new[record.label]))


def counted(numbers: IndexArray, progress: Progress | None) -> Iterator[int]:
    """The numbers as int, told to ``progress``."""
    for done, number in enumerate(numbers.tolist(), 1):
        yield number
        if progress is not None and (done % _STEP == 0 or done == len(numbers)):
            progress(done, len(numbers))
