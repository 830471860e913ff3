"""Scores of any system with their answers, from a CSV file."""

import math
from pathlib import Path

import numpy as np

from lineament.core.arrays import ScoreArray
from lineament.core.errors import DataError
from lineament.evaluation.comparisons import LabelledScores
from lineament.evaluation.pairlists import SUBJECT_COLUMNS, parse_answers
from lineament.evaluation.tables import Table, read_table


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
