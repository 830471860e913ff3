"""lineament calibrate on a folder of drawn people, and the record that it leaves in use."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from drawn_people import scene
from lineament.cli import common
from lineament.cli.app import run
from lineament.core.errors import DataError
from lineament.evaluation.calibration_data import people_of
from lineament.imaging import write_image
from lineament.pipeline import FacePipeline
from lineament.testing import FakeDetector, FakeEmbedder
from lineament.zoo.calibration import load_calibration

Output = pytest.CaptureFixture[str]
PEOPLE, EACH = 20, 3


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FacePipeline]:
    """Three pictures of each of twenty people, one without a face, one broken, and a text; who can find them."""
    folder = tmp_path_factory.mktemp("data") / "people"
    rng, known = np.random.default_rng(0), []
    for person in range(PEOPLE):
        (folder / f"p{person:02}").mkdir(parents=True)
        for k in range(EACH):
            x, y, size = (float(v) for v in rng.uniform((150, 130, 120), (270, 170, 200)))
            shown = scene((person + 1, x, y, size), background=k)
            write_image(folder / f"p{person:02}" / f"{k}.png", shown.pixels)
            known.append((shown.pixels, shown.detections))
    write_image(folder / "p00" / "nobody.png", scene().pixels)
    (folder / "p01" / "broken.jpg").write_bytes(b"no picture")
    (folder / "p01" / "notes.txt").write_text("not a picture")
    return folder, FacePipeline(FakeDetector(known), FakeEmbedder())


@pytest.fixture
def people(drawn: tuple[Path, FacePipeline], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LINEAMENT_CALIBRATION", str(tmp_path / "records"))
    detector, embedder = drawn[1].detector, drawn[1].embedder
    monkeypatch.setattr(common, "open_pipeline", lambda *_: FacePipeline(detector, embedder))
    monkeypatch.setattr(common, "weights", lambda *names: [{"name": n} for n in names])
    return drawn[0]


def test_own_people_give_the_record_that_is_used_from_then_on(people: Path, capsys: Output) -> None:
    pair = [str(people / "p00" / "0.png"), str(people / "p00" / "1.png")]
    assert run(["verify", *pair, "--fmr", "0.02"]) == 7
    assert run(["calibrate", str(people)]) == 0
    said = capsys.readouterr().out
    assert "2 pictures left out: 1 no face, 1 unreadable" in said
    record = load_calibration(FakeEmbedder().space)
    assert said.splitlines()[-1].endswith("fake-arcface-112-112-128.toml")
    pictures = PEOPLE * EACH
    assert (record.n_subjects, record.n_images, record.n_refused) == (PEOPLE, pictures, 2)
    assert record.n_mated == PEOPLE * EACH * (EACH - 1) // 2
    assert record.n_nonmated == pictures * (pictures - 1) // 2 - record.n_mated
    assert record.data[0].name == "people"
    assert f"Cllr {record.cllr:.4f}" in said
    assert run(["verify", *pair, "--fmr", "0.02", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["record"], found["threshold"]) == ("open-people", record.point(0.02).threshold)


def test_a_zip_of_the_folder_gives_the_same_record(people: Path, tmp_path: Path) -> None:
    archive = tmp_path / "people.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in people.rglob("*.*"):
            packed.write(path, path.relative_to(people).as_posix())
    records = []
    for data, out in ((people, tmp_path / "a"), (archive, tmp_path / "b")):
        assert run(["calibrate", str(data), "--out", str(out)]) == 0
        (file,) = out.iterdir()
        records.append(file.read_text().replace("people.zip once", "people once"))
    assert records[0] == records[1]


def test_wrong_data_is_told_before_the_work(tmp_path: Path, people: Path, capsys: Output) -> None:
    assert run(["calibrate", str(tmp_path / "none")]) == 4
    assert run(["calibrate", str(people / "p00")]) == 4
    assert "4 pictures, 4 of them outside of any folder" in capsys.readouterr().err
    two = tmp_path / "two"
    for name in ("p00", "p01"):
        (two / name).mkdir(parents=True)
        (two / name / "0.png").write_bytes((people / name / "0.png").read_bytes())
    assert run(["calibrate", str(two)]) == 4
    assert "at least 300 non-mated ones, got 0 and 1" in capsys.readouterr().err


def test_a_person_is_the_first_folder() -> None:
    names = [
        "ada/1.JPG",
        "ada/2020/2.png",
        "bob/x.txt",
        ".trash/a.png",
        "eve/.hidden.png",
        "__MACOSX/ada/1.jpg",
    ]
    assert people_of(names) == {"ada/1.JPG": "ada", "ada/2020/2.png": "ada"}
    with pytest.raises(DataError, match="10,001 pictures is too much"):
        people_of([f"p/{k}.jpg" for k in range(10_001)])
