"""What all heads share: checked input, full precision, and the figures that every log shows."""

import torch
from torch import Tensor, nn

from lineament.embedding.training.heads.numerics import in_full_precision
from lineament.embedding.training.heads.settings import COUNT, check_settings
from lineament.engine.task import StepLoss


class HeadModule(nn.Module):
    """A head of features of one dimension and labels of a fixed number of subjects.

    Features are cast up to float32 (float64 stays) and autocast is off inside, so that half-precision backbones
    lose nothing in a softmax over many classes.
    """

    def __init__(self, dimension: int, classes: int) -> None:
        """Check sizes.

        Args:
            dimension: D, length of a feature.
            classes: C, number of training subjects; labels are 0..C-1.

        Raises:
            ValueError: a size is not a positive integer.
        """
        super().__init__()
        check_settings({"dimension": dimension, "classes": classes}, {"dimension": COUNT, "classes": COUNT})
        self.dimension = dimension
        self.classes = classes

    def forward(self, features: Tensor, labels: Tensor) -> StepLoss:
        """Loss of a batch.

        Args:
            features: (B, D) float, not normalised.
            labels: (B,) int64 subject numbers in 0..C-1.

        Raises:
            ValueError: another shape or dtype, an empty batch, or a label out of range.
        """
        self._check(features, labels)
        with torch.autocast(features.device.type, enabled=False):
            return self.loss(in_full_precision(features), labels)

    def loss(self, features: Tensor, labels: Tensor) -> StepLoss:
        """The loss itself, of checked features (B, D) in float32 or float64."""
        raise NotImplementedError

    def _check(self, features: Tensor, labels: Tensor) -> None:
        if features.ndim != 2 or features.shape[1] != self.dimension or not features.is_floating_point():
            raise ValueError(
                f"features must be (B, {self.dimension}) float, got {tuple(features.shape)} {features.dtype}"
            )
        if labels.shape != features.shape[:1] or labels.dtype != torch.int64:
            raise ValueError(
                f"labels must be ({features.shape[0]},) int64, got {tuple(labels.shape)} {labels.dtype}"
            )
        if not len(labels):
            raise ValueError("a loss needs at least one sample, got an empty batch")
        lowest, highest = (int(value) for value in torch.stack(labels.aminmax()).tolist())
        if lowest < 0 or highest >= self.classes:
            raise ValueError(
                f"labels must be in 0..{self.classes - 1} for {self.classes} classes, got {lowest}..{highest}"
            )


def rate_of(hits: Tensor) -> Tensor:
    """Fraction () of true values (N,), detached."""
    return hits.detach().to(torch.float32).mean()
