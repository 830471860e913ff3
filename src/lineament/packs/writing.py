"""Writes packs in any format, whole or not at all."""

import csv
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from filelock import FileLock, Timeout

from lineament.core.errors import DataError
from lineament.packs.base import UNKNOWN, Pairs, Record, text_fault
from lineament.packs.companions import DIFFERENT, SAME
from lineament.packs.folder import FolderWriter
from lineament.packs.info import (
    FORMATS,
    INFO,
    PAIR_COLUMNS,
    PAIRS,
    RECORDS,
    Digest,
    Format,
    Origin,
    PackInfo,
    beside,
)
from lineament.packs.rec import PROPERTY, RecWriter
from lineament.packs.tarshards import SUFFIX, TarWriter
from lineament.packs.tfrecord import TFRecordWriter
from lineament.packs.verification import BinWriter
from lineament.packs.zipped import ZipWriter


class Writer(Protocol):
    """Writes the records of one format."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of ``records.csv``: what the format does not hold; without any it is not written."""
        ...

    def add(self, record: Record) -> tuple[str, ...]:
        """Write the next record; returns its row in ``records.csv``."""
        ...

    def finish(self) -> None:
        """Complete the files."""
        ...

    def close(self) -> None:
        """Give the files back, finished or not."""
        ...


_WRITERS: dict[Format, Callable[[Path, Sequence[str]], Writer]] = {
    "folder": FolderWriter,
    "zip": ZipWriter,
    "rec": RecWriter,
    "tfrecord": TFRecordWriter,
    "tar": TarWriter,
}


def write_pack(
    records: Iterable[Record],
    path: Path,
    file_format: Format,
    subjects: Sequence[str],
    *,
    pairs: Pairs | None = None,
    origin: Origin | None = None,
) -> PackInfo:
    """Write a pack and what lies beside it (``pack.toml``; names, labels and pairs that the format does not hold).

    Everything is written under a hidden name in the same folder, brought to the disk and then renamed, so that an
    interrupted run leaves nothing that looks whole. Records are taken one by one and not kept.

    Args:
        records: in the order that they are to have; names are unique.
        path: what to write; it must not be there.
        file_format: "folder", "zip", "rec", "tfrecord", "tar" (one file if ``path`` ends in .tar, else a folder of
            shards) or "bin".
        subjects: name of each subject; labels are indices into it.
        pairs: comparisons of a verification pack; "bin" needs them, pair k being the records 2k and 2k + 1.
        origin: where the pictures come from and on what terms.

    Raises:
        ValueError: an unknown format, a label without subject, a name that is there twice, or pairs that do not fit.
        DataError: ``path`` is there, another process writes it, the disk refuses, a record holds no picture or cannot
            be held by the format, or there is no record.
    """
    _check(file_format, subjects, pairs)
    as_folder = file_format == "folder" or (file_format == "tar" and path.suffix != SUFFIX)
    with staged(path, as_folder=as_folder) as target:
        if file_format == "bin" and pairs is not None:
            writer: Writer = BinWriter(target, pairs.mated)
        else:
            writer = _WRITERS[file_format](target, subjects)
        try:
            info = _write(writer, records, target, _Content(file_format, subjects, pairs, origin or Origin()))
            writer.finish()
        finally:
            writer.close()
    return info


def _check(file_format: Format, subjects: Sequence[str], pairs: Pairs | None) -> None:
    if file_format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {file_format!r}")
    fault = next((fault for name in subjects if (fault := text_fault(name))), None)
    if fault is not None:
        raise ValueError(f"subjects: {fault}")
    if file_format == "bin":
        if pairs is None:
            raise ValueError("a .bin pack holds pairs of pictures: give pairs, or choose another format")
        if not np.array_equal(pairs.records.ravel(), np.arange(2 * len(pairs.mated))):
            raise ValueError("pair k of a .bin pack must be the records 2k and 2k + 1")


@dataclass(frozen=True, slots=True)
class _Content:
    """What is written besides the records."""

    file_format: Format
    subjects: Sequence[str]
    pairs: Pairs | None
    origin: Origin

    def subject(self, record: Record) -> str:
        """Name of a record's subject; empty when it is unknown."""
        return "" if record.label == UNKNOWN else self.subjects[record.label]


