"""``lineament evaluate megaface`` on saved vectors: what is printed, which files are written, exit codes."""

import json
from pathlib import Path

import numpy as np
import pytest

from lineament.cli.app import run
from lineament.evaluation.megaface_report import MegafaceReport


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Probes of ten people with a list of who they are, and two files of distractors."""
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(10), 3)
    photos = rng.normal(size=(10, 16))[subjects] + 0.6 * rng.normal(size=(30, 16))
    np.save(tmp_path / "probes.npy", photos.astype(np.float32))
    (tmp_path / "who.txt").write_text("".join(f"person {s}\n" for s in subjects))
    for name, count in (("a", 900), ("b", 600)):
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(count, 16)).astype(np.float16))
    return tmp_path


def called(files: Path, *more: str) -> int:
    names = [str(files / name) for name in ("probes.npy", "a.npy", "b.npy")]
    return run(["evaluate", "megaface", *names, "--subjects", str(files / "who.txt"), *more])


def test_saved_vectors_give_a_table_a_report_and_a_picture(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, picture = files / "r.json", files / "p.png"
    assert called(files, "--far", "1e-3", "--report", str(report), "--plot", str(picture)) == 0
    out = capsys.readouterr().out
    for words in (
        "900 of a.npy, 600 of b.npy",
        "1,500",
        "rank 1 [95 % interval]",
        "TAR at FAR 0.001",
        "too few",
    ):
        assert words in out
    found = MegafaceReport.from_json(report.read_text())
    assert [size.n_distractors for size in found.sizes] == [10, 100, 1000, 1500]
    assert found.system is None
    assert picture.stat().st_size > 10_000


def test_reports_are_shown_put_on_a_page_and_compared(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, page = (str(files / name) for name in ("a.json", "b.json", "p.html"))
    assert called(files, "--far", "1e-3", "--report", first) == 0
    printed = capsys.readouterr().out
    assert called(files, "--far", "1e-3", "--seed", "5", "--report", second) == 0
    capsys.readouterr()
    assert run(["report", "show", first]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(printed)
    assert "saved embeddings" in shown
    assert run(["report", "html", first, second, "-o", page]) == 0
    text = Path(page).read_text()
    assert text.count("data:image/png") == 2
    for words in (
        "People among distractors: probes.npy among a.npy and b.npy",
        "1,500",
        "default-src 'none'",
    ):
        assert words in text or words.replace("'", "&#x27;") in text
    capsys.readouterr()
    assert run(["report", "diff", first, second, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert [change["what"] for change in found["changes"]] == ["bootstrap"]
    sizes = [size.n_distractors for size in MegafaceReport.from_json(Path(first).read_text()).sizes]
    names = [figure["name"] for figure in found["figures"]]
    assert [name for name in names if name.startswith("rank 1")] == [
        f"rank 1 rate among {size:,} distractors" for size in sizes
    ]
    (whole,) = [f for f in found["figures"] if f["name"] == "TAR at FAR 0.001 among 1,500 distractors"]
    assert (whole["basis"], whole["difference"]) == ("separate", 0)


def test_a_report_that_states_no_kind_is_known_by_its_trials(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = files / "r.json"
    assert called(files, "--report", str(report)) == 0
    document = json.loads(report.read_text())
    del document["kind"]
    report.write_text(json.dumps(document))
    assert run(["report", "show", str(report)]) == 0
    assert "900 of a.npy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (("--far", "0.1"), 2, "at most 1e-3"),
        (("--plot", "x.pdf"), 2, "must end in .png"),
        (("--report", "nowhere/r.json"), 4, "does not exist"),
        (("--subjects", "nowhere.txt"), 4, "cannot be read"),
    ],
)
def test_wrong_use_is_refused_before_the_work(
    more: tuple[str, ...], code: int, said: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(files, *more) == code
    assert said in capsys.readouterr().err


def test_what_is_missing_is_named(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    probes = str(files / "probes.npy")
    assert (
        run(["evaluate", "megaface", probes, str(files / "none.npy"), "--subjects", str(files / "who.txt")])
        == 4
    )
    assert "none.npy cannot be read" in capsys.readouterr().err
    assert run(["evaluate", "megaface", probes, str(files / "a.npy")]) == 4
    assert "--subjects" in capsys.readouterr().err
