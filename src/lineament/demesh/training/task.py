"""Training of a mesh remover as the loop sees it: modules, batches, a loss and a measure."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lineament.core.arrays import ImageArray
from lineament.demesh.training.config import LossConfig, MeshConfig
from lineament.demesh.training.spoil import Spoilt, spoil, stacked
from lineament.engine import ShuffledSampler, StepLoss, share
from lineament.nets.restorer import Answers

_MEASURED_AT_ONCE = 64
_CHARBONNIER = 1e-3
Facts = Mapping[str, str | int | float]


class Recogniser(nn.Module):
    """A frozen embedder that looks at pictures in [0, 1] through a differentiable alignment (DeMeshNet's ST)."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """Wrap an embedder.

        Args:
            network: (B, 3, S, S) normalised crops to (B, D); it is frozen and stays in evaluation mode.
            mean: of its input, in [0, 255].
            std: of its input.
        """
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def train(self, mode: bool = True) -> "Recogniser":  # noqa: ARG002 - statistics of its norms must never move
        """Stay in evaluation mode."""
        return super().train(False)

    def forward(self, pictures: Tensor, back: Tensor) -> Tensor:
        """(B, D) unit features of the aligned crops that lie in pictures.

        Args:
            pictures: (B, 3, S, S) in [0, 1].
            back: (B, 2, 3) from px of the crop to px of the picture; no gradient flows into it.
        """
        grid = functional.affine_grid(_normalised(back, pictures.shape[-1]), list(pictures.shape), False)
        crops = functional.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)
        return functional.normalize(self.network((255 * crops - self.mean) / self.std).float())


def _normalised(back: Tensor, side: int) -> Tensor:
    """A matrix between px of two squares of one side as ``affine_grid`` wants it, corners not aligned."""
    centre = (side - 1) / 2
    shift = back[:, :, :2].sum(2) * centre + back[:, :, 2] - centre
    return torch.cat([back[:, :, :2], (2 / side * shift).unsqueeze(2)], dim=2)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Portraits:
    """What pictures are made from, and how.

    Attributes:
        crops: (N, S, S, 3) uint8 RGB, clean.
        mesh: how they are spoilt.
        sampler: global batches.
        seed: of the meshes.
        rank: this rank.
        ranks: their number; the global batch is a multiple of it.

    Raises:
        ConfigError: the ranks cannot share the global batch evenly.
    """

    crops: ImageArray
    mesh: MeshConfig
    sampler: ShuffledSampler
    seed: int
    rank: int = 0
    ranks: int = 1

    def __post_init__(self) -> None:
        share(self.sampler.batch, self.rank, self.ranks)

    def batch(self, step: int) -> Spoilt:
        """This rank's share of the pictures of a step; the same however many ranks share it."""
        everyone = self.sampler.indices(step)
        places = share(len(everyone), self.rank, self.ranks)
        return stacked(
            [
                spoil(self.crops[everyone[place]], self.mesh, np.random.default_rng([self.seed, step, place]))
                for place in places
            ]
        )


class RestorationTask:
    """A restorer on spoilt portraits; a :class:`lineament.engine.Task`."""

    def __init__(
        self,
        restorer: nn.Module,
        portraits: Portraits,
        loss: LossConfig,
        *,
        recogniser: Recogniser | None = None,
        held: Spoilt | None = None,
        facts: Facts | None = None,
    ) -> None:
        """Put a task together.

        Args:
            restorer: what is trained.
            portraits: what on.
            loss: what is asked.
            recogniser: gives the features, for ``loss.feature`` and for the measure.
            held: other people's pictures, spoilt, that are measured.
            facts: what the run card says of the data.
        """
        self.modules = nn.ModuleDict({"restorer": restorer})
        self.batch_size = portraits.sampler.batch // portraits.ranks
        self._portraits, self._loss = portraits, loss
        self._recogniser, self._held = recogniser, held
        self._facts = dict(facts or {})

    def batch(self, step: int) -> Spoilt:
        """Pictures of a step."""
        return self._portraits.batch(step)

    def facts(self) -> Facts:
        """What the data is, for the run card."""
        return self._facts

    def pictures(self, batch: Spoilt) -> ImageArray:
        """(B, S, 2 S, 3) uint8 RGB, spoilt and clean side by side."""
        return np.concatenate([batch.pixels, batch.clean], axis=2)

    def loss(self, batch: Spoilt) -> StepLoss:
        """Pixel, mask and feature terms of :class:`LossConfig`."""
        device = next(self.modules.parameters()).device
        spoilt, clean = _input(batch.pixels, device), _input(batch.clean, device)
        mask = torch.from_numpy(batch.mask).to(device).unsqueeze(1).float()
        answers: Answers = self.modules["restorer"](spoilt)
        error = answers.pictures.float() - clean
        error = error.square() if self._loss.pixel == "squared" else (error.square() + _CHARBONNIER**2).sqrt()
        pixel = ((1 + self._loss.on_mesh * mask) * error).mean()
        total, parts = pixel, {"pixel": pixel.detach()}
        if self._loss.mask:
            found = functional.binary_cross_entropy_with_logits(answers.ink.float(), mask)
            total, parts["mask"] = total + self._loss.mask * found, found.detach()
        if self._loss.score and answers.mesh is not None:
            meshed = mask.amax((2, 3))
            found = functional.binary_cross_entropy_with_logits(answers.mesh.float(), meshed)
            total, parts["score"] = total + self._loss.score * found, found.detach()
        if self._loss.feature and self._recogniser is not None:
            few = slice(self._loss.feature_pictures)
            back = torch.from_numpy(batch.back[few]).to(device)
            recogniser = self._recogniser.to(device)
            with torch.no_grad():
                wanted = recogniser(clean[few], back)
            drift = 1 - (recogniser(answers.pictures[few].float(), back) * wanted).sum(1).mean()
            total, parts["feature"] = total + self._loss.feature * drift, drift.detach()
        return StepLoss(total, parts)

    def measure(self) -> Mapping[str, float]:
        """PSNR under the ink, overlap of the mask, and cosine to the clean features, of the held people."""
        if self._held is None:
            return {}
        restorer = self.modules["restorer"]
        training = restorer.training
        restorer.eval()
        try:
            with torch.inference_mode():
                return self._measured(restorer, self._held)
        finally:
            restorer.train(training)

    def _measured(self, restorer: nn.Module, held: Spoilt) -> dict[str, float]:
        device = next(restorer.parameters()).device
        squares, pixels, both, either, cosines = 0.0, 0, 0, 0, []
        for start in range(0, len(held.pixels), _MEASURED_AT_ONCE):
            part = slice(start, start + _MEASURED_AT_ONCE)
            clean = _input(held.clean[part], device)
            answers: Answers = restorer(_input(held.pixels[part], device))
            restored, ink = answers.pictures.float().clamp(0, 1), answers.ink > 0
            mask = torch.from_numpy(held.mask[part]).to(device).unsqueeze(1)
            squares += float(((restored - clean).square() * mask).sum()) / 3
            pixels += int(mask.sum())
            both += int((mask & ink).sum())
            either += int((mask | ink).sum())
            if self._recogniser is not None:
                back = torch.from_numpy(held.back[part]).to(device)
                recogniser = self._recogniser.to(device)
                cosines.append((recogniser(restored, back) * recogniser(clean, back)).sum(1))
        found = {
            "psnr_under_ink_db": float(-10 * np.log10(max(squares / max(pixels, 1), 1e-10))),
            "mask_iou": both / max(either, 1),
        }
        if cosines:
            found["cosine"] = float(torch.cat(cosines).mean())
        return found


def _input(pictures: ImageArray, device: torch.device) -> Tensor:
    """(B, 3, S, S) float32 in [0, 1], channels last."""
    return torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float() / 255
