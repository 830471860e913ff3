"""TFRecord files of ``tf.train.Example``: picture, label and name.

A record is, in little endian, uint64 length, uint32 masked CRC-32C of the length's bytes, the data, uint32 masked
CRC-32C of the data. Pictures lie under ``image_raw`` or ``image/encoded``, labels under ``label`` or
``image/class/label``, names under ``name``.

Source: the format notes of TensorFlow's TFRecord.
"""

import struct
from array import array
from collections.abc import Sequence
from pathlib import Path

from lineament.core.errors import DataError
from lineament.packs.base import UNKNOWN, Fault, Record
from lineament.packs.companions import dressed
from lineament.packs.crc32c import masked_crc32c
from lineament.packs.example import parse_example, serialised
from lineament.packs.filepack import ByteFile, Damaged, FilePack, Found
from lineament.packs.pictures import HEAD_BYTES

_LENGTH = struct.Struct("<QI")
_CRC = struct.Struct("<I")


def begins_tfrecord(head: bytes) -> bool:
    """True when the first bytes of a file are the length of a record with its CRC."""
    return len(head) >= _LENGTH.size and masked_crc32c(head[:8]) == _LENGTH.unpack_from(head)[1]


def open_tfrecord(path: Path) -> FilePack:
    """Open a TFRecord file; one walk over its records finds their places, labels and names.

    Lengths are compared with their CRC at once, data when they are read.

    Args:
        path: the file.

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
    found, names = Found(), list[str | None]()
    # where the data of each record begins, its size, and its picture's place in it
    places, sizes, starts, ends = array("q"), array("q"), array("q"), array("q")
    number = place = 0
    while place < file.size:
        try:
            size = _length(file, place)
        except Damaged as error:
            found.faults.append(Fault(number, f"{error}; what follows is not read"))
            number += 1
            break
        begin = place + _LENGTH.size
        try:
            example = parse_example(lambda at, n, b=begin, s=size: file.peek(b + at, min(n, s - at)), size)  # type: ignore[misc]
            name = None if example.name is None else example.name.decode("utf-8", "surrogateescape")
        except Damaged as error:
            found.faults.append(Fault(number, str(error)))
        else:
            label = UNKNOWN if example.label is None else example.label
            found.add(number, label, file.peek(begin + example.start, HEAD_BYTES))
            names.append(name)
            places.append(begin)
            sizes.append(size)
            starts.append(example.start)
            ends.append(example.end)
        number, place = number + 1, begin + size + _CRC.size
    if not places:
        raise DataError(f"pack {path} holds no readable picture{''.join(f'; {f}' for f in found.faults[:1])}")
    index = dressed(path, found, number, own_names=names)

    def fetch(i: int) -> bytes:
        data = file.read(places[i], sizes[i] + _CRC.size)
        (crc,) = _CRC.unpack_from(data, sizes[i])
        if masked_crc32c(memoryview(data)[: sizes[i]]) != crc:
            raise Damaged("the CRC-32C of the record does not agree")
        return data[starts[i] : ends[i]]

    return FilePack(path, index, fetch, file.close, open_tfrecord)


def _length(file: ByteFile, place: int) -> int:
    """Length of the data of the record at ``place``, all of which lies in the file."""
    head = file.read(place, _LENGTH.size)
    length, crc = _LENGTH.unpack(head)
    if masked_crc32c(head[:8]) != crc:
        raise Damaged(f"the length at byte {place} does not agree with its CRC-32C")
    if place + _LENGTH.size + length + _CRC.size > file.size:
        raise Damaged(
            f"expected {length} bytes at byte {place}, the file ends at byte {file.size} (truncated?)"
        )
    return int(length)


class TFRecordWriter:
    """Writes a TFRecord file."""

    columns = ()

    def __init__(self, path: Path, _subjects: Sequence[str]) -> None:
        """Begin a file."""
        self._file = path.open("xb")

    def add(self, record: Record) -> tuple[str, ...]:
        """Write the next record; ``records.csv`` says nothing of it."""
        data = serialised(record.image, record.label, record.name)
        length = struct.pack("<Q", len(data))
        self._file.write(length + _CRC.pack(masked_crc32c(length)) + data + _CRC.pack(masked_crc32c(data)))
        return ()

    def finish(self) -> None:
        """Write what is still held back."""
        self._file.close()

    def close(self) -> None:
        """Give the file back, finished or not."""
        self._file.close()
