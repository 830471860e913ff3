"""A normalised classifier with a margin."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from lineament.embedding.training.heads.margins import Margin
from lineament.embedding.training.heads.module import HeadModule, rate_of
from lineament.embedding.training.heads.numerics import cosines_to_rows, norms_and_directions
from lineament.embedding.training.heads.settings import COUNT, check_settings
from lineament.engine.task import StepLoss

WEIGHT_STD = 0.01
"""Standard deviation of fresh class weights; only their direction enters the loss."""


class Classifier(HeadModule):
    """Cross entropy of a margin rule over the cosines with one or more centres of each class.

    With sub-centres a class has the cosine of its nearest one; the margin comes after that maximum.

    Attributes:
        weight: (C * K, D) centres, those of one class after each other.

    Source: J. Deng et al., Sub-center ArcFace, 2020, for ``subcenters`` above 1.
    """

    def __init__(self, dimension: int, classes: int, margin: Margin, subcenters: int = 1) -> None:
        """Make fresh centres.

        Args:
            dimension: D, length of a feature.
            classes: C, number of training subjects.
            margin: rule from cosines to logits.
            subcenters: K, centres of each class.

        Raises:
            ValueError: a size is not a positive integer.
        """
        super().__init__(dimension, classes)
        check_settings({"subcenters": subcenters}, {"subcenters": COUNT})
        self.margin = margin
        self.subcenters = subcenters
        self.weight = nn.Parameter(torch.empty(classes * subcenters, dimension))
        nn.init.normal_(self.weight, std=WEIGHT_STD)

    def loss(self, features: Tensor, labels: Tensor) -> StepLoss:
        """Cross entropy, and what the margin adds.

        ``parts``: cross_entropy, accuracy (fraction, of the cosines without margin), regulariser if there is one.
        ``histograms``: target_cosine, feature_norm.
        """
        norms, directions = norms_and_directions(features)
        cosines = cosines_to_rows(directions, self.weight)
        if self.subcenters > 1:
            cosines = cosines.view(len(labels), self.classes, self.subcenters).max(2).values
        logits, regulariser = self.margin.logits(cosines, norms, labels)
        total = cross_entropy = functional.cross_entropy(logits, labels)
        with torch.no_grad():
            parts = {
                "cross_entropy": cross_entropy.detach(),
                "accuracy": rate_of(cosines.argmax(1) == labels),
            }
            target = cosines.gather(1, labels[:, None]).squeeze(1)
        if regulariser is not None:
            total = cross_entropy + regulariser
            parts["regulariser"] = regulariser.detach()
        return StepLoss(total, parts, {"target_cosine": target, "feature_norm": norms.detach()})
