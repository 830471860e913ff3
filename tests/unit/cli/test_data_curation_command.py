"""``lineament data import | join | align | noise | …``: what is written, said and refused; networks are fakes."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lineament.cli import common, data_curation, data_suspects
from lineament.cli.data import app
from lineament.core.errors import DataError
from lineament.curation import vectors
from lineament.imaging import encode_jpeg, encode_png
from lineament.packs import Record, open_pack, write_pack
from lineament.testing import FakeDetector, FakeEmbedder, draw_face

Output = pytest.CaptureFixture[str]
MODULES = (data_curation, data_suspects)
"""Register the commands."""


def crop(seed: int, shift: int = 0) -> np.ndarray:
    pixels = draw_face(112, seed).pixels.astype(int)
    return np.clip(
        pixels + np.random.default_rng([seed, shift]).integers(-6, 7, pixels.shape), 0, 255
    ).astype(np.uint8)


def written(path: Path, pictures: Sequence[tuple[str, bytes]]) -> Path:
    subjects = sorted({name.partition("/")[0] for name, _ in pictures})
    records = [Record(name, subjects.index(name.partition("/")[0]), image) for name, image in pictures]
    write_pack(records, path, "rec", subjects)
    return path


@pytest.fixture
def crops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three people with four crops; one of them in the wrong place, one there twice."""
    monkeypatch.setenv("LINEAMENT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(vectors, "load_crop_embedder", lambda *_: FakeEmbedder())
    pictures = [(f"p{s}/{k}.png", encode_png(crop(s, k))) for s in range(3) for k in range(4)]
    pictures.append(("p0/wrong.png", encode_png(crop(2, 9))))
    pictures.append(("p1/twice.jpg", encode_jpeg(crop(1, 0), 80)))
    return written(tmp_path / "crops.rec", pictures)


def run(*words: object) -> int:
    return app([str(word) for word in words], standalone_mode=False) or 0


def document(capsys: Output, *words: object) -> Any:
    assert run(*words, "--json") == 0
    return json.loads(capsys.readouterr().out)


def names(path: Path) -> list[str]:
    with open_pack(path, strict=True) as pack:
        return list(pack.names)


def test_import_says_what_deviates_and_writes_the_pack(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "set" / "0000045").mkdir(parents=True)
    (tmp_path / "set" / "0000045" / "001.jpg").write_bytes(b"one")
    told = document(capsys, "import", "casia-webface", tmp_path / "set", "-o", tmp_path / "a.rec")
    assert (told["records"], told["subjects"]) == (1, 1)
    assert "10,575 subjects" in told["faults"][0]
    assert names(tmp_path / "a.rec") == ["0000045/001.jpg"]
    with pytest.raises(DataError, match="exists; choose another name"):
        run("import", "casia-webface", tmp_path / "set", "-o", tmp_path / "a.rec")
    for layout, reason in (("lfw", "evaluation only"), ("mine", "is none of casia-webface, celeba")):
        with pytest.raises(Exception, match=reason):
            run("import", layout, tmp_path / "set", "-o", tmp_path / "b.rec")
    with pytest.raises(Exception, match="holds pairs"):
        run("import", "casia-webface", tmp_path / "set", "-o", tmp_path / "b.bin")


def test_join_keeps_people_apart_and_refuses_lfw(tmp_path: Path, capsys: Output) -> None:
    one = written(tmp_path / "one.rec", [("ada/1", b"1"), ("bob/1", b"2")])
    two = written(tmp_path / "two.rec", [("ada/1", b"3")])
    told = document(capsys, "join", one, two, "-o", tmp_path / "both.zip")
    assert (told["records"], told["subjects"]) == (3, 3)
    assert names(tmp_path / "both.zip") == ["one/ada/1", "one/bob/1", "two/ada/1"]
    with pytest.raises(Exception, match="two packs have one name: one, one"):
        run("join", one, one, "-o", tmp_path / "c.rec")
    lfw = written(tmp_path / "faces.rec", [("Ada_Lovelace/Ada_Lovelace_0001.jpg", b"x")])
    with pytest.raises(DataError, match="LFW is for evaluation only"):
        run("join", one, lfw, "-o", tmp_path / "c.rec")
    assert not (tmp_path / "c.rec").exists()


def test_align_writes_crops_and_the_list_of_refusals(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = [draw_face(200, seed) for seed in range(3)]
    known = FakeDetector([(f.pixels, _one(f.box, f.points)) for f in faces])
    monkeypatch.setattr(common, "open_detector", lambda *_: known)
    photos = [(f"p{seed}/1.png", encode_png(face.pixels)) for seed, face in enumerate(faces)]
    source = written(
        tmp_path / "photos.rec", [*photos, ("p2/none.png", encode_png(np.zeros((50, 50, 3), np.uint8)))]
    )
    told = document(capsys, "align", source, "-o", tmp_path / "crops.rec", "--png", "--workers", 2)
    assert told["records"] == 3
    assert told["refused"] == {"no_face": 1}
    assert names(tmp_path / "crops.rec") == ["p0/1.png", "p1/1.png", "p2/1.png"]
    with (tmp_path / "crops.rec.refused.csv").open(encoding="utf-8") as stream:
        assert [row["name"] for row in csv.DictReader(stream)] == ["p2/none.png"]
    assert list(tmp_path.glob(".*align*")) == []
    with pytest.raises(Exception, match="central or largest"):
        run("align", source, "-o", tmp_path / "d.rec", "--face", "best")


def _one(box: np.ndarray, points: np.ndarray) -> Any:
    from lineament.core.types import Detections

    return Detections(box[None], np.ones(1, np.float32), points[None])


@pytest.mark.usefixtures("crops")
def test_noise_of_subjects_with_one_picture_each(tmp_path: Path, capsys: Output) -> None:
    single = written(tmp_path / "single.rec", [(f"p{s}/1.png", encode_png(crop(s))) for s in range(3)])
    told = document(capsys, "noise", single)
    assert told["judged"] == 0
    assert set(told["quantiles"].values()) == {None}


def test_noise_lists_shows_and_removes(crops: Path, tmp_path: Path, capsys: Output) -> None:
    told = document(capsys, "noise", crops)
    assert (told["judged"], told["suspects"]) == (14, 0)
    outputs = ("--csv", tmp_path / "s.csv", "--sheet", tmp_path / "s.png", "--clean", tmp_path / "c.rec")
    told = document(capsys, "noise", crops, "--below", 0.9, *outputs)
    assert told["suspects"] == 1
    assert "p0/wrong.png,p0," in (tmp_path / "s.csv").read_text()
    assert (tmp_path / "s.png").stat().st_size > 1000
    assert names(tmp_path / "c.rec") == [n for n in names(crops) if n != "p0/wrong.png"]
    for words in (("--csv", tmp_path / "x.csv"), ("--below", 0.1, "--fraction", 0.1), ("--fraction", 2.0)):
        with pytest.raises(Exception, match=r"below|fraction"):
            run("noise", crops, *words)


def test_near_duplicates_within_and_between(crops: Path, tmp_path: Path, capsys: Output) -> None:
    outputs = ("--csv", tmp_path / "d.csv", "--sheet", tmp_path / "d.png", "--clean", tmp_path / "c.rec")
    # the copy differs by 0.25 levels from its original, other drawings of the person by 0.4 or more
    told = document(capsys, "near-duplicates", crops, "--above", 0.9, "--within", 0.3, *outputs)
    assert told == {"pairs": 1, "under_two_subjects": 0, "superfluous": 1}
    assert "p1/0.png,p1,p1/twice.jpg,p1" in (tmp_path / "d.csv").read_text()
    assert names(tmp_path / "c.rec") == [n for n in names(crops) if n != "p1/twice.jpg"]
    other = written(
        tmp_path / "other.rec", [("x/1.png", encode_png(crop(2, 3))), ("y/1.png", encode_png(crop(8)))]
    )
    told = document(capsys, "near-duplicates", crops, other, "--above", 0.9, "--within", 0.0)
    assert told == {"pairs": 1, "under_two_subjects": 1, "superfluous": 1}


def test_people_under_two_names_and_of_an_evaluation_set(crops: Path, tmp_path: Path, capsys: Output) -> None:
    assert document(capsys, "same-person", crops, "--above", 0.97)["pairs"] == 0
    other = written(
        tmp_path / "eval.rec", [("x/1.png", encode_png(crop(1, 30))), ("y/1.png", encode_png(crop(8)))]
    )
    outputs = ("--csv", tmp_path / "o.csv", "--sheet", tmp_path / "o.png", "--clean", tmp_path / "c.rec")
    assert run("overlap", crops, other, "--above", 0.95, *outputs) == 0
    out, err = capsys.readouterr()
    assert "1 pair of subjects that may be one person" in out
    assert "p1 and x" in out
    assert "9 records of 2 subjects written to" in err
    assert {name[:2] for name in names(tmp_path / "c.rec")} == {"p0", "p2"}
    assert run("overlap", crops, other, "--above", 1.0, "--sheet", tmp_path / "none.png") == 0
    assert "nothing was found" in capsys.readouterr().err
    assert not (tmp_path / "none.png").exists()


def test_what_cannot_be_written_is_refused_before_the_work(crops: Path, tmp_path: Path) -> None:
    for words in (("--csv", tmp_path / "no" / "x.csv"), ("--clean", crops)):
        with pytest.raises(Exception, match=r"does not exist|exists; choose"):
            run("noise", crops, "--below", 0.1, *words)


def test_records_that_are_no_crops_are_left_out_and_said(crops: Path, tmp_path: Path, capsys: Output) -> None:
    small = encode_png(np.zeros((64, 64, 3), np.uint8))
    with open_pack(crops) as pack:
        pictures = [(r.name, r.image) for r in map(pack.read, range(len(pack)))]
    mixed = written(tmp_path / "mixed.rec", [*pictures, ("p0/small.png", small)])
    assert document(capsys, "noise", mixed)["judged"] == 14
    assert run("noise", mixed) == 0
    assert "1 record of" in capsys.readouterr().err


def test_a_pack_with_faults_is_said_and_nothing_is_written_from_it(
    crops: Path, tmp_path: Path, capsys: Output
) -> None:
    data = bytearray(crops.read_bytes())
    data[int(crops.with_suffix(".idx").read_text().split()[2 * 2 + 1])] ^= 1
    crops.write_bytes(data)
    assert run("noise", crops) == 0
    assert "record 2: expected the magic number" in capsys.readouterr().err
    clean = ("--clean", tmp_path / "clean.rec")
    chosen = ("--wanted", 2, "--seeds", 1, "--same-above", 0.99, "-o", tmp_path / "clean.rec")
    for words in (
        ("noise", crops, "--below", 0.9, *clean),
        ("near-duplicates", crops, "--above", 0.9, "--within", 0.3, *clean),
        ("overlap", crops, crops, "--above", 0.9, *clean),
        ("hard", crops, *chosen),
    ):
        with pytest.raises(DataError, match="expected the magic number"):
            run(*words)
    assert not (tmp_path / "clean.rec").exists()
