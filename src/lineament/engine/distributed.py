"""Ranks of a run that torchrun started, and what they tell each other. With one rank nothing is sent."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lineament.core.errors import ConfigError
from lineament.engine.row_sgd import gradient_values

_BUCKET_ELEMENTS = 1 << 23  # 32 MiB of float32: large enough that the latency of a message does not matter


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those of the run.

    Attributes:
        rank: its number, 0 <= rank < world.
        world: number of processes.
        local: its number on this machine, which is also the number of its GPU.
    """

    rank: int = 0
    world: int = 1
    local: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world or self.local < 0:
            raise ConfigError(f"ranks must be 0 <= RANK < WORLD_SIZE and 0 <= LOCAL_RANK, got {self}")


def read_ranks() -> Ranks:
    """The ranks that torchrun's RANK, WORLD_SIZE and LOCAL_RANK tell; one rank without them.

    Raises:
        ConfigError: they are not numbers or contradict each other.
    """
    try:
        rank, world, local = (
            int(os.environ.get(name, default))
            for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))
        )
    except ValueError as error:
        raise ConfigError(f"RANK, WORLD_SIZE and LOCAL_RANK must be whole numbers: {error}") from error
    return Ranks(rank, world, local)


@contextmanager
def process_group(device: str) -> Iterator[Ranks]:
    """Connect the ranks: NCCL on "cuda", Gloo on "cpu". A group that is connected already is used and left."""
    ranks = read_ranks()
    if ranks.world == 1 or dist.is_initialized():
        yield ranks
        return
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield ranks
    finally:
        dist.destroy_process_group()


def broadcast_modules(modules: nn.Module, names: Sequence[str]) -> None:
    """Give every rank rank zero's parameters and buffers of these names."""
    state = modules.state_dict(keep_vars=True)
    for name in names:
        dist.broadcast(state[name].detach(), src=0)


def broadcast_object(value: Any) -> Any:
    """Rank zero's value, on every rank."""
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def average_gradients(parameters: Sequence[nn.Parameter], world: int) -> None:
    """Replace each gradient by its mean over the ranks; a missing one counts as zero.

    Called once a step, after the batches of the step are accumulated, so that the loss may use its modules in
    whatever way it likes.
    """
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    for bucket in _buckets([p.grad for p in parameters if p.grad is not None]):
        flat = torch.cat([g.reshape(-1) for g in bucket])
        dist.all_reduce(flat)
        flat /= world
        for gradient, mean in zip(bucket, flat.split_with_sizes([g.numel() for g in bucket]), strict=True):
            gradient.copy_(mean.view(gradient.shape))


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    size = 0
    for gradient in gradients:
        if bucket and (size + gradient.numel() > _BUCKET_ELEMENTS or gradient.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(gradient)
        size += gradient.numel()
    if bucket:
        yield bucket


def share_overflow(averaged: Sequence[nn.Parameter], sharded: Sequence[nn.Parameter], world: int) -> None:
    """Make an overflow in any gradient of any rank one of every optimiser, so that all skip the same step."""
    alike = [p.grad for p in averaged if p.grad is not None]
    own = [gradient_values(p.grad) for p in sharded if p.grad is not None]
    # Zero times infinity is not a number, and the loss scaler looks for exactly that.
    poison = torch.nn.utils.get_total_norm(alike + own) * 0.0
    if world > 1:
        dist.all_reduce(poison)
    for gradients in (alike, own):
        if gradients:
            gradients[0][(0,) * gradients[0].ndim].add_(poison)
