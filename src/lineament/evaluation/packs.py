"""Verification packs of aligned crops as the InsightFace tools exchange them (``lfw.bin`` and its like)."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import describe
from lineament.core.errors import DataError

_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}
_NUMPY_MOVED = {"numpy.core.multiarray": "numpy._core.multiarray"}


class _PlainData(pickle.Unpickler):
    """Admits bytes, numbers, lists and numpy arrays; anything else could run code and is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise DataError(f"it names {module}.{name}, which a pack of pictures does not need")
        return super().find_class(_NUMPY_MOVED.get(module, module), name)


def read_pack(path: Path) -> tuple[tuple[bytes, ...], NDArray[np.bool_]]:
    """The encoded pictures and the answers of a pack.

    Args:
        path: a pickle of ``(pictures, answers)``; pair k is pictures 2k and 2k + 1, each bytes or a row
            or column of uint8.

    Returns: 2P encoded pictures, and (P,) True for a pair of one person.

    Raises:
        DataError: not such a pack, or a pickle that holds more than plain data.
    """
    try:
        data = path.read_bytes()
        # Only plain data is admitted; the encoding is for packs of Python 2.
        found = _PlainData(io.BytesIO(data), encoding="bytes").load()
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
