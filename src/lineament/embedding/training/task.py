"""Training of an embedder as the loop sees it: modules, batches, a loss and a measure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lineament.core.arrays import FloatArray, ImageArray
from lineament.embedding.training.augment import Augmentation
from lineament.embedding.training.config import DistillationConfig, InputConfig
from lineament.embedding.training.data import CropSource
from lineament.embedding.training.heads.base import Head
from lineament.engine import Sampler, StepLoss, share

_MEASURED_AT_ONCE = 64
Facts = Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True, eq=False)
class CropBatch:
    """Crops of one rank.

    Attributes:
        changed: (B, S, S, 3) uint8 RGB, augmented.
        clean: the same crops as they were; None when no teacher looks at them.
        labels: (B,) int64 subjects.
    """

    changed: ImageArray
    clean: ImageArray | None
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batches:
    """The batches of one rank: a pure function of the step.

    Attributes:
        source: crops.
        sampler: global batches.
        augmentation: changes of the crops.
        seed: of the changes.
        rank: this rank.
        ranks: their number; the global batch is a multiple of it.
        keep_clean: also give the crops as they were.

    Raises:
        ConfigError: the ranks cannot share the global batch evenly.
    """

    source: CropSource
    sampler: Sampler
    augmentation: Augmentation
    seed: int
    rank: int = 0
    ranks: int = 1
    keep_clean: bool = False

    def __post_init__(self) -> None:
        share(self.sampler.batch, self.rank, self.ranks)  # refuses a batch before anything is decoded

    def batch(self, step: int) -> CropBatch:
        """Crops of a step: this rank's share of the global batch.

        The changes of a crop depend on the seed, the step and its place in the global batch, so that they are the
        same however many ranks share it.
        """
        everyone = self.sampler.indices(step)
        places = share(len(everyone), self.rank, self.ranks)
        chosen = everyone[places.start : places.stop]
        clean = [self.source.crop(int(i)) for i in chosen]
        changed = [
            self.augmentation.apply(crop, np.random.default_rng([self.seed, step, place]))
            for crop, place in zip(clean, places, strict=True)
        ]
        return CropBatch(
            np.stack(changed), np.stack(clean) if self.keep_clean else None, self.source.labels[chosen]
        )


@dataclass(frozen=True, slots=True, eq=False)
class HeldPeople:
    """Other people's crops and how they are scored during training.

    Attributes:
        crops: (N, S, S, 3) uint8 RGB.
        measures: from (N, D) float32 unit vectors to named figures.
    """

    crops: ImageArray
    measures: Callable[[FloatArray], Mapping[str, float]]


class EmbeddingTask:
    """A backbone and a head on crops; a :class:`lineament.engine.Task`."""

    def __init__(
        self,
        modules: nn.ModuleDict,
        batches: Batches,
        crop: InputConfig,
        *,
        teacher: tuple[nn.Module, DistillationConfig] | None = None,
        held: HeldPeople | None = None,
        facts: Facts | None = None,
        head_weight: float = 1.0,
    ) -> None:
        """Put a task together.

        Args:
            modules: "backbone", and "head" unless only a teacher is followed.
            batches: what is trained on.
            crop: normalisation.
            teacher: a frozen network on the same input, and how much it weighs.
            held: what is measured.
            facts: what the run card says of the data.
            head_weight: factor of the head's loss.
        """
        self.modules = modules
        self.batch_size = batches.sampler.batch // batches.ranks
        self._batches = batches
        self._crop = crop
        self._teacher = teacher
        self._held = held
        self._facts = dict(facts or {})
        self._head_weight = head_weight

    def batch(self, step: int) -> CropBatch:
        """Crops of a step."""
        return self._batches.batch(step)

    def sample(self, count: int) -> ImageArray:
        """(N, S, S, 3) uint8 RGB: the first crops of the training set as they are, at most ``count``."""
        source = self._batches.source
        return np.stack([source.crop(index) for index in range(min(count, len(source)))])

    def facts(self) -> Facts:
        """What the data is, for the run card."""
        return self._facts

    def pictures(self, batch: CropBatch) -> ImageArray:
        """(N, S, S, 3) uint8 RGB crops as they are trained on."""
        return batch.changed

    def loss(self, batch: CropBatch) -> StepLoss:
        """Loss of the head, of the teacher, or of both."""
        features = self.modules["backbone"](self._input(batch.changed))
        totals: list[Tensor] = []
        parts: dict[str, Tensor] = {}
        histograms: Mapping[str, Tensor] = {}
        if "head" in self.modules:
            head: Head = self.modules["head"]
            found = head(features, torch.from_numpy(batch.labels).to(features.device))
            totals.append(self._head_weight * found.total)
            parts.update(found.parts)
            histograms = found.histograms
        if self._teacher is not None:
            total, found_parts = self._follow(batch, features)
            totals.append(total)
            parts.update(found_parts)
        return StepLoss(torch.stack(totals).sum(), parts, histograms)

    def _follow(self, batch: CropBatch, changed: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean of one minus cosine to the teacher's clean features: of changed crops, and of clean ones."""
        if self._teacher is None or batch.clean is None:
            raise ValueError("following a teacher needs a teacher and clean crops")
        network, weights = self._teacher
        clean = self._input(batch.clean)
        with torch.no_grad():
            target = network.to(clean.device)(clean).float()
        repair = 1 - functional.cosine_similarity(changed.float(), target).mean()
        total, parts = weights.degraded * repair, {"repair": repair.detach()}
        if weights.clean:  # costs a second forward and backward pass
            drift = 1 - functional.cosine_similarity(self.modules["backbone"](clean).float(), target).mean()
            total, parts["drift"] = total + weights.clean * drift, drift.detach()
        return total, parts

    def measure(self) -> Mapping[str, float]:
        """Figures of the held people; empty without them."""
        if self._held is None:
            return {}
        return self._held.measures(embed(self.modules["backbone"], self._held.crops, self._crop))

    def _input(self, crops: ImageArray) -> Tensor:
        return network_input(crops, self._crop, next(self.modules.parameters()).device)


