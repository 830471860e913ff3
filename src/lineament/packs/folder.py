"""One folder a subject, one file a picture (``person/photo.jpg``); also what a zip of such a folder holds."""

import hashlib
import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from lineament.core.errors import DataError
from lineament.core.names import is_hidden
from lineament.packs.base import UNKNOWN, Fault, Record, name_fault
from lineament.packs.companions import parse_label, parse_pairs, sound_names, subjects_of
from lineament.packs.filepack import Damaged, FilePack, Index
from lineament.packs.info import INFO, PAIRS, RECORDS, PackInfo, read_table
from lineament.packs.pictures import SUFFIXES, is_picture, suffix_of

COLUMNS = ("file", "name", "label")
"""Of the list ``records.csv`` that keeps the order, names and labels of what was written by us."""
_LONGEST_BYTES = 200
"""Of a file name; file systems take 255, some of which a temporary name needs."""


def open_folder(path: Path) -> FilePack:
    """Open a folder of folders.

    Without a ``records.csv`` every picture file counts, sorted by path; the first folder of its path is the subject,
    and pictures outside of any folder have none. Hidden files and folders, and files that are no pictures by their
    suffix, are left out. With a ``records.csv`` it says what the records are, in which order.

    Args:
        path: the folder.

    Raises:
        DataError: it cannot be read, or holds no picture.
    """
    root = str(path)

    def read(file: str) -> bytes:
        try:
            with open(f"{root}/{file}", "rb") as stream:  # noqa: PTH123 - twice as fast as Path.read_bytes
                return stream.read()
        except OSError as error:
            raise Damaged(f"file {file} cannot be read: {error.strerror}") from error

    files, faults = sound_paths(walk(path))
    index, kept = tree_index(path, files, read, faults)
    return FilePack(path, index, lambda number: filled(read(kept[number])), lambda: None, open_folder)


def walk(path: Path) -> Iterator[str]:
    """Paths of the files that are not hidden, relative to a folder, in any order; links to folders are not followed.

    Raises:
        DataError: a folder cannot be read.
    """

    def stop(error: OSError) -> None:
        raise DataError(f"folder {error.filename} cannot be read: {error.strerror}") from error

    root = os.fspath(path)
    for where, folders, names in os.walk(root, onerror=stop):
        folders[:] = [name for name in folders if not is_hidden(name)]
        inside = os.path.relpath(where, root).replace(os.sep, "/")
        prefix = "" if inside == "." else f"{inside}/"
        yield from (f"{prefix}{name}" for name in names if not is_hidden(name))


def sound_paths(files: Iterator[str]) -> tuple[list[str], list[Fault]]:
    """The paths that can be names of records, sorted; faults for the others."""
    sound, faults = [], []
    for file in files:
        fault = name_fault(file)
        if fault is None:
            sound.append(file)
        else:
            faults.append(Fault(None, f"file {file!r}: {fault}; rename it"))
    return sorted(sound), faults


def tree_index(
    path: Path, files: Sequence[str], read: Callable[[str], bytes], faults: list[Fault]
) -> tuple[Index, list[str]]:
    """The index of a tree of files, and the file of each record.

    Args:
        path: folder or zip, for messages.
        files: sorted paths of its files.
        read: content of one.
        faults: what was found before; grows.

    Raises:
        DataError: there is no picture.
    """
    there = set(files)
    texts = {name: _text(name, read, faults) for name in (INFO, RECORDS, PAIRS) if name in there}
    info = _info(texts.get(INFO), faults)
    listed = _listed(texts[RECORDS], faults) if texts.get(RECORDS) else None
    pictures = [file for file in files if is_picture(file)]
    if listed is None:
        kept, names = pictures, pictures
        subjects: Sequence[str] = sorted({file.partition("/")[0] for file in pictures if "/" in file})
        place = {subject: i for i, subject in enumerate(subjects)}
        labels = array("q", (place[f.partition("/")[0]] if "/" in f else UNKNOWN for f in pictures))
    else:
        rows = _present(listed, there, pictures, faults)
        kept = [listed[number][0] for number in rows]
        names = sound_names([listed[number][1] for number in rows], kept, rows, faults)
        labels = array("q", (parse_label(listed[number][2], number, faults) for number in rows))
        subjects = subjects_of(info, np.array(labels, np.int64), 0, faults)
        if info is not None and info.records != len(listed):
            faults.append(Fault(None, f"{INFO} says {info.records} records, {RECORDS} lists {len(listed)}"))
    if not kept:
        raise DataError(
            f"{path}: there is no picture (person/photo.jpg); looked for {' '.join(sorted(SUFFIXES))}"
        )
    text = texts.get(PAIRS)
    try:
        pairs = parse_pairs(text, kept, faults) if text else None
    except DataError as error:
        pairs = None
        faults.append(Fault(None, f"{PAIRS}: {error}; correct or delete it"))
    return Index(names, np.array(labels, np.int64), subjects, tuple(faults), pairs, info), kept


