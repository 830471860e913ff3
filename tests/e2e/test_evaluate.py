"""``lineament evaluate`` on pieces of the data sets, and on the whole ones when slow tests are asked for."""

import json
import shutil
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from lineament.cli.app import run
from lineament.evaluation.detection import DetectionReport
from lineament.evaluation.reading import read_reports
from lineament.evaluation.scorelists import read_scores
from lineament.evaluation.trials import read_pairs
from lineament.evaluation.verification import VerificationReport
from lineament.metrics.verification import auc
from lineament.zoo.calibration import load_calibration
from lineament.zoo.licence import ENVIRONMENT
from lineament.zoo.manifest import find_model
from lineament.zoo.options import FetchOptions
from lineament.zoo.profiles import find_profile

pytestmark = [pytest.mark.weights, pytest.mark.shared]


def piece(source: Path, pairs: str, target: Path, header: str, keep: list[int]) -> Path:
    """A data folder with some lines of the pairs file and the pictures that they name."""
    lines = (source / pairs).read_text().splitlines()
    target.mkdir()
    (target / pairs).write_text("\n".join([header, *(lines[k] for k in keep)]) + "\n")
    (archive,) = source.glob("*.zip")
    with zipfile.ZipFile(archive) as whole, zipfile.ZipFile(target / "pictures.zip", "w") as some:
        for name in read_pairs(target / pairs).samples:
            some.writestr(name, whole.read(name))
    return target


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with the weights that were fetched already, and without embeddings of other tests."""
    cache, known = tmp_path / "cache", FetchOptions.from_environment().cache
    cache.mkdir()
    for name in ("files", "models", "locks", "partial"):
        (known / name).mkdir(parents=True, exist_ok=True)
        (cache / name).symlink_to(known / name)
    monkeypatch.setenv("LINEAMENT_CACHE", str(cache))
    return cache


@pytest.fixture(scope="module")
def view1(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 20 mated and 20 non-mated pairs."""
    keep = [*range(1, 21), *range(501, 521)]
    return piece(
        shared / "data" / "lfw_view1_208",
        "pairsDevTest.txt",
        tmp_path_factory.mktemp("v") / "view1",
        "20",
        keep,
    )


