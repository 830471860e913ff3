"""InsightFace's training packs: ``train.rec`` with ``train.idx`` and ``property``.

Record 0 has no picture; its two labels say that the keys from 1 up to the first one are pictures, and those up to the
second one the records of the subjects, whose two labels are their range of keys. Packs without such a record 0 hold
nothing but pictures. ``property`` says ``subjects,height,width``.
"""

import re
import struct
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from lineament.core.errors import DataError
from lineament.packs.base import UNKNOWN, Fault, Record
from lineament.packs.companions import dressed, read_text
from lineament.packs.filepack import ByteFile, Damaged, FilePack, Found
from lineament.packs.pictures import HEAD_BYTES, picture_size
from lineament.packs.recordio import HEADER, extent, framed, joined, parse_header, read_head

MAX_EXACT = 1 << 24
"""Keys and labels are float32, which holds whole numbers up to this one."""
PROPERTY = "property"
_PROPERTY = re.compile(r"\s*(\d{1,9})\s*,\s*\d+\s*,\s*\d+\s*")
_RANGE = 2


def open_rec(path: Path) -> FilePack:
    """Open a ``.rec``; with its ``.idx`` records are found at once, without it by a walk from the front.

    Args:
        path: the ``.rec`` file.

    Raises:
        DataError: it cannot be opened, or holds no readable picture.
    """
    file = ByteFile(path)
    try:
        return _opened(path, file)
    except BaseException:
        file.close()
        raise


def _opened(path: Path, file: ByteFile) -> FilePack:
    found = Found()
    offsets, ends = array("q"), array("q")
    subjects: dict[int, tuple[float, ...]] = {}
    images: range | None = None
    for key, offset, end in _places(file, _listed(path, found.faults), found.faults):
        try:
            head = read_head(file, offset, end)
            labels, start = parse_header(head)
        except Damaged as error:
            found.faults.append(Fault(key, str(error)))
            continue
        has_picture = len(head) > start
        if key == 0 and not has_picture and len(labels) == _RANGE:
            images = range(1, max(_whole(labels[0]), 1))
        elif images is not None and key not in images:
            subjects[key] = labels
        elif not has_picture:
            found.faults.append(Fault(key, "expected a picture, got a header without one"))
        else:
            offsets.append(offset)
            ends.append(end)
            found.add(key, _label(labels[0], key, found.faults), head[start : start + HEAD_BYTES])
    if not offsets:
        raise DataError(f"pack {path} holds no readable picture{''.join(f'; {f}' for f in found.faults[:1])}")
    found.faults += _wrong_ranges(found, subjects)
    first, total = (0, found.numbers[-1] + 1) if images is None else (1, len(images))
    found.numbers = array("q", (number - first for number in found.numbers))
    classes = max(len(subjects), _classes(path, found.faults))
    index = dressed(path, found, total, columns=("name",), classes=classes)

    def fetch(number: int) -> bytes:
        data = joined(file.read(offsets[number], ends[number] - offsets[number]))
        return data[parse_header(data)[1] :]

    return FilePack(path, index, fetch, file.close, open_rec)


def _listed(path: Path, faults: list[Fault]) -> dict[int, int] | None:
    """Offset of each key in the ``.idx``; None without a readable one."""
    where = path.with_suffix(".idx")
    try:
        text = read_text(where)
        if text is None:
            return None
        fields = text.split()
        listed = dict(zip(map(int, fields[::2]), map(int, fields[1::2]), strict=True))
    except (DataError, ValueError) as error:
        faults.append(Fault(None, f"{where.name}: {error}; the records were looked for without it"))
        return None
    if 2 * len(listed) != len(fields):
        faults.append(Fault(None, f"{where.name}: {len(fields) // 2 - len(listed)} keys are listed twice"))
    return dict(sorted(listed.items()))


def _places(
    file: ByteFile, listed: Mapping[int, int] | None, faults: list[Fault]
) -> Iterator[tuple[int, int, int]]:
    """Key, offset and end of each record that can be found, in the order of the keys."""
    if listed is not None:
        for key, offset in listed.items():
            try:
                yield key, offset, extent(file, offset)
            except Damaged as error:
                faults.append(Fault(key, str(error)))
        return
    key = offset = 0
    while offset < file.size:
        try:
            end = extent(file, offset)
        except Damaged as error:
            faults.append(Fault(key, f"{error}; what follows is not read"))
            return
        yield key, offset, end
        key, offset = key + 1, end


