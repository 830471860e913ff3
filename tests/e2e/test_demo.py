"""The demonstration on its real photographs, and on two files of a user."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from lineament.cli.app import run
from lineament.core.errors import ConfigError
from lineament.evaluation import demo
from lineament.gallery import Gallery, stored_space
from lineament.imaging import GREEN, VERMILION, read_image, write_image
from lineament.pipeline import FacePipeline
from lineament.zoo.options import FetchOptions

pytestmark = [pytest.mark.weights, pytest.mark.usefixtures("calibration_folder")]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photographs")
    paths = []
    for subject in demo.demo_subjects(FetchOptions.from_environment()):
        paths.append(folder / f"{subject.name.split()[1].lower()}.png")
        write_image(paths[-1], subject.image.pixels)
    return paths


def has(picture: Path, colour: tuple[int, int, int]) -> bool:
    return bool(np.all(read_image(picture).pixels == colour, axis=2).any())


def test_every_answer_is_right_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "34 of 34 answers right; identified at FPIR 0.01, verified at FMR (FAR) 0.001" in said
    assert "WRONG" not in said
    assert said.splitlines()[-1] == str(tmp_path / "demo.png")
    assert read_image(tmp_path / "demo.png").width > 1000
    assert has(tmp_path / "demo.png", GREEN)
    assert not has(tmp_path / "demo.png", VERMILION)
    path = tmp_path / "both.gallery"
    with Gallery.open(path, space=stored_space(path)) as gallery:
        assert [s.subject_id for s in gallery.subjects()] == ["Eileen Collins", "Grace Hopper"]


def test_a_second_run_stays_offline_and_starts_afresh(
    open_profile: FacePipeline,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    subjects = demo.demo_subjects(FetchOptions.from_environment())
    face = open_profile.extract_one(subjects[0].image)
    with Gallery.open(tmp_path / "both.gallery", space=open_profile.embedding_space, create=True) as leftover:
        leftover.enroll("somebody else", face.embedding)
    monkeypatch.setenv("LINEAMENT_OFFLINE", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    assert run(["demo", "--out", str(tmp_path), "--backend", "onnxruntime"]) == 0
    assert "34 of 34" in capsys.readouterr().out


def test_a_rate_that_lets_strangers_pass_gives_wrong_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # at FMR 0.1 the threshold lies below the similarity of these two people
    assert run(["demo", "--out", str(tmp_path), "--fmr", "0.1"]) == 1
    said = capsys.readouterr().out
    assert "same person        " in said
    assert "WRONG" in said
    assert "34 of 34" not in said
    assert has(tmp_path / "demo.png", VERMILION)


def test_two_photographs_of_a_user(
    photographs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hopper, collins = photographs
    again = tmp_path / "again.jpg"
    write_image(again, cv2.GaussianBlur(read_image(hopper).pixels, (0, 0), 2)[:, ::-1].copy())
    out = tmp_path / "out"
    assert run(["demo", str(hopper), str(again), "--out", str(out), "--fmr", "1e-3"]) == 0
    assert "match: similarity" in capsys.readouterr().out
    assert has(out / "verify.png", GREEN)
    assert run(["demo", str(hopper), str(collins), "--out", str(out), "--fmr", "1e-3"]) == 1
    assert "no match: similarity" in capsys.readouterr().out
    assert has(out / "verify.png", VERMILION)


def test_a_photograph_without_a_face_is_refused(
    photographs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.png"
    write_image(empty, np.full((300, 300, 3), 128, np.uint8))
    assert run(["demo", str(photographs[0]), str(empty), "--out", str(tmp_path)]) == 3
    assert "no_face" in capsys.readouterr().out
    assert not (tmp_path / "verify.png").exists()


def test_wrong_use(photographs: list[Path], tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "out")]
    assert run(["demo", str(photographs[0]), *out]) == 2
    assert run(["demo", "--fmr", "2", *out]) == 2
    assert run(["demo", "--fmr", "1e-9", *out]) == 7
    assert run(["demo", str(photographs[0]), str(tmp_path / "none.jpg"), *out]) == 4


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "HOPPER", "mpl-data/sample_data/nobody.jpg")
    with pytest.raises(ConfigError, match=r'pip install "lineament\[plots\]"'):
        demo.demo_subjects(FetchOptions.from_environment())


def test_the_photograph_is_fetched_into_an_empty_cache(tmp_path: Path) -> None:
    options = FetchOptions(cache=tmp_path / "cache")
    first = demo.demo_subjects(options)
    second = demo.demo_subjects(FetchOptions(cache=tmp_path / "cache", offline=True))
    assert [s.name for s in first] == ["Grace Hopper", "Eileen Collins"]
    assert (first[1].image.pixels == second[1].image.pixels).all()
    assert first[1].image.pixels.shape == (512, 512, 3)
    shutil.rmtree(tmp_path / "cache")
