"""Score lists that an evaluation writes: nothing is lost, and what reads score lists reads them."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from lineament.core.errors import DataError
from lineament.evaluation.scorelists import read_scores, score_list
from lineament.evaluation.trials import Trials
from lineament.evaluation.verification import ScoredTrials
from lineament.metrics.lfw import fold_accuracy
from lineament.metrics.verification import eer

RNG = np.random.default_rng(5)


def drawn(count: int = 40, refused: tuple[int, ...] = ()) -> ScoredTrials:
    """Comparisons of eight people with three pictures each, in four folds."""
    samples = tuple(f"P{s}, Q/{k}.jpg" for s in range(8) for k in range(3))
    a, b = np.triu_indices(24, 1)
    chosen = np.random.default_rng(0).permutation(len(a))[:count]
    trials = Trials(
        "drawn",
        samples,
        tuple(name.partition("/")[0] for name in samples),
        np.stack([a, b], axis=1)[chosen].astype(np.int32),
        (np.arange(count) % 4).astype(np.int32),
    )
    scores = RNG.standard_normal(count).astype(np.float32).astype(np.float64) / 3
    scores[list(refused)] = -math.inf
    return ScoredTrials(trials, scores)


def test_one_system_is_read_back_without_loss(tmp_path: Path) -> None:
    scored, path = drawn(), tmp_path / "s.csv"
    path.write_text(score_list({"drawn": scored}), encoding="utf-8")
    back = read_scores(path)
    np.testing.assert_array_equal(back.scores, scored.scores)
    np.testing.assert_array_equal(back.mated, scored.trials.mated)
    assert eer(back.scores[back.mated], back.scores[~back.mated]) == eer(
        scored.scores[scored.trials.mated], scored.scores[~scored.trials.mated]
    )


def test_a_row_says_what_was_compared(tmp_path: Path) -> None:
    scored, path = drawn(refused=(3, 7)), tmp_path / "s.csv"
    path.write_text(score_list({"drawn": scored}), encoding="utf-8")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    trials = scored.trials
    assert [int(row["pair"]) for row in rows] == list(range(1, 41))
    assert [int(row["fold"]) - 1 for row in rows] == trials.folds.tolist()
    for row, (a, b) in zip(rows, trials.pairs, strict=True):
        assert (row["file_a"], row["file_b"]) == (trials.samples[a], trials.samples[b])
        assert row["label"] == str(int(trials.subjects[a] == trials.subjects[b]))
    assert [k for k, row in enumerate(rows) if not row["score"]] == [3, 7]
    with pytest.raises(DataError, match=r"leave failed comparisons out \(2 of 40 rows: line 5, 9\)"):
        read_scores(path)
    made = scored.compared
    scores, mated, folds = (
        np.array([kind(row[name]) for row in rows if row["score"]])
        for name, kind in (("score", float), ("label", int), ("fold", int))
    )
    assert fold_accuracy(scores, mated == 1, (folds - 1).astype(np.int32)) == fold_accuracy(
        scored.scores[made], trials.mated[made], trials.folds[made]
    )


def test_each_of_several_systems_has_a_column(tmp_path: Path) -> None:
    path, systems = tmp_path / "s.csv", {"plain": drawn(), "profile open (a, b)": drawn()}
    path.write_text(score_list(systems), encoding="utf-8")
    for name, scored in systems.items():
        np.testing.assert_array_equal(read_scores(path, score=name).scores, scored.scores)
    with pytest.raises(DataError, match="expected a column 'score'"):
        read_scores(path)


@pytest.mark.parametrize(
    ("systems", "message"),
    [
        ({}, "at least one"),
        ({"a": drawn(), "b": drawn(39)}, "the same comparisons"),
        ({"a": drawn(), "fold": drawn()}, "cannot be named fold"),
    ],
)
def test_what_cannot_be_a_score_list(systems: dict[str, ScoredTrials], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score_list(systems)