def network_input(crops: ImageArray, crop: InputConfig, device: torch.device) -> Tensor:
    """(N, 3, H, W) float32 normalised input in channels-last layout, on a device.

    Args:
        crops: (N, S, S, 3) uint8 RGB; of a square wider than ``crop.width_px`` the middle columns are taken.
        crop: size and normalisation.
        device: where to; bytes travel, not floats.
    """
    crops = crops[:, :, crop.columns]
    pixels = torch.from_numpy(np.ascontiguousarray(crops)).to(device).permute(0, 3, 1, 2).float()
    mean = torch.tensor(crop.mean, device=device).view(1, 3, 1, 1)
    std = torch.tensor(crop.std, device=device).view(1, 3, 1, 1)
    return (pixels - mean) / std


def embed(backbone: nn.Module, crops: ImageArray, crop: InputConfig) -> FloatArray:
    """Unit vectors of crops, in evaluation mode; the mode is as before afterwards.

    Args:
        backbone: normalised crops to features.
        crops: (N, S, S, 3) uint8 RGB.
        crop: normalisation.

    Returns: (N, D) float32.
    """
    device = next(backbone.parameters()).device
    training = backbone.training
    backbone.eval()
    found: Sequence[Tensor] = []
    try:
        with torch.inference_mode():
            found = [
                functional.normalize(
                    backbone(network_input(crops[k : k + _MEASURED_AT_ONCE], crop, device)).float()
                )
                for k in range(0, len(crops), _MEASURED_AT_ONCE)
            ]
    finally:
        backbone.train(training)
    return torch.cat(list(found)).cpu().numpy().astype(np.float32)
