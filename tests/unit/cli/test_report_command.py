"""``lineament report`` on drawn reports: what is printed, which files are written, exit codes."""

import dataclasses
import json

import numpy as np
import pytest

from lineament.cli.app import run
from lineament.evaluation.jsonfile import dump_reports
from lineament.evaluation.samples import SampleEmbeddings
from lineament.evaluation.trials import all_pairs
from lineament.evaluation.verification import SystemUsed, WeightsUsed, score_trials, verification_report
from lineament.metrics.bootstrap import Resampling


def drawn(name, spread):
    names = [f"s{s}/{k}" for s in range(15) for k in range(4)]
    trials = all_pairs(names, [n.partition("/")[0] for n in names])
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(15, 12))[trials.subject_of_sample] + spread * rng.normal(size=(60, 12))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    samples = SampleEmbeddings(vectors, np.ones(60, np.bool_), {}, f"{name}@1", 0.5)
    system = SystemUsed(name, (WeightsUsed(f"{name}.onnx", "ab" * 32),))
    scored = score_trials(trials, samples)
    return verification_report(scored, samples, system, "drawn", "vectors", Resampling(100), "cd" * 32)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One report of a good system, one of a poor system, and a file with both."""
    folder = tmp_path_factory.mktemp("reports")
    good, poor = drawn("good", 0.7), drawn("poor", 1.4)
    for name, reports in {"good": [good], "poor": [poor], "both": [good, poor]}.items():
        (folder / f"{name}.json").write_text(dump_reports(reports))
    return folder


def test_show_prints_figures_and_what_they_rest_on(files, capsys):
    assert run(["report", "show", str(files / "both.json")]) == 0
    out = capsys.readouterr().out
    for words in (
        "good on drawn",
        "poor on drawn",
        "FMR (FAR) 0.01",
        "EER",
        f"sha256 {'ab' * 32}",
        "numpy",
        "cores",
    ):
        assert words in out


def test_diff_of_two_systems_is_paired(files, capsys):
    assert run(["report", "diff", str(files / "poor.json"), str(files / "good.json")]) == 0
    out = capsys.readouterr().out
    for words in ("A poor · B good", "weights", "paired intervals", "TAR at FAR 0.01", "they differ", "EER"):
        assert words in out


def test_diff_as_json_holds_verdicts(files, capsys):
    assert run(["report", "diff", str(files / "poor.json"), str(files / "good.json"), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    (figure,) = [f for f in found["figures"] if f["name"].startswith("TAR at FAR 0.01")]
    assert (figure["basis"], figure["verdict"]) == ("paired", "differ")
    assert figure["low"] <= figure["difference"] <= figure["high"]
    assert {change["what"] for change in found["changes"]} == {"system", "weights", "embedding space"}


def test_diff_of_files_names_reports_without_a_partner(files, capsys):
    assert run(["report", "diff", str(files / "both.json"), str(files / "good.json")]) == 0
    out, err = capsys.readouterr()
    assert "are the same" in out
    assert "in one file only: poor" in err


def test_diff_of_nothing_in_common_is_an_error(files, tmp_path, capsys):
    other = tmp_path / "other.json"
    reports = [dataclasses.replace(drawn(name, 1.0), dataset="elsewhere") for name in ("good", "poor")]
    other.write_text(dump_reports(reports))
    assert run(["report", "diff", str(files / "both.json"), str(other)]) == 4
    assert "no report of the same kind, system and data" in capsys.readouterr().err


def test_html_puts_all_reports_on_one_page(files, tmp_path, capsys):
    page = tmp_path / "page.html"
    words = [str(files / "good.json"), str(files / "poor.json"), "-o", str(page)]
    assert run(["report", "html", *words]) == 0
    assert str(page) in capsys.readouterr().err
    text = page.read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert text.count("data:image/png") == 4
    assert "poor minus good" in text


def test_a_page_needs_a_folder_and_a_report(files, tmp_path, capsys):
    assert run(["report", "html", str(files / "good.json"), "-o", str(tmp_path / "no" / "p.html")]) == 2
    assert run(["report", "html", str(tmp_path / "none.json"), "-o", str(tmp_path / "p.html")]) == 4
    assert "none.json cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "p.html").exists()


@pytest.mark.parametrize(
    ("last", "said"),
    [("edgeface-xs+flip", "edgeface-xs is not for commercial use"), ("no-such-net", "no embedding model")],
)
@pytest.mark.parametrize(
    "words",
    [
        ["pack", "none.bin"],
        ["verification", "--data", "nowhere"],
        ["verification", "--data", "nowhere", "--protocol", "lfw-view1"],
    ],
)
def test_a_model_that_cannot_be_had_stops_a_run_before_its_data(
    words, last, said, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("LINEAMENT_CONFIG", str(tmp_path))
    monkeypatch.delenv("LINEAMENT_ACCEPT_NONCOMMERCIAL", raising=False)
    assert run(["evaluate", *words, "--model", "dlib-resnet", "--model", last]) == 5
    assert said in capsys.readouterr().err


def test_thumbnails_need_a_page(tmp_path, capsys):
    words = ["--data", str(tmp_path), "--model", "dlib-resnet", "--thumbnails", "3"]
    assert run(["evaluate", "verification", *words]) == 2
    assert "--html" in capsys.readouterr().err
