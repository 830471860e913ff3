"""verify, enroll, identify, detect and embed on drawn people: documents, exit codes and pictures."""

import json
from pathlib import Path

import numpy as np
import pytest

from drawn_people import SCENES, drawn_pipeline
from lineament.cli import common
from lineament.cli.app import run
from lineament.core.errors import ModelNotFound
from lineament.gallery import Gallery
from lineament.imaging import GREEN, ORANGE, VERMILION, YELLOW, read_image, write_image
from lineament.pipeline import FacePipeline

Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def pipeline() -> FacePipeline:
    return drawn_pipeline()


@pytest.fixture
def photos(tmp_path: Path, pipeline: FacePipeline, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of drawn scenes, which is the working folder; models are the fakes that know them."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, scene in SCENES.items():
        write_image(folder / f"{name}.png", scene.pixels)
    monkeypatch.chdir(folder)
    for name in ("LINEAMENT_FMR", "LINEAMENT_FPIR", "LINEAMENT_GALLERY", "LINEAMENT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(common, "open_pipeline", lambda *_: pipeline)
    monkeypatch.setattr(common, "open_detector", lambda *_: pipeline.detector)
    monkeypatch.setattr(common, "weights", lambda *names: [{"name": n} for n in names])
    return folder


def document(capsys: Output, code: int, *words: str) -> dict:
    assert run([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def band(path: Path) -> tuple[int, ...]:
    """Colour of the band at the top of a result picture."""
    return tuple(read_image(path).pixels[2, 2].tolist())


@pytest.mark.usefixtures("photos")
def test_verify_says_everything(capsys: Output, pipeline: FacePipeline) -> None:
    found = document(capsys, 0, "verify", "ada.png", "ada again.png", "--fmr", "0.01")
    assert {k: found[k] for k in ("fmr", "threshold", "interval95", "n_nonmated", "record", "profile")} == {
        "fmr": 0.01,
        "threshold": 0.8,
        "interval95": [0.79, 0.81],
        "n_nonmated": 100_000,
        "record": "made up",
        "profile": "open",
    }
    assert found["space"] == pipeline.embedding_space
    assert [w["name"] for w in found["weights"]] == ["fake-detector", "fake-embedder"]
    face = found["reference"]["face"]
    np.testing.assert_allclose(face["box"], SCENES["ada"].detections.boxes[0], atol=0.01)
    np.testing.assert_allclose(list(face["points"].values()), SCENES["ada"].detections.points[0], atol=0.01)
    (result,) = found["results"]
    assert (result["path"], result["decision"], result["refusal"], result["error"]) == (
        "ada again.png",
        "match",
        None,
        None,
    )
    assert 0.8 <= result["similarity"] <= 1
    assert result["llr"] == pytest.approx(pipeline.calibration.llr(result["similarity"]))
    assert 10 ** result["log10_lr"] == pytest.approx(np.exp(result["llr"]))


@pytest.mark.usefixtures("photos")
@pytest.mark.parametrize(
    ("probe", "code", "colour", "words"),
    [
        ("ada again.png", 0, GREEN, "match      ada again.png  similarity 0."),
        ("bob.png", 1, VERMILION, "no match   bob.png  similarity 0."),
        ("ada and bob.png", 3, ORANGE, ""),
    ],
)
def test_a_verdict_in_words_and_colour(
    capsys: Output, probe: str, code: int, colour: tuple[int, ...], words: str
) -> None:
    assert run(["verify", "ada.png", probe, "--fmr", "0.01", "--picture", "result.png"]) == code
    assert capsys.readouterr().out.startswith(words)
    assert band(Path("result.png")) == colour


@pytest.fixture
def torn(photos: Path, pipeline: FacePipeline, monkeypatch: pytest.MonkeyPatch) -> float:
    """A calibration whose interval holds the similarity of ada's two pictures, which is returned."""
    faces = [pipeline.extract_one(read_image(photos / f"{n}.png")) for n in ("ada", "ada again")]
    similarity = float(faces[0].embedding.vector @ faces[1].embedding.vector)
    record = pipeline.calibration
    around = {"threshold": similarity + 0.001, "low": similarity - 0.002, "high": similarity + 0.002}
    rows = tuple(row.model_copy(update=around) for row in record.rows)
    changed = record.model_copy(update={"rows": rows})
    unsure = FacePipeline(pipeline.detector, pipeline.embedder, calibration=changed)
    monkeypatch.setattr(common, "open_pipeline", lambda *_: unsure)
    return similarity


def test_within_the_interval_of_the_threshold_nothing_is_decided(torn: float, capsys: Output) -> None:
    command = ["verify", "ada.png", "ada again.png", "--fmr", "0.01"]
    assert run([*command, "--picture", "r.png"]) == 8
    said = capsys.readouterr().out
    within = f"{torn:.4f} within {torn - 0.002:.4f} to {torn + 0.002:.4f}, the 95 % interval of the threshold"
    assert said.startswith(f"undecided  ada again.png  similarity {within} at FMR 0.01")
    assert "record made up" in said
    assert band(Path("r.png")) == YELLOW
    assert document(capsys, 8, *command)["results"][0]["decision"] == "undecided"
    assert run(["verify", "ada.png", "ada again.png", "bob.png", "--fmr", "0.01"]) == 8
    assert run(["verify", "ada.png", "ada.png", "bob.png", "--fmr", "0.01"]) == 1


@pytest.mark.usefixtures("torn")
def test_a_search_within_the_interval_names_nobody(capsys: Output) -> None:
    assert run(["enroll", "ada", "ada.png", "-g", "g", "--allow-conflict"]) == 0
    assert run(["enroll", "bob", "bob.png", "-g", "g", "--allow-conflict"]) == 0
    capsys.readouterr()
    command = ["identify", "ada again.png", "-g", "g", "--fpir", "0.1"]
    assert run([*command, "--picture", "r.png"]) == 8
    assert capsys.readouterr().out.startswith("undecided  ada again.png  ada?  similarity ")
    assert band(Path("r.png")) == YELLOW
    (face,) = document(capsys, 8, *command)["results"][0]["faces"]
    assert (face["decision"], face["candidates"]) == ("undecided", [])
    assert [c["subject"] for c in face["undecided"]] == ["ada"]
    both = ["identify", "ada again.png", "bob.png", "-g", "g", "--fpir", "0.1"]
    assert [r["faces"][0]["decision"] for r in document(capsys, 8, *both)["results"]] == [
        "undecided",
        "match",
    ]


@pytest.mark.usefixtures("photos")
def test_the_worst_of_several_probes_counts(capsys: Output) -> None:
    found = document(capsys, 3, "verify", "ada.png", "ada again.png", "bob.png", "empty.png", "--fmr", "0.01")
    assert [r["decision"] for r in found["results"]] == ["match", "no_match", "refused"]
    refused = document(capsys, 3, "verify", "empty.png", "ada.png", "--fmr", "0.01")
    assert refused["results"] == []
    assert refused["reference"]["refusal"]["reason"] == "no_face"


@pytest.mark.usefixtures("photos")
def test_bystanders_are_told(capsys: Output) -> None:
    assert run(["verify", "bob.png", "bob and a bystander.png", "--fmr", "0.01"]) == 0
    assert "(probe: 1 smaller face ignored)" in capsys.readouterr().out


@pytest.mark.usefixtures("photos")
def test_enroll_then_identify(capsys: Output) -> None:
    assert run(["enroll", "ada", "ada.png", "-g", "g"]) == 0
    assert capsys.readouterr().out == "enrolled       ada  ada.png\n1 enrolled in g\n"
    assert document(capsys, 0, "enroll", "bob", "bob.png", "-g", "g")["counts"] == {"enrolled": 1}
    found = document(capsys, 0, "identify", "ada again.png", "-g", "g", "--fpir", "0.1")
    assert (found["gallery_size"], found["fpir"], found["threshold"]) == (2, 0.1, 0.8)
    (face,) = found["results"][0]["faces"]
    assert [c["subject"] for c in face["candidates"]] == ["ada"]
    assert face["nearest"] == face["candidates"][0]
    assert face["candidates"][0]["sample"].startswith("ada.png#")
    assert document(capsys, 3, "identify", "ada and bob.png", "-g", "g", "--fpir", "0.1")["results"][0][
        "refusal"
    ]
    both = document(
        capsys,
        0,
        "identify",
        "ada and bob.png",
        "-g",
        "g",
        "--fpir",
        "0.1",
        "--all-faces",
        "--picture",
        "r.png",
    )
    assert {f["candidates"][0]["subject"] for f in both["results"][0]["faces"]} == {"ada", "bob"}
    assert band(Path("r.png")) == GREEN


@pytest.mark.usefixtures("photos")
def test_a_stranger_is_nobody(capsys: Output) -> None:
    assert run(["enroll", "bob", "bob.png", "-g", "g"]) == 0
    capsys.readouterr()
    assert run(["identify", "ada.png", "-g", "g", "--fpir", "0.05", "--picture", "r.png"]) == 1
    assert capsys.readouterr().out.startswith("nobody  ada.png  nearest is bob with ")
    assert band(Path("r.png")) == VERMILION


@pytest.mark.usefixtures("photos")
def test_enrollment_outcomes_are_counted(capsys: Output) -> None:
    first = document(capsys, 3, "enroll", "ada", "ada.png", "empty.png", "ada and bob.png", "-g", "g")
    assert first["counts"] == {"enrolled": 1, "no_face": 1, "several_faces": 1}
    assert first["conflict"]["fmr"] == 1e-3  # the smallest rate of the record
    conflict = document(
        capsys, 3, "enroll", "eve", "ada again.png", "ada.png", "-g", "g", "--conflict-fmr", "0.1"
    )
    assert conflict["counts"] == {"belongs_to_another": 1, "conflict": 1}
    assert [r["conflict"]["subject"] for r in conflict["results"]] == ["ada", "ada"]
    forced = document(capsys, 0, "enroll", "eve", "ada again.png", "-g", "g", "--allow-conflict")
    assert (forced["counts"], forced["conflict"]) == ({"enrolled": 1}, None)


def test_a_folder_for_each_person(photos: Path, capsys: Output, pipeline: FacePipeline) -> None:
    for who in ("ada", "bob"):
        (photos / "people" / who).mkdir(parents=True)
        (photos / f"{who}.png").rename(photos / "people" / who / "1.png")
    (photos / "people" / "nobody").mkdir()
    (photos / "people" / "readme.txt").write_text("not a person")
    assert run(["enroll", "--people", "people", "-g", "g"]) == 0
    out, err = capsys.readouterr()
    assert out.endswith("2 enrolled in g\n")
    assert (
        err
        == f"lineament: left out: people/nobody: no picture in this folder; looked for {err.split('for ')[1]}"
    )
    with Gallery.open("g", space=pipeline.embedding_space) as gallery:
        assert [(s.subject_id, s.samples) for s in gallery.subjects()] == [("ada", 1), ("bob", 1)]
        assert gallery.calibration == "made up"


@pytest.mark.usefixtures("photos")
def test_detect_writes_annotated_copies(capsys: Output) -> None:
    found = document(capsys, 1, "detect", "ada and bob.png", "empty.png", "-o", "marked")
    assert [len(r["faces"]) for r in found["results"]] == [2, 0]
    assert [r["drawn"] for r in found["results"]] == ["marked/ada and bob.png", "marked/empty.png"]
    drawn = read_image("marked/ada and bob.png").pixels
    assert drawn.shape == SCENES["ada and bob"].pixels.shape
    assert (drawn == ORANGE).all(-1).any()
    assert run(["detect", "ada.png", "bob.png", "-o", "one.png"]) == 2


@pytest.mark.usefixtures("photos")
def test_copies_of_the_same_name_do_not_collide(capsys: Output) -> None:
    Path("deeper").mkdir()
    Path("bob.png").rename("deeper/ada.png")
    found = document(capsys, 0, "detect", "ada.png", "deeper", "-o", "marked")
    assert [r["drawn"] for r in found["results"]] == ["marked/ada.png", "marked/ada-2.png"]


@pytest.mark.usefixtures("photos")
def test_embed(capsys: Output, pipeline: FacePipeline) -> None:
    found = document(capsys, 3, "embed", "ada.png", "empty.png", "bob.png", "-o", "out.npz")
    assert (found["templates"], [r["path"] for r in found["refused"]]) == (2, ["empty.png"])
    with np.load("out.npz", allow_pickle=False) as stored:
        assert stored["vectors"].shape == (2, 128)
        np.testing.assert_allclose(np.linalg.norm(stored["vectors"], axis=1), 1, atol=1e-5)
        assert stored["paths"].tolist() == ["ada.png", "bob.png"]
        assert str(stored["space"]) == pipeline.embedding_space
        np.testing.assert_array_equal(stored["boxes"][0], SCENES["ada"].detections.boxes[0])
        assert (stored["refused_paths"].tolist(), stored["refused_reasons"].tolist()) == (
            ["empty.png"],
            ["no_face"],
        )
    assert document(capsys, 3, "embed", "empty.png", "-o", "none.npz")["templates"] == 0
    with np.load("none.npz") as stored:
        assert stored["vectors"].shape == (0, 128)
    assert run(["embed", "ada.png", "-o", "out.csv"]) == 2


def test_weights_are_named_with_their_digests() -> None:
    (model,) = common.weights("centerface")
    assert (model["name"], model["task"], list(model["sha256"])) == ("centerface", "detection", ["model"])
    assert len(model["sha256"]["model"]) == 64
    with pytest.raises(ModelNotFound):
        common.weights("nothing")
