"""A classifier whose classes lie on several ranks, and of which a step may use a sample."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

from lineament.embedding.training.heads.classifier import WEIGHT_STD
from lineament.embedding.training.heads.collectives import (
    gathered,
    gathered_with_gradient,
    rank_and_world,
    reduced,
    sharded_cross_entropy,
    shared_gradient,
)
from lineament.embedding.training.heads.margins import Margin
from lineament.embedding.training.heads.module import HeadModule
from lineament.embedding.training.heads.numerics import cosines_to_rows, norms_and_directions
from lineament.embedding.training.heads.settings import NOT_NEGATIVE, Range, check_settings
from lineament.engine.task import StepLoss

_FRESH_ROWS = 4096


def shard_bounds(classes: int, rank: int, world: int) -> tuple[int, int]:
    """First class of a rank and the one after its last; shards differ by one class at most."""
    return rank * classes // world, (rank + 1) * classes // world


class PartialFc(HeadModule):
    """The classifier of a margin, with its classes shared out over the ranks of a run.

    Every rank sees the features of all ranks and scores its own classes; maximum and sum of the softmax are
    reduced over the ranks. The loss is the mean over the **whole** batch, the same number on every rank. Its
    gradient for the class weights is complete; that for the features is multiplied by the number of ranks, because
    the gradients of the backbone are averaged over the ranks afterwards. After that average all gradients are those
    of a plain classifier that saw the whole batch.

    With ``sample_rate`` below 1 a step uses the classes of its batch and a random sample of the others. The
    gradient of ``weight`` is then sparse and holds the used rows only: train it with
    :class:`lineament.engine.row_sgd.RowSgd`, which leaves weight, momentum and decay of the others alone.

    Make it after ``torch.distributed`` is set up. All ranks must give batches of one size.

    Attributes:
        weight: (c, D) class weights of this rank, c = C / ranks. Fresh ones do not depend on the number of ranks.
        steps: () int64 batches seen in training; with the seed it decides which classes are drawn.
        sharded: True: other weights on every rank.

    Source: X. An et al., Partial FC, 2021 and 2022.
    """

    sharded = True
    steps: Tensor

    def __init__(
        self, dimension: int, classes: int, margin: Margin, sample_rate: float = 1.0, seed: int = 0
    ) -> None:
        """Make fresh weights of this rank's classes.

        Args:
            dimension: D, length of a feature.
            classes: C, number of training subjects over all ranks.
            margin: rule from cosines to logits.
            sample_rate: share of this rank's classes that a step uses, in (0, 1]; more if the batch has more.
            seed: decides the fresh weights and the sampled classes.

        Raises:
            ValueError: a setting is out of range, or there are fewer classes than ranks.
        """
        super().__init__(dimension, classes)
        check_settings(
            {"sample_rate": sample_rate, "seed": seed},
            {"sample_rate": Range(0, 1, above=True), "seed": NOT_NEGATIVE._replace(whole=True)},
        )
        self.rank, world = rank_and_world()
        if classes < world:
            raise ValueError(f"classes must be at least the number of ranks, got {classes} for {world} ranks")
        self.first, self.last = shard_bounds(classes, self.rank, world)
        self.margin = margin
        self.sample_rate = sample_rate
        self.seed = seed
        self.weight = nn.Parameter(_fresh_rows(self.first, self.last, dimension, seed))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def loss(self, features: Tensor, labels: Tensor) -> StepLoss:
        """Cross entropy over all ranks, and what the margin adds.

        ``parts``, of the whole batch: cross_entropy, accuracy (fraction, among the used classes, without margin),
        regulariser if there is one. ``histograms``, of this rank's batch: target_cosine, feature_norm.

        Raises:
            ValueError: the ranks gave batches of different sizes.
        """
        sizes = gathered(labels.new_tensor([len(labels)])).tolist()
        if len(set(sizes)) > 1:
            raise ValueError(f"all ranks must give batches of one size, got {sizes}")
        everyone = gathered_with_gradient(features)
        columns, weights = self._used(gathered(labels))
        norms, directions = norms_and_directions(everyone)
        cosines = cosines_to_rows(directions, weights)
        logits, regulariser = self.margin.logits(cosines, norms, columns)
        total = cross_entropy = sharded_cross_entropy(logits, columns)
        target, accuracy = _target_cosines(cosines.detach(), columns)
        parts = {"cross_entropy": cross_entropy.detach(), "accuracy": accuracy}
        if regulariser is not None:
            # Every rank adds the same term, and the gather would count its gradient once for each of them.
            total = cross_entropy + shared_gradient(regulariser)
            parts["regulariser"] = regulariser.detach()
        own = slice(self.rank * len(labels), (self.rank + 1) * len(labels))
        return StepLoss(total, parts, {"target_cosine": target[own], "feature_norm": norms.detach()[own]})

    def consolidated(self) -> dict[str, Tensor]:
        """State with the weights (C, D) of all ranks, on every rank; all ranks call it."""
        state: dict[str, Tensor] = dict(self.state_dict())
        state["weight"] = self._whole(state["weight"])
        return state

    def load_consolidated(self, state: Mapping[str, Tensor]) -> None:
        """Take this rank's share of a state that :meth:`consolidated` gave on any number of ranks.

        Raises:
            ValueError: the weights are not (C, D).
        """
        expected, found = (self.classes, self.dimension), tuple(state["weight"].shape)
        if found != expected:
            raise ValueError(f"the whole weights must be {expected}, got {found}")
        self.load_state_dict({**state, "weight": state["weight"][self.first : self.last]})

    def _used(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Target column (N,) of each row, -1 if it is not here, and the weights (c', D) that this step uses."""
        here = (labels >= self.first) & (labels < self.last)
        columns = torch.where(here, labels - self.first, -1)
        if self.sample_rate == 1.0:
            return columns, self.weight
        with torch.no_grad():
            positives = torch.unique(columns[here])
            wanted = max(len(positives), math.ceil(self.sample_rate * len(self.weight)))
            scores = torch.rand(
                len(self.weight), device=labels.device, generator=self._generator(labels.device)
            )
            scores[positives] = 2.0  # above every drawn score, so that the classes of the batch are always in
            used = scores.topk(wanted, sorted=False).indices.sort().values
            columns = torch.where(here, torch.searchsorted(used, columns), -1)
            if self.training:
                self.steps += 1
        return columns, functional.embedding(used, self.weight, sparse=True)

    def _generator(self, device: torch.device) -> torch.Generator:
        entropy = np.random.SeedSequence([self.seed, int(self.steps), self.rank])
        return torch.Generator(device).manual_seed(int(entropy.generate_state(1)[0]))

    def _whole(self, rows: Tensor) -> Tensor:
        _, world = rank_and_world()
        if world == 1:
            return rows
        bounds = [shard_bounds(self.classes, rank, world) for rank in range(world)]
        longest = max(last - first for first, last in bounds)
        padded = functional.pad(rows.detach(), (0, 0, 0, longest - len(rows)))
        parts = [torch.empty_like(padded) for _ in range(world)]
        distributed.all_gather(parts, padded)
        return torch.cat([part[: last - first] for part, (first, last) in zip(parts, bounds, strict=True)])


