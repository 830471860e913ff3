"""Tar shards in the manner of WebDataset: ``key.jpg`` and ``key.cls`` one after the other.

The key is a member's path up to the first dot of its last part; members of one key that follow each other are one
record. ``cls`` holds the label in decimal digits. Other members (``json``, ``txt`` …) are left alone.
"""

import io
import re
import tarfile
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from lineament.core.errors import DataError
from lineament.packs.base import UNKNOWN, Fault, Record
from lineament.packs.companions import dressed, parse_label
from lineament.packs.filepack import ByteFile, Damaged, FilePack, Found
from lineament.packs.info import RECORDS, beside
from lineament.packs.pictures import HEAD_BYTES, SUFFIXES, suffix_of

SHARD_BYTES = 512 * 1024 * 1024
"""A shard is closed when it holds so many bytes."""
SUFFIX = ".tar"
_BLOCK = 512
_CLS = ".cls"
_LONGEST_LABEL = 32
_KEY = re.compile(r"[0-9]{8,15}")
"""What :class:`TarWriter` makes of a record's number."""
_BRACE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MAX_SHARDS = 1_000_000


class _Member(NamedTuple):
    """A file in a shard: its key, suffix in lower case, and place."""

    key: str
    suffix: str
    offset: int
    size: int


def shards_of(path: Path) -> list[Path]:
    """The shards that a path means: one tar, the tars of a folder, or those of a pattern; sorted.

    Args:
        path: a file, a folder, or a pattern with ``*``, ``?``, ``[…]`` or ``{first..last}`` in its last part.

    Raises:
        DataError: there is none, or one that the braces name is missing.
    """
    if path.is_file():
        return [path]
    if path.is_dir():
        return sorted(path.glob(f"*{SUFFIX}"))
    named = _braced(path)
    found = sorted(path.parent.glob(path.name)) if named is None else named
    missing = [shard for shard in found if not shard.is_file()]
    if missing or not found:
        raise DataError(
            f"pack {path}: there is no {missing[0]}" if missing else f"pack {path}: nothing is at that path"
        )
    return found


def _braced(path: Path) -> list[Path] | None:
    """Every path of ``{first..last}``, with the zeros that the first one has; None without braces."""
    match = _BRACE.search(path.name)
    if match is None:
        return None
    first, last = int(match[1]), int(match[2])
    if last - first >= _MAX_SHARDS:
        raise DataError(f"pack {path}: expected fewer than {_MAX_SHARDS} shards, got {last - first + 1}")
    before, after = path.name[: match.start()], path.name[match.end() :]
    numbers = range(first, last + 1)
    return [path.with_name(f"{before}{n:0{len(match[1])}d}{after}") for n in numbers]


def open_tar(path: Path) -> FilePack:
    """Open tar shards; one walk over their headers finds the places of pictures and labels.

    Args:
        path: as :func:`shards_of` takes it.

    Raises:
        DataError: a shard cannot be opened, or there is no readable picture.
    """
    shards = shards_of(path)
    with ExitStack() as stack:
        files = []
        for shard in shards:
            files.append(ByteFile(shard))
            stack.callback(files[-1].close)
        pack = _opened(path, shards, files)
        stack.pop_all()
    return pack


def _opened(path: Path, shards: Sequence[Path], files: Sequence[ByteFile]) -> FilePack:
    found, names = Found(), list[str | None]()
    homes, places, sizes = array("q"), array("q"), array("q")
    # records.csv tells names by number. Where a shard is damaged or missing, only the keys still tell the numbers.
    is_listed = beside(path, RECORDS).is_file()
    total = unnumbered = 0
    for home, (shard, file) in enumerate(zip(shards, files, strict=True)):
        for key, group in groupby(_members(shard, file, found.faults), key=lambda member: member.key):
            members = list(group)
            image = next((m for m in members if m.suffix in SUFFIXES or m.suffix == ".img"), None)
            if image is None:
                continue
            is_number = is_listed and _KEY.fullmatch(key) is not None
            unnumbered += is_listed and not is_number
            number = int(key) if is_number else total
            if image.size == 0 or image.offset + image.size > file.size:
                found.faults.append(
                    Fault(number, f"picture {key}: empty or cut off at the end of {shard.name}")
                )
            else:
                label = _label(file, members, number, found.faults)
                found.add(number, label, file.peek(image.offset, HEAD_BYTES))
                names.append(f"{key}{image.suffix}")
                for values, value in ((homes, home), (places, image.offset), (sizes, image.size)):
                    values.append(value)
            total += 1
    if not places:
        raise DataError(f"pack {path} holds no readable picture{''.join(f'; {f}' for f in found.faults[:1])}")
    if unnumbered:
        found.faults.append(
            Fault(
                None,
                f"{RECORDS} names records by the numbers that are their keys, but {unnumbered} keys are no numbers: "
                f"the keys are taken as names; delete {RECORDS} if it belongs to other shards",
            )
        )
    columns = () if unnumbered else TarWriter.columns
    index = dressed(path, found, total, columns=columns, own_names=names)

    def fetch(i: int) -> bytes:
        return files[homes[i]].read(places[i], sizes[i])

    def close() -> None:
        for file in files:
            file.close()

    return FilePack(path, index, fetch, close, open_tar)


