"""Whatever is given to the command line: one line that helps, the documented exit code, and an unharmed gallery."""

import json
import os
import re
import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest
from bad_pictures import odd_but_sound, unusable, without_one_face

from lineament.cli import common
from lineament.cli.app import run
from lineament.gallery import Gallery
from lineament.pipeline import FacePipeline

pytestmark = [pytest.mark.shared, pytest.mark.weights]
Output = pytest.CaptureFixture[str]
UNUSABLE = (
    "truncated.jpg", "corrupt.png", "huge.png", "empty.jpg", "text.jpg", "paper.jpg", "film.jpg", "head.png",
    "missing", "pipe",
)  # fmt: skip
REFUSED = ("one_pixel.png", "thin.png", "wall.png", "dog.png", "pair.png", "far.png")
ODD = (
    "exif.jpg", "turned.png", "cmyk.jpg", "deep.png", "alpha.png", "animated.webp", "no suffix", "wrong.txt",
)  # fmt: skip


@pytest.fixture(scope="module")
def place(
    johns: dict[str, list[Path]], shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    """Pictures of all kinds."""
    folder = tmp_path_factory.mktemp("pictures")
    (ada, again), (bob, *_) = johns["John_Salley"][:2], johns["John_Savage"]
    dogs = shared / "data" / "det_dlib_faces" / "dogs.jpg"
    (folder / "empty").mkdir()
    return SimpleNamespace(
        ada=ada,
        again=again,
        bob=bob,
        folder=folder,
        unusable=unusable(folder, ada),
        refused=without_one_face(folder, ada, bob, dogs),
        odd=odd_but_sound(folder, ada),
    )


@pytest.fixture(autouse=True)
def _loaded_once(
    open_profile: FacePipeline, calibration_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINEAMENT_CALIBRATION", str(calibration_folder))
    monkeypatch.setattr(common, "open_pipeline", lambda *_: open_profile)
    monkeypatch.setattr(common, "open_detector", lambda *_: open_profile.detector)


@pytest.fixture
def gallery(place: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> Path:
    """A gallery that holds Ada, named by the environment."""
    path = tmp_path / "staff.gallery"
    monkeypatch.setenv("LINEAMENT_GALLERY", str(path))
    assert run(["enroll", "ada", str(place.ada)]) == 0
    capsys.readouterr()
    return path


def dump(path: Path) -> list[str]:
    with sqlite3.connect(path) as connection:
        lines = list(connection.iterdump())
    connection.close()
    return lines


def fails(capsys: Output, code: int, said: str, *words: object) -> None:
    """The command ends with ``code``, one line on stderr and no result."""
    assert run([str(w) for w in words]) == code
    out, err = capsys.readouterr()
    assert re.search(said, err), err
    assert err.count("\n") == 1, err
    assert err.startswith("lineament: ")
    assert "Traceback" not in err
    assert "0 enrolled" in out or out == ""


@pytest.mark.parametrize("name", UNUSABLE)
def test_files_that_cannot_be_used(place: SimpleNamespace, gallery: Path, capsys: Output, name: str) -> None:
    path, words = place.unusable[name]
    before = dump(gallery)
    said = f"error: {re.escape(str(path))}.*{words}"
    fails(capsys, 4, said, "verify", path, place.ada, "--fmr", "1e-3")
    fails(capsys, 4, said, "verify", place.ada, path, "--fmr", "1e-3")
    fails(capsys, 4, said, "identify", path, "--fpir", "0.1")
    fails(capsys, 4, said, "enroll", "eve", path)
    fails(capsys, 4, said, "detect", path)
    assert run(["embed", str(path), "-o", str(place.folder / "out.npz")]) == 4
    assert re.search(said, capsys.readouterr().err)
    assert dump(gallery) == before


@pytest.mark.parametrize("name", REFUSED)
def test_pictures_without_the_one_face(
    place: SimpleNamespace, gallery: Path, capsys: Output, name: str
) -> None:
    path, reason = place.refused[name]
    before = dump(gallery)
    said = f"{re.escape(str(path))}: refused \\({reason}\\): .+"
    fails(capsys, 3, said, "verify", path, place.ada, "--fmr", "1e-3")
    fails(capsys, 3, said, "verify", place.ada, path, "--fmr", "1e-3")
    fails(capsys, 3, said, "identify", path, "--fpir", "0.1")
    fails(capsys, 3, said, "enroll", "eve", path)
    assert dump(gallery) == before
    assert run(["verify", str(place.ada), str(path), "--fmr", "1e-3", "--json"]) == 3
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert (result["decision"], result["refusal"]["reason"]) == ("refused", reason)
    assert result["refusal"]["detail"]
    seen = {"no_face": 0, "several_faces": 2, "face_too_small": 1}[reason]
    assert len(result["refusal"]["boxes"]) == seen


@pytest.mark.parametrize("name", ODD)
@pytest.mark.usefixtures("gallery")
def test_odd_pictures_work(place: SimpleNamespace, capsys: Output, name: str) -> None:
    path = place.odd[name]
    assert run(["verify", str(place.ada), str(path), "--fmr", "1e-3"]) == 0, capsys.readouterr()
    decision, rest = capsys.readouterr().out.split(maxsplit=1)
    assert decision == "match"
    assert rest.startswith(f"{path}  similarity ")
    assert run(["identify", str(path), "--fpir", "0.01", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["faces"][0]["candidates"][0]["subject"] == "ada"
    assert run(["detect", str(path)]) == 0
    noted = {
        "exif.jpg": "EXIF orientation 6",
        "turned.png": "turned 180°",
        "animated.webp": "first of several",
    }
    assert noted.get(name, "1 face") in capsys.readouterr().out


def test_the_rest_is_done_when_one_file_is_bad(place: SimpleNamespace, gallery: Path, capsys: Output) -> None:
    text, pair = place.unusable["text.jpg"][0], place.refused["pair.png"][0]
    assert run(["enroll", "ada", str(text), str(pair), str(place.again), "--json"]) == 4
    done = json.loads(capsys.readouterr().out)
    assert done["counts"] == {"enrolled": 1, "several_faces": 1, "unreadable": 1}
    assert [r["status"] for r in done["results"]] == ["unreadable", "several_faces", "enrolled"]
    with Gallery.open(gallery, space=done["space"]) as opened:
        assert [s.sample_id.split("#")[0] for s in opened.subject("ada")] == [
            place.ada.name,
            place.again.name,
        ]
    assert run(["verify", str(place.ada), str(text), str(pair), str(place.bob), "--fmr", "1e-3"]) == 4
    assert run(["verify", str(place.ada), str(pair), str(place.bob), "--fmr", "1e-3"]) == 3
    assert run(["verify", str(place.ada), str(place.again), str(place.bob), "--fmr", "1e-3"]) == 1
    assert run(["verify", str(place.ada), str(place.again), "--fmr", "1e-3"]) == 0


@pytest.mark.usefixtures("gallery")
def test_folders(place: SimpleNamespace, capsys: Output) -> None:
    empty = place.folder / "empty"
    fails(capsys, 4, "this is a folder", "verify", empty, place.ada, "--fmr", "1e-3")
    fails(capsys, 4, "no picture in this folder", "verify", place.ada, empty, "--fmr", "1e-3")
    fails(capsys, 4, "no folders in it", "enroll", "--people", empty)
    fails(capsys, 4, "expected a folder", "enroll", "--people", place.ada)
    fails(capsys, 6, "is a folder, expected a gallery", "people", "list", "--gallery", empty)
    fails(capsys, 6, "is a folder", "enroll", "ada", place.ada, "--gallery", empty)
    fails(capsys, 4, "does not exist; make it first", "enroll", "ada", place.ada, "--gallery", "/no/such/g")
    fails(
        capsys,
        4,
        "does not exist",
        "verify",
        place.ada,
        place.bob,
        "--fmr",
        "0.1",
        "--picture",
        "/no/such/a.png",
    )


@pytest.mark.skipif(os.getuid() == 0, reason="the superuser reads everything")
def test_a_file_without_permission(place: SimpleNamespace, tmp_path: Path, capsys: Output) -> None:
    locked = tmp_path / "locked.jpg"
    shutil.copy(place.ada, locked)
    locked.chmod(0)
    fails(capsys, 4, "no permission", "verify", place.ada, locked, "--fmr", "1e-3")


@pytest.mark.parametrize(
    ("option", "code", "said"),
    [
        (["--fmr", "1e-9"], 7, "needs 30,000,000,000 non-mated comparisons"),
        (["--fmr", "0.5"], 7, "above the largest rate"),
        (["--far", "1e-9"], 7, "needs 30,000,000,000"),
    ],
)
def test_rates_that_the_record_cannot_support(
    place: SimpleNamespace, capsys: Output, option: list[str], code: int, said: str
) -> None:
    fails(capsys, code, said, "verify", place.ada, place.bob, *option)


def test_search_rates(place: SimpleNamespace, gallery: Path, capsys: Output) -> None:
    fails(capsys, 7, "FPIR 1e-08 over 1 templates", "identify", place.ada, "--fpir", "1e-8")
    before = dump(gallery)
    fails(capsys, 7, "--allow-conflict", "enroll", "eve", place.bob, "--conflict-fmr", "1e-8")
    assert dump(gallery) == before


@pytest.mark.parametrize("rate", ["2", "0", "1", "-0.1", "nan", "many", None])
def test_rates_that_are_no_fraction(
    place: SimpleNamespace, capsys: Output, monkeypatch: pytest.MonkeyPatch, rate: str | None
) -> None:
    monkeypatch.delenv("LINEAMENT_FMR", raising=False)
    assert run(["verify", str(place.ada), str(place.bob), *([] if rate is None else ["--fmr", rate])]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "--fmr" in err.splitlines()[-1]


def test_a_rate_from_the_environment(
    place: SimpleNamespace, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINEAMENT_FMR", "1e-3")
    assert run(["verify", str(place.ada), str(place.again)]) == 0
    assert "at FMR 0.001" in capsys.readouterr().out


def test_people_and_conflicts(place: SimpleNamespace, gallery: Path, capsys: Output) -> None:
    before = dump(gallery)
    fails(capsys, 3, "already enrolled as ada", "enroll", "eve", place.ada)
    fails(capsys, 3, r"refused \(conflict\): it looks like ada .*merge", "enroll", "eve", place.again)
    fails(capsys, 4, "1 to 200 characters", "enroll", " ", place.bob)
    assert run(["enroll", "ada", str(place.ada)]) == 0
    assert "already there" in capsys.readouterr().out
    assert dump(gallery) == before
    assert run(["enroll", "eve", str(place.again), "--allow-conflict"]) == 0


@pytest.mark.parametrize("words", [["enroll"], ["enroll", "ada"], ["identify", "--fpir", "0.1"], ["verify"]])
def test_too_few_words(capsys: Output, words: list[str]) -> None:
    assert run(words) == 2
    assert "Usage" in capsys.readouterr().err


def test_a_name_that_was_forgotten(place: SimpleNamespace, tmp_path: Path, capsys: Output) -> None:
    target = tmp_path / "g"
    assert run(["enroll", str(place.ada), str(place.again), "--gallery", str(target)]) == 2
    assert "is a file" in capsys.readouterr().err
    assert not target.exists()


def test_galleries_that_are_none(
    place: SimpleNamespace, tmp_path: Path, capsys: Output, open_profile: FacePipeline
) -> None:
    missing, text, empty, other = (tmp_path / n for n in ("missing", "text", "empty", "other"))
    text.write_text("ada,ada.jpg\n" * 50)
    Gallery.open(empty, space=open_profile.embedding_space, create=True).close()
    Gallery.open(other, space="another-space", create=True).close()
    newer = tmp_path / "newer"
    shutil.copy(empty, newer)
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version=9")
    connection.close()
    cases = {
        missing: "no gallery at .*lineament enroll NAME",
        text: "not a sound gallery",
        empty: "holds nobody yet.*lineament enroll NAME",
        other: "templates of another-space",
        newer: "use a newer lineament",
    }
    for path, said in cases.items():
        fails(capsys, 6, said, "identify", place.ada, "--fpir", "0.1", "--gallery", path)
    for path in (text, other, newer):
        before = path.read_bytes()
        fails(capsys, 6, cases[path], "enroll", "ada", place.ada, "--gallery", path)
        assert path.read_bytes() == before
    assert not missing.exists()


@pytest.mark.parametrize("name", ["result.gif", "result", "result.pdf"])
def test_pictures_that_cannot_be_written(
    place: SimpleNamespace, tmp_path: Path, capsys: Output, name: str
) -> None:
    target = tmp_path / name
    assert run(["verify", str(place.ada), str(place.bob), "--fmr", "0.1", "--picture", str(target)]) == 2
    assert "must end in .png" in capsys.readouterr().err
    assert not target.exists()
