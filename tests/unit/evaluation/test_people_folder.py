"""Folders of people: what counts, what is said about the rest, and drawn pairs."""

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lineament.core.errors import DataError
from lineament.evaluation import peoplefolder
from lineament.evaluation.peoplefolder import People, alike_people, people_pairs, read_people
from lineament.evaluation.sets import PictureSource

Fill = Callable[[dict[str, bytes]], Path]


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    def write(files: dict[str, bytes]) -> Path:
        for name, data in files.items():
            path = tmp_path / "people" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return tmp_path / "people"

    return write


def people_in(path: Path) -> People:
    with PictureSource(path) as source:
        return read_people(source)


def test_everything_that_does_not_count_is_said(fill: Fill) -> None:
    folder = fill(
        {
            "Ada/1.jpg": b"a1",
            "Ada/deeper/2.png": b"a2",
            "Ada/copy.jpg": b"a1",
            "Bob/1.jpg": b"b1",
            "Cy/notes.txt": b"none",
            "loose.jpg": b"x",
            ".hidden/1.jpg": b"h",
            "__MACOSX/Ada/1.jpg": b"m",
        }
    )
    (folder / "Dee").mkdir()
    found = people_in(folder)
    assert found.samples == ("Ada/1.jpg", "Ada/deeper/2.png", "Bob/1.jpg")
    assert found.subjects == ("Ada", "Ada", "Bob")
    assert found.digests == tuple(hashlib.sha256(data).hexdigest() for data in (b"a1", b"a2", b"b1"))
    assert found.notes == (
        "1 pictures outside of a person's folder were left out",
        "1 files that are no pictures were left out",
        "1 copies of a person's own picture were left out",
        "2 folders hold no picture",
        "1 of 2 people have one picture only and so no mated pair",
    )


def test_a_zip_is_a_folder(fill: Fill, tmp_path: Path) -> None:
    folder = fill({"Ada/1.jpg": b"a1", "Ada/2.jpg": b"a2", "Bob/1.jpg": b"b1"})
    with zipfile.ZipFile(tmp_path / "people.zip", "w") as archive:
        for path in folder.rglob("*.jpg"):
            archive.write(path, path.relative_to(folder).as_posix())
    assert people_in(tmp_path / "people.zip") == people_in(folder)


def test_one_file_under_two_names_is_an_error(fill: Fill) -> None:
    folder = fill({"Ada/1.jpg": b"a1", "Bob/1.jpg": b"b1", "Eve/9.jpg": b"a1"})
    with pytest.raises(DataError, match=r"1 files lie under two people \(Ada/1.jpg = Eve/9.jpg\)"):
        people_in(folder)


@pytest.mark.parametrize("files", [{}, {"Ada/1.jpg": b"a"}, {"1.jpg": b"a", "2.jpg": b"b"}])
def test_fewer_than_two_people_are_an_error(fill: Fill, files: dict[str, bytes]) -> None:
    folder = fill({"readme.txt": b"x", **files})
    with pytest.raises(DataError, match="two people or more"):
        people_in(folder)


def made_up(counts: list[int]) -> People:
    subjects = tuple(f"P{i:03d}" for i, n in enumerate(counts) for _ in range(n))
    return People(tuple(f"{s}/{k}.jpg" for k, s in enumerate(subjects)), subjects, "", ())


def test_few_pairs_are_all_compared_and_many_are_drawn() -> None:
    people = made_up([3, 1, 5, 2, 4])
    whole = people_pairs(people, seed=0)
    assert len(whole.pairs) == 15 * 14 // 2
    assert whole.mated.sum() == 3 + 10 + 1 + 6
    part = people_pairs(people, seed=0, max_pairs=60)
    assert len(part.pairs) == 60
    assert part.mated.sum() == 20  # no more than half, so all
    assert "20 of 20 mated and 40 of 85 non-mated pairs" in part.protocol
    assert len({tuple(sorted(pair)) for pair in part.pairs.tolist()}) == 60
    number = part.subject_of_sample
    assert number is not None
    assert np.array_equal(part.mated, number[part.pairs[:, 0]] == number[part.pairs[:, 1]])
    assert np.array_equal(part.pairs, people_pairs(people, seed=0, max_pairs=60).pairs)
    assert not np.array_equal(part.pairs, people_pairs(people, seed=1, max_pairs=60).pairs)
    fewer = people_pairs(people, seed=0, max_pairs=30)
    assert (len(fewer.pairs), fewer.mated.sum()) == (30, 15)


def test_drawn_pairs_favour_no_pair() -> None:
    people = made_up([1] * 6)
    seen = np.zeros((6, 6), int)
    for seed in range(300):
        for a, b in people_pairs(people, seed, max_pairs=5).pairs.tolist():
            seen[min(a, b), max(a, b)] += 1
    drawn = seen[np.triu_indices(6, 1)]
    assert drawn.sum() == 1500
    assert drawn.min() > 60  # 100 expected, standard deviation 8
    assert drawn.max() < 140


@pytest.mark.parametrize("block", [4, 1024])
def test_people_as_alike_as_one_are_counted(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peoplefolder, "_PEOPLE_BLOCK", block)
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(14), rng.integers(1, 5, 14)).astype(np.int32)
    centres = rng.normal(size=(14, 4))
    centres[9] = centres[2]
    vectors = centres[subjects] + 0.5 * rng.normal(size=(len(subjects), 4))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    scores = vectors.astype(float) @ vectors.T.astype(float)

    def mean(a: int, b: int) -> float:
        rows, columns = np.flatnonzero(subjects == a), np.flatnonzero(subjects == b)
        return float(np.mean([scores[i, j] for i in rows for j in columns if i != j]))

    usual = np.quantile([mean(k, k) for k in range(14) if np.sum(subjects == k) > 1], 0.1)
    expected = sum(mean(a, b) >= usual for a in range(14) for b in range(a + 1, 14))
    assert expected > 0
    assert alike_people(vectors, subjects) == expected
    assert alike_people(vectors[:1], subjects[:1]) == 0
