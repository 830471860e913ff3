"""A sampled, sharded head in the training loop: a run that was interrupted ends as one that was not."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lineament.embedding.training.heads import build_head
from lineament.engine import LoopConfig, OptimConfig, StepLoss, fit
from lineament.engine.checkpoint import read_state, read_tensors


class Points:
    """Noisy points around one centre of each of 30 subjects."""

    def __init__(self, head: str, stop_at: int | None = None, **settings: float) -> None:
        torch.manual_seed(0)
        self.modules = nn.ModuleDict(
            {"backbone": nn.Linear(8, 6), "head": build_head(head, 6, 30, **settings)}
        )
        self.stop_at = stop_at

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        draw = torch.Generator().manual_seed(step)
        centres = torch.randn(30, 8, generator=torch.Generator().manual_seed(99))
        labels = torch.randint(0, 30, (16,), generator=draw)
        return centres[labels] + 0.1 * torch.randn(16, 8, generator=draw), labels

    def loss(self, batch: tuple[Tensor, Tensor]) -> StepLoss:
        head = self.modules["head"]
        if self.stop_at == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        if self.stop_at is not None:
            self.stop_at -= 1
        result: StepLoss = head(self.modules["backbone"](batch[0]), batch[1])
        return result

    def measure(self) -> Mapping[str, float]:
        return {}


def settings(**changes: object) -> LoopConfig:
    optim = OptimConfig(lr=0.05, momentum=0.9, weight_decay=1e-3)
    return LoopConfig(steps=12, optim=optim, checkpoint_every=4, threads=1, **changes)  # type: ignore[arg-type]


HEADS = {
    "partial-adaface": {"sample_rate": 0.3},
    "partial-sphereface": {"sample_rate": 1.0},
    "softmax-center": {},
}


@pytest.mark.parametrize(
    ("name", "accumulate"), [("partial-adaface", 2), ("partial-sphereface", 1), ("softmax-center", 1)]
)
def test_an_interrupted_run_ends_the_same(name: str, accumulate: int, tmp_path: Path) -> None:
    config = settings(accumulate=accumulate, clip_norm=5.0)
    whole = Points(name, **HEADS[name])
    assert fit(whole, config, tmp_path / "whole", resume=False).step == 12
    assert fit(Points(name, stop_at=5, **HEADS[name]), config, tmp_path / "parts", resume=False).step < 12
    resumed = Points(name, **HEADS[name])
    assert fit(resumed, config, tmp_path / "parts", resume=True).step == 12
    for key, value in whole.modules.state_dict().items():
        torch.testing.assert_close(resumed.modules.state_dict()[key], value, rtol=0, atol=0)


def test_the_checkpoint_holds_what_the_head_remembers(tmp_path: Path) -> None:
    result = fit(Points("partial-adaface", sample_rate=0.3), settings(), tmp_path, resume=False)
    files = read_tensors(result.checkpoint, read_state(result.checkpoint))
    saved = next(values for values in files.values() if "head.margin.mean" in values)
    assert {"head.weight", "head.steps", "head.margin.std"} <= set(saved)
    assert int(saved["head.steps"]) == 12