def filled(image: bytes) -> bytes:
    """The content of a picture's file.

    Raises:
        Damaged: there is none.
    """
    if not image:
        raise Damaged("the file is empty")
    return image


def _text(name: str, read: Callable[[str], bytes], faults: list[Fault]) -> str:
    """A list in the folder; empty when it cannot be read."""
    try:
        return read(name).decode("utf-8")
    except (Damaged, UnicodeDecodeError) as error:
        faults.append(Fault(None, f"{name}: {error}; correct or delete it"))
        return ""


def _info(text: str | None, faults: list[Fault]) -> PackInfo | None:
    try:
        return None if not text else PackInfo.from_toml(text)
    except ValueError as error:
        faults.append(Fault(None, f"{INFO}: {error}; correct or delete it"))
        return None


def _listed(text: str, faults: list[Fault]) -> list[list[str]] | None:
    try:
        return read_table(text, COLUMNS)
    except DataError as error:
        faults.append(Fault(None, f"{RECORDS}: {error}; correct or delete it"))
        return None


def _present(
    listed: Sequence[Sequence[str]], there: set[str], pictures: Sequence[str], faults: list[Fault]
) -> list[int]:
    """Rows of ``records.csv`` whose file is there."""
    missing = [number for number, row in enumerate(listed) if row[0] not in there]
    faults += [Fault(number, f"file {listed[number][0]!r} is not there") for number in missing]
    extra = set(pictures) - {row[0] for row in listed}
    if extra:
        faults.append(
            Fault(
                None,
                f"{len(extra)} pictures are not in {RECORDS} and are left out, {min(extra)!r} for one; "
                f"delete {RECORDS} to read the folder as it is",
            )
        )
    lost = set(missing)
    return [number for number in range(len(listed)) if number not in lost]


class Layout:
    """Decides which file each record becomes: ``subject/photo.jpg`` wherever its name allows it."""

    def __init__(self, subjects: Sequence[str]) -> None:
        """Name the folders.

        Args:
            subjects: name of each subject.
        """
        self._taken = {INFO, RECORDS, PAIRS}
        self._folders: dict[int, str] = {}
        self._subjects = subjects

    def file_of(self, record: Record) -> str:
        """The path of a record's file, unlike all before."""
        if record.label == UNKNOWN:
            return self._free(_file_name(record.name, record.image))
        folder = self._folders.get(record.label)
        if folder is None:
            folder = self._free(_safe(self._subjects[record.label]))
            self._folders[record.label] = folder
        name = record.name.removeprefix(f"{folder}/")
        return self._free(f"{folder}/{_file_name(name, record.image)}")

    def _free(self, path: str) -> str:
        suffix = PurePosixPath(path).suffix
        stem = path.removesuffix(suffix)
        number = 2
        while path in self._taken:
            path = f"{stem}-{number}{suffix}"
            number += 1
        self._taken.add(path)
        return path


def _safe(part: str) -> str:
    """A name as that of a file or folder that is not hidden."""
    part = part.replace("/", "_")
    if not part or is_hidden(part):
        part = f"_{part}"
    if len(part.encode()) > _LONGEST_BYTES:
        digest = hashlib.sha256(part.encode()).hexdigest()[:16]
        part = f"{digest}{PurePosixPath(part).suffix[:8] if part.isascii() else ''}"
    return part


def _file_name(name: str, image: bytes) -> str:
    return _safe(name if is_picture(name) else f"{name}{suffix_of(image)}")


class FolderWriter:
    """Writes a folder with one folder a subject and a ``records.csv``."""

    columns = COLUMNS

    def __init__(self, path: Path, subjects: Sequence[str]) -> None:
        """Begin a folder.

        Args:
            path: the folder; made when it is not there.
            subjects: name of each subject.
        """
        self._path = path
        self._layout = Layout(subjects)
        path.mkdir(exist_ok=True)
        self._made = {""}

    def add(self, record: Record) -> tuple[str, ...]:
        """Write the next record; returns its row in ``records.csv``."""
        file = self._layout.file_of(record)
        folder = file.rpartition("/")[0]
        if folder not in self._made:
            (self._path / folder).mkdir()
            self._made.add(folder)
        with open(f"{self._path}/{file}", "xb") as stream:  # noqa: PTH123 - twice as fast as Path
            stream.write(record.image)
        return file, record.name, str(record.label)

    def finish(self) -> None:
        """Nothing is left to do."""

    def close(self) -> None:
        """Nothing is open."""
