"""What the readers of data-set layouts share: pictures in a folder, the lists beside them, published counts."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lineament.core.errors import DataError
from lineament.packs.base import Fault
from lineament.packs.filepack import Damaged, FilePack, Index

Published = Mapping[int, tuple[str, int]]
"""Edition and number of pictures, by the number of subjects."""
_SHOWN = 5


@dataclass(slots=True)
class FileTree:
    """Files of a folder with their subjects, as a reader finds them.

    Attributes:
        root: folder that the files are relative to.
        names: name of each record.
        files: file of each.
        subjects: in the order in which they were met.
        faults: what deviates from the publication.
    """

    root: Path
    names: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    _labels: list[int] = field(default_factory=list)
    _number: dict[str, int] = field(default_factory=dict)

    def add(self, subject: str, file: str, name: str = "") -> None:
        """Take one file, relative to the root."""
        label = self._number.setdefault(subject, len(self._number))
        if label == len(self.subjects):
            self.subjects.append(subject)
        self.names.append(name or file)
        self.files.append(file)
        self._labels.append(label)

    def note(self, reason: str) -> None:
        """Say what deviates from the publication."""
        self.faults.append(Fault(None, reason))

    def note_missing(self, listed: Path, missing: Sequence[str]) -> None:
        """Say which pictures of a list are not there, if any."""
        if missing:
            self.note(f"{len(missing)} pictures of {listed.name} are not there: {some(missing)}")

    def compare(self, published: Published, what: str) -> None:
        """Say when the counts are those of no edition."""
        self.faults += compare_counts(len(self.subjects), len(self.names), published, what)

    def pack(self, path: Path, reopen: Callable[[Path], FilePack]) -> FilePack:
        """The pack of what was taken.

        Raises:
            DataError: nothing was.
        """
        if not self.names:
            faults = "".join(f"; {fault.reason}" for fault in self.faults)
            raise DataError(f"{path} holds no picture in the layout that was asked for{faults}")
        root, files = self.root, self.files

        def fetch(index: int) -> bytes:
            try:
                return (root / files[index]).read_bytes()
            except OSError as error:
                raise Damaged(f"{files[index]} cannot be read: {error.strerror}") from error

        labels = np.array(self._labels, np.int64)
        index = Index(self.names, labels, self.subjects, tuple(self.faults))
        return FilePack(path, index, fetch, lambda: None, reopen)


def compare_counts(subjects: int, pictures: int, published: Published, what: str) -> list[Fault]:
    """A fault when the counts are those of no edition.

    Args:
        subjects: how many there are.
        pictures: how many there are.
        published: the editions.
        what: name of the data set.
    """
    known = published.get(subjects)
    if known is not None and known[1] == pictures:
        return []
    editions = "; ".join(f"{n:,} subjects, {p:,} pictures ({e})" for n, (e, p) in published.items())
    got = f"{subjects:,} subjects, {pictures:,} pictures"
    return [Fault(None, f"{what} was published with {editions}; here are {got}")]


def some(names: Sequence[str]) -> str:
    """The first few names, for a message."""
    return ", ".join(names[:_SHOWN]) + (" and others" if len(names) > _SHOWN else "")


def text_lines(path: Path) -> list[str]:
    """Lines of a UTF-8 text.

    Args:
        path: the file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def spaced_rows(path: Path, widths: Sequence[int]) -> Iterator[tuple[int, list[str]]]:
    """Cells of each line that holds something, with its number from 1.

    Args:
        path: a text file, cells separated by spaces or tabs.
        widths: numbers of cells that a line may have.

    Raises:
        DataError: the file cannot be read, or a line has another number of cells.
    """
    for number, line in enumerate(text_lines(path), 1):
        cells = line.split()
        if cells and len(cells) not in widths:
            raise DataError(
                f"{path}, line {number}: expected {' or '.join(map(str, widths))} columns, got {len(cells)}"
            )
        if cells:
            yield number, cells


def csv_rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and rows of a CSV with a header; spaces around cells do not count.

    Args:
        path: the file.

    Raises:
        DataError: it cannot be read, or a row has fewer cells than the header.
    """
    lines = text_lines(path)
    reader = csv.reader(lines, skipinitialspace=True)
    try:
        columns = [cell.strip() for cell in next(reader, [])]
        rows = [dict(zip(columns, (cell.strip() for cell in row), strict=False)) for row in reader if row]
    except csv.Error as error:
        raise DataError(f"{path} is no CSV: {error}") from error
    short = next((n for n, row in enumerate(rows, 2) if len(row) < len([c for c in columns if c])), None)
    if short is not None:
        raise DataError(f"{path}, line {short}: expected {len(columns)} cells, got fewer")
    return columns, rows
