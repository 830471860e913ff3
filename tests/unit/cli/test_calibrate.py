"""lineament calibrate on a folder of drawn people, and the record that it leaves in use."""

import json
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from drawn_people import scene
from lineament.cli import common
from lineament.cli.app import run
from lineament.core.errors import DataError
from lineament.core.types import Face, Image, Refusal
from lineament.embedding.cache import EmbeddingCache, Outcome
from lineament.evaluation import samples
from lineament.evaluation.calibration_data import check_names
from lineament.evaluation.sets import PictureSource
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
    monkeypatch.setenv("LINEAMENT_CACHE", str(tmp_path / "cache"))
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
    assert record.protocol.startswith(f"every pair of the {pictures} pictures of people once")
    assert record.data[0].name == "people"
    with PictureSource(people) as source:
        named = [name for name in source.names() if not name.endswith(".txt")]
        assert record.data[0].digest == source.digest(named)
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


@pytest.mark.parametrize("below", ["", "records"])
def test_a_folder_that_cannot_be_written_is_told_before_the_work(
    below: str, people: Path, tmp_path: Path, capsys: Output
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert run(["calibrate", str(people), "--out", str(tmp_path / "file" / below)]) == 4
    assert "expected a folder for the record that can be written" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


def test_copies_of_a_picture_count_once(people: Path, tmp_path: Path, capsys: Output) -> None:
    copied = tmp_path / "people"
    shutil.copytree(people, copied)
    for k in range(EACH):
        shutil.copy(copied / "p03" / f"{k}.png", copied / "p03" / f"again-{k}.png")
    records = []
    for data in (people, copied):
        assert run(["calibrate", str(data), "--out", str(tmp_path / "out")]) == 0
        (file,) = (tmp_path / "out").iterdir()
        records.append(file.read_text())
    assert records[0] == records[1]
    assert "3 copies of a person's own picture were left out" in capsys.readouterr().err
    shutil.copy(copied / "p03" / "0.png", copied / "p04" / "other.png")
    assert run(["calibrate", str(copied), "--out", str(tmp_path / "out")]) == 4
    assert "1 files lie under two people" in capsys.readouterr().err


def test_an_interrupted_run_goes_on(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    command = ["calibrate", str(people), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(samples, "BATCH", 10)
    store, stored = EmbeddingCache.store, 0

    def interrupted(cache: EmbeddingCache, outcomes: Mapping[str, Outcome]) -> None:
        nonlocal stored
        store(cache, outcomes)
        stored += len(outcomes)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(EmbeddingCache, "store", interrupted)
        assert run(command) == 130
    assert stored == 10
    seen: list[Image] = []
    extract = FacePipeline.extract_many

    def watched(pipeline: FacePipeline, images: Sequence[Image]) -> list[Face | Refusal]:
        seen.extend(images)
        return extract(pipeline, images)

    monkeypatch.setattr(FacePipeline, "extract_many", watched)
    assert run(command) == 0
    assert len(seen) == PEOPLE * EACH + 2 - stored
    seen.clear()
    assert run(command) == 0
    assert not seen
    assert f"embeddings are kept in {tmp_path / 'cache' / 'embeddings'}" in capsys.readouterr().err


def test_only_pictures_in_folders_of_people_are_taken() -> None:
    check_names(
        ["ada/1.JPG", "ada/2020/2.png", "bob/x.txt", ".trash/a.png", ".hidden.png", "__MACOSX/ada/1.jpg"]
    )
    with pytest.raises(DataError, match="got 0 pictures, 0 of them outside"):
        check_names([".trash/a.png", "ada/x.txt"])
    with pytest.raises(DataError, match="got 2 pictures, 1 of them outside"):
        check_names(["ada/1.jpg", "2.jpg"])
    with pytest.raises(DataError, match="10,001 pictures is too much"):
        check_names([f"p/{k}.jpg" for k in range(10_001)])