@pytest.fixture(scope="module")
def view2(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four mated and four non-mated pairs of each fold."""
    keep = [1 + fold * 600 + half + k for fold in range(10) for half in (0, 300) for k in range(4)]
    return piece(
        shared / "data" / "lfw_aligned112", "pairs.txt", tmp_path_factory.mktemp("v") / "view2", "10 4", keep
    )


def test_view2_compares_embedders(view2: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, plot, scores = tmp_path / "r.json", tmp_path / "roc.png", tmp_path / "s.csv"
    models = [word for name in ("dlib-resnet", "dlib-resnet+flip") for word in ("--model", name)]
    command = ["evaluate", "verification", "--data", str(view2), *models]
    assert run([*command, "--report", str(out), "--plot", str(plot), "--scores", str(scores)]) == 0
    said = capsys.readouterr().out
    for words in ("FMR (FAR)", "EER", "not measurable", "not its own crop", "40 mated and 40 non-mated"):
        assert words in said
    reports = read_reports(out)
    assert [r.system.name for r in reports] == ["dlib-resnet", "dlib-resnet+flip"]
    assert len({r.space for r in reports}) == 2
    for report in reports:
        assert isinstance(report, VerificationReport)
        assert "not its own crop" in report.protocol
        assert report.folds is not None
        assert report.folds.accuracy >= 0.9
        assert (report.n_mated_compared, report.n_nonmated_compared, report.fta_rate) == (40, 40, 0)
        assert report.not_measurable == (1e-2, 1e-3)
        listed = read_scores(scores, score=report.system.name)
        assert auc(listed.scores[listed.mated], listed.scores[~listed.mated]) == report.auc
    names = ["roc-det.png", "roc-similarities-1.png", "roc-similarities-2.png", "roc.png"]
    assert sorted(p.name for p in tmp_path.glob("*.png")) == names
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_view1_runs_end_to_end(view1: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "r.json"
    command = ["evaluate", "verification", "--data", str(view1), "--protocol", "lfw-view1"]
    assert run([*command, "--profile", "open", "--report", str(out)]) == 0
    profile = find_profile("open")
    assert f"profile open ({profile.detector}, {profile.embedder})" in capsys.readouterr().out
    (report,) = read_reports(out)
    assert report.fta_rate == 0
    assert report.folds_end_to_end is not None
    assert report.folds_end_to_end.accuracy >= 0.85
    weights = json.loads(out.read_text())[0]["system"]["weights"]
    assert [w["sha256"] for w in weights] == [
        w.sha256
        for name in (profile.detector, profile.embedder.partition("+")[0])
        for w in find_model(name).weights
    ]


@pytest.mark.parametrize("protocol", ["lfw-view2", "lfw-view1"])
def test_an_interrupted_run_goes_on_from_the_cache(
    protocol: str, request: pytest.FixtureRequest, own_cache: Path, tmp_path: Path
) -> None:
    data = request.getfixturevalue(protocol.removeprefix("lfw-"))
    out = tmp_path / "r.json"
    command = ["evaluate", "verification", "--data", str(data), "--protocol", protocol]
    command += ["--model", "dlib-resnet", "--report", str(out)]

    def report() -> VerificationReport:
        assert run(command) == 0
        (found,) = read_reports(out)
        assert isinstance(found, VerificationReport)
        return found

    first = report()
    (stored,) = (own_cache / "embeddings").glob("*.sqlite")
    with closing(sqlite3.connect(stored)) as rows, rows:
        # what a run that was killed half way leaves behind
        rows.execute(
            "DELETE FROM outcomes WHERE picture IN (SELECT picture FROM outcomes ORDER BY picture LIMIT 20)"
        )
    resumed, again = report(), report()
    assert (first.n_from_cache, resumed.n_from_cache, again.n_from_cache) == (
        0,
        first.n_samples - 20,
        first.n_samples,
    )
    for found in (resumed, again):
        assert found.folds_end_to_end == first.folds_end_to_end
        assert (found.eer, found.auc, found.space) == (first.eer, first.auc, first.space)


def test_calibration_is_measured_saved_and_found(
    view1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "records"
    assert run(["calibrate", str(view1), "--out", str(folder)]) == 0
    said = capsys.readouterr().out
    monkeypatch.setenv("LINEAMENT_CALIBRATION", str(folder))
    (path,) = folder.glob("*.toml")
    assert said.splitlines()[-1] == f"written to {path}"
    record = load_calibration(said.partition(":")[0])
    trials = read_pairs(view1 / "pairsDevTest.txt")
    assert (record.n_images, record.n_subjects) == (len(trials.samples), len(set(trials.subjects)))
    assert record.n_mated + record.n_nonmated == record.n_images * (record.n_images - 1) // 2
    assert record.smallest_fmr * record.n_nonmated == pytest.approx(30, rel=0.13)
    assert 0.8 < record.point(0.1).threshold < record.point(0.05).threshold < 1
    assert "nearest to the centre" in record.protocol


def test_detectors_are_measured_in_four_turns(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r.json"
    data = shared / "data" / "det_dlib_faces"
    command = ["evaluate", "detection", "--data", str(data), "--detector", "centerface", "--side", "320"]
    assert run([*command, "--report", str(out)]) == 0
    said = capsys.readouterr().out
    assert "centerface at 320 px" in said
    (report,) = read_reports(out)
    assert isinstance(report, DetectionReport)
    assert [t.turn_deg for t in report.turns] == [0, 90, 180, 270]
    upright, upside_down = (report.turns[k].overlaps[1].recall for k in (0, 2))
    assert upright > 0.7
    assert upright > upside_down


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["verification", "--protocol", "mine", "--model", "x"], 2),
        (["verification"], 2),
        (["verification", "--model", "x", "--profile", "open"], 2),
        (["verification", "--protocol", "lfw-view1", "--model", "x"], 5),
        (["verification", "--model", "x", "--report", "no/such/folder/r.json"], 2),
        (["verification", "--model", "x", "--scores", "no/such/folder/s.csv"], 2),
        (["verification", "--model", "x", "--model", "x", "--scores", "s.csv"], 2),
        (["verification", "--model", "x", "--precision", "f16"], 2),
        (["verification", "--model", "nothing"], 5),
        (["verification", "--protocol", "lfw-view1", "--profile", "nothing"], 2),
        (["detection", "--detector", "centerface"], 4),
    ],
)
def test_wrong_use_is_found_before_the_work(words: list[str], code: int, view2: Path, view1: Path) -> None:
    data = view1 if "lfw-view1" in words else view2
    assert run(["evaluate", words[0], "--data", str(data), *words[1:]]) == code


def test_missing_data_is_an_input_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", "verification", "--data", str(tmp_path / "none"), "--model", "dlib-resnet"]
    assert run(command) == 4
    assert "expected a data folder" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "accuracy"),
    [
        ("mobilefacenet", 0.9930),
        ("mobilefacenet+flip", 0.9937),
        ("edgeface-xs", 0.9953),
        ("edgeface-xxs", 0.9955),
        ("dlib-resnet", 0.9903),
    ],
)
def test_view2_repeats_the_known_figures(
    model: str, accuracy: float, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT, "edgeface-xs,edgeface-xxs")
    monkeypatch.setenv("LINEAMENT_WEIGHTS", str(shared / "weights"))
    out = tmp_path / "r.json"
    data = shared / "data" / "lfw_aligned112"
    assert run(["evaluate", "verification", "--data", str(data), "--model", model, "--report", str(out)]) == 0
    (report,) = read_reports(out)
    assert report.folds is not None
    assert report.folds.accuracy == pytest.approx(accuracy, abs=0.00101)


@pytest.mark.slow
def test_view1_misses_no_face(shared: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    data = shared / "data" / "lfw_view1_208"
    command = [
        "evaluate",
        "verification",
        "--data",
        str(data),
        "--protocol",
        "lfw-view1",
        "--report",
        str(out),
    ]
    assert run(command) == 0
    (report,) = read_reports(out)
    assert report.fta_rate == 0
    assert report.folds_end_to_end is not None
    assert report.folds_end_to_end.accuracy >= 0.99
    shutil.rmtree(tmp_path)
