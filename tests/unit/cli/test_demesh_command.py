"""demesh, and verify with restored references, on drawn people under blue ink."""

import json
from pathlib import Path

import numpy as np
import pytest

from drawn_people import SCENES
from lineament.cli import common
from lineament.cli.app import run
from lineament.core.errors import NotCalibrated
from lineament.demesh import MeshGate
from lineament.imaging import encode_jpeg, read_image, write_image
from made_up_remover import blue_gate, inked, restoring_pipeline

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def as_large_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn people are larger than ID photos; reducing them has tests of its own."""
    monkeypatch.setattr("lineament.demesh.network.SEEN_PX", 1000)


@pytest.fixture
def gate(tmp_path: Path) -> MeshGate:
    return blue_gate(tmp_path)


@pytest.fixture
def photos(tmp_path: Path, gate: MeshGate, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a meshed and two clean pictures."""
    folder = tmp_path / "here"
    (folder / "photos").mkdir(parents=True)
    write_image(folder / "photos" / "ada.png", inked(SCENES["ada"].pixels))
    (folder / "photos" / "bob.jpeg").write_bytes(encode_jpeg(SCENES["bob"].pixels))
    write_image(folder / "ada again.png", SCENES["ada again"].pixels)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("LINEAMENT_PROFILE", raising=False)
    monkeypatch.setattr(common, "open_mesh_gate", lambda *_: gate)
    monkeypatch.setattr(common, "weights", lambda *names: [{"name": n} for n in names])
    return folder


