"""A small task with a right answer, and the runs that need processes of their own."""

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lineament.engine import (
    LoopConfig,
    ModuleRule,
    OptimConfig,
    Ranks,
    ScheduleConfig,
    StepLoss,
    fit,
    process_group,
    synchronise_batch_norm,
)

CLASSES = 4
BATCH = 8


class ShardedLinear(nn.Module):
    """A classifier whose classes are shared out over the ranks, in the plainest way."""

    sharded = True

    def __init__(self, dimension: int, ranks: Ranks) -> None:
        super().__init__()
        whole = torch.randn(CLASSES, dimension, generator=torch.Generator().manual_seed(5)) * 0.1
        self.share = slice(ranks.rank * CLASSES // ranks.world, (ranks.rank + 1) * CLASSES // ranks.world)
        self.world = ranks.world
        self.weight = nn.Parameter(whole[self.share].clone())

    def forward(self, features: Tensor) -> Tensor:
        return functional.linear(features, self.weight)

    def consolidated(self) -> dict[str, Tensor]:
        return {"weight": torch.cat(_everyone(self.weight.detach()))}

    def load_consolidated(self, state: Mapping[str, Tensor]) -> None:
        self.load_state_dict({"weight": state["weight"][self.share]})


def _everyone(value: Tensor) -> list[Tensor]:
    if not torch.distributed.is_initialized():
        return [value]
    values = [torch.empty_like(value) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(values, value)
    return values


class MadeUpTask:
    """Which of four patterns is in an 8 x 8 picture. Rank r sees its share of the global batch."""

    def __init__(
        self,
        *,
        batch: int = BATCH,
        norm: bool = True,
        dropout: float = 0.0,
        ranks: Ranks | None = None,
        kill_at: int | None = None,
    ) -> None:
        torch.manual_seed(3)
        layers: list[nn.Module] = [nn.Conv2d(3, 6, 3), nn.PReLU(6), nn.Conv2d(6, 8, 3, stride=2)]
        if norm:
            layers.insert(1, nn.BatchNorm2d(6))
        self.modules = nn.ModuleDict(
            {
                "backbone": nn.Sequential(*layers, nn.Flatten(), nn.Dropout(dropout)),
                "head": nn.Linear(32, CLASSES, bias=False),
            }
        )
        self.batch_size = batch
        self.ranks = ranks or Ranks()
        self.kill_at = kill_at

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        size = self.batch_size * self.ranks.world
        rng = np.random.default_rng([11, step])
        labels = rng.integers(0, CLASSES, size)
        patterns = np.random.default_rng(12).standard_normal((CLASSES, 3, 8, 8))
        pictures = patterns[labels] + rng.standard_normal((size, 3, 8, 8))
        own = slice(self.ranks.rank * self.batch_size, (self.ranks.rank + 1) * self.batch_size)
        if step == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return torch.from_numpy(pictures[own].astype(np.float32)), torch.from_numpy(labels[own])

    def loss(self, batch: tuple[Tensor, Tensor]) -> StepLoss:
        pictures, labels = batch
        logits = self.modules["head"](self.modules["backbone"](pictures))
        total = functional.cross_entropy(logits.float(), labels)
        return StepLoss(total, {"cross_entropy": total.detach()}, {"logit": logits.detach().flatten()})

    def measure(self) -> dict[str, float]:
        assert not self.modules.training
        pictures, labels = self.batch(10**6)
        logits = self.modules["head"](self.modules["backbone"](pictures))
        return {"accuracy": float((logits.argmax(1) == labels).float().mean())}

    def facts(self) -> dict[str, str | int | float]:
        return {"patterns": "made up", "seed": 11}

    def pictures(self, batch: tuple[Tensor, Tensor]) -> Any:
        return np.zeros((len(batch[0]), 8, 8, 3), np.uint8)


class ShardedTask(MadeUpTask):
    """The same with a classifier that is shared out over the ranks."""

    def __init__(self, *, ranks: Ranks) -> None:
        super().__init__(ranks=ranks, batch=16 // ranks.world, norm=False)
        self.modules["head"] = ShardedLinear(32, ranks)

    def loss(self, batch: tuple[Tensor, Tensor]) -> StepLoss:
        pictures, labels = batch
        features, head = self.modules["backbone"](pictures), self.modules["head"]
        assert isinstance(head, ShardedLinear)
        if self.ranks.world == 1:
            return StepLoss(functional.cross_entropy(head(features), labels))
        logits = head(_Gather.apply(features))
        known = _everyone(logits.detach())
        known[self.ranks.rank] = logits
        return StepLoss(functional.cross_entropy(torch.cat(known, 1), torch.cat(_everyone(labels))))


class _Gather(torch.autograd.Function):
    """Features of all ranks. Each rank finds the gradient of its own classes' part of the loss."""

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:  # noqa: ARG004
        return torch.cat(_everyone(features))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004
        world, rank = torch.distributed.get_world_size(), torch.distributed.get_rank()
        whole = torch.stack(_everyone(gradient.contiguous())).sum(0)
        return whole.chunk(world)[rank] * world  # the loop will divide by the number of ranks


def config(**changes: Any) -> LoopConfig:
    """Momentum, schedule, accumulation, clipping and a mean of the weights, all at once."""
    base = LoopConfig(
        steps=12,
        optim=OptimConfig(lr=0.05, rules=(ModuleRule(module="head", weight_decay=4e-3, lr_factor=2.0),)),
        schedule=ScheduleConfig(kind="cosine", warmup_steps=3),
        accumulate=2,
        clip_norm=1.0,
        ema_decay=0.9,
        measure_every=5,
        checkpoint_every=4,
        log_every=1,
        threads=1,
    )
    return replace(base, **changes)


PLAIN = {"accumulate": 1, "ema_decay": None, "sync_batch_norm": True}


def _killed(out: Path) -> None:
    fit(MadeUpTask(dropout=0.2, kill_at=20), config(), out, resume=False)


def batch_norm_case(ranks: Ranks) -> tuple[Tensor, Tensor]:
    """Input and loss weights (10, 3, 4) of both ranks; 7 rows are rank zero's, 3 rank one's."""
    generator = torch.Generator().manual_seed(8)
    rows = [slice(0, 7), slice(7, 10)][ranks.rank] if ranks.world > 1 else slice(0, 10)
    pictures = torch.randn(10, 3, 4, generator=generator) * 2 + 100
    return pictures[rows].requires_grad_(), torch.randn(10, 3, 4, generator=generator)[rows]


def _two_ranks(out: Path) -> None:
    with process_group("cpu") as ranks:
        fit(MadeUpTask(ranks=ranks, batch=8), config(**PLAIN), out / "pair", resume=False)
        fit(MadeUpTask(ranks=ranks, batch=8), config(**PLAIN), out / "continued", resume=True)
        fit(ShardedTask(ranks=ranks), config(**PLAIN), out / "sharded", resume=True)
        layer = nn.BatchNorm1d(3, momentum=0.3).train()
        synchronise_batch_norm(layer)
        pictures, weights = batch_norm_case(ranks)
        outcome = layer(pictures)
        (outcome.pow(3) * weights).sum().backward()
        torch.save(
            {
                "out": outcome.detach(),
                "gradient": pictures.grad,
                "weight": layer.weight.grad,
                "bias": layer.bias.grad,
                **{name: value.clone() for name, value in layer.named_buffers()},
            },
            out / f"batch_norm_{ranks.rank}.pt",
        )


if __name__ == "__main__":
    job, folder = sys.argv[1], Path(sys.argv[2])
    {"killed": _killed, "two_ranks": _two_ranks}[job](folder)
