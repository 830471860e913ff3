"""``lineament people`` and ``lineament gallery``: they need no model."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from lineament.cli.app import run
from lineament.core.types import Embedding
from lineament.gallery import Gallery, NewSample

SPACE = "space-a"
Output = pytest.CaptureFixture[str]


def vector(seed: int) -> Embedding:
    drawn = np.random.default_rng(seed).standard_normal(32).astype(np.float32)
    return Embedding(drawn / np.linalg.norm(drawn), SPACE)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A gallery of Ada (two samples) and Bob (one), which the environment names."""
    path = tmp_path / "staff.gallery"
    with Gallery.open(path, space=SPACE, create=True) as gallery:
        for seed, (who, sample) in enumerate([("ada", "a1"), ("ada", "a2"), ("bob", "b1")]):
            gallery.enroll(who, vector(seed), sample_id=sample, source_sha256=f"{seed:064x}")
    monkeypatch.setenv("LINEAMENT_GALLERY", str(path))
    return path


def document(capsys: Output, *words: str) -> dict:
    assert run([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def people(path: Path) -> dict[str, int]:
    with Gallery.open(path, space=SPACE) as gallery:
        return {s.subject_id: s.samples for s in gallery.subjects()}


def fails(capsys: Output, code: int, said: str, *words: str) -> None:
    """The command ends with ``code`` and one line on stderr."""
    assert run(list(words)) == code
    out, err = capsys.readouterr()
    assert re.search(said, err), err
    assert err.count("\n") == 1, err
    assert out == ""


@pytest.mark.usefixtures("path")
def test_list_and_show(capsys: Output) -> None:
    listed = document(capsys, "people", "list")
    assert [(p["subject"], p["samples"]) for p in listed["people"]] == [("ada", 2), ("bob", 1)]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", listed["people"][0]["enrolled"])
    shown = document(capsys, "people", "show", "ada")
    assert [s["sample"] for s in shown["samples"]] == ["a1", "a2"]
    assert run(["people", "list"]) == 0
    assert re.search(r"ada +2 ", capsys.readouterr().out)


def test_remove_asks_first(path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        assert run(["people", "remove", "ada"]) == 130
    assert people(path) == {"ada": 2, "bob": 1}
    capsys.readouterr()
    removed = document(capsys, "people", "remove", "ada", "--sample", "a1", "--yes")
    assert (removed["subject"], removed["samples_removed"], removed["purged"]) == ("ada", 1, True)
    assert removed["receipt"]["sample_ids"] == ["a1"]
    assert people(path) == {"ada": 1, "bob": 1}
    assert run(["people", "remove", "ada", "--yes"]) == 0
    assert people(path) == {"bob": 1}


def test_a_sample_of_somebody_else_is_not_removed(path: Path, capsys: Output) -> None:
    fails(capsys, 6, "'bob' has no sample 'a1'", "people", "remove", "bob", "--sample", "a1", "--yes")
    assert people(path) == {"ada": 2, "bob": 1}


def test_merge_and_rename(path: Path, capsys: Output) -> None:
    assert document(capsys, "people", "merge", "ada", "bob")["samples_moved"] == 1
    assert people(path) == {"ada": 3}
    assert document(capsys, "people", "rename", "ada", "阿达 📷")["subject"] == "阿达 📷"
    assert people(path) == {"阿达 📷": 3}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["people", "show", "eve"], 6, "no subject 'eve'"),
        (["people", "remove", "eve", "--yes"], 6, "no subject 'eve'"),
        (["people", "merge", "ada", "ada"], 6, "into itself"),
        (["people", "rename", "ada", "bob"], 6, "merge 'ada' into it"),
        (["people", "rename", "ada", " "], 4, "1 to 200 characters"),
        (["people", "rename", "ada", "x\ny"], 4, "control characters"),
        (["gallery", "export", "/no/folder/out.zip"], 6, "does not exist"),
        (["gallery", "import", "/no/such.zip"], 6, "no exported gallery"),
    ],
)
def test_what_cannot_be_done_changes_nothing(
    path: Path, capsys: Output, words: list[str], code: int, said: str
) -> None:
    fails(capsys, code, said, *words)
    assert people(path) == {"ada": 2, "bob": 1}


def test_no_gallery(tmp_path: Path, capsys: Output) -> None:
    nothing = tmp_path / "nothing.gallery"
    fails(capsys, 6, "lineament enroll NAME", "people", "list", "--gallery", str(nothing))
    assert not nothing.exists()


def test_an_empty_gallery_is_said_to_be_empty(tmp_path: Path, capsys: Output) -> None:
    Gallery.open(tmp_path / "g", space=SPACE, create=True).close()
    assert run(["people", "list", "--gallery", str(tmp_path / "g")]) == 0
    assert "holds nobody yet" in capsys.readouterr().err


def test_info_and_check(path: Path, capsys: Output) -> None:
    info = document(capsys, "gallery", "info")
    assert (info["subjects"], info["samples"], info["space"], info["dimension"]) == (2, 3, SPACE, 32)
    assert document(capsys, "gallery", "check")["faults"] == []
    damage(path, vector(0))
    fails(capsys, 6, "'a1' is not what was enrolled", "gallery", "check")


def damage(path: Path, embedding: Embedding) -> None:
    """Flip the sign of one stored number."""
    data = bytearray(path.read_bytes())
    at = data.find(embedding.vector.tobytes())
    assert at > 0
    data[at + 3] ^= 0x80
    path.write_bytes(bytes(data))


def test_export_and_import(path: Path, tmp_path: Path, capsys: Output) -> None:
    out, copy = tmp_path / "out.zip", tmp_path / "copy.gallery"
    assert document(capsys, "gallery", "export", str(out)) == {
        "file": str(out),
        "subjects": 2,
        "samples": 3,
    }
    added = document(capsys, "gallery", "import", str(out), "--gallery", str(copy))
    assert (added["subjects"], added["samples"]) == (2, 3)
    assert people(copy) == people(path)
    fails(capsys, 3, "sample 1 .* is there already as a1 of ada", "gallery", "import", str(out))
    fails(capsys, 6, "exists; choose another name", "gallery", "export", str(out))


def test_an_export_of_another_space(path: Path, tmp_path: Path, capsys: Output) -> None:
    other, out = tmp_path / "other.gallery", tmp_path / "out.zip"
    with Gallery.open(other, space="space-b", create=True) as gallery:
        gallery.enroll_many([NewSample("eve", Embedding(vector(9).vector, "space-b"))])
        gallery.export(out)
    fails(capsys, 6, "space-b", "gallery", "import", str(out))
    assert people(path) == {"ada": 2, "bob": 1}
