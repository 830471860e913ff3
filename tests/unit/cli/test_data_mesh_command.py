"""``lineament data mesh``: one picture, folders and packs, what is said and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lineament.cli import common
from lineament.cli.app import run
from lineament.curation.mesh_records import read_mesh_records
from lineament.imaging import encode_png, read_image, write_image
from lineament.packs import Record, open_pack, write_pack
from lineament.testing import FakeDetector, draw_face

Output = pytest.CaptureFixture[str]
FACES = [draw_face(160, seed) for seed in range(4)]


def mesh(*words: object) -> int:
    return run(["data", "mesh", *map(str, words)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two people with two photos each, one of them deeper down, and a file that is no picture."""
    for number, name in enumerate(("ada/1.png", "ada/2.png", "bob/1.png", "bob/trip/2.png")):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(tmp_path / "photos" / name, FACES[number].pixels)
    (tmp_path / "photos" / "ada" / "notes.txt").write_text("no picture")
    return tmp_path / "photos"


def document(capsys: Output, *words: object) -> Any:
    assert mesh(*words, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_a_folder_keeps_its_people(folder: Path, tmp_path: Path, capsys: Output) -> None:
    out = tmp_path / "made"
    words = (folder, "-o", out, "--layout", "chip", "--family", "sines", "--family", "words", "--clean")
    told = document(capsys, *words, "--mask")
    assert (told["records"], told["refused"]) == (4, {})
    assert set(told["families"]) <= {"sines", "words"}
    assert told["list"] == f"{out}.mesh.csv"
    for part in ("issued", "clean", "mask"):
        with open_pack(Path(told[part]), strict=True) as pack:
            assert list(pack.names) == ["ada/1.png", "ada/2.png", "bob/1.png", "bob/trip/2.png"]
            assert list(pack.subjects) == ["ada", "bob"]
    assert read_image(out / "ada" / "1.png").pixels.shape == (126, 102, 3)
    assert mesh(*words) == 4
    assert "exists; choose another name or remove it first" in capsys.readouterr().err


def test_a_pack_and_its_unreadable_photo(tmp_path: Path, capsys: Output) -> None:
    rows = [Record(f"{n}.png", -1, encode_png(face.pixels)) for n, face in enumerate(FACES)]
    write_pack([*rows, Record("bad.png", -1, b"\x89PNG\r\n\x1a\nbroken")], tmp_path / "a.rec", "rec", [])
    assert mesh(tmp_path / "a.rec", "-o", tmp_path / "b.rec", "--ranges", "unseen", "--png") == 0
    said = capsys.readouterr()
    assert "issued: 4 photos written to" in said.out
    assert "meshes: 4 sines; listed in" in said.out
    assert "1 photo left out; see" in said.out
    assert "left out: bad.png: " in said.err
    records = read_mesh_records(tmp_path / "b.rec.mesh.csv")
    assert {record.issuance.jpeg_quality for record in records} == {None}
    with open_pack(tmp_path / "b.rec", strict=True) as pack:
        assert pack.read(0).image.startswith(b"\x89PNG")


def test_one_picture_and_its_options(folder: Path, tmp_path: Path, capsys: Output) -> None:
    photo = folder / "ada" / "1.png"
    told = document(capsys, photo, "-o", tmp_path / "a.jpg", "--jpeg", 40, 40, "--blur", 0.5, 0.5)
    assert (told["records"], told["issued"]) == (1, str(tmp_path / "a.jpg"))
    (record,) = read_mesh_records(tmp_path / "a.jpg.mesh.csv")
    assert (record.issuance.jpeg_quality, record.issuance.blur_sigma_px) == (40, 0.5)
    assert read_image(tmp_path / "a.jpg").pixels.shape == FACES[0].pixels.shape
    assert mesh(photo, "-o", tmp_path / "b.jpg", "--jpeg", 40, 40, "--blur", 0.5, 0.5) == 0
    assert (tmp_path / "a.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()
    assert mesh(photo, "-o", tmp_path / "c.png", "--seed", 1) == 0
    (record,) = read_mesh_records(tmp_path / "c.png.mesh.csv")
    assert record.issuance.jpeg_quality is None


def test_the_face_in_the_middle_of_the_portrait(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lineament.core.types import Detections

    found = [
        (
            face.pixels,
            Detections(face.box[None], np.ones(1, np.float32), face.points[None])
            if number != 2
            else Detections.none(),
        )
        for number, face in enumerate(FACES)
    ]
    monkeypatch.setattr(common, "open_detector", lambda *_: FakeDetector(found))
    out = tmp_path / "made"
    assert mesh(folder, "-o", out, "--layout", "portrait", "--crop", "face", "--workers", 2) == 0
    records = read_mesh_records(tmp_path / "made.mesh.csv")
    assert [record.name for record in records] == ["ada/1.png", "ada/2.png", "bob/trip/2.png"]
    for record, face in zip(records, (FACES[0], FACES[1], FACES[3]), strict=True):
        frame = np.reshape(record.issuance.frame, (2, 3))
        eyes = face.points[:2] @ frame[:, :2].T + frame[:, 2]
        assert eyes.mean(0) == pytest.approx((88.5, 91.9), abs=1e-3)
    assert "bob/1.png,bob,no_face" in (tmp_path / "made.refused.csv").read_text()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("photos", "-o", "a.rec"), "is no name of a folder pack"),
        (("photos/ada/1.png", "-o", "a.rec"), "must end in .png, .jpg, .jpeg"),
        (("photos/ada/1.png", "-o", "a.jpg", "--png"), "must end in .png"),
        (("photos", "-o", "a", "--family", "moire"), "families must be some of sines"),
        (("photos", "-o", "a", "--layout", "a4"), "layout must be one of as-is"),
        (("photos", "-o", "a", "--ranges", "wide"), "must be one of default, unseen"),
        (("photos", "-o", "a", "--jpeg", "90", "30"), "jpeg_quality must be 1 <= low <= high"),
        (("photos", "-o", "a", "--crop", "face"), "centre, or face with --layout"),
    ],
)
def test_wrong_use(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output, words: tuple[str, ...], reason: str
) -> None:
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("COLUMNS", "200")
    assert mesh(*words) == 2
    assert reason in " ".join(capsys.readouterr().err.replace("│", "").split())
    assert sorted(path.name for path in folder.parent.iterdir()) == ["photos"]


def test_input_that_cannot_be_used(folder: Path, tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8 no more")
    (tmp_path / "empty.jpg").write_bytes(b"")
    for source, reason in (
        (tmp_path / "bad.jpg", "no photo of"),
        (tmp_path / "empty.jpg", "the file is empty"),
        (tmp_path / "none", "none"),
        (folder / "ada" / "notes.txt", "is it whole?"),
    ):
        assert mesh(source, "-o", tmp_path / "a.jpg") == 4
        assert reason in capsys.readouterr().err
    assert mesh(folder, "-o", tmp_path / "nowhere" / "made") == 4
    assert "the folder" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.jpg", "empty.jpg", "photos"]