def _write(writer: Writer, records: Iterable[Record], target: Path, content: _Content) -> PackInfo:
    """Write the records and the lists beside them; returns what ``pack.toml`` says."""
    digest, names = Digest(), dict[str, int]()
    called: list[str] = []  # how pairs.csv calls the records: by file where there is one
    with ExitStack() as stack:
        table = None
        if writer.columns:
            stream = stack.enter_context(beside(target, RECORDS).open("x", encoding="utf-8", newline=""))
            table = csv.writer(stream, lineterminator="\n")
            table.writerow(writer.columns)
        for number, record in enumerate(records):
            if record.label >= len(content.subjects):
                raise ValueError(f"record {number}: label {record.label} has no name among the subjects")
            if names.setdefault(record.name, number) != number:
                raise ValueError(
                    f"record {number}: name {record.name!r} is that of record {names[record.name]}"
                )
            if not record.image:
                raise DataError(f"record {number} ({record.name}) holds no picture")
            row = writer.add(record)
            if table is not None:
                table.writerow(row)
            if content.pairs is not None:
                called.append(row[0] if row else record.name)
            digest.add(record.name, content.subject(record), record.image)
    if not names:
        raise DataError(f"there is no record to write to {target.name}")
    if content.pairs is not None and content.file_format != "bin":
        _write_pairs(beside(target, PAIRS), content.pairs, called)
    numbered = all(name == str(i) for i, name in enumerate(content.subjects))
    info = PackInfo(
        content.file_format,
        len(names),
        len(content.subjects),
        digest.hex(),
        content.origin,
        () if numbered else tuple(content.subjects),
    )
    beside(target, INFO).write_text(info.to_toml(), encoding="utf-8")
    return info


def _write_pairs(path: Path, pairs: Pairs, names: Sequence[str]) -> None:
    if pairs.records.max(initial=-1) >= len(names):
        raise ValueError(f"pairs name record {pairs.records.max()}, there are {len(names)}")
    with path.open("x", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(PAIR_COLUMNS)
        for (a, b), mated in zip(pairs.records.tolist(), pairs.mated.tolist(), strict=True):
            table.writerow((names[a], names[b], SAME if mated else DIFFERENT))


@contextmanager
def staged(path: Path, *, as_folder: bool) -> Iterator[Path]:
    """Where to write what is to appear at ``path`` when the block ends well, and only then.

    Args:
        path: file or folder that is not there yet.
        as_folder: yield a folder that becomes ``path``; else a name in a folder of its own, whose other files and
            packs go beside ``path`` and appear before it.

    Raises:
        DataError: ``path`` is there, another process writes it, or the file system refuses.
    """
    work = path.with_name(f".{path.name}.part")
    try:
        work.mkdir(exist_ok=True)
        with FileLock(work / "lock").acquire(blocking=False):
            try:
                if os.path.lexists(path):
                    raise DataError(f"{path} exists; choose another name or remove it first")
                new = work / "new"
                shutil.rmtree(new, ignore_errors=True)  # left behind by a process that was killed
                new.mkdir()
                yield new if as_folder else new / path.name
                _publish(new, path, as_folder=as_folder)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    except Timeout as error:
        raise DataError(f"another process is writing {path}; wait for it, or choose another name") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{path} cannot be written: {reason}; nothing was left behind") from error


def _publish(new: Path, path: Path, *, as_folder: bool) -> None:
    """Bring everything to the disk, then show it under its name."""
    if as_folder:
        os.sync()  # one call for all files: syncing each of a million pictures takes hours
        new.rename(path)
    else:
        files = sorted(new.iterdir(), key=lambda file: file.name == path.name)
        for file in files:
            if file.is_dir():  # a pack that was written inside of the block, and is on the disk
                continue
            with file.open("rb+") as stream:
                os.fsync(stream.fileno())
        for file in files:
            if file.name != PROPERTY or not path.with_name(PROPERTY).exists():
                file.replace(path.with_name(file.name))
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
