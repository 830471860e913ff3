"""Pictures that look unlike the other pictures of their subject: label noise, wrong faces, no faces."""

from dataclasses import dataclass

import numpy as np

from lineament.core.arrays import FloatArray
from lineament.curation.similar import nearest_other, similarity_to_own, subject_centres
from lineament.curation.vectors import PackVectors
from lineament.packs import LabelArray


@dataclass(frozen=True, slots=True)
class Cut:
    """Which pictures are suspects; exactly one of both is given.

    Attributes:
        below: those whose similarity is less than this cosine.
        fraction: this fraction of the judged pictures, the least similar ones.
    """

    below: float | None = None
    fraction: float | None = None

    def __post_init__(self) -> None:
        if (self.below is None) == (self.fraction is None):
            raise ValueError("give either a similarity (below) or a fraction, not both")
        if self.below is not None and not -1 <= self.below <= 1:
            raise ValueError(f"below must be a cosine in [-1, 1], got {self.below:g}")
        if self.fraction is not None and not 0 < self.fraction < 1:
            raise ValueError(f"fraction must be between 0 and 1, got {self.fraction:g}")


@dataclass(frozen=True, slots=True)
class Suspect:
    """A picture that may not show its subject.

    Attributes:
        record: number of the record.
        similarity: cosine to the centre of the other pictures of its subject.
        rival: label of the other subject whose centre is most similar; -1 when there is none.
        rival_similarity: cosine to that centre; more than ``similarity`` hints at a picture in the wrong folder.
    """

    record: int
    similarity: float
    rival: int
    rival_similarity: float


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """What the similarities of a pack say about its labels.

    Attributes:
        similarity: (N,) float32 cosine of each record to the centre of the other pictures of its subject; NaN where
            nothing can be said (no embedding, no subject, or the subject's only picture).
        suspects: least similar first.
    """

    similarity: FloatArray
    suspects: tuple[Suspect, ...]

    @property
    def n_judged(self) -> int:
        """Records about which something can be said."""
        return int(np.isfinite(self.similarity).sum())

    def quantiles(self, shares: tuple[float, ...]) -> tuple[float, ...]:
        """Quantiles of the similarities that are known; NaN without any."""
        known = self.similarity[np.isfinite(self.similarity)]
        return tuple(np.quantile(known, shares).tolist()) if len(known) else (float("nan"),) * len(shares)


def find_noise(found: PackVectors, n_subjects: int, cut: Cut | None) -> Noise:
    """Suspects of one pack.

    The centre is a mean: it stands for the subject as long as most of its pictures show one person. Where that is
    in doubt, look at the pictures of the subject before anything is removed.

    Args:
        found: embeddings of the pack.
        n_subjects: number of its subjects.
        cut: which pictures are suspects; None for none, when only the similarities are wanted.

    Source: distance to the class centre as in the cleaning of MS-Celeb-1M (Deng et al., ArcFace, 2018); here without
    the picture itself.
    """
    similarity = similarity_to_own(found.vectors, found.labels, n_subjects)
    judged = np.flatnonzero(np.isfinite(similarity))
    order = judged[np.argsort(similarity[judged], kind="stable")]
    if cut is None:
        chosen = order[:0]
    elif cut.below is not None:
        chosen = order[similarity[order] < cut.below]
    else:
        chosen = order[: round((cut.fraction or 0.0) * len(order))]
    centres = subject_centres(found.vectors, found.labels, n_subjects)
    rivals, values = nearest_other(found.vectors[chosen], found.labels[chosen], centres)
    return Noise(similarity, _suspects(chosen, similarity[chosen], rivals, values))


def _suspects(
    records: LabelArray, similarity: FloatArray, rivals: LabelArray, values: FloatArray
) -> tuple[Suspect, ...]:
    columns = (records.tolist(), similarity.tolist(), rivals.tolist(), values.tolist())
    return tuple(Suspect(*row) for row in zip(*columns, strict=True))
