"""What the ranks of a run tell each other; without torch.distributed there is one rank and nothing is sent."""

from typing import Any

import torch
from torch import Tensor, distributed


def rank_and_world() -> tuple[int, int]:
    """Number of this rank, and how many there are; (0, 1) without torch.distributed."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def gathered(values: Tensor) -> Tensor:
    """Values (N, ...) of every rank, in the order of the ranks: (world * N, ...). No gradient flows.

    All ranks must give the same shape.
    """
    _, world = rank_and_world()
    values = values.detach().contiguous()
    if world == 1:
        return values
    parts = [torch.empty_like(values) for _ in range(world)]
    distributed.all_gather(parts, values)
    return torch.cat(parts)


def reduced(values: Tensor, *, largest: bool) -> Tensor:
    """Element-wise maximum (``largest``) or sum over the ranks; the tensor is overwritten and given back."""
    _, world = rank_and_world()
    if world > 1:
        operation = distributed.ReduceOp.MAX if largest else distributed.ReduceOp.SUM
        distributed.all_reduce(values, op=operation)
    return values


def gathered_with_gradient(features: Tensor) -> Tensor:
    """Features (B, D) of every rank, in the order of the ranks: (world * B, D).

    The gradient that comes back is the **sum** over the ranks of what each found for this rank's rows, **times the
    number of ranks**: the gradients of a backbone are averaged over the ranks afterwards, which takes that factor
    away again. What is left is the gradient of one loss over the whole batch.
    """
    rows: Tensor = _Gather.apply(features)  # type: ignore[no-untyped-call]
    return rows


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.rows = len(features)
        # A view of the input may not be an output of its own, hence the copy for one rank.
        return gathered(features) if rank_and_world()[1] > 1 else features.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        rank, world = rank_and_world()
        total = reduced(gradient.clone(), largest=False)
        own: Tensor = total[rank * ctx.rows : (rank + 1) * ctx.rows]
        return own * world


def shared_gradient(loss: Tensor) -> Tensor:
    """A loss () that every rank computes alike: its value, with its gradient shared out over the ranks."""
    share = loss / rank_and_world()[1]
    return share + (loss - share).detach()


def sharded_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Softmax cross entropy of classes that lie on several ranks; mean over the rows.

    Args:
        logits: (N, c) logits of this rank's classes, for the same N rows on every rank.
        labels: (N,) int64 column of the target, -1 where it lies on another rank. Each row has its target on
            exactly one rank.

    Returns:
        () the same on every rank. The gradient on a rank is that of this rank's logits.
    """
    loss: Tensor = _ShardedCrossEntropy.apply(logits, labels)  # type: ignore[no-untyped-call]
    return loss


class _ShardedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        here = (labels >= 0).nonzero().squeeze(1)
        columns = labels[here]
        highest = reduced(logits.amax(1), largest=True)
        probabilities = (logits - highest[:, None]).exp_()
        targets = torch.zeros_like(highest)
        targets[here] = logits[here, columns] - highest[here]
        both = reduced(torch.stack((probabilities.sum(1), targets)), largest=False)
        probabilities.div_(both[0][:, None])
        ctx.save_for_backward(probabilities, here, columns)
        return (both[0].log() - both[1]).mean()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        probabilities, here, columns = ctx.saved_tensors
        factor = gradient / len(probabilities)
        to_logits: Tensor = probabilities * factor
        to_logits[here, columns] -= factor
        return to_logits, None
