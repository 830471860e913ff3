"""Packs: every form that is in use is read, and nothing in a pack is run."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lineament.core.errors import DataError
from lineament.packs import read_pair_pack

PICTURES = [b"\xff\xd8one", b"\xff\xd8two", b"\xff\xd8three", b"\xff\xd8\x00four"]


def as_row(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8)


def as_column(data: bytes) -> NDArray[np.uint8]:
    return as_row(data)[:, None]


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("form", [bytes, as_row, as_column])
def test_all_forms_of_pictures_are_read(
    tmp_path: Path, protocol: int, form: Callable[[bytes], object]
) -> None:
    path = tmp_path / "p.bin"
    path.write_bytes(pickle.dumps(([form(d) for d in PICTURES], [True, False]), protocol))
    pictures, mated = read_pair_pack(path)
    assert pictures == tuple(PICTURES)
    assert mated.tolist() == [True, False]


def test_packs_of_python_2_and_old_numpy_are_read(tmp_path: Path) -> None:
    path = tmp_path / "p.bin"
    # two pictures as strings of Python 2 (opcode U), then the list of answers
    path.write_bytes(b"(](U\x03\xff\xd8aU\x03\xff\xd8be](I01\net.")
    assert read_pair_pack(path)[0] == (b"\xff\xd8a", b"\xff\xd8b")
    data = pickle.dumps(([as_row(d) for d in PICTURES], np.array([1, 0])), 3)
    path.write_bytes(data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert read_pair_pack(path)[0] == tuple(PICTURES)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch ran",)


def test_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "p.bin"
    path.write_bytes(pickle.dumps(([b"a", b"b"], [Evil()])))
    with pytest.raises(DataError, match=r"system, which a pack of pictures does not need"):
        read_pair_pack(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([b"a"], r"expected \(pictures, answers\), got list"),
        (([b"a", b"b", b"c"], [True]), r"two pictures for each answer, got 3 and 1"),
        (([], []), r"holds no pair"),
        (([b"a", "text"], [True]), r"picture 1: expected bytes or a row of uint8, got str"),
        (([b"a", np.zeros((2, 2), np.uint8)], [True]), r"picture 1: .* got \(2, 2\) uint8"),
        (([b"a", b"b"], [2]), r"true or false"),
        (([b"a", b"b"], ["yes"]), r"true or false"),
        ((7, [True]), r"got int and 1"),
    ],
)
def test_other_content_is_explained(tmp_path: Path, content: object, words: str) -> None:
    path = tmp_path / "p.bin"
    path.write_bytes(pickle.dumps(content, 3))
    with pytest.raises(DataError, match=words):
        read_pair_pack(path)


@pytest.mark.parametrize("data", [b"", b"not a pickle", pickle.dumps(([b"a", b"b"], [True]))[:-4]])
def test_damaged_packs_are_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "p.bin"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"p\.bin"):
        read_pair_pack(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_pair_pack(tmp_path / "absent.bin")
