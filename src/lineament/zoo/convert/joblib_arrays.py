"""Reads a list of float32 arrays from joblib's compressed files without unpickling anything.

Such a file is an LZ4 frame around a pickle in which each array is announced by a wrapper object and follows as
raw bytes. This reader knows the two dozen opcodes that such files are made of and keeps every object as a
plain record: nothing is imported, called or constructed by what the file says.

Source: PEP 3154 (pickle protocol 4); joblib's ``numpy_pickle`` module, its array wrapper.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lz4.frame
import numpy as np

from lineament.core.arrays import FloatArray
from lineament.core.errors import WeightsCorrupt
from lineament.zoo.convert.graph import corrupt, finite

WHAT = "joblib array file"
MAX_BYTES = 4 * 2**20
"""Decompressed size above which a file is refused."""

_WRAPPER = ("joblib.numpy_pickle", "NumpyArrayWrapper")
_ARRAY = ("numpy", "ndarray")
_DTYPE = ("numpy", "dtype")
_FLOAT32_ARGUMENTS = ("f4", False, True)
_MAX_SIDE = 100_000
_MARK = object()


@dataclass(slots=True, eq=False)
class _Record:
    """What the file calls an object of a class: its class, its arguments, its state."""

    kind: tuple[str, str]
    arguments: Any
    state: Any = None


class _Machine:
    """The stack machine of the pickle format, for the opcodes of an array list."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._stack: list[Any] = []
        self._memo: list[Any] = []
        push = self._stack.append
        self._steps: dict[bytes, Callable[[], None]] = {
            b"\x80": self._protocol,
            b"\x95": lambda: self._skip(8),
            b"\x94": lambda: self._memo.append(self._stack[-1]),
            b"h": lambda: push(self._memo[self._byte()]),
            b"(": lambda: push(_MARK),
            b"]": lambda: push([]),
            b"}": lambda: push({}),
            b")": lambda: push(()),
            b"K": lambda: push(self._byte()),
            b"M": lambda: push(struct.unpack("<H", self._take(2))[0]),
            b"J": lambda: push(struct.unpack("<i", self._take(4))[0]),
            b"N": lambda: push(None),
            b"\x88": lambda: push(True),
            b"\x89": lambda: push(False),
            b"\x8c": lambda: push(self._take(self._byte()).decode()),
            b"\x85": lambda: push((self._pop(),)),
            b"\x86": lambda: push(tuple(self._pop_many(2))),
            b"\x87": lambda: push(tuple(self._pop_many(3))),
            b"t": lambda: push(tuple(self._pop_marked())),
            b"\x93": self._class,
            b"\x81": self._object,
            b"R": self._object,
            b"u": self._set_items,
            b"e": lambda: self._extend(self._pop_marked()),
            b"a": lambda: self._extend([self._pop()]),
            b"b": self._build,
        }

    def run(self) -> Any:
        while (code := self._take(1)) != b".":
            if code not in self._steps:
                raise corrupt(WHAT, f"an opcode of an array list at byte {self._at - 1}", code)
            self._steps[code]()
        if self._at != len(self._data) or len(self._stack) != 1:
            raise corrupt(WHAT, "one list and nothing behind it", f"{len(self._data) - self._at} more bytes")
        return self._stack[0]

    def _take(self, count: int) -> bytes:
        if count > len(self._data) - self._at:
            raise corrupt(WHAT, f"{count} bytes at byte {self._at}", len(self._data) - self._at)
        self._at += count
        return self._data[self._at - count : self._at]

    def _byte(self) -> int:
        return self._take(1)[0]

    def _skip(self, count: int) -> None:
        self._take(count)

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise corrupt(WHAT, f"a value at byte {self._at}", "a mark")
        return value

    def _pop_many(self, count: int) -> list[Any]:
        return [self._pop() for _ in range(count)][::-1]

    def _pop_marked(self) -> list[Any]:
        found = []
        while (value := self._stack.pop()) is not _MARK:
            found.append(value)
        return found[::-1]

    def _protocol(self) -> None:
        version = self._byte()
        if version != 4:
            raise corrupt(WHAT, "pickle protocol 4", version)

    def _class(self) -> None:
        module, name = self._pop_many(2)
        if not isinstance(module, str) or not isinstance(name, str):
            raise corrupt(WHAT, f"the name of a class at byte {self._at}", "another value")
        if (module, name) not in (_WRAPPER, _ARRAY, _DTYPE):
            raise corrupt(WHAT, "only array classes", f"{module[:60]}.{name[:60]}")
        self._stack.append((module, name))

    def _object(self) -> None:
        kind, arguments = self._pop_many(2)
        if kind not in (_WRAPPER, _DTYPE):
            raise corrupt(WHAT, f"an object of {_WRAPPER[1]} or {_DTYPE[1]} at byte {self._at}", "another")
        self._stack.append(_Record(kind, arguments))

    def _set_items(self) -> None:
        items = self._pop_marked()
        target = self._stack[-1]
        if not isinstance(target, dict) or len(items) % 2 or not all(isinstance(k, str) for k in items[::2]):
            raise corrupt(WHAT, f"a dictionary and named values at byte {self._at}", "other values")
        target.update(zip(items[::2], items[1::2], strict=True))

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise corrupt(WHAT, f"a list at byte {self._at}", type(target).__name__)
        target.extend(items)

    def _build(self) -> None:
        record, state = self._pop_many(2)
        if not isinstance(record, _Record):
            raise corrupt(WHAT, f"an object with a state at byte {self._at}", type(record).__name__)
        record.state = state
        self._stack.append(self._array(state) if record.kind == _WRAPPER else record)

    def _array(self, state: Any) -> FloatArray:
        """The array that follows its wrapper as raw bytes."""
        if not isinstance(state, dict):
            raise corrupt(WHAT, f"the facts of an array at byte {self._at}", type(state).__name__)
        dtype = state.get("dtype")
        if (
            not isinstance(dtype, _Record)
            or dtype.arguments != _FLOAT32_ARGUMENTS
            or not isinstance(dtype.state, tuple)
            or dtype.state[:2] != (3, "<")
            or state.get("subclass") != _ARRAY
            or state.get("order") != "C"
        ):
            raise corrupt(WHAT, f"a little-endian float32 array in C order at byte {self._at}", "another")
        shape = state.get("shape")
        if not isinstance(shape, tuple) or not all(type(n) is int and 0 < n < _MAX_SIDE for n in shape):
            raise corrupt(WHAT, f"the sizes of an array at byte {self._at}", "other values")
        if state.get("numpy_array_alignment_bytes") is not None:
            self._skip(self._byte())
        count = 1
        for size in shape:
            count *= size
        values = np.frombuffer(self._take(4 * count), "<f4").astype(np.float32).reshape(shape)
        return finite(values, f"{WHAT}, array before byte {self._at}")


def _decompressed(data: bytes) -> bytes:
    frame = lz4.frame.LZ4FrameDecompressor()
    try:
        content: bytes = frame.decompress(data, max_length=MAX_BYTES)
    except (RuntimeError, ValueError) as error:
        raise corrupt(WHAT, "an LZ4 frame", str(error)) from error
    if not frame.eof or frame.unused_data:
        raise corrupt(WHAT, f"one whole LZ4 frame of at most {MAX_BYTES} bytes", "another length")
    return content


def read_arrays(data: bytes) -> list[FloatArray]:
    """The arrays of a joblib file that was compressed with LZ4.

    Args:
        data: bytes of the file, a list of float32 arrays.

    Raises:
        WeightsCorrupt: the file is anything else, or damaged.
    """
    try:
        found = _Machine(_decompressed(data)).run()
    except WeightsCorrupt:
        raise
    except (IndexError, ValueError, TypeError, RecursionError) as error:
        # Stack or memo too short, bytes that are no text, arrays or nested tuples where a fact is compared.
        raise corrupt(WHAT, "a sound pickle", str(error)) from error
    if not isinstance(found, list) or not all(isinstance(a, np.ndarray) for a in found):
        raise corrupt(WHAT, "a list of arrays", type(found).__name__)
    return found
