"""``lineament data``: results, exit codes and messages."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lineament.cli.data import app
from lineament.core.errors import DataError
from lineament.packs import Pairs, Record, open_pack, write_pack

Output = pytest.CaptureFixture[str]
RECORDS = [
    Record(f"{who}/{who}_{i + 1:04d}.jpg", k, b"\xff\xd8\xff%d%d" % (k, i))
    for k, who in enumerate(("ada", "bob", "eve", "kim"))
    for i in range(3)
]


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """Four people with three pictures each, as .rec with pairs."""
    pairs = Pairs(np.array([[0, 1], [0, 3]]), np.array([True, False]))
    write_pack(RECORDS, tmp_path / "people.rec", "rec", ["ada", "bob", "eve", "kim"], pairs=pairs)
    return tmp_path / "people.rec"


def run(*words: object) -> int:
    """Run a command; its exit code."""
    return app([str(word) for word in words], standalone_mode=False) or 0


def document(capsys: Output, code: int, *words: object) -> Any:
    assert run(*words, "--json") == code
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", ["a", "a.zip", "a.tfrecord", "a.tar", "a.bin", "b.rec"])
def test_convert(pack: Path, tmp_path: Path, capsys: Output, name: str) -> None:
    told = document(capsys, 0, "convert", pack, tmp_path / name)
    assert told["records"] == (4 if name == "a.bin" else 12)
    assert told["faults"] == []
    with open_pack(tmp_path / name, strict=True) as made:
        assert made.info is not None
        assert (told["format"], told["sha256"]) == (made.info.format, made.info.sha256)
        assert {made.read(i).image for i in range(len(made))} <= {r.image for r in RECORDS}
    with pytest.raises(DataError, match="exists; choose another name"):
        run("convert", pack, tmp_path / name)


def test_convert_says_what_it_cannot_read(pack: Path, tmp_path: Path, capsys: Output) -> None:
    data = pack.read_bytes()
    pack.write_bytes(data[:200])
    with pytest.raises(DataError, match="truncated"):
        run("convert", pack, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()
    assert run("convert", pack, tmp_path / "a.zip", "--skip-damaged") == 0
    out, err = capsys.readouterr()
    assert out.startswith("4 records of 4 subjects written to ")
    assert "left out or made up: record 5: " in err


def test_formats_are_asked_for_or_told_by_the_suffix(pack: Path, tmp_path: Path) -> None:
    assert run("convert", pack, tmp_path / "shards", "--format", "tar") == 0
    assert (tmp_path / "shards" / "000000.tar").is_file()
    for words in (("a.lmdb",), ("a", "--format", "lmdb")):
        with pytest.raises(Exception, match="must be one of folder, zip, rec"):
            run("convert", pack, tmp_path / words[0], *words[1:])


def test_stats(pack: Path, capsys: Output) -> None:
    told = document(capsys, 0, "stats", pack)
    assert (told["records"], told["subjects"], told["pairs"]) == (12, 4, 2)
    assert told["records_per_subject"]["0.5"] == 3
    assert told["histogram"] == {"1": 0, "2": 4}
    assert told["kinds"] == {".jpg": 12}
    assert told["sizes"] == [{"height_px": None, "width_px": None, "records": 12}]
    assert run("stats", pack) == 0
    out = capsys.readouterr().out
    assert "2 pairs, 1 of one subject" in out
    assert "no size: 12" in out


def test_pairs(pack: Path, tmp_path: Path, capsys: Output) -> None:
    words = ("--folds", 2, "--pairs", 3, "--seed", 5)
    assert document(capsys, 0, "pairs", pack, tmp_path / "p.txt", *words)["folds"] == 2
    lines = (tmp_path / "p.txt").read_text().splitlines()
    assert lines[0] == "2\t3"
    assert [len(line.split("\t")) for line in lines[1:]] == [3, 3, 3, 4, 4, 4] * 2
    assert run("pairs", pack, tmp_path / "v1.txt", "--view", 1, "--pairs", 4) == 0
    assert (tmp_path / "v1.txt").read_text().startswith("4\n")
    assert run("pairs", pack, tmp_path / "p.csv", *words) == 0
    with pytest.raises(DataError, match="300 are wanted"):
        run("pairs", pack, tmp_path / "q.txt")
    with pytest.raises(DataError, match="exists"):
        run("pairs", pack, tmp_path / "p.txt", *words)


def test_split(pack: Path, tmp_path: Path, capsys: Output) -> None:
    told = document(capsys, 0, "split", pack, tmp_path / "a.rec", tmp_path / "b.zip", "--fraction", 0.25)
    assert (told["rest"]["subjects"], told["held"]["subjects"], told["held"]["format"]) == (3, 1, "zip")
    with open_pack(tmp_path / "a.rec") as rest, open_pack(tmp_path / "b.zip") as held:
        assert set(rest.subjects).isdisjoint(held.subjects)
    assert run("split", pack, tmp_path / "c", tmp_path / "d", "--people", 2) == 0
    for words in ((), ("--people", 4), ("--fraction", 0.25, "--people", 1), ("--fraction", 0)):
        with pytest.raises(Exception, match=r"must have 1 to 3|give one of"):
            run("split", pack, tmp_path / "e", tmp_path / "f", *words)
    with pytest.raises(Exception, match="needs two packs"):
        run("split", pack, tmp_path / "e", tmp_path / "e", "--people", 1)
    assert not (tmp_path / "e").exists()


def test_shuffle(pack: Path, tmp_path: Path, capsys: Output) -> None:
    told = [document(capsys, 0, "shuffle", pack, tmp_path / n, "--seed", 3) for n in ("a.rec", "b.zip")]
    assert told[0]["sha256"] == told[1]["sha256"]
    with open_pack(tmp_path / "a.rec", strict=True) as made:
        assert sorted(made.names) == sorted(r.name for r in RECORDS)
        assert list(made.names) != [r.name for r in RECORDS]


def test_check(pack: Path, tmp_path: Path, capsys: Output) -> None:
    told = document(capsys, 0, "check", pack)
    assert told["records"] == [12]
    assert told["faults"] == told["duplicates"] == told["shared_subjects"] == []
    (tmp_path / "names.txt").write_text("Éve\t3\nSomebody_Else\t1\n")
    people = tmp_path / "people"
    for file, data in (("Zoe/1.jpg", RECORDS[0].image), ("Zoe/2.jpg", b"z"), ("Max/1.jpg", b"z")):
        (people / file).parent.mkdir(parents=True, exist_ok=True)
        (people / file).write_bytes(data)
    told = document(capsys, 4, "check", pack, people, "--names", tmp_path / "names.txt", "--names", pack)
    assert [(d["in_two_packs"], d["of_two_subjects"]) for d in told["duplicates"]] == [
        (True, False),
        (False, True),
    ]
    assert [s["name"] for s in told["shared_subjects"]] == ["ada", "bob", "eve", "kim"]
    assert told["shared_subjects"][2]["spellings"] == {
        "pack 0": "eve",
        str(tmp_path / "names.txt"): "Éve",
        str(pack): "eve",
    }
    assert run("check", people) == 4
    out, err = capsys.readouterr()
    assert "under two subjects           1" in out
    assert "one picture under two subjects: " in err
