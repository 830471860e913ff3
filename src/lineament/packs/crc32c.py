"""CRC-32C (Castagnoli), which TFRecord guards its records with, vectorised with numpy.

A CRC is linear: that of a row of bytes is the exclusive or of what each byte contributes at its place. One table holds
the contribution of every byte value at each of 1,024 places; rows are joined by the tables that shift a CRC over a
whole row of zeros.

Source: RFC 3720, appendix B.4; polynomial 0x1EDC6F41, reflected 0x82F63B78, initial value and final xor ~0.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL = 0x82F63B78
_ROW = 1024
_ONES = 0xFFFFFFFF
_SHORT = 64
"""Up to so many bytes the plain loop over a table is faster."""
_MASK_DELTA = 0xA282EAD8


class _Tables(NamedTuple):
    """``byte`` (256): CRC step of one byte. ``places`` (1024 * 256): contribution of a byte at a place of a row, flat.
    ``shift`` (4, 256): a CRC moved over a row of zeros, by its four bytes."""

    byte: list[int]
    places: NDArray[np.uint32]
    shift: list[list[int]]


@cache
def _tables() -> _Tables:
    step = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        step = np.where(step & 1, (step >> 1) ^ np.uint32(_POLYNOMIAL), step >> 1).astype(np.uint32)
    places = np.empty((_ROW, 256), np.uint32)
    places[-1] = step
    for place in range(_ROW - 2, -1, -1):
        after = places[place + 1]
        places[place] = step[after & 0xFF] ^ (after >> 8)
    # A CRC is XORed with the first four bytes of what follows, so their places are the shift over one row.
    shift = [places[place].tolist() for place in range(4)]
    return _Tables(step.tolist(), places.ravel(), shift)


@cache
def _row_starts() -> NDArray[np.intp]:
    return np.arange(_ROW, dtype=np.intp) * 256


def crc32c(data: bytes | memoryview) -> int:
    """CRC-32C of ``data``, from 0 to 2^32 - 1."""
    byte, places, shift = _tables()
    crc = _ONES
    n_rows = len(data) // _ROW if len(data) > _SHORT else 0
    done = n_rows * _ROW
    if n_rows:
        rows = np.frombuffer(data, np.uint8, done).reshape(n_rows, _ROW)
        for own in np.bitwise_xor.reduce(places.take(rows + _row_starts()), axis=1).tolist():
            crc = (
                shift[0][crc & 0xFF]
                ^ shift[1][crc >> 8 & 0xFF]
                ^ shift[2][crc >> 16 & 0xFF]
                ^ shift[3][crc >> 24]
                ^ own
            )
    rest = len(data) - done
    if rest > _SHORT:
        # The last places of a row; the CRC so far is XORed into the first four bytes.
        tail = np.frombuffer(data, np.uint8, rest, done).copy()
        tail[:4] ^= np.frombuffer(crc.to_bytes(4, "little"), np.uint8)
        return int(np.bitwise_xor.reduce(places.take(tail + _row_starts()[_ROW - rest :]))) ^ _ONES
    for value in data[done:]:
        crc = byte[(crc ^ value) & 0xFF] ^ crc >> 8
    return crc ^ _ONES


def masked_crc32c(data: bytes | memoryview) -> int:
    """CRC-32C as TFRecord stores it: turned by 15 bits, plus a constant, modulo 2^32."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & _ONES
