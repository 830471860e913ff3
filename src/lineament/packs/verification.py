"""Verification packs of aligned crops as the InsightFace tools exchange them (``lfw.bin`` and its like).

A pickle of ``(pictures, answers)``: pair k is the pictures 2k and 2k + 1. Only plain data in it is admitted.
"""

import pickle
import pickletools
import struct
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import describe
from lineament.core.errors import DataError
from lineament.packs.base import UNKNOWN, Fault, Pairs, Record
from lineament.packs.companions import dressed
from lineament.packs.filepack import FilePack, Found

_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}
_NUMPY_MOVED = {"numpy.core.multiarray": "numpy._core.multiarray"}
_NOTES = {"PUT", "BINPUT", "LONG_BINPUT"}


class _PlainData(pickle.Unpickler):
    """Admits bytes, numbers, lists and numpy arrays; anything else could run code and is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise DataError(f"it names {module}.{name}, which a pack of pictures does not need")
        return super().find_class(_NUMPY_MOVED.get(module, module), name)


def read_pair_pack(path: Path) -> tuple[tuple[bytes, ...], NDArray[np.bool_]]:
    """The encoded pictures and the answers of a pack.

    Args:
        path: a pickle of ``(pictures, answers)``; pair k is pictures 2k and 2k + 1, each bytes or a row
            or column of uint8.

    Returns: 2P encoded pictures, and (P,) True for a pair of one person.

    Raises:
        DataError: not such a pack, or a pickle that holds more than plain data.
    """
    try:
        with path.open("rb") as stream:
            _check_memo(stream)
            stream.seek(0)
            # Only plain data is admitted; the encoding is for packs of Python 2.
            found = _PlainData(stream, encoding="bytes").load()
    except DataError as error:
        raise DataError(f"pack {path} is refused: {error}") from error
    except Exception as error:  # a damaged pickle may raise anything
        raise DataError(f"pack {path} cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise DataError(f"pack {path}: expected (pictures, answers), got {type(found).__name__}")
    pictures, answers = found
    if not all(isinstance(part, list | tuple | np.ndarray) for part in found) or len(pictures) != 2 * len(
        answers
    ):
        raise DataError(
            f"pack {path}: expected two pictures for each answer, got {_count(pictures)} and {_count(answers)}"
        )
    if not len(answers):
        raise DataError(f"pack {path} holds no pair")
    encoded = tuple(_bytes(path, number, picture) for number, picture in enumerate(pictures))
    wrong = [
        k for k, answer in enumerate(answers) if not isinstance(answer, bool | int | np.bool_ | np.integer)
    ]
    if wrong or any(int(answer) not in (0, 1) for answer in answers):
        raise DataError(f"pack {path}: expected answers that are true or false, got another value")
    return encoded, np.array([bool(answer) for answer in answers])


def _check_memo(stream: IO[bytes]) -> None:
    """Refuse a pickle that notes an object at a place far beyond their number: the unpickler makes room for all."""
    for n_steps, (code, argument, _) in enumerate(pickletools.genops(stream)):
        if code.name in _NOTES and int(argument or 0) > n_steps:
            raise DataError(f"it is damaged: step {n_steps} notes an object at place {argument}")


def _count(values: Any) -> str:
    return str(len(values)) if hasattr(values, "__len__") else type(values).__name__


def _bytes(path: Path, number: int, picture: Any) -> bytes:
    if isinstance(picture, bytes):
        return picture
    if (
        isinstance(picture, np.ndarray)
        and picture.dtype == np.uint8
        and picture.size == max(picture.shape, default=0)
    ):
        return picture.tobytes()
    got = describe(picture)
    raise DataError(f"pack {path}, picture {number}: expected bytes or a row of uint8, got {got}")


def open_bin(path: Path) -> FilePack:
    """Open a verification pack; all of it is held in memory, as a pickle cannot be read in pieces.

    Whose the pictures are is not told (label -1), unless a ``records.csv`` beside it says so.

    Args:
        path: the file.

    Raises:
        DataError: not such a pack, or a pickle that holds more than plain data.
    """
    pictures, mated = read_pair_pack(path)
    found = Found()
    for number, picture in enumerate(pictures):
        if picture:
            found.add(number, UNKNOWN, picture)
        else:
            found.faults.append(Fault(number, "expected a picture, got no bytes"))
    if not found.numbers:
        raise DataError(f"pack {path} holds no readable picture")
    index = dressed(path, found, len(pictures), columns=BinWriter.columns)
    place = np.full(len(pictures), -1)
    place[found.number_array()] = np.arange(len(found.numbers))
    pairs = place.reshape(-1, 2)
    whole = (pairs >= 0).all(axis=1)
    index = replace(index, pairs=Pairs(pairs[whole], mated[whole]))
    numbers = found.numbers

    def fetch(i: int) -> bytes:
        return pictures[numbers[i]]

    return FilePack(path, index, fetch, lambda: None, open_bin)


class BinWriter:
    """Writes a verification pack picture by picture: a pickle of protocol 3 with nothing but bytes and booleans."""

    columns = ("name", "label")
    _BEGIN, _NEXT_LIST, _END = b"\x80\x03](", b"e](", b"e\x86."
    _ANSWERS: ClassVar = {True: b"\x88", False: b"\x89"}
    _BATCH = 1000
    """Items that an unpickler collects before it appends them to the list."""

    def __init__(self, path: Path, mated: NDArray[np.bool_]) -> None:
        """Begin a pack.

        Args:
            path: the file.
            mated: (P,) True for a pair of one subject; 2P pictures are to come.
        """
        self._mated = mated
        self._count = 0
        self._file = path.open("xb")
        self._file.write(self._BEGIN)

    def add(self, record: Record) -> tuple[str, ...]:
        """Write the next picture; returns its row in ``records.csv``."""
        if self._count and self._count % self._BATCH == 0:
            self._file.write(b"e(")
        try:
            self._file.write(b"B" + struct.pack("<I", len(record.image)) + record.image)
        except struct.error as error:
            raise DataError(f".bin holds pictures below 4 GiB, got {len(record.image)} bytes") from error
        self._count += 1
        return record.name, str(record.label)

    def finish(self) -> None:
        """Write the answers."""
        if self._count != 2 * len(self._mated):
            raise ValueError(f"{len(self._mated)} pairs need twice as many records, got {self._count}")
        self._file.write(self._NEXT_LIST)
        self._file.write(b"".join(self._ANSWERS[answer] for answer in self._mated.tolist()))
        self._file.write(self._END)
        self._file.close()

    def close(self) -> None:
        """Give the file back, finished or not."""
        self._file.close()
