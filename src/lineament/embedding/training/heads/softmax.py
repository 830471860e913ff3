"""Classifiers with plain class weights and a bias: softmax, with center loss, and on a sphere of fixed radius."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from lineament.embedding.training.heads.collectives import gathered
from lineament.embedding.training.heads.module import HeadModule, rate_of
from lineament.embedding.training.heads.numerics import norms_and_directions
from lineament.embedding.training.heads.settings import NOT_NEGATIVE, POSITIVE, Range, check_settings
from lineament.engine.task import StepLoss


class Softmax(HeadModule):
    """Cross entropy of ``W x + b``; neither features nor weights are normalised.

    Attributes:
        linear: weights (C, D), Xavier uniform, and bias (C,), zero.
    """

    def __init__(self, dimension: int, classes: int) -> None:
        """Make fresh weights.

        Args:
            dimension: D, length of a feature.
            classes: C, number of training subjects.

        Raises:
            ValueError: a size is not a positive integer.
        """
        super().__init__(dimension, classes)
        self.linear = nn.Linear(dimension, classes)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def loss(self, features: Tensor, labels: Tensor) -> StepLoss:
        """Cross entropy. ``parts``: cross_entropy, accuracy. ``histograms``: target_cosine, feature_norm."""
        logits = self.linear(features)
        cross_entropy = functional.cross_entropy(logits, labels)
        with torch.no_grad():
            parts = {
                "cross_entropy": cross_entropy.detach(),
                "accuracy": rate_of(logits.argmax(1) == labels),
            }
            norms, directions = norms_and_directions(features)
            _, targets = norms_and_directions(self.linear.weight[labels])
            histograms = {"target_cosine": (directions * targets).sum(1), "feature_norm": norms}
        return StepLoss(cross_entropy, parts, histograms)


class SoftmaxCenter(Softmax):
    """Softmax, and a pull of each feature to the centre of its subject.

    ``center_weight / 2 * mean ||x - c_y||^2`` is added. After each batch in training every centre that occurs in it
    moves by ``center_rate * sum(x - c) / (1 + n)`` over its n samples in the batch of all ranks; no optimiser
    touches them.

    Attributes:
        centers: (C, D) centre of each subject, zero at first; saved with the head.

    Source: Y. Wen et al., A Discriminative Feature Learning Approach for Deep Face Recognition, 2016.
    """

    centers: Tensor

    def __init__(
        self, dimension: int, classes: int, *, center_weight: float = 0.003, center_rate: float = 0.5
    ) -> None:
        """Make fresh weights and centres.

        Args:
            dimension: D, length of a feature.
            classes: C, number of training subjects.
            center_weight: lambda of the paper.
            center_rate: alpha of the paper, in [0, 1].

        Raises:
            ValueError: a setting is out of range.
        """
        super().__init__(dimension, classes)
        check_settings(
            {"center_weight": center_weight, "center_rate": center_rate},
            {"center_weight": NOT_NEGATIVE, "center_rate": Range(0, 1)},
        )
        self.center_weight, self.center_rate = center_weight, center_rate
        self.register_buffer("centers", torch.zeros(classes, dimension))

    def loss(self, features: Tensor, labels: Tensor) -> StepLoss:
        """Both losses. ``parts`` has ``center`` too, before it is weighed."""
        plain = super().loss(features, labels)
        away = features - self.centers[labels]
        center = away.square().sum(1).mean() / 2
        if self.training and torch.is_grad_enabled():
            self._move(gathered(features), gathered(labels))
        total = plain.total + self.center_weight * center
        return StepLoss(total, {**plain.parts, "center": center.detach()}, plain.histograms)

    @torch.no_grad()
    def _move(self, features: Tensor, labels: Tensor) -> None:
        subjects, places, counts = torch.unique(labels, return_inverse=True, return_counts=True)
        away = features - self.centers[labels]
        sums = away.new_zeros(len(subjects), self.dimension).index_add_(0, places, away)
        steps = self.center_rate * sums / (1 + counts)[:, None]
        self.centers.index_add_(0, subjects, steps.to(self.centers.dtype))


def crystal_radius_bound(classes: int, posterior: float) -> float:
    """Smallest radius at which a sample can reach a posterior, for classes spread evenly around the sphere.

    ``log(posterior * (C - 2) / (1 - posterior))``; zero for so few classes that there is no bound.

    Args:
        classes: C, number of subjects.
        posterior: probability of the right class, in (0, 1).

    Raises:
        ValueError: the posterior is out of range.

    Source: R. Ranjan et al., Crystal Loss and Quality Pooling, 2018.
    """
    if not 0 < posterior < 1:
        raise ValueError(f"posterior must be in (0, 1), got {posterior!r}")
    if classes <= 2:
        return 0.0
    return max(0.0, math.log(posterior * (classes - 2) / (1 - posterior)))


class Crystal(Softmax):
    """Softmax of features on a sphere of fixed radius, also known as L2-constrained softmax.

    Source: R. Ranjan et al., Crystal Loss and Quality Pooling, 2018.
    """

    def __init__(self, dimension: int, classes: int, *, alpha: float = 50.0) -> None:
        """Make fresh weights.

        Args:
            dimension: D, length of a feature.
            classes: C, number of training subjects.
            alpha: radius of the sphere.

        Raises:
            ValueError: a setting is out of range, or the radius allows no posterior of 0.9.
        """
        super().__init__(dimension, classes)
        check_settings({"alpha": alpha}, {"alpha": POSITIVE})
        bound = crystal_radius_bound(classes, 0.9)
        if alpha < bound:
            raise ValueError(
                f"alpha must be at least {bound:.2f} to reach a posterior of 0.9 with {classes} classes, got {alpha}"
            )
        self.alpha = alpha

    def loss(self, features: Tensor, labels: Tensor) -> StepLoss:
        """Cross entropy; the figures are those of :class:`Softmax`, with the norms as they came."""
        norms, directions = norms_and_directions(features)
        plain = super().loss(self.alpha * directions, labels)
        return StepLoss(plain.total, plain.parts, {**plain.histograms, "feature_norm": norms.detach()})
