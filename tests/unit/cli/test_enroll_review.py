"""Enrolling under review, corrections, and the upgrade of a gallery, on drawn people."""

import json
from pathlib import Path

import pytest

from drawn_people import SCENES, drawn_pipeline, record
from lineament.cli import common
from lineament.cli.app import run
from lineament.core.arrays import FloatArray, ImageArray
from lineament.core.errors import EmbeddingSpaceMismatch
from lineament.gallery import Gallery
from lineament.imaging import encode_png, write_image
from lineament.pipeline import FacePipeline, crop_embedder
from lineament.testing import FakeEmbedder

Output = pytest.CaptureFixture[str]


class MirroredEmbedder(FakeEmbedder):
    """Another model: it looks at the mirror image."""

    name = "mirrored-embedder"

    def __init__(self) -> None:
        super().__init__(dimension=64)
        self.space = "mirrored"

    def embed(self, crops: ImageArray) -> FloatArray:
        return super().embed(crops[:, :, ::-1].copy())


@pytest.fixture(scope="module")
def pipeline() -> FacePipeline:
    return drawn_pipeline()


@pytest.fixture(autouse=True)
def _photos(tmp_path: Path, pipeline: FacePipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder with drawn scenes; models are fakes, "mirrored" is the profile of another one."""
    for name, scene in SCENES.items():
        write_image(tmp_path / f"{name}.png", scene.pixels)
    monkeypatch.chdir(tmp_path)
    for name in ("LINEAMENT_FMR", "LINEAMENT_FPIR", "LINEAMENT_PROFILE", "LINEAMENT_GALLERY_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LINEAMENT_GALLERY", "g")
    other = FacePipeline(pipeline.detector, MirroredEmbedder(), calibration=record("mirrored"))
    monkeypatch.setattr(common, "open_pipeline", lambda name, *_: other if name == "mirrored" else pipeline)
    monkeypatch.setattr(common, "weights", lambda *names: [{"name": n} for n in names])


def done(capsys: Output, code: int, *words: str) -> dict:
    assert run([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_what_the_rules_object_to_waits(capsys: Output, pipeline: FacePipeline) -> None:
    assert run(["enroll", "ada", "ada.png", "--review"]) == 0
    capsys.readouterr()
    offered = done(capsys, 3, "enroll", "eve", "ada again.png", "--review", "--conflict-fmr", "0.1")
    assert offered["counts"] == {"pending": 1}
    (row,) = offered["results"]
    assert [f["kind"] for f in row["findings"]] == ["identity_conflict"]
    assert row["findings"][0]["subject"] == "ada"
    assert run(["enroll", "ada", "bob.png", "--review", "--conflict-fmr", "0.1"]) == 3
    said = capsys.readouterr()
    assert "waits for a decision" in said.err
    assert "unlike subject with ada" in said.err
    assert said.out == "0 enrolled in g; 1 pending\n"
    with Gallery.open("g", space=pipeline.embedding_space) as gallery:
        assert (gallery.size.samples, len(gallery.review.waiting())) == (1, 2)
    assert run(["gallery", "review", "reject", row["sample"]]) == 0
    capsys.readouterr()
    assert run(["enroll", "eve", "ada again.png", "--review"]) == 3
    assert "it was rejected as" in capsys.readouterr().err
    assert run(["enroll", "eve", "bob.png", "--review", "--allow-conflict"]) == 2


def test_what_an_interrupted_beginning_leaves_is_taken(capsys: Output) -> None:
    Path("g").touch()
    assert done(capsys, 0, "enroll", "ada", "ada.png")["counts"] == {"enrolled": 1}
    assert run(["enroll", "bob", "bob.png", "--allow-conflict", "--conflict-fmr", "0.1"]) == 2
    assert "leave --allow-conflict out" in capsys.readouterr().err


def test_somebody_who_is_not_this(capsys: Output) -> None:
    assert run(["enroll", "ada", "ada.png"]) == 0
    assert run(["identify", "ada again.png", "--fpir", "0.1"]) == 0
    capsys.readouterr()
    kept = done(capsys, 0, "people", "not-this", "ada", "ada again.png", "--by", "eva", "--note", "a twin")
    assert run(["identify", "ada again.png", "--fpir", "0.1"]) == 1
    assert run(["identify", "ada.png", "--fpir", "0.1"]) == 0
    capsys.readouterr()
    (listed,) = done(capsys, 0, "people", "corrections", "ada")["corrections"]
    assert (listed["correction"], listed["by"], listed["note"]) == (kept["correction"], "eva", "a twin")
    assert run(["people", "withdraw", str(kept["correction"])]) == 0
    assert run(["identify", "ada again.png", "--fpir", "0.1"]) == 0
    capsys.readouterr()
    assert done(capsys, 3, "people", "not-this", "ada", "empty.png")["refusal"]["reason"] == "no_face"


def test_samples_that_do_not_fit_their_person(
    capsys: Output, pipeline: FacePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lineament.zoo.calibration.load_calibration", lambda _: pipeline.calibration)
    assert run(["enroll", "ada", "ada.png", "ada again.png", "--allow-conflict"]) == 0
    capsys.readouterr()
    assert done(capsys, 0, "gallery", "review", "unlike", "ada", "--fmr", "0.1")["samples"] == []
    assert run(["enroll", "ada", "bob.png", "--allow-conflict"]) == 0
    capsys.readouterr()
    (found,) = done(capsys, 0, "gallery", "review", "unlike", "ada", "--fmr", "0.1")["samples"]
    assert found["sample"].startswith("bob.png")
    assert run(["gallery", "review", "unlike", "ada", "--fmr", "0.1"]) == 0
    assert "bob.png" in capsys.readouterr().out


def test_another_model(capsys: Output) -> None:
    assert run(["enroll", "ada", "ada.png", "ada again.png", "--keep-crops", "--allow-conflict"]) == 0
    assert run(["enroll", "bob", "bob.png", "--allow-conflict"]) == 0
    capsys.readouterr()
    stands = done(capsys, 3, "gallery", "upgrade", "run", "--to", "mirrored")
    assert (stands["space"], stands["done"], len(stands["without_crop"])) == ("mirrored", 2, 1)
    assert run(["gallery", "upgrade", "switch"]) == 6
    assert "samples without a template of mirrored: 1" in capsys.readouterr().err
    assert run(["people", "remove", "bob", "--yes"]) == 0
    assert run(["enroll", "bob", "bob.png", "--keep-crops", "--allow-conflict"]) == 0
    assert run(["gallery", "upgrade", "run", "--to", "mirrored"]) == 0
    capsys.readouterr()
    report = done(capsys, 0, "gallery", "upgrade", "report")
    assert (report["samples"], report["subjects"], report["changes"]) == (3, 2, 0)
    assert report["new"]["space"] == "mirrored"
    assert run(["gallery", "upgrade", "report"]) == 0
    assert "0 of them are nearest to somebody else" in capsys.readouterr().out
    assert done(capsys, 0, "gallery", "upgrade", "switch")["space"] == "mirrored"
    assert run(["identify", "ada again.png", "--fpir", "0.1", "--profile", "mirrored"]) == 0
    capsys.readouterr()
    assert done(capsys, 0, "gallery", "upgrade", "drop")["other_space"] is None


def test_a_kept_crop_of_another_size(pipeline: FacePipeline) -> None:
    embed = crop_embedder(pipeline.embedder)
    with pytest.raises(EmbeddingSpaceMismatch, match="112×112 px, the gallery keeps one of 420×300"):
        embed([encode_png(SCENES["ada"].pixels)])
