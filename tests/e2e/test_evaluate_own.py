"""``lineament evaluate folder | pairs | pack | scores`` on small sets, and on input with faults."""

import json
import pickle
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from lineament.cli.app import run
from lineament.evaluation.own import OwnReport
from lineament.evaluation.protocols import verify_aligned
from lineament.evaluation.trials import read_pairs
from lineament.pipeline import FacePipeline
from lineament.zoo.options import FetchOptions
from lineament.zoo.session import Runtime


@pytest.fixture(autouse=True)
def _no_terminal_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.weights
@pytest.mark.shared
def test_a_pack_gives_what_the_list_of_its_pairs_gives(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = shared / "data" / "lfw_aligned112"
    lines = (source / "pairs.txt").read_text().splitlines()
    keep = [1 + fold * 600 + half + k for fold in range(10) for half in (0, 300) for k in range(3)]
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "pairs.txt").write_text("\n".join(["10 3", *(lines[k] for k in keep)]) + "\n")
    trials = read_pairs(tmp_path / "set" / "pairs.txt")
    (archive,) = source.glob("*.zip")
    with zipfile.ZipFile(archive) as whole, zipfile.ZipFile(tmp_path / "set" / "p.zip", "w") as some:
        for name in trials.samples:
            some.writestr(name, whole.read(name))
        bins = [np.frombuffer(whole.read(trials.samples[i]), np.uint8) for pair in trials.pairs for i in pair]
    (tmp_path / "lfw.bin").write_bytes(pickle.dumps((bins, trials.mated.tolist()), 3))
    out = tmp_path / "r.json"
    assert (
        run(["evaluate", "pack", str(tmp_path / "lfw.bin"), "--model", "dlib-resnet", "--report", str(out)])
        == 0
    )
    assert "60 pairs of aligned crops" in capsys.readouterr().out
    report = OwnReport.from_json(out.read_text())
    listed = verify_aligned(tmp_path / "set", "dlib-resnet", Runtime()).report
    assert report.comparisons.folds == listed.folds
    assert (report.comparisons.eer, report.comparisons.auc) == (listed.eer, listed.auc)


