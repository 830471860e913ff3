"""From vectors to ranked subjects: the server short-lists by half precision, the stored float32 templates decide.

Rounding a unit vector to half precision moves it by at most 2^-11 of its length, and a little for tiny values.
Every sample that could be among the best therefore lies within twice the rounding of both vectors and of the sum
(``slack``) of the last wanted subject. Those few are compared again: an exact search does not depend on rounding.

The optional graph is that of Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using
hierarchical navigable small world graphs" (TPAMI 2020). It misses weak mates; see ``docs/scale-out.md``.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pgvector import HalfVector
from psycopg import sql

from lineament.core.arrays import FloatArray
from lineament.core.types import Candidate
from lineament.gallery.index import normalised
from lineament.gallery.postgres.server import know_vectors
from lineament.gallery.postgres.store import Store
from lineament.gallery.rows import space_mismatch
from lineament.gallery.search import check_queries, rank_subjects

MAX_EF = 1000
"""Widest search of the graph that the server allows."""
_ROWS_FOR_EACH = 16
_WIDER = 16
_AT_ONCE = 64

# The sort is over the bare column in the one and over the index's own expression in the other statement, so
# that the planner cannot take the graph for an exact search.
_EXACT = """
WITH near AS MATERIALIZED (
    SELECT sample, half <#> %b AS distance FROM {s}.templates ORDER BY distance LIMIT {take}
) SELECT n.sample, m.subject, -n.distance FROM near n JOIN {s}.samples m ON m.id = n.sample
"""
_GRAPH = """
WITH near AS MATERIALIZED (
    SELECT sample, half::halfvec({dimension}) <#> %b AS distance FROM {s}.templates
    ORDER BY half::halfvec({dimension}) <#> %b LIMIT {take}
) SELECT n.sample, m.subject, -n.distance FROM near n JOIN {s}.samples m ON m.id = n.sample
"""


class Near:
    """What the server found for one query, most similar first or in any order.

    Args:
        found: (sample number, subject number, approximate cosine) rows.
    """

    def __init__(self, found: list[tuple[int, int, float]]) -> None:
        self.samples: NDArray[np.int64] = np.array([row[0] for row in found], np.int64)
        self.subjects: NDArray[np.int64] = np.array([row[1] for row in found], np.int64)
        self.scores: NDArray[np.float64] = np.array([row[2] for row in found], np.float64)

    def worth_comparing(self, want: int, slack: float, *, all_seen: bool) -> NDArray[np.int64] | None:
        """Numbers of the samples that an exact comparison must look at to rank ``want`` subjects.

        Args:
            want: subjects to find.
            slack: how far a score may be from the exact cosine.
            all_seen: True when the gallery holds nothing else, so that fewer subjects will do.

        Returns:
            The numbers, or None when some may be missing.
        """
        subjects, owner = np.unique(self.subjects, return_inverse=True)
        if all_seen:
            want = min(want, len(subjects))
        if len(subjects) < want:
            return None
        if want == 0:
            return self.samples
        top = np.full(len(subjects), -np.inf)
        np.maximum.at(top, owner, self.scores)
        cut = float(np.partition(top, len(top) - want)[len(top) - want]) - 2 * slack
        if not all_seen and self.scores.min() >= cut:
            return None
        keep = (self.scores >= cut) & (self.scores >= top[owner] - 2 * slack)
        return self.samples[keep]


class Searcher:
    """Searches one gallery.

    Args:
        store: what to search, inside a transaction.
        ef: width of the search in the graph; None compares everything.
    """

    def __init__(self, store: Store, ef: int | None) -> None:
        self._store = store
        self._ef = ef

    def search(self, vectors: FloatArray, want: int, exact: bool) -> list[tuple[Candidate, ...]]:
        """The ``want`` best subjects of each of (Q, D) vectors.

        Raises:
            EmbeddingSpaceMismatch: the stored templates have another length.
            BadArray: not (Q, D) float32, or a vector without direction.
        """
        check_queries(vectors, want)
        dimension = self._store.dimension()
        if dimension is None:
            return [()] * len(vectors)
        if vectors.shape[1] != dimension:
            raise space_mismatch(f"{dimension} values", f"{vectors.shape[1]} values")
        know_vectors(self._store.connection)
        result: list[tuple[Candidate, ...]] = []
        for start in range(0, len(vectors), _AT_ONCE):
            part = vectors[start : start + _AT_ONCE]
            lists = self._shortlists(part, want, None if exact else self._ef)
            stored = dict(self._store.templates(np.unique(np.concatenate(lists)).tolist()))
            result += [
                rank_subjects(query, [stored[number] for number in np.sort(near).tolist()], want)
                for query, near in zip(part, lists, strict=True)
            ]
        return result

    def _shortlists(self, vectors: FloatArray, want: int, ef: int | None) -> list[NDArray[np.int64]]:
        unit = normalised(vectors)
        slack = _slack(unit)
        found: list[NDArray[np.int64] | None] = [None] * len(unit)
        if ef is not None:
            for i, near in enumerate(self._near(unit, ef, graph=True)):
                found[i] = near.worth_comparing(want, slack, all_seen=False)
        take = _ROWS_FOR_EACH * want
        while missing := [i for i, samples in enumerate(found) if samples is None]:
            for i, near in zip(missing, self._near(unit[missing], take, graph=False), strict=True):
                found[i] = near.worth_comparing(want, slack, all_seen=len(near.samples) < take)
            take *= _WIDER
        return [samples for samples in found if samples is not None]

    def _near(self, unit: FloatArray, take: int, graph: bool) -> list[Near]:
        statement = sql.SQL(_GRAPH if graph else _EXACT).format(
            s=self._store.schema, take=sql.Literal(take), dimension=sql.Literal(unit.shape[1])
        )
        values: list[tuple[Any, ...]] = [(HalfVector(query),) * (2 if graph else 1) for query in unit]
        with self._store.connection.pipeline(), self._store.connection.cursor(binary=True) as cursor:
            if graph:
                self._store.run("SELECT set_config('hnsw.ef_search', %s, true)", str(take))
            # One after another on the server, without waiting for each answer.
            cursor.executemany(statement, values, returning=True)
            answers = [Near(cursor.fetchall())]
            while cursor.nextset():
                answers.append(Near(cursor.fetchall()))
        return answers


def _slack(unit: FloatArray) -> float:
    dimension = unit.shape[1]
    stored = 2.0**-11 + np.sqrt(dimension) * 2.0**-25
    asked = float(np.linalg.norm(unit - unit.astype(np.float16).astype(np.float32), axis=1).max())
    return float(stored + asked * (1 + stored) + dimension * 2.0**-24)
