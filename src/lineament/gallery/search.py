"""From vectors to ranked subjects: keeps the cache fresh, short-lists samples, compares stored templates."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray, check_floats
from lineament.core.errors import BadArray
from lineament.core.types import Candidate, Decision, Identification, OperatingPoint
from lineament.gallery.corrections import kept
from lineament.gallery.index import TemplateCache, normalised
from lineament.gallery.rows import StoredTemplate, space_mismatch
from lineament.gallery.store import Store

_QUERIES_AT_ONCE = 256


def check_queries(vectors: FloatArray, want: int) -> None:
    """Check what a search is asked.

    Raises:
        BadArray: not (Q, D) float32, or a vector without direction.
        ValueError: fewer than one candidate is wanted.
    """
    check_floats(vectors, (None, None), "vectors")
    if want < 1:
        raise ValueError(f"max_candidates must be at least 1, got {want}")
    norms = np.linalg.norm(vectors, axis=1)
    if not np.all(np.isfinite(norms) & (norms > 0)):
        raise BadArray("vectors must be finite and not zero; embed the picture anew")


def decided(
    found: Sequence[Candidate], point: OperatingPoint, fpir: float, gallery_size: int
) -> Identification:
    """What a search found, best first, decided at ``point``; the rest is told as in the result."""
    return Identification(
        candidates=tuple(c for c in found if point.decide(c.similarity) is Decision.MATCH),
        undecided=tuple(c for c in found if point.decide(c.similarity) is Decision.UNDECIDED),
        nearest=found[0] if found else None,
        fpir=fpir,
        gallery_size=gallery_size,
        point=point,
    )


class Searcher:
    """Searches one store; every call belongs inside a transaction of that store.

    Args:
        store: what to search.
        threads: of the coarse scan in a large gallery.
    """

    def __init__(self, store: Store, threads: int) -> None:
        self._store = store
        self._threads = threads
        self._cache: TemplateCache | None = None

    def refresh(self) -> TemplateCache | None:
        """The cache as of this transaction; None while the gallery has never held a template.

        Call it before the transaction changes anything: the cache must not learn what may be undone.
        """
        dimension = self._store.dimension()
        if dimension is None:
            return None
        if self._cache is None or self._cache.worn:
            self._cache = None
            self._cache = TemplateCache(self._store, dimension, self._threads)
        else:
            self._cache.refresh(self._store)
        return self._cache

    def prepare(self) -> None:
        """Do what a search of a large gallery needs before it, so that no search inside a change keeps others waiting.

        Reading the templates takes seconds, and so does learning the coarse scan.
        """
        cache = self.refresh()
        if cache is not None:
            cache.prepare()

    def forget(self) -> None:
        """Free the cache."""
        self._cache = None

    @property
    def searched(self) -> int:
        """Templates that the last search looked at."""
        return 0 if self._cache is None else self._cache.live

    def search(self, vectors: FloatArray, want: int, exact: bool) -> list[tuple[Candidate, ...]]:
        """The ``want`` best subjects of each of (Q, D) vectors.

        Raises:
            EmbeddingSpaceMismatch: the stored templates have another length.
            BadArray: not (Q, D) float32, or a vector without direction.
        """
        check_queries(vectors, want)
        cache = self.refresh()
        if cache is None:
            return [()] * len(vectors)
        dimension = self._store.dimension()
        if vectors.shape[1] != dimension:
            raise space_mismatch(f"{dimension} values", f"{vectors.shape[1]} values")
        result: list[tuple[Candidate, ...]] = []
        for start in range(0, len(vectors), _QUERIES_AT_ONCE):
            result += self._find(cache, vectors[start : start + _QUERIES_AT_ONCE], want, exact)
        return result

    def _find(
        self, cache: TemplateCache, queries: FloatArray, want: int, exact: bool
    ) -> list[tuple[Candidate, ...]]:
        unit = normalised(queries)
        found = self._ranked(queries, cache.shortlist(unit, want, exact), want)
        for i in range(len(queries)):
            left, more = kept(self._store, queries[i], found[i]), want
            # Corrections may leave too few: then look at more subjects, until there are none.
            while len(left) < want and len(found[i]) == more:
                more *= 2
                near = cache.shortlist(unit[i : i + 1], more, exact)
                (found[i],) = self._ranked(queries[i : i + 1], near, more)
                left = kept(self._store, queries[i], found[i])
            found[i] = left[:want]
        return found

    def _ranked(
        self, queries: FloatArray, shortlists: list[NDArray[np.int64]], want: int
    ) -> list[tuple[Candidate, ...]]:
        stored = self._store.templates(np.unique(np.concatenate(shortlists)).tolist())
        return [
            rank_subjects(query, [stored[number] for number in np.sort(near)], want)
            for query, near in zip(queries, shortlists, strict=True)
        ]


def rank_subjects(query: FloatArray, near: Sequence[StoredTemplate], want: int) -> tuple[Candidate, ...]:
    """The ``want`` best subjects of ``near``, each by its best sample, by cosine in double precision.

    Args:
        query: (D,) float32, any length but zero.
        near: in the order of enrollment, which decides ties.
        want: subjects to name at most.
    """
    if not near:
        return ()
    vectors = np.stack([template.vector for template in near]).astype(np.float64)
    probe = query.astype(np.float64)
    similarities = vectors @ probe / np.sqrt((vectors * vectors).sum(1) * (probe @ probe))
    best: dict[str, tuple[float, str]] = {}
    for i in np.argsort(-similarities, kind="stable"):
        best.setdefault(near[i].subject_id, (float(np.clip(similarities[i], -1.0, 1.0)), near[i].sample_id))
    return tuple(
        Candidate(rank, subject_id, similarity, sample_id)
        for rank, (subject_id, (similarity, sample_id)) in enumerate(list(best.items())[:want], start=1)
    )
