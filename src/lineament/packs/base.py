"""What every pack of pictures offers, whatever its file format."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import frozen

LabelArray = NDArray[np.int64]
IndexArray = NDArray[np.int64]
UNKNOWN = -1
"""Label of a record whose subject the pack does not tell."""
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def name_fault(name: str) -> str | None:
    """Why ``name`` cannot be the name of a record, in words; None when it can."""
    if not name or any(part in {"", ".", ".."} for part in name.split("/")):
        return f"name must be a relative path without '..', got {name!r}"
    return text_fault(name)


def text_fault(name: str) -> str | None:
    """Why ``name`` cannot stand in a list, in words: control characters, or bytes of a file name that are no UTF-8."""
    return f"name must be text on one line, got {name!r}" if _NO_TEXT.search(name) else None


@dataclass(frozen=True, slots=True)
class Record:
    """One encoded picture and whose it is.

    Attributes:
        name: name of the sample, unique in its pack, with "/" between folders ("ada/0001.jpg"); text on one line.
        label: number of the subject, an index into :attr:`Pack.subjects`; :data:`UNKNOWN` when it is not told.
        image: the encoded picture, byte for byte as it was stored.
    """

    name: str
    label: int
    image: bytes

    def __post_init__(self) -> None:
        fault = name_fault(self.name)
        if fault:
            raise ValueError(fault)
        if self.label < UNKNOWN:
            raise ValueError(f"label must be {UNKNOWN} (unknown) or more, got {self.label}")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in a pack that cannot be read or contradicts itself.

    Attributes:
        record: number of the record in its file, 0-based (.rec: its key); None when it is no single record.
        reason: what was expected, what came.
    """

    record: int | None
    reason: str

    def __str__(self) -> str:
        return self.reason if self.record is None else f"record {self.record}: {self.reason}"


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The comparisons that a verification pack asks for.

    Attributes:
        records: (P, 2) int64 record numbers.
        mated: (P,) bool, True for two pictures of one subject.
    """

    records: IndexArray
    mated: NDArray[np.bool_]

    def __post_init__(self) -> None:
        records, mated = np.asarray(self.records, np.int64), np.asarray(self.mated, np.bool_)
        if records.shape != (len(mated), 2) or mated.ndim != 1:
            raise ValueError(
                f"records must be ({len(mated)}, 2), one row for each answer, got {records.shape}"
            )
        if len(records) and records.min() < 0:
            raise ValueError(f"records must be record numbers from 0 on, got {records.min()}")
        object.__setattr__(self, "records", frozen(records))
        object.__setattr__(self, "mated", frozen(mated))


class Pack(Protocol):
    """Encoded pictures with random access. Use it as a context manager; reading is safe from several threads.

    Attributes:
        subjects: name of each subject; labels are indices into it.
        names: name of each record.
        labels: (N,) int64 label of each record.
    """

    @property
    def subjects(self) -> Sequence[str]: ...  # noqa: D102

    @property
    def names(self) -> Sequence[str]: ...  # noqa: D102

    @property
    def labels(self) -> LabelArray: ...  # noqa: D102

    def __len__(self) -> int: ...

    def read(self, index: int) -> Record:
        """The record at ``index``.

        Raises:
            IndexError: no such record.
            DataError: it cannot be read; the message gives the record's number and name.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