def _whole(value: float) -> int:
    """A whole number that was stored as a float; 0 for what is none."""
    return int(value) if 0 <= value <= 2 * MAX_EXACT and value == int(value) else 0


def _label(value: float, key: int, faults: list[Fault]) -> int:
    if value == UNKNOWN or (0 <= value < 2**31 and value == int(value)):
        return int(value)
    faults.append(Fault(key, f"expected a whole number as label, got {value:g}"))
    return UNKNOWN


def _wrong_ranges(found: Found, subjects: Mapping[int, tuple[float, ...]]) -> Iterator[Fault]:
    """Records of subjects whose range holds pictures of another one."""
    keys, labels = found.number_array(), found.label_array()
    for key, span in subjects.items():
        if len(span) != _RANGE:
            yield Fault(key, f"expected a subject's range of keys, got {len(span)} labels")
            continue
        begin, end = np.searchsorted(keys, span)
        if len(set(labels[begin:end].tolist())) > 1:
            yield Fault(
                key, f"the pictures {span[0]:.0f} to {span[1] - 1:.0f} of a subject have several labels"
            )


def _classes(path: Path, faults: list[Fault]) -> int:
    """Number of subjects in ``property``; 0 without it."""
    try:
        text = read_text(path.with_name(PROPERTY))
    except DataError as error:
        faults.append(Fault(None, str(error)))
        return 0
    match = _PROPERTY.fullmatch(text or "")
    if text is not None and match is None:
        faults.append(Fault(None, f"{PROPERTY}: expected subjects,height,width, got {text[:40]!r}"))
    return int(match[1]) if match else 0


class RecWriter:
    """Writes ``.rec``, ``.idx`` and ``property``."""

    columns = ("name",)

    def __init__(self, path: Path, subjects: Sequence[str]) -> None:
        """Begin a pack.

        Args:
            path: the ``.rec`` file.
            subjects: name of each subject; only their number is written.
        """
        self._path = path
        self._n_subjects = len(subjects)
        self._data = path.open("xb")
        self._places = path.with_suffix(".idx").open("x", encoding="ascii")
        self._end = 0
        self._key = 0
        self._size: tuple[int, int] | None = None
        self._ranges: list[tuple[int, int, int]] = []
        self._write(0.0, (0.0, 0.0), b"")

    def add(self, record: Record) -> tuple[str, ...]:
        """Write the next record; returns its row in ``records.csv``.

        Raises:
            DataError: a label or a number of records that float32 does not hold, or a picture of 512 MiB or more.
        """
        if record.label > MAX_EXACT or self._key >= MAX_EXACT - 1:
            raise DataError(
                f".rec holds labels and records up to {MAX_EXACT}; write several packs, or tfrecord"
            )
        if self._key == 1:
            self._size = picture_size(record.image)
        if self._ranges and self._ranges[-1][0] == record.label:
            self._ranges[-1] = (*self._ranges[-1][:2], self._key + 1)
        else:
            self._ranges.append((record.label, self._key, self._key + 1))
        self._write(float(record.label), (), record.image)
        return (record.name,)

    def finish(self) -> None:
        """Write the records of the subjects where each one's pictures lie together, and complete record 0."""
        first = self._key
        labels = [label for label, _, _ in self._ranges]
        if labels == sorted(set(labels)) and labels[0] != UNKNOWN:
            spans = {label: (begin, end) for label, begin, end in self._ranges}
            for label in range(self._n_subjects):
                begin, end = spans.get(label, (first, first))
                self._write(0.0, (float(begin), float(end)), b"")
        self._places.close()
        self._data.seek(0)
        self._data.write(_record(0, 0.0, (float(first), float(self._key)), b""))
        self._data.close()
        height, width = self._size or (0, 0)
        self._path.with_name(PROPERTY).write_text(f"{self._n_subjects},{height},{width}\n", encoding="ascii")

    def close(self) -> None:
        """Give the files back, finished or not."""
        self._data.close()
        self._places.close()

    def _write(self, label: float, labels: tuple[float, ...], image: bytes) -> None:
        """The next record, with one label in its header or several after it."""
        try:
            made = _record(self._key, label, labels, image)
        except Damaged as error:
            raise DataError(f".rec, record {self._key}: {error}") from error
        self._data.write(made)
        self._places.write(f"{self._key}\t{self._end}\n")
        self._end += len(made)
        self._key += 1


def _record(key: int, label: float, labels: tuple[float, ...], image: bytes) -> bytes:
    head = HEADER.pack(len(labels), label, key, 0) + struct.pack(f"<{len(labels)}f", *labels)
    return framed(head + image)