def _members(shard: Path, file: ByteFile, faults: list[Fault]) -> Iterator[_Member]:
    """The files of a shard; damage ends the walk. Headers are taken one by one, as a TarFile would keep them all."""
    place = 0
    try:
        with shard.open("rb") as stream, tarfile.TarFile(shard, fileobj=stream) as opened:
            while place < file.size and any(file.peek(place, _BLOCK)):
                stream.seek(place)
                info = tarfile.TarInfo.fromtarfile(opened)
                place = opened.offset
                folder, slash, last = info.name.rpartition("/")
                stem, dot, suffix = last.partition(".")
                if info.isreg() and stem and dot:
                    yield _Member(f"{folder}{slash}{stem}", f".{suffix.lower()}", info.offset_data, info.size)
    except (tarfile.TarError, Damaged, OSError, ValueError, OverflowError, EOFError) as error:
        faults.append(Fault(None, f"{shard.name}, byte {place}: {error}; what follows is not read"))
        return
    if place + _BLOCK > file.size:
        faults.append(Fault(None, f"{shard.name} ends without the empty blocks of a tar (truncated?)"))


def _label(file: ByteFile, members: Sequence[_Member], number: int, faults: list[Fault]) -> int:
    """The label that a record's ``cls`` holds; unknown without one."""
    told = next((m for m in members if m.suffix == _CLS), None)
    if told is None:
        return UNKNOWN
    try:
        text = file.read(told.offset, min(told.size, _LONGEST_LABEL)).decode("ascii", "replace")
    except Damaged as error:
        faults.append(Fault(number, f"label {told.key}: {error}"))
        return UNKNOWN
    return parse_label(text.strip(), number, faults)


class TarWriter:
    """Writes one tar, or a folder of shards; keys are the numbers of the records, names are listed beside."""

    columns = ("name",)

    def __init__(self, path: Path, _subjects: Sequence[str]) -> None:
        """Begin a tar or a folder.

        Args:
            path: a tar when it ends in ``.tar``, else a folder.
        """
        self._path = path
        self._in_shards = path.suffix != SUFFIX
        if self._in_shards:
            path.mkdir(exist_ok=True)
        self._count = self._shard = self._end = 0
        self._file = self._next_shard()

    def _next_shard(self) -> io.BufferedWriter:
        self._end = 0
        if not self._in_shards:
            return self._path.open("xb")
        self._shard += 1
        return (self._path / f"{self._shard - 1:06d}{SUFFIX}").open("xb")

    def add(self, record: Record) -> tuple[str, ...]:
        """Write the next record; returns its row in ``records.csv``."""
        if self._in_shards and self._end >= SHARD_BYTES:
            self.finish()
            self._file = self._next_shard()
        key = f"{self._count:08d}"
        self._member(f"{key}{suffix_of(record.image)}", record.image)
        if record.label != UNKNOWN:
            self._member(f"{key}{_CLS}", str(record.label).encode())
        self._count += 1
        return (record.name,)

    def _member(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        header = info.tobuf(tarfile.USTAR_FORMAT if len(data) < 8**11 else tarfile.PAX_FORMAT)
        made = b"".join((header, data, b"\0" * (-len(data) % _BLOCK)))
        self._file.write(made)
        self._end += len(made)

    def finish(self) -> None:
        """Close the tar with two empty blocks."""
        self._file.write(b"\0" * (2 * _BLOCK))
        self._file.close()

    def close(self) -> None:
        """Give the file back, finished or not."""
        self._file.close()