@pytest.mark.usefixtures("photos")
def test_a_folder_is_restored_where_needed_and_copied_elsewhere(capsys: Output, gate: MeshGate) -> None:
    assert run(["demesh", "photos", "-o", "out", "--mask", "--compare", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {k: said[k] for k in ("profile", "remover", "threshold", "clean_touched_rate", "record")} == {
        "profile": "id-photo",
        "remover": gate.id,
        "threshold": 0.5,
        "clean_touched_rate": 1e-3,
        "record": "made up meshes",
    }
    ada, bob = said["results"]
    assert (ada["path"], ada["score"], ada["mesh"], ada["outcome"]) == (
        "photos/ada.png",
        1.0,
        True,
        "restored",
    )
    assert ada["written"] == ["out/ada.png", "out/ada.mask.png", "out/ada.compare.png"]
    assert (bob["score"], bob["mesh"], bob["outcome"], bob["error"]) == (0.0, False, "untouched", None)
    assert bob["written"] == ["out/bob.jpeg", "out/bob.mask.png", "out/bob.compare.png"]
    made = gate.restore(inked(SCENES["ada"].pixels))
    np.testing.assert_array_equal(read_image("out/ada.png").pixels, made.pixels)
    np.testing.assert_array_equal(
        read_image("out/ada.mask.png").pixels[..., 0], np.rint(made.finding.mask * 255).astype(np.uint8)
    )
    assert Path("out/bob.jpeg").read_bytes() == Path("photos/bob.jpeg").read_bytes()
    sheet = read_image("out/ada.compare.png").pixels
    assert sheet.shape[1] > 3 * 420
    assert sorted(p.name for p in Path("out").iterdir()) == sorted(
        Path(w).name for r in (ada, bob) for w in r["written"]
    )


@pytest.mark.usefixtures("photos")
def test_one_picture_in_words(capsys: Output) -> None:
    assert run(["demesh", "photos/ada.png", "-o", "clean.png"]) == 0
    assert capsys.readouterr().out == "mesh     photos/ada.png  score 1.000 ≥ 0.500  restored: clean.png\n"
    assert run(["demesh", "photos/bob.jpeg", "-o", "clean.png"]) == 0
    assert (
        "no mesh  photos/bob.jpeg  score 0.000 < 0.500  copied as it is: clean.jpeg"
        in capsys.readouterr().out
    )
    assert run(["demesh", "photos/bob.jpeg", "-o", "forced.png", "--force"]) == 0
    assert "no mesh  photos/bob.jpeg  score 0.000 < 0.500  restored: forced.png" in capsys.readouterr().out
    np.testing.assert_array_equal(read_image("forced.png").pixels, read_image("photos/bob.jpeg").pixels)


def test_the_picture_itself_is_never_written_over(photos: Path, capsys: Output) -> None:
    before = (photos / "photos/ada.png").read_bytes()
    for out in ("photos", "photos/ada.png"):
        assert run(["demesh", "photos/ada.png", "-o", out]) == 4
        assert "would be written over a picture that is read" in capsys.readouterr().err
    assert run(["demesh", "photos/bob.jpeg", "-o", "photos/bob.png"]) == 4
    assert (photos / "photos/ada.png").read_bytes() == before
    assert sorted(p.name for p in (photos / "photos").iterdir()) == ["ada.png", "bob.jpeg"]


def test_no_picture_is_written_over_by_the_result_of_another(photos: Path, capsys: Output) -> None:
    (photos / "other").mkdir()
    write_image(photos / "other" / "ada.png", SCENES["ada again"].pixels)
    before = (photos / "other/ada.png").read_bytes()
    assert run(["demesh", "photos/ada.png", "other/ada.png", "-o", "other"]) == 4
    assert run(["detect", "photos/ada.png", "other/ada.png", "-o", "other"]) == 4
    assert run(["detect", "other/ada.png", "-o", "other/ada.png"]) == 4
    assert capsys.readouterr().err.count("other/ada.png would be written over a picture that is read") == 3
    assert (photos / "other/ada.png").read_bytes() == before


@pytest.mark.usefixtures("photos")
def test_names_never_meet(capsys: Output) -> None:
    write_image("photos/ada.mask.png", SCENES["bob"].pixels)
    assert run(["demesh", "photos/ada.png", "photos/ada.mask.png", "-o", "out", "--mask", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    names = [name for row in said["results"] for name in row["written"]]
    assert len(set(names)) == len(names) == 4


@pytest.mark.usefixtures("photos")
def test_a_bad_file_does_not_stop_the_others(capsys: Output) -> None:
    Path("photos/broken.png").write_bytes(Path("photos/ada.png").read_bytes()[:200])
    assert run(["demesh", "photos", "-o", "out", "--json"]) == 4
    out, err = capsys.readouterr()
    rows = {r["path"]: r for r in json.loads(out)["results"]}
    assert rows["photos/broken.png"]["outcome"] == "error"
    assert rows["photos/broken.png"]["error"]["kind"] == "DecodeError"
    assert (rows["photos/broken.png"]["score"], rows["photos/broken.png"]["written"]) == (None, [])
    assert "photos/broken.png" in err
    assert Path("out/ada.png").is_file()


@pytest.mark.usefixtures("photos")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["photos", "-o", "one.png"], 2, "2 pictures need a folder"),
        (["photos", "-o", "no/such/folder"], 4, "does not exist"),
        (["nothing.png", "-o", "out"], 4, "there is no such file"),
        (["photos"], 2, "--out"),
    ],
)
def test_wrong_use(capsys: Output, words: list[str], code: int, said: str) -> None:
    assert run(["demesh", *words]) == code
    assert said in capsys.readouterr().err


def test_a_profile_without_a_remover_says_which_to_use(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / "a.png", SCENES["ada"].pixels)
    monkeypatch.chdir(tmp_path)
    assert run(["demesh", "a.png", "-o", "b.png", "--profile", "open"]) == 2
    assert "profile open takes no meshes off; use --profile id-photo" in capsys.readouterr().err
    assert not Path("b.png").exists()


def test_verify_says_that_it_restored(photos: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = restoring_pipeline(photos)
    monkeypatch.setattr(common, "open_pipeline", lambda *_: pipeline)
    command = ["verify", "photos/ada.png", "ada again.png", "--fmr", "0.01", "--profile", "id-photo"]
    assert run([*command, "--picture", "result.png"]) == 0
    said = capsys.readouterr().out
    assert ", restored (0." in said
    assert "with the mesh)" in said
    assert "a mesh was taken off photos/ada.png (score 1.00)" in said
    assert run([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["reference"]["restored"] == {
        "remover": pipeline.mesh.id,
        "mesh_score": 1.0,
        "calibration_space": f"{pipeline.embedding_space}~{pipeline.mesh.id}",
    }
    assert [w["name"] for w in found["weights"]] == ["fake-detector", "fake-embedder", "blue-ink"]
    assert found["threshold"] == 0.5
    (row,) = found["results"]
    assert row["unrestored_similarity"] < row["similarity"]
    assert run(["verify", "ada again.png", "ada again.png", "--fmr", "0.01", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["reference"]["restored"] is found["results"][0]["unrestored_similarity"] is None
    assert found["threshold"] == 0.8


def test_verify_without_a_record_for_restored_references(
    photos: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINEAMENT_CALIBRATION", str(photos / "none"))
    pipeline = restoring_pipeline(photos, calibrated=False)
    monkeypatch.setattr(common, "open_pipeline", lambda *_: pipeline)
    assert run(["verify", "photos/ada.png", "ada again.png", "--fmr", "0.01"]) == 7
    said = capsys.readouterr().err
    assert "there is no calibration record for restored references" in said


def test_no_threshold_without_a_record(photos: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> MeshGate:
        raise NotCalibrated("no calibration record for mesh remover x")

    monkeypatch.setattr(common, "open_mesh_gate", refuse)
    assert run(["demesh", "photos", "-o", "out"]) == 7
    assert "no calibration record for mesh remover" in capsys.readouterr().err
    assert list((photos / "out").iterdir()) == []
