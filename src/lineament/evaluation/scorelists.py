"""Scores with their answers as CSV files: those of any system read, those of an evaluation written out."""

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lineament.core.arrays import ScoreArray
from lineament.core.errors import DataError
from lineament.evaluation.comparisons import LabelledScores
from lineament.evaluation.pairlists import SUBJECT_COLUMNS, parse_answers
from lineament.evaluation.tables import Table, read_table
from lineament.evaluation.verification import ScoredTrials

COMPARISON_COLUMNS = ("pair", "fold", "file_a", "file_b", "label")


def read_scores(path: Path, score: str = "score", label: str = "label") -> LabelledScores:
    """Similarities and answers of a list; a higher score must mean more alike.

    Args:
        path: CSV with a column of scores, a column that says same or different, and, for intervals over people, the
            columns ``subject_a`` and ``subject_b``.
        score: name of the column of scores.
        label: name of the column of answers.

    Raises:
        DataError: a column is missing, a score is no finite number, an answer is another word, or answers contradict
            the people; names the lines.
    """
    table = read_table(path)
    scores, mated = _numbers(table, score), parse_answers(table, label)
    there = [name for name in SUBJECT_COLUMNS if name in table.columns]
    if not there:
        return LabelledScores(scores, mated)
    if len(there) == 1:
        raise DataError(
            f"{path}: expected the columns {' and '.join(SUBJECT_COLUMNS)} or neither, found {there[0]}"
        )
    names = np.array([table.column(name) for name in SUBJECT_COLUMNS])
    numbers = np.unique(names, return_inverse=True)[1].reshape(names.shape).astype(np.int32)
    wrong = np.flatnonzero((numbers[0] == numbers[1]) != mated).tolist()
    if wrong:
        raise table.fault(f"column {label!r} contradicts the people", wrong)
    return LabelledScores(scores, mated, numbers[0], numbers[1])


def score_list(systems: Mapping[str, ScoredTrials]) -> str:
    """Every comparison of an evaluation as CSV, one a row, so that others can compute its rates.

    Columns: ``pair`` and ``fold``, both from 1; ``file_a`` and ``file_b``, names of samples as in the trials;
    ``label``, 1 for a mated pair and 0 for a non-mated one; then the similarities with all their digits, in
    ``score`` for one system and in a column of its own name for each of several. A pair with a refused picture has
    an empty similarity and must be left out before :func:`read_scores` reads the list; else it reads it as it is.

    Args:
        systems: similarities of one trial list by name of the system, at least one.

    Raises:
        ValueError: no system, systems of different trial lists, or one that is named like a column of the comparisons.
    """
    found = list(systems.values())
    if not found:
        raise ValueError("a score list needs at least one system, got none")
    trials, shape = found[0].trials, found[0].scores.shape
    if any(s.scores.shape != shape or s.trials.samples != trials.samples for s in found):
        raise ValueError("the systems of one score list must have scored the same comparisons")
    if clash := set(systems) & set(COMPARISON_COLUMNS):
        raise ValueError(f"a system cannot be named {', '.join(sorted(clash))} in a score list")
    names = list(systems) if len(systems) > 1 else ["score"]
    similarities = np.stack([s.scores for s in found], axis=1).tolist()
    comparisons = zip(
        trials.folds.tolist(), trials.pairs.tolist(), trials.mated.tolist(), similarities, strict=True
    )
    file = io.StringIO(newline="")
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow([*COMPARISON_COLUMNS, *names])
    for number, (fold, (a, b), mated, row) in enumerate(comparisons, 1):
        values = [repr(score) if score > -math.inf else "" for score in row]
        rows.writerow([number, fold + 1, trials.samples[a], trials.samples[b], int(mated), *values])
    return file.getvalue()


def _numbers(table: Table, column: str) -> ScoreArray:
    values, wrong = [], []
    for row, text in enumerate(table.column(column)):
        try:
            values.append(float(text))
        except ValueError:
            values.append(math.nan)
        if not math.isfinite(values[-1]):
            wrong.append(row)
    if wrong:
        first = table.column(column)[wrong[0]]
        raise table.fault(
            f"column {column!r} must hold finite numbers, got {first!r}; leave failed comparisons out", wrong
        )
    return np.array(values, np.float64)
