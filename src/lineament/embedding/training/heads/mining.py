"""Which triplets of a batch are trained on. Distances are given without gradient; results are indices."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

_BLOCK_ELEMENTS = 1 << 22
"""Distances looked at together: bounds the memory for batches of thousands."""


class Triplets(NamedTuple):
    """Mined triplets of a batch.

    Attributes:
        anchors: (T,) int64 row of each anchor.
        positives: (T,) int64 row of another sample of the anchor's subject.
        negatives: (T,) int64 row of a sample of another subject.
        candidates: how many there could have been: mated pairs or, for batch-hard, anchors.
    """

    anchors: Tensor
    positives: Tensor
    negatives: Tensor
    candidates: int


class Batch(NamedTuple):
    """What a miner looks at.

    Attributes:
        distances: (B, B) distances of all samples.
        mated: (B, B) bool, same subject and not the sample itself.
        nonmated: (B, B) bool, another subject.
        margin: of the loss, in the unit of the distances.
    """

    distances: Tensor
    mated: Tensor
    nonmated: Tensor
    margin: float


def pairs_of_subjects(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mated and non-mated pairs (B, B) bool of labels (B,); a sample is no pair with itself."""
    same = labels[:, None] == labels[None]
    return same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device), ~same


def mated_blocks(batch: Batch) -> Iterator[tuple[Tensor, Tensor]]:
    """Anchors and positives of all mated pairs, in blocks of bounded memory."""
    anchors, positives = batch.mated.nonzero(as_tuple=True)
    size = max(1, _BLOCK_ELEMENTS // len(batch.distances))
    yield from zip(torch.split(anchors, size), torch.split(positives, size), strict=True)


def _negative_of_each_pair(
    batch: Batch, choose: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
) -> Triplets:
    found = []
    for anchors, positives in mated_blocks(batch):
        negatives, kept = choose(anchors, positives)
        found.append(torch.stack((anchors, positives, negatives))[:, kept])
    chosen = torch.cat(found, dim=1)
    return Triplets(chosen[0], chosen[1], chosen[2], int(batch.mated.sum()))


def semi_hard(batch: Batch) -> Triplets:
    """For every mated pair the nearest negative that is farther than the positive and inside the margin."""

    def choose(anchors: Tensor, positives: Tensor) -> tuple[Tensor, Tensor]:
        to_positive = batch.distances[anchors, positives][:, None]
        to_others = batch.distances[anchors]
        fitting = (
            batch.nonmated[anchors] & (to_others > to_positive) & (to_others < to_positive + batch.margin)
        )
        return torch.where(fitting, to_others, torch.inf).argmin(1), fitting.any(1)

    return _negative_of_each_pair(batch, choose)


def random(batch: Batch) -> Triplets:
    """For every mated pair one negative, drawn evenly by torch's global generator."""

    def choose(anchors: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        allowed = batch.nonmated[anchors]
        scores = torch.rand(allowed.shape, device=allowed.device)
        return torch.where(allowed, scores, -1.0).argmax(1), allowed.any(1)

    return _negative_of_each_pair(batch, choose)


def batch_hard(batch: Batch) -> Triplets:
    """For every anchor its farthest positive and its nearest negative."""
    anchors = (batch.mated.any(1) & batch.nonmated.any(1)).nonzero().squeeze(1)
    distances = batch.distances[anchors]
    positives = torch.where(batch.mated[anchors], distances, -torch.inf).argmax(1)
    negatives = torch.where(batch.nonmated[anchors], distances, torch.inf).argmin(1)
    return Triplets(anchors, positives, negatives, len(anchors))


MINERS: Mapping[str, Callable[[Batch], Triplets]] = {
    "batch-hard": batch_hard,
    "random": random,
    "semi-hard": semi_hard,
}
"""Miners that list their triplets."""


def batch_all(batch: Batch) -> tuple[Tensor, int, int]:
    """All triplets that violate the margin, which are too many to list.

    Returns:
        (B, B) how often each distance counts in the sum of ``positive - negative`` distances over the violating
        triplets; their number; the number of all triplets.
    """
    weights = torch.zeros_like(batch.distances)
    violating = 0
    for anchors, positives in mated_blocks(batch):
        gap = batch.distances[anchors, positives][:, None] - batch.distances[anchors] + batch.margin
        hits = batch.nonmated[anchors] & (gap > 0)
        weights.index_put_((anchors, positives), hits.sum(1).to(weights.dtype), accumulate=True)
        weights.index_add_(0, anchors, hits.to(weights.dtype), alpha=-1)
        violating += int(hits.sum())
    return weights, violating, int((batch.mated.sum(1) * batch.nonmated.sum(1)).sum())