@pytest.fixture
def own_cache(open_profile: FacePipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with the weights that were fetched already, and without embeddings."""
    assert open_profile.embedding_space
    cache = tmp_path / "cache"
    cache.mkdir()
    for entry in FetchOptions.from_environment().cache.iterdir():
        if entry.name != "embeddings":
            (cache / entry.name).symlink_to(entry)
    monkeypatch.setenv("LINEAMENT_CACHE", str(cache))
    return cache


@pytest.mark.weights
def test_a_folder_is_measured_and_measured_again_from_the_cache(
    johns: dict[str, list[Path]], own_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "people"
    for name, photos in johns.items():
        (folder / name).mkdir(parents=True)
        for photo in photos[:6]:
            (folder / name / photo.name).write_bytes(photo.read_bytes())
    (folder / "nobody").mkdir()
    (folder / "John_Salley" / "broken.jpg").write_bytes(b"\xff\xd8 broken")
    groups, out = tmp_path / "groups.csv", tmp_path / "r.json"
    groups.write_text("person,first\n" + "".join(f"{name},{name[5]}\n" for name in johns))
    command = ["evaluate", "folder", str(folder), "--fmr", "0.1", "--fpir", "0.5", "--replicates", "100"]
    command += ["--groups", str(groups), "--by", "first", "--report", str(out)]
    assert run(command) == 0
    said = capsys.readouterr().out
    for words in (
        "1 folders hold no picture",
        "unreadable 1",
        "1:N in a gallery of 2 people",
        "groups by first",
    ):
        assert words in said
    report = OwnReport.from_json(out.read_text())
    assert report.fta_rate == pytest.approx(1 / (report.n_samples or 0))
    assert report.comparisons.auc > 0.98
    (stored,) = (own_cache / "embeddings").glob("*.sqlite")
    with closing(sqlite3.connect(stored)) as rows, rows:
        assert rows.execute("SELECT COUNT(*), COUNT(vector) FROM outcomes").fetchone() == (
            report.n_samples,
            (report.n_samples or 0) - 1,
        )
        # another reason under the digest of a picture shows that it is the cache that answers
        rows.execute("UPDATE outcomes SET reason = 'from_the_cache' WHERE reason = 'unreadable'")
    assert run(command) == 0
    again = OwnReport.from_json(out.read_text())
    assert again.refusals == {"from_the_cache": 1}
    assert (again.comparisons, again.searches, again.groups) == (
        report.comparisons,
        report.searches,
        report.groups,
    )


def test_scores_need_no_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    rows = [f"{v},1" for v in rng.normal(3, 1, 40)] + [f"{v},0" for v in rng.normal(0, 1, 400)]
    path, out = tmp_path / "s.csv", tmp_path / "r.json"
    path.write_text("score,label\n" + "\n".join(rows) + "\n")
    assert run(["evaluate", "scores", str(path), "--far", "0.1", "--far", "1e-3", "--report", str(out)]) == 0
    said = capsys.readouterr().out
    assert "FMR (FAR) 0.1: FNMR" in said
    assert "FMR (FAR) 0.001 is not given: it needs 10,000" in said
    assert "Clopper-Pearson" in said
    assert json.loads(out.read_text())["system"]["name"] == "score"


def test_own_reports_are_shown_compared_and_put_on_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(1)
    people = np.repeat(np.arange(20), 3)
    a, b = np.triu_indices(60, 1)
    mated = people[a] == people[b]
    scores = [rng.normal(size=len(a)) + gap * mated for gap in (3.0, 2.0)]
    lines = [
        f"{x},{y},{int(m)},p{i},p{j}"
        for x, y, m, i, j in zip(*scores, mated, people[a], people[b], strict=True)
    ]
    path, report, page = tmp_path / "s.csv", tmp_path / "r.json", tmp_path / "r.html"
    path.write_text("good,poor,label,subject_a,subject_b\n" + "\n".join(lines) + "\n")
    command = [
        "evaluate",
        "scores",
        str(path),
        "--fmr",
        "0.01",
        "--replicates",
        "200",
        "--report",
        str(report),
    ]
    assert run([*command, "--score", "good", "--score", "poor", "--html", str(page)]) == 0
    said = capsys.readouterr().out
    assert "poor minus good\nSame data, comparisons and draws" in said
    assert "they differ" in said
    assert "Own data: s.csv" in page.read_text()

    assert run(["report", "show", str(report)]) == 0
    said = capsys.readouterr().out
    assert all(words in said for words in ("good on s.csv", "poor on s.csv", "measured on"))
    assert run(["report", "html", str(report), "-o", str(tmp_path / "again.html")]) == 0
    assert (tmp_path / "again.html").read_text().count("data:image/png") == 4
    capsys.readouterr()
    singles = []
    for document in json.loads(report.read_text()):
        singles.append(tmp_path / f"{document['system']['name']}.json")
        singles[-1].write_text(json.dumps(document))
    assert run(["report", "diff", *map(str, singles), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert {f["name"]: f["basis"] for f in found["figures"]}["EER"] == "paired"
    assert run([*command, "--score", "good", "--score", "good"]) == 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["scores", "{}/nan.csv"], 4, "line 3"),
        (["scores", "{}/nan.csv", "--fmr", "2"], 2, "not a fraction"),
        (["scores", "{}/nan.csv", "--report", "{}/no/r.json"], 4, "does not exist"),
        (["folder", "{}/absent"], 4, "there is nothing at that path"),
        (["folder", "{}", "--groups", "{}/nan.csv"], 2, "belong together"),
        (["pairs", "{}/pairs.csv", "--images", "{}"], 4, "2 of 2 pictures are not in"),
        (["pairs", "{}/pairs.csv", "--images", "{}", "--file-a", "x"], 2, "both columns"),
        (["pairs", "{}/nan.csv", "--images", "{}"], 4, "exactly two columns of picture files"),
        (["templates", "{}/nan.csv", "--images", "{}"], 4, "expected a column template"),
        (["pack", "{}/nan.csv", "--model", "no-such-model"], 5, "no-such-model"),
    ],
)
def test_bad_input_is_explained(
    tmp_path: Path, words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nan.csv").write_text("score,label\n0.1,1\nnan,0\n")
    (tmp_path / "pairs.csv").write_text("x,y,same\na.jpg,b.jpg,yes\n")
    assert run(["evaluate", *(word.format(tmp_path) for word in words)]) == code
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())
