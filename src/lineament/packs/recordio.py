"""The framing of MXNet RecordIO and the header of its image records.

A record is, in little endian, uint32 magic, uint32 ``cflag << 29 | length``, the data, zeros up to a multiple of four.
Data that holds the magic at a multiple of four bytes is cut there: the magic is left out and the pieces carry cflag 1
(first), 2 (middle), 3 (last). The data is a header ``flag, label, id, id2`` (uint32, float32, uint64, uint64), then
``flag`` float32 labels, then the picture.
"""

import struct

from lineament.packs.filepack import ByteFile, Damaged

MAGIC = 0xCED7230A
MAGIC_BYTES = struct.pack("<I", MAGIC)
_FRAME = struct.Struct("<II")
HEADER = struct.Struct("<IfQQ")
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)
_MAX_LENGTH = (1 << 29) - 1
_MAX_LABELS = 1024
"""Most labels of one record that are believed."""
_PEEK_BYTES = 256
_MAX_PEEKED_LABELS = 32


def _next_part(file: ByteFile, offset: int) -> tuple[int, int, int]:
    """cflag, length and end (with padding) of the part at ``offset``."""
    magic, word = _FRAME.unpack(file.read(offset, _FRAME.size))
    if magic != MAGIC:
        raise Damaged(f"expected the magic number {MAGIC:#x} at byte {offset}, got {magic:#x}")
    length = word & _MAX_LENGTH
    end = offset + _FRAME.size + length
    if end > file.size:
        raise Damaged(
            f"expected {length} bytes at byte {offset}, the file ends at byte {file.size} (truncated?)"
        )
    return word >> 29, length, min(end + -length % 4, file.size)


def extent(file: ByteFile, offset: int) -> int:
    """Where the record at ``offset`` ends, all its parts taken together."""
    cflag, _, end = _next_part(file, offset)
    if cflag == _WHOLE:
        return end
    if cflag != _FIRST:
        raise Damaged(f"expected the first part of a record at byte {offset}, got cflag {cflag}")
    while cflag != _LAST:
        cflag, _, end = _next_part(file, end)
        if cflag not in {_MIDDLE, _LAST}:
            raise Damaged(f"expected a later part of the record at byte {offset}, got cflag {cflag}")
    return end


def joined(data: bytes) -> bytes:
    """The data of one record from its bytes in the file; between the parts the magic is put back.

    Raises:
        Damaged: they do not begin with the magic.
    """
    parts = []
    offset = 0
    while offset < len(data):
        magic, word = _FRAME.unpack_from(data, offset)
        if magic != MAGIC:
            raise Damaged(f"expected the magic number {MAGIC:#x}, got {magic:#x}; the file has changed")
        start = offset + _FRAME.size
        length = word & _MAX_LENGTH
        parts.append(data[start : start + length])
        offset = start + length + -length % 4
    return MAGIC_BYTES.join(parts)


def framed(data: bytes) -> bytes:
    """One record as it lies in a file.

    Args:
        data: header, labels and picture.

    Raises:
        Damaged: a part is too long for the format.
    """
    cuts, place = [], data.find(MAGIC_BYTES)
    while place >= 0:
        if place % 4 == 0:
            cuts.append(place)
            place = data.find(MAGIC_BYTES, place + 4)
        else:
            place = data.find(MAGIC_BYTES, place + 1)
    starts, ends = [0, *(cut + 4 for cut in cuts)], [*cuts, len(data)]
    flags = [_FIRST, *[_MIDDLE] * (len(cuts) - 1), _LAST] if cuts else [_WHOLE]
    made = []
    for flag, start, end in zip(flags, starts, ends, strict=True):
        length = end - start
        if length > _MAX_LENGTH:
            raise Damaged(f"a record holds at most {_MAX_LENGTH} bytes, got {len(data)}")
        made += [_FRAME.pack(MAGIC, flag << 29 | length), data[start:end], b"\0" * (-length % 4)]
    return b"".join(made)


def parse_header(data: bytes) -> tuple[tuple[float, ...], int]:
    """Labels of a record and where its picture begins.

    Args:
        data: the record from its header on; the labels at least.

    Raises:
        Damaged: it is too short.
    """
    if len(data) < HEADER.size:
        raise Damaged(f"expected a header of {HEADER.size} bytes, got {len(data)}")
    flag, label, _, _ = HEADER.unpack_from(data)
    if flag == 0:
        return (label,), HEADER.size
    start = HEADER.size + 4 * flag
    if flag > _MAX_LABELS or start > len(data):
        raise Damaged(f"expected {flag} labels, the record holds {len(data)} bytes")
    return struct.unpack_from(f"<{flag}f", data, HEADER.size), start


def read_head(file: ByteFile, offset: int, end: int) -> bytes:
    """The data of a record: header, labels and the first bytes of the picture at least.

    Args:
        file: where it lies.
        offset: of its first byte.
        end: of its last part, as :func:`extent` gives it.
    """
    data = file.peek(offset, min(_PEEK_BYTES, end - offset))
    cflag, length = divmod(_FRAME.unpack_from(data)[1], 1 << 29)
    n_labels = int.from_bytes(data[_FRAME.size : _FRAME.size + 4], "little")
    if cflag == _WHOLE and (len(data) == end - offset or n_labels <= _MAX_PEEKED_LABELS):
        return data[_FRAME.size : _FRAME.size + length]
    return joined(file.read(offset, end - offset))
