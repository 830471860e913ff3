"""What the readers of all formats share: bytes at a place, names that are made up, and the opened pack."""

import hashlib
import os
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, overload

import numpy as np

from lineament.core.arrays import frozen
from lineament.core.errors import DataError
from lineament.packs.base import UNKNOWN, Fault, LabelArray, Pairs, Record
from lineament.packs.info import PackInfo
from lineament.packs.pictures import suffix_of

MAX_LABEL = 2**31 - 1
"""Largest label that is believed; a larger one is damage."""


class Damaged(Exception):
    """Bytes that are not what the format promises; readers turn it into a DataError or a Fault."""


class ByteFile:
    """A file that several threads and forked processes may read at any place."""

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises:
            DataError: it cannot be opened.
        """
        try:
            self._descriptor: int | None = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            self.size = os.fstat(self._descriptor).st_size
        except OSError as error:
            raise DataError(f"pack {path} cannot be read: {error.strerror}") from error

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset`` on.

        Raises:
            Damaged: the file ends before, or the disk fails.
        """
        if offset < 0 or length < 0 or offset + length > self.size:
            raise Damaged(
                f"expected {length} bytes at byte {offset}, the file ends at byte {self.size} (truncated?)"
            )
        data = self.peek(offset, length)
        while len(data) < length:  # one call gives at most 2 GiB
            more = self.peek(offset + len(data), length - len(data))
            if not more:
                raise Damaged(f"expected {length} bytes at byte {offset}, the file has shrunk")
            data += more
        return data

    def peek(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset`` on; fewer at the end of the file.

        Raises:
            Damaged: the disk fails.
        """
        if self._descriptor is None:
            raise ValueError("the pack is closed")
        try:
            return os.pread(self._descriptor, length, offset)
        except OSError as error:
            raise Damaged(f"the file cannot be read at byte {offset}: {error.strerror}") from error

    def close(self) -> None:
        """Give the file back; may be called twice."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class NumberedSubjects(Sequence[str]):
    """Subjects that have no names but their numbers: "0", "1", …"""

    def __init__(self, count: int) -> None:
        self._range = range(count)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        found = self._range[index]
        return str(found) if isinstance(found, int) else [str(number) for number in found]

    def __len__(self) -> int:
        return len(self._range)


class GeneratedNames(Sequence[str]):
    """Names "label/number.jpg" of records that have none, made when they are asked for."""

    def __init__(self, numbers: LabelArray, labels: LabelArray, suffixes: Sequence[str]) -> None:
        """Names of N records.

        Args:
            numbers: (N,) number of each record in its file.
            labels: (N,) label of each.
            suffixes: suffix of each.
        """
        self._numbers, self._labels = numbers, labels
        self._known = sorted(set(suffixes))
        place = {suffix: i for i, suffix in enumerate(self._known)}
        self._suffixes = np.array([place[suffix] for suffix in suffixes], np.uint8)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        name = f"{self._numbers[index]:08d}{self._known[self._suffixes[index]]}"
        label = self._labels[index]
        return name if label == UNKNOWN else f"{label}/{name}"

    def __len__(self) -> int:
        return len(self._numbers)


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """What is known of a pack before a picture is read.

    Attributes:
        names: name of each record.
        labels: (N,) int64 label of each record.
        subjects: name of each subject.
        faults: what could not be read or contradicts itself.
        pairs: comparisons, of verification packs.
        info: what ``pack.toml`` says; None without one.
    """

    names: Sequence[str]
    labels: LabelArray
    subjects: Sequence[str]
    faults: tuple[Fault, ...] = ()
    pairs: Pairs | None = None
    info: PackInfo | None = None


class FilePack:
    """A pack that was opened; every format gives one. It is a :class:`lineament.packs.Pack`.

    It can be pickled: the copy opens the file again. After a fork both processes may read.

    Attributes:
        path: where it lies.
        faults: what could not be read at opening; those records are left out. Damage inside of a picture's bytes is
            found when it is read.
        pairs: comparisons of a verification pack; None for another pack.
        info: source, terms and digest from ``pack.toml``; None without one.
    """

    def __init__(
        self,
        path: Path,
        index: Index,
        fetch: Callable[[int], bytes],
        close: Callable[[], None],
        reopen: Callable[[Path], "FilePack"],
    ) -> None:
        """Join an index and its bytes; the readers of the formats call this.

        Args:
            path: where it lies.
            index: names, labels, subjects.
            fetch: bytes of the picture at an index; raises :class:`Damaged`.
            close: gives the files back.
            reopen: opens ``path`` again, in another process.
        """
        self.path, self._index, self._fetch, self._close, self._reopen = path, index, fetch, close, reopen
        self._labels = frozen(index.labels)

    @property
    def subjects(self) -> Sequence[str]:
        """Name of each subject; labels are indices into it."""
        return self._index.subjects

    @property
    def digest(self) -> str:
        """SHA-256 that its ``pack.toml`` says, else one of names and labels; 64 hex digits."""
        if self.info is not None:
            return self.info.sha256
        listed = "".join(f"{name}\t{label}\n" for name, label in zip(self.names, self.labels, strict=True))
        return hashlib.sha256(listed.encode()).hexdigest()

    @property
    def names(self) -> Sequence[str]:
        """Name of each record."""
        return self._index.names

    @property
    def labels(self) -> LabelArray:
        """(N,) int64 label of each record."""
        return self._labels

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What could not be read at opening."""
        return self._index.faults

    @property
    def pairs(self) -> Pairs | None:
        """Comparisons of a verification pack."""
        return self._index.pairs

    @property
    def info(self) -> PackInfo | None:
        """What ``pack.toml`` says."""
        return self._index.info

    def __len__(self) -> int:
        return len(self._labels)

    def read(self, index: int) -> Record:
        """The record at ``index``, its checksum compared where the format has one.

        Args:
            index: number from 0 to ``len(pack) - 1``.

        Raises:
            IndexError: no such record.
            DataError: it cannot be read; the message gives the record's number and name.
        """
        if not 0 <= index < len(self._labels):
            raise IndexError(f"pack {self.path} holds {len(self._labels)} records, asked for number {index}")
        name = self._index.names[index]
        try:
            image = self._fetch(index)
        except Damaged as error:
            raise DataError(f"pack {self.path}, record {index} ({name}): {error}") from error
        return Record(name, int(self._labels[index]), image)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._reopen, (self.path,)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()


@dataclass(slots=True)
class Found:
    """Records as a reader finds them one after the other; grows, then becomes an :class:`Index`.

    Attributes:
        numbers: number of each record in its file.
        labels: label of each.
        suffixes: suffix that fits each picture, for names that are made up.
        faults: what could not be read.
    """

    numbers: "array[int]" = field(default_factory=lambda: array("q"))
    labels: "array[int]" = field(default_factory=lambda: array("q"))
    suffixes: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def add(self, number: int, label: int, head: bytes) -> None:
        """Take one record.

        Args:
            number: of the record in its file.
            label: of the subject; what cannot be a label counts as unknown and is a fault.
            head: first bytes of the picture.
        """
        if not UNKNOWN <= label <= MAX_LABEL:
            self.faults.append(Fault(number, f"expected a label from -1 to {MAX_LABEL}, got {label}"))
            label = UNKNOWN
        self.numbers.append(number)
        self.labels.append(label)
        self.suffixes.append(suffix_of(head))

    def label_array(self) -> LabelArray:
        """(N,) int64 labels."""
        return np.array(self.labels, np.int64)

    def number_array(self) -> LabelArray:
        """(N,) int64 numbers."""
        return np.array(self.numbers, np.int64)