def _target_cosines(cosines: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine (N,) of each row with its class, wherever that lies, and the share () of rows where it is the largest."""
    here = (columns >= 0).nonzero().squeeze(1)
    targets = cosines.new_full((len(cosines),), -2.0)
    targets[here] = cosines[here, columns[here]]
    largest, targets = reduced(torch.stack((cosines.amax(1), targets)), largest=True)
    return targets, (targets >= largest).to(torch.float32).mean()


def _fresh_rows(first: int, last: int, dimension: int, seed: int) -> Tensor:
    """Rows first..last-1 of a normal matrix that is drawn in blocks, each from a seed of its own."""
    rows = torch.empty(last - first, dimension)
    for block in range(first // _FRESH_ROWS, math.ceil(last / _FRESH_ROWS)):
        entropy = np.random.SeedSequence([seed, block])
        generator = torch.Generator().manual_seed(int(entropy.generate_state(1)[0]))
        drawn = torch.empty(_FRESH_ROWS, dimension).normal_(std=WEIGHT_STD, generator=generator)
        begin, end = max(first, block * _FRESH_ROWS), min(last, (block + 1) * _FRESH_ROWS)
        rows[begin - first : end - first] = drawn[begin - block * _FRESH_ROWS : end - block * _FRESH_ROWS]
    return rows
