"""What every head gives: one loss, and its parts to look at."""

from typing import Protocol

from torch import Tensor

from lineament.engine.task import StepLoss


class Head(Protocol):
    """A ``torch.nn.Module`` from features and labels to a loss.

    A classifier, a margin, a triplet miner: whatever is between the features and the scalar is the head's own
    business, so that the loop never asks which kind it has.
    """

    def __call__(self, features: Tensor, labels: Tensor) -> StepLoss:
        """Loss of a batch.

        Args:
            features: (B, D) float, not normalised; B is the batch of this rank.
            labels: (B,) int64 subject numbers.
        """
        ...
