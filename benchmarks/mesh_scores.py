"""What a recogniser makes of restored references: rates on the pairs of the protocol and on all impostors."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.mesh_data import Lfw
from lineament.core.arrays import FloatArray, ImageArray, ScoreArray
from lineament.core.types import Image
from lineament.embedding.cache import EmbeddingCache, Outcome
from lineament.evaluation.protocols import crop_cache, crop_system
from lineament.evaluation.samples import Acquisition, CropEmbedder, embed_images, pair_similarities
from lineament.evaluation.verification import SystemUsed
from lineament.geometry import ARCFACE_112
from lineament.metrics import (
    GapClosed,
    PairScores,
    Replicated,
    Resampling,
    fold_accuracy,
    gap_closed,
    replicated_tar,
    threshold_at_fmr,
)
from lineament.metrics.bootstrap import percentile_interval
from lineament.metrics.rates import bootstrap_cross_rates, bootstrap_rate_difference, bootstrap_rates

FARS = (1e-2, 1e-3)
CROSS_FMRS = (1e-3, 1e-4)
PLAN = Resampling(replicates=1000, seed=0)
_BATCH = 64
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Rate:
    """One false match rate on the pairs of the protocol, which has few impostors.

    Attributes:
        far: asked rate, a fraction.
        tar: true accept rate at it, the threshold chosen on these very pairs.
        low: lower end of its 95 % interval (bootstrap over subjects).
        high: upper end.
        gap: share of the gap from floor to ceiling that is closed; None for floor and ceiling and where no gap shows.
        fixed_fmr: false match rate at the threshold that keeps ``far`` without any mesh.
        fixed_low: lower end of its 95 % interval, the threshold held.
        fixed_high: upper end.
        fixed_tar: true accept rate at that threshold.
        change_low: lower end of the paired 95 % interval of the change of the false match rate there.
        change_high: upper end.
    """

    far: float
    tar: float
    low: float
    high: float
    gap: GapClosed | None
    fixed_fmr: float
    fixed_low: float
    fixed_high: float
    fixed_tar: float
    change_low: float
    change_high: float


@dataclass(frozen=True, slots=True)
class Impostors:
    """False matches among all comparisons of a reference with a picture of another person.

    Attributes:
        fmr_asked: the rate that the threshold keeps without any mesh.
        threshold: it, held for all methods.
        fmr: rate with mesh and method.
        low: lower end of the paired 95 % interval of ``fmr - fmr_asked``, subjects resampled, the threshold held.
        high: upper end.
        n: comparisons.
    """

    fmr_asked: float
    threshold: float
    fmr: float
    low: float
    high: float
    n: int

    @property
    def rises(self) -> bool:
        """True when more impostors match than without a mesh, beyond the interval."""
        return self.low > 0


@dataclass(frozen=True, slots=True)
class Verified:
    """A row: one recogniser, one condition, one method.

    Attributes:
        recogniser: whose gap it is.
        embedder: what made the vectors; another one than ``recogniser`` where it was trained under mesh.
        condition: what lay over the references; empty for clean ones.
        method: what took it off; empty for none.
        accuracy: mean of the folds, a fraction.
        standard_error: of the mean.
        impostor_similarity: mean of the non-mated pairs.
        rates: on the pairs of the protocol.
        impostors: on all impostors.
    """

    recogniser: str
    embedder: str
    condition: str
    method: str
    accuracy: float
    standard_error: float
    impostor_similarity: float
    rates: tuple[Rate, ...]
    impostors: tuple[Impostors, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Ends:
    """Between what a method is judged: true accept rates at each of the rates."""

    floor: tuple[Replicated, ...]
    ceiling: tuple[Replicated, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Cross:
    """Without a mesh: thresholds, and the false matches above each as subjects of reference and of picture."""

    thresholds: tuple[float, ...]
    errors: tuple[tuple[NDArray[np.int32], NDArray[np.int32]], ...]
    n: int


class Recogniser:
    """An embedder with what it says of the clean pictures."""

    def __init__(self, name: str, lfw: Lfw, recogniser: str = "", cache: Path | None = None) -> None:
        """Embed the clean crops.

        Args:
            name: model as :func:`lineament.evaluation.protocols.crop_system` takes it.
            lfw: pairs and crops.
            recogniser: whose gap it is judged by; by default its own.
            cache: folder that keeps vectors, so that an interrupted run goes on; None keeps none.

        Raises:
            ModelError: the embedder cannot be had.
        """
        system = crop_system(name)
        self.name, self.recogniser = name, recogniser or name
        self.used: SystemUsed = system.used
        self.how = system.how
        self._embedder = system.embedder
        self._cache = None if cache is None else crop_cache(cache, system)
        self._lfw = lfw
        subjects = lfw.trials.subject_of_sample
        self._a, self._b = subjects[lfw.trials.pairs].T
        self._mated = self._a == self._b
        self.vectors = embedded(self._embedder, lfw.crops, self._cache)
        self._clean = self._scores(self.vectors[lfw.references])
        self.fars = tuple(far for far in FARS if far * np.count_nonzero(~self._mated) >= 1)
        self._thresholds = [threshold_at_fmr(self._clean[~self._mated], far) for far in self.fars]
        self._cross = _clean_cross(self.vectors, lfw.references, subjects)
        self.ceiling = self._tars(self._clean)
        self.floors: dict[str, tuple[Replicated, ...]] = {}

    def clean(self) -> Verified:
        """The row without any mesh."""
        return self._row(self._clean, self.vectors[self._lfw.references], ("", ""), self.ceiling, None)

    def verified(self, references: ImageArray, condition: str, method: str, base: "Recogniser") -> Verified:
        """The row of one method.

        Args:
            references: (R, 112, 112, 3) uint8 RGB, what the method made of the meshed references.
            condition: what lay over them.
            method: its name; empty for none, which comes first as it is the floor.
            base: whose floor and ceiling count.
        """
        vectors = embedded(self._embedder, references, self._cache)
        scores = self._scores(vectors)
        tars = self._tars(scores)
        if not method:
            self.floors[condition] = tars
        is_floor = base is self and not method
        ends = None if is_floor else Ends(base.floors[condition], base.ceiling)
        return self._row(scores, vectors, (condition, method), tars, ends)

    def _scores(self, references: FloatArray) -> ScoreArray:
        """Similarity of each pair, its first picture from ``references``."""
        pairs = np.stack([len(self.vectors) + self._lfw.place, self._lfw.trials.pairs[:, 1]], axis=1)
        return pair_similarities(np.concatenate([self.vectors, references]), pairs.astype(np.int32))

    def _tars(self, scores: ScoreArray) -> tuple[Replicated, ...]:
        return replicated_tar(PairScores(scores, self._a, self._b), self.fars, PLAN) if self.fars else ()

    def _row(
        self,
        scores: ScoreArray,
        vectors: FloatArray,
        cell: tuple[str, str],
        tars: Sequence[Replicated],
        ends: Ends | None,
    ) -> Verified:
        gaps = (
            [gap_closed(*three) for three in zip(tars, ends.floor, ends.ceiling, strict=True)]
            if ends
            else [None] * len(tars)
        )
        folds = fold_accuracy(scores, self._mated, self._lfw.trials.folds)
        return Verified(
            self.recogniser,
            self.name,
            *cell,
            folds.accuracy,
            folds.standard_error,
            float(scores[~self._mated].mean()),
            tuple(
                self._rate(scores, k, tar, gap) for k, (tar, gap) in enumerate(zip(tars, gaps, strict=True))
            ),
            self._impostors(vectors),
        )

    def _rate(self, scores: ScoreArray, k: int, tar: Replicated, gap: GapClosed | None) -> Rate:
        threshold, other = self._thresholds[k], ~self._mated
        a, b = self._a[other], self._b[other]
        now, before = scores[other] >= threshold, self._clean[other] >= threshold
        (fixed,) = bootstrap_rates([now], a, b, PLAN)
        change = bootstrap_rate_difference(now, before, a, b, PLAN)
        return Rate(
            self.fars[k],
            tar.value,
            tar.interval.low,
            tar.interval.high,
            gap,
            float(now.mean()),
            fixed.low,
            fixed.high,
            float(np.mean(scores[self._mated] >= threshold)),
            change.low,
            change.high,
        )

    def _impostors(self, references: FloatArray) -> tuple[Impostors, ...]:
        subjects = self._lfw.trials.subject_of_sample
        mine = subjects[self._lfw.references]
        n_subjects = int(subjects.max()) + 1
        sides = [np.bincount(of, minlength=n_subjects) for of in (mine, subjects)]
        found = false_matches(references, self.vectors, mine, subjects, self._cross.thresholds)
        rows = []
        for asked, threshold, now, before in zip(
            CROSS_FMRS, self._cross.thresholds, found, self._cross.errors, strict=True
        ):
            rates = bootstrap_cross_rates([now, before], sides[0], sides[1], PLAN)
            change = percentile_interval(rates[0] - rates[1])
            rows.append(
                Impostors(
                    asked, threshold, len(now[0]) / self._cross.n, change.low, change.high, self._cross.n
                )
            )
        return tuple(rows)


def embedded(embedder: CropEmbedder, crops: ImageArray, cache: EmbeddingCache | None = None) -> FloatArray:
    """(N, D) float32 unit vectors, a batch at a time; crops that the cache knows are not embedded again."""
    if cache is None:
        return np.concatenate([embedder.embed(crops[k : k + _BATCH]) for k in range(0, len(crops), _BATCH)])
    acquisition = Acquisition(lambda images: embed_images(embedder, images), _as_pixels, cache)
    found: list[Outcome] = []
    for start in range(0, len(crops), _BATCH):
        named = [("", np.asarray(crop).tobytes()) for crop in crops[start : start + _BATCH]]
        found += acquisition.outcomes(named)[0]
    return np.stack([np.asarray(vector, np.float32) for vector in found])


def _as_pixels(_name: str, data: bytes) -> Image:
    """A crop from its bare pixels."""
    return Image(np.frombuffer(data, np.uint8).reshape(ARCFACE_112.size_px, ARCFACE_112.size_px, 3))


def _clean_cross(vectors: FloatArray, references: NDArray[np.int64], subjects: NDArray[np.int32]) -> _Cross:
    """Thresholds over all impostors and who matches falsely at them."""
    mine = subjects[references]
    lists = [
        (vectors[references[k : k + _BLOCK]] @ vectors.T)[mine[k : k + _BLOCK, None] != subjects]
        for k in range(0, len(references), _BLOCK)
    ]
    scores = np.concatenate(lists, dtype=np.float64)
    thresholds = tuple(threshold_at_fmr(scores, fmr) for fmr in CROSS_FMRS)
    errors = false_matches(vectors[references], vectors, mine, subjects, thresholds)
    return _Cross(thresholds, tuple(errors), len(scores))


def false_matches(
    references: FloatArray,
    pictures: FloatArray,
    reference_subjects: NDArray[np.int32],
    subjects: NDArray[np.int32],
    thresholds: Sequence[float],
) -> list[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """For each threshold: subjects of reference and of picture of all comparisons of two people that reach it.

    Args:
        references: (R, D) float32 unit vectors.
        pictures: (S, D) float32 unit vectors.
        reference_subjects: (R,) subject of each reference.
        subjects: (S,) subject of each picture.
        thresholds: a comparison matches when similarity >= threshold.
    """
    found: list[list[tuple[NDArray[np.int32], NDArray[np.int32]]]] = [[] for _ in thresholds]
    for k in range(0, len(references), _BLOCK):
        mine = reference_subjects[k : k + _BLOCK]
        scores = references[k : k + _BLOCK] @ pictures.T
        scores[mine[:, None] == subjects] = -np.inf
        for kept, threshold in zip(found, thresholds, strict=True):
            row, column = np.nonzero(scores >= threshold)
            kept.append((mine[row], subjects[column]))
    return [(np.concatenate([a for a, _ in kept]), np.concatenate([b for _, b in kept])) for kept in found]
