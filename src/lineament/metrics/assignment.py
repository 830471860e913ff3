"""The best one-to-one assignment, for metrics that match whole sets of faces or tracks."""

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import ScoreArray, describe


def best_assignment(weights: ScoreArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One-to-one assignment of rows to columns with the largest total weight.

    Every row of a wide matrix and every column of a tall one is assigned; drop assigned pairs that mean nothing
    (of weight 0, say) afterwards.

    Args:
        weights: (N, M) float64, finite.

    Returns:
        Rows (increasing) and their columns, min(N, M) of each.

    Raises:
        ValueError: not a finite matrix.

    Source: the Hungarian method with shortest augmenting paths, R. Jonker and A. Volgenant, Computing 38, 1987.
    O(min(N, M)² · max(N, M)).
    """
    values = np.asarray(weights, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise ValueError(f"weights must be a finite (N, M) matrix, got {describe(values)}")
    if values.shape[0] > values.shape[1]:
        columns, rows = best_assignment(values.T)
        order = np.argsort(rows)
        return rows[order], columns[order]
    cost = -values
    n_rows, n_columns = cost.shape
    row_of = np.full(n_columns, -1, np.int64)
    row_price, column_price = np.zeros(n_rows), np.zeros(n_columns)
    for row in range(n_rows):
        _augment(cost, row, row_of, row_price, column_price)
    columns = np.flatnonzero(row_of >= 0)
    order = np.argsort(row_of[columns])
    return row_of[columns][order], columns[order]


def _augment(
    cost: ScoreArray, start: int, row_of: NDArray[np.int64], row_price: ScoreArray, column_price: ScoreArray
) -> None:
    """Assign one more row along the cheapest alternating path; prices keep reduced costs non-negative."""
    n_columns = cost.shape[1]
    distance = np.full(n_columns, np.inf)
    before = np.full(n_columns, -1, np.int64)
    reached = np.zeros(n_columns, np.bool_)
    row, column, length = start, -1, 0.0
    while True:
        through = length + cost[row] - row_price[row] - column_price
        shorter = ~reached & (through < distance)
        distance[shorter], before[shorter] = through[shorter], column
        column = int(np.argmin(np.where(reached, np.inf, distance)))
        length = distance[column]
        reached[column] = True
        if row_of[column] < 0:
            break
        row = row_of[column]
    inner = reached & (row_of >= 0)
    row_price[row_of[inner]] += length - distance[inner]
    row_price[start] += length
    column_price[reached] -= length - distance[reached]
    while column >= 0:
        previous = int(before[column])
        row_of[column] = row_of[previous] if previous >= 0 else start
        column = previous
