"""The check of reports by other code agrees with right figures and fails on wrong ones."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lineament.evaluation.jsonfile import dump_reports
from lineament.evaluation.samples import SampleEmbeddings
from lineament.evaluation.scorelists import score_list
from lineament.evaluation.trials import Trials
from lineament.evaluation.verification import ScoredTrials, SystemUsed, score_trials, verification_report
from lineament.metrics.bootstrap import Resampling

ROOT = Path(__file__).resolve().parents[3]
SUBJECTS, FOLDS = 1100, 10


def drawn(trials: Trials, noise: float, refused: int) -> tuple[ScoredTrials, SampleEmbeddings]:
    """Noisy copies of a vector for each subject."""
    rng = np.random.default_rng(3)
    vectors = np.repeat(rng.standard_normal((SUBJECTS, 32)), 2, axis=0)
    vectors += noise * rng.standard_normal(vectors.shape)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    acquired = np.arange(len(vectors)) >= refused
    vectors[~acquired] = 0
    samples = SampleEmbeddings(vectors, acquired, {"no_face": refused} if refused else {}, "drawn@1", 1.0)
    return score_trials(trials, samples), samples


@pytest.fixture(scope="module")
def run_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Scores and report of two systems, one with refusals."""
    mates = np.arange(2 * SUBJECTS).reshape(-1, 2)
    others = np.stack([mates[:, 0], np.roll(mates[:, 1], -2)], axis=1)
    trials = Trials(
        "drawn",
        tuple(f"P{k // 2}/{k}.jpg" for k in range(2 * SUBJECTS)),
        tuple(f"P{k // 2}" for k in range(2 * SUBJECTS)),
        np.concatenate([mates, others]).astype(np.int32),
        np.tile(np.arange(SUBJECTS) % FOLDS, 2).astype(np.int32),
    )
    systems, reports = {}, []
    for name, noise, refused in (("plain", 0.9, 0), ("profile open (a, b)", 0.8, 5)):
        scored, samples = drawn(trials, noise, refused)
        systems[name] = scored
        plan = Resampling(replicates=100)
        reports.append(verification_report(scored, samples, SystemUsed(name, ()), "drawn", "drawn", plan))
    folder = tmp_path_factory.mktemp("check")
    scores, report = folder / "s.csv", folder / "r.json"
    scores.write_text(score_list(systems), encoding="utf-8")
    report.write_text(dump_reports(reports), encoding="utf-8")
    return scores, report


def called(*words: Path | str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.independent_check", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_both_sides_agree(run_files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "c.json"
    done = called(run_files[1], "--scores", run_files[0], "--json", out)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(out.read_text())
    assert list(document["systems"]) == ["plain", "profile open (a, b)"]
    for name, figures in document["systems"].items():
        assert name in done.stdout
        assert [f["figure"] for f in figures] == [
            "accuracy", "EER", "AUC", "TAR at FAR 0.01", "TAR at FAR 0.001"
        ]  # fmt: skip
        assert all(0 < f["computed"] < 1 for f in figures)
        assert all(f["difference_points"] < 1e-9 for f in figures[1:])
        assert figures[0]["difference_points"] <= 0.1


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"eer": 0.5}, 1, "DIFFERS"),
        ({"n_mated_compared": 7}, 1, "mated and non-mated comparisons are (1100, 1100)"),
        ({"system": {"name": "another", "weights": []}}, 1, "expected a column 'another' or 'score'"),
    ],
)
def test_what_does_not_fit_fails(
    change: dict[str, object], code: int, said: str, run_files: tuple[Path, Path], tmp_path: Path
) -> None:
    reports = json.loads(run_files[1].read_text())
    reports[0] |= change
    wrong = tmp_path / "r.json"
    wrong.write_text(json.dumps(reports))
    done = called(wrong, "--scores", run_files[0])
    assert done.returncode == code
    assert said in done.stdout + done.stderr


def test_scores_are_made_for_every_embedder_of_the_report(
    run_files: tuple[Path, Path], tmp_path: Path
) -> None:
    done = called(run_files[1], "--data", tmp_path / "none")
    assert done.returncode == 1
    for words in ("--model plain", "the scores could not be made"):
        assert words in done.stderr
    assert called(run_files[1]).returncode == 2


def test_nothing_of_the_package_takes_part() -> None:
    program = (
        "import sys, benchmarks.independent_check; print(any(m.startswith('lineament') for m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
