"""Losses of the pairs and triplets of a batch. They have no weights; each rank looks at its own batch."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from lineament.embedding.training.heads.mining import MINERS, Batch, batch_all, pairs_of_subjects
from lineament.embedding.training.heads.module import HeadModule
from lineament.embedding.training.heads.numerics import norms_and_directions
from lineament.embedding.training.heads.settings import POSITIVE, Range, check_settings
from lineament.engine.task import StepLoss

MININGS = (*sorted([*MINERS, "batch-all"]),)
"""Ways to choose triplets."""


def similarities_of(features: Tensor) -> tuple[Tensor, Tensor]:
    """Lengths (B,) of features (B, D), and cosines (B, B) of all of them."""
    norms, directions = norms_and_directions(features)
    return norms, directions @ directions.T


def pair_histograms(similarities: Tensor, labels: Tensor, norms: Tensor) -> dict[str, Tensor]:
    """Similarities of mated and non-mated pairs, each pair once, and feature norms; detached."""
    mated, nonmated = pairs_of_subjects(labels)
    similarities = similarities.detach()
    return {
        "mated_similarity": similarities[mated.triu(1)],
        "nonmated_similarity": similarities[nonmated.triu(1)],
        "feature_norm": norms.detach(),
    }


def _mean(values: Tensor) -> Tensor:
    """Mean (); zero, with a gradient of zero, of no values."""
    return values.sum() / max(1, values.numel())


class _Triplet(HeadModule):
    """``mean max(0, d(anchor, positive) - d(anchor, negative) + margin)`` over the mined triplets of a batch."""

    def __init__(self, dimension: int, classes: int, mining: str, margin: float) -> None:
        super().__init__(dimension, classes)
        if mining not in MININGS:
            raise ValueError(f"mining must be one of {', '.join(MININGS)}, got {mining!r}")
        self.mining = mining
        self.margin = margin

    def distances(self, similarities: Tensor) -> Tensor:
        """Distances (B, B) that belong to cosines (B, B)."""
        raise NotImplementedError

    def loss(self, features: Tensor, labels: Tensor) -> StepLoss:
        """Mean over the mined triplets; batch-all counts the violating ones only. Zero when there are none.

        ``parts``: triplet (the loss), active_fraction (triplets with a loss, of all candidates), mean_distance (of
        all pairs: it falls to 0 when the features collapse). ``histograms``: mated_similarity,
        nonmated_similarity, feature_norm.
        """
        norms, similarities = similarities_of(features)
        distances = self.distances(similarities)
        batch = Batch(distances.detach(), *pairs_of_subjects(labels), self.margin)
        if self.mining == "batch-all":
            weights, active, candidates = batch_all(batch)
            total = (weights * distances).sum() / max(1, active) + self.margin * min(1, active)
        else:
            anchors, positives, negatives, candidates = MINERS[self.mining](batch)
            losses = (distances[anchors, positives] - distances[anchors, negatives] + self.margin).clamp(
                min=0
            )
            active = int((losses > 0).sum())
            total = _mean(losses)
        others = max(1, len(labels) * (len(labels) - 1))
        parts = {
            "triplet": total.detach(),
            "active_fraction": total.new_tensor(active / max(1, candidates)),
            "mean_distance": (batch.distances.sum() - batch.distances.trace()) / others,
        }
        return StepLoss(total, parts, pair_histograms(similarities, labels, norms))


class EuclideanTriplet(_Triplet):
    """Triplet loss of squared L2 distances between unit vectors, in [0, 4].

    Source: F. Schroff et al., FaceNet, 2015 (semi-hard); A. Hermans et al., In Defense of the Triplet Loss, 2017
    (batch-hard, batch-all over violating triplets).
    """

    def __init__(
        self, dimension: int, classes: int, *, mining: str = "semi-hard", margin_squared: float = 0.2
    ) -> None:
        """Choose the mining.

        Args:
            dimension: D, length of a feature.
            classes: C, number of training subjects.
            mining: one of :data:`MININGS`.
            margin_squared: alpha of the paper, a squared distance in (0, 4].

        Raises:
            ValueError: a setting is out of range.
        """
        check_settings({"margin_squared": margin_squared}, {"margin_squared": Range(0, 4, above=True)})
        super().__init__(dimension, classes, mining, margin_squared)

    def distances(self, similarities: Tensor) -> Tensor:
        """Squared distances of unit vectors."""
        return 2 - 2 * similarities


class CosineTriplet(_Triplet):
    """Triplet loss of cosines: ``max(0, cos(anchor, negative) - cos(anchor, positive) + margin_cos)``.

    On unit vectors it is half the Euclidean loss of twice the margin.
    """

    def __init__(
        self, dimension: int, classes: int, *, mining: str = "semi-hard", margin_cos: float = 0.1
    ) -> None:
        """Choose the mining.

        Args:
            dimension: D, length of a feature.
            classes: C, number of training subjects.
            mining: one of :data:`MININGS`.
            margin_cos: a difference of cosines in (0, 2].

        Raises:
            ValueError: a setting is out of range.
        """
        check_settings({"margin_cos": margin_cos}, {"margin_cos": Range(0, 2, above=True)})
        super().__init__(dimension, classes, mining, margin_cos)

    def distances(self, similarities: Tensor) -> Tensor:
        """One minus the cosine, in [0, 2]."""
        return 1 - similarities


class Contrastive(HeadModule):
    """Half of ``mean d^2`` over mated pairs plus ``mean max(0, margin - d)^2`` over non-mated ones.

    d is the L2 distance of unit vectors, in [0, 2]. Each kind of pair has its own mean, since a batch holds many
    more non-mated ones.

    Source: R. Hadsell et al., Dimensionality Reduction by Learning an Invariant Mapping, 2006.
    """

    _SMALLEST_SQUARE = 1e-8

    def __init__(self, dimension: int, classes: int, *, margin_distance: float = 1.0) -> None:
        """Choose the margin.

        Args:
            dimension: D, length of a feature.
            classes: C, number of training subjects.
            margin_distance: L2 distance beyond which non-mated pairs are left alone, in (0, 2].

        Raises:
            ValueError: a setting is out of range.
        """
        super().__init__(dimension, classes)
        check_settings({"margin_distance": margin_distance}, {"margin_distance": Range(0, 2, above=True)})
        self.margin_distance = margin_distance

    def loss(self, features: Tensor, labels: Tensor) -> StepLoss:
        """The loss. ``parts``: mated, nonmated. ``histograms``: as of the triplets."""
        norms, similarities = similarities_of(features)
        squares = 2 - 2 * similarities
        mated_pairs, nonmated_pairs = pairs_of_subjects(labels)
        mated = _mean(squares[mated_pairs]) / 2
        # The root has no derivative at zero: below this distance a pair has a loss but no pull.
        distances = squares[nonmated_pairs].clamp(min=self._SMALLEST_SQUARE).sqrt()
        nonmated = _mean((self.margin_distance - distances).clamp(min=0).square()) / 2
        parts = {"mated": mated.detach(), "nonmated": nonmated.detach()}
        return StepLoss(mated + nonmated, parts, pair_histograms(similarities, labels, norms))


class CirclePairs(HeadModule):
    """Circle loss over the pairs of a batch: ``log(1 + sum exp(nonmated) sum exp(mated))`` for each anchor.

    Mean over the anchors that have both a mated and a non-mated pair.

    Source: Y. Sun et al., Circle Loss, 2020, eq. 6.
    """

    def __init__(
        self, dimension: int, classes: int, *, margin_cos: float = 0.25, scale: float = 256.0
    ) -> None:
        """Choose margin and scale.

        Args:
            dimension: D, length of a feature.
            classes: C, number of training subjects.
            margin_cos: m, in [0, 1].
            scale: gamma.

        Raises:
            ValueError: a setting is out of range.
        """
        super().__init__(dimension, classes)
        ranges: Mapping[str, Range] = {"margin_cos": Range(0, 1), "scale": POSITIVE}
        check_settings({"margin_cos": margin_cos, "scale": scale}, ranges)
        self.margin_cos, self.scale = margin_cos, scale

    def loss(self, features: Tensor, labels: Tensor) -> StepLoss:
        """The loss. ``parts``: circle. ``histograms``: as of the triplets."""
        norms, similarities = similarities_of(features)
        mated, nonmated = pairs_of_subjects(labels)
        anchors = mated.any(1) & nonmated.any(1)
        cosines, fixed = similarities[anchors], similarities.detach()[anchors]
        m = self.margin_cos
        towards = -self.scale * (1 + m - fixed).clamp(min=0) * (cosines - (1 - m))
        away = self.scale * (fixed + m).clamp(min=0) * (cosines - m)
        exponents = towards.masked_fill(~mated[anchors], -torch.inf).logsumexp(1)
        exponents = exponents + away.masked_fill(~nonmated[anchors], -torch.inf).logsumexp(1)
        total = _mean(functional.softplus(exponents))
        return StepLoss(total, {"circle": total.detach()}, pair_histograms(similarities, labels, norms))
