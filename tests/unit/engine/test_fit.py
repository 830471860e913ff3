"""The loop as a whole: killed and resumed, accumulated, averaged, measured, stopped."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_up_task import MadeUpTask, config
from torch import nn
from torch.nn import functional

from lineament.core.errors import ConfigError, TrainingError
from lineament.engine import LoopConfig, OptimConfig, ScheduleConfig, StepLoss, fit, load_weights
from lineament.engine.checkpoint import read_state, read_tensors
from lineament.engine.log import read_log

SCRIPT = Path(__file__).with_name("made_up_task.py")


def everything(path: Path) -> dict[str, torch.Tensor]:
    files = read_tensors(path, read_state(path))
    return {f"{file}:{name}": value for file, values in files.items() for name, value in values.items()}


def losses(out: Path) -> list[float]:
    return [line["loss"] for line in read_log(out, 10**9) if "loss" in line]


def test_killed_and_resumed_is_uninterrupted_bit_for_bit(tmp_path: Path) -> None:
    whole = fit(MadeUpTask(dropout=0.2), config(), tmp_path / "whole", resume=False)
    done = subprocess.run([sys.executable, SCRIPT, "killed", tmp_path / "parts"], check=False)
    assert done.returncode == -signal.SIGKILL
    left = [path.name for path in (tmp_path / "parts" / "checkpoints").iterdir()]
    assert "step-00000012" not in left
    assert "step-00000004" in left
    parts = fit(MadeUpTask(dropout=0.2), config(), tmp_path / "parts", resume=True)
    ours, theirs = everything(whole.checkpoint), everything(parts.checkpoint)
    assert ours.keys() == theirs.keys()
    assert any(key.startswith("ema:") for key in ours)
    assert any(key.startswith("optimiser:momentum_buffer/") for key in ours)
    assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == []
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")
    assert whole.measures == parts.measures


def test_adamw_goes_on_as_well(tmp_path: Path) -> None:
    adamw = config(optim=OptimConfig(kind="adamw", lr=0.01), schedule=ScheduleConfig(warmup_steps=2))
    whole = fit(MadeUpTask(), adamw, tmp_path / "whole", resume=False)
    short = config(optim=adamw.optim, schedule=adamw.schedule, steps=7)
    fit(MadeUpTask(), short, tmp_path / "parts", resume=False)
    parts = fit(MadeUpTask(), adamw, tmp_path / "parts", resume=True)
    ours, theirs = everything(whole.checkpoint), everything(parts.checkpoint)
    assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == []


def test_k_batches_of_b_are_one_batch_of_kb(tmp_path: Path) -> None:
    class Halves(MadeUpTask):
        def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
            pictures, labels = super().batch(step // 2)
            own = slice(0, 8) if step % 2 == 0 else slice(8, 16)
            return pictures[own], labels[own]

    whole = fit(MadeUpTask(batch=16, norm=False), config(accumulate=1), tmp_path / "1", resume=False)
    halves = fit(Halves(batch=16, norm=False), config(accumulate=2), tmp_path / "2", resume=False)
    assert losses(tmp_path / "1") == pytest.approx(losses(tmp_path / "2"), rel=1e-5)
    theirs = everything(halves.checkpoint)
    for key, value in everything(whole.checkpoint).items():
        torch.testing.assert_close(theirs[key], value, rtol=1e-4, atol=1e-6)


def test_it_is_the_loop_that_one_would_write_by_hand(tmp_path: Path) -> None:
    task = MadeUpTask()
    plain = config(
        steps=6, accumulate=1, ema_decay=None, clip_norm=None, optim=OptimConfig(lr=0.05, weight_decay=0.0)
    )
    fit(task, plain, tmp_path, resume=False)
    hand = MadeUpTask()
    hand.modules.train()
    optimiser = torch.optim.SGD(hand.modules.parameters(), lr=0.0, momentum=0.9)
    for step in range(6):
        done = max(step - 3, 0) / 3
        rate = (step + 1) / 3 if step < 3 else 0.5 * (1 + np.cos(np.pi * done))
        optimiser.param_groups[0]["lr"] = 0.05 * rate
        optimiser.zero_grad()
        pictures, labels = hand.batch(step)
        functional.cross_entropy(hand.modules["head"](hand.modules["backbone"](pictures)), labels).backward()
        optimiser.step()
    for name, value in hand.modules.state_dict().items():
        torch.testing.assert_close(task.modules.state_dict()[name], value)


def test_the_mean_is_what_is_measured_and_left(tmp_path: Path) -> None:
    class Watched(MadeUpTask):
        def measure(self) -> dict[str, float]:
            return {"weight": float(self.modules["head"].weight[0, 0])}

    task = Watched()
    result = fit(task, config(), tmp_path, resume=False)
    saved = everything(result.checkpoint)
    assert result.measures["weight"] == float(saved["ema:head.weight"][0, 0])
    assert result.measures["weight"] != float(saved["modules:head.weight"][0, 0])
    assert torch.equal(task.modules["head"].weight, saved["ema:head.weight"])
    assert not task.modules.training
    other = MadeUpTask()
    load_weights(result.checkpoint, other.modules)
    for name, value in other.modules.state_dict().items():
        assert torch.equal(value, task.modules.state_dict()[name])


def test_measuring_and_logging_change_nothing(tmp_path: Path) -> None:
    class Noisy(MadeUpTask):
        def measure(self) -> dict[str, float]:
            torch.rand(5)
            return {}

    often = fit(Noisy(dropout=0.2), config(measure_every=1, log_every=1), tmp_path / "1", resume=False)
    never = fit(
        MadeUpTask(dropout=0.2),
        config(measure_every=0, log_every=50, checkpoint_every=50),
        tmp_path / "2",
        resume=False,
    )
    ours, theirs = everything(often.checkpoint), everything(never.checkpoint)
    assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == []


@pytest.mark.parametrize("precision", ["bf16", "f16"])
def test_half_precision_learns(tmp_path: Path, precision: Any) -> None:
    result = fit(MadeUpTask(), config(steps=40, precision=precision), tmp_path, resume=False)
    curve = losses(tmp_path)
    assert np.mean(curve[-5:]) < 0.7 * np.mean(curve[:5])
    assert everything(result.checkpoint)["modules:head.weight"].dtype == torch.float32


def test_the_loss_scaler_skips_what_overflows_and_goes_on(tmp_path: Path) -> None:
    class Steep(MadeUpTask):
        def loss(self, batch: tuple[torch.Tensor, torch.Tensor]) -> StepLoss:
            return StepLoss(
                super().loss(batch).total * 1000
            )  # times the first scale of 2**16: too much for f16

    first = Steep(norm=False).modules.state_dict()["head.weight"]
    result = fit(Steep(norm=False), config(precision="f16", steps=14), tmp_path, resume=False)
    lines = [line for line in read_log(tmp_path, 99) if "loss" in line]
    skipped = [line["gradient_norm"] is None for line in lines]
    assert skipped[0]
    assert not skipped[-1]
    assert read_state(result.checkpoint)["scaler"]["scale"] == 2.0 ** (16 - sum(skipped))
    last = everything(result.checkpoint)["modules:head.weight"]
    assert torch.isfinite(last).all()
    assert not torch.equal(last, first)


def test_channels_last_and_a_frozen_part(tmp_path: Path) -> None:
    task = MadeUpTask()
    task.modules["backbone"][0].requires_grad_(False)
    before = task.modules["backbone"][0].weight.clone()
    result = fit(task, config(channels_last=True), tmp_path, resume=False)
    assert torch.equal(task.modules["backbone"][0].weight, before)
    assert fit(MadeUpTask(), config(), tmp_path, resume=True).step == result.step


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's compiler uses what torch advises against
def test_compiled_modules_train_alike_and_keep_their_names(tmp_path: Path) -> None:
    plain = fit(MadeUpTask(), config(), tmp_path / "plain", resume=False)
    compiled = fit(MadeUpTask(), config(compile=True), tmp_path / "compiled", resume=False)
    theirs = everything(compiled.checkpoint)
    assert losses(tmp_path / "compiled") == pytest.approx(losses(tmp_path / "plain"), rel=1e-4)
    assert theirs.keys() == everything(plain.checkpoint).keys()


def test_the_best_checkpoint_is_kept(tmp_path: Path) -> None:
    class Rising(MadeUpTask):
        calls = 0

        def measure(self) -> dict[str, float]:
            self.calls += 1
            return {"error": [0.5, 0.1, 0.3, 0.4, 0.2, 0.6][self.calls - 1]}

    changes = {"measure_every": 2, "checkpoint_every": 3, "keep": 1, "best": "error", "best_is": "lowest"}
    result = fit(Rising(), config(**changes), tmp_path, resume=False)
    assert result.best == tmp_path / "checkpoints" / "step-00000004"
    assert result.best_measures == {"error": 0.1}
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["step-00000004", "step-00000012"]
    with pytest.raises(ConfigError, match=r"one of the measures \(accuracy\)"):
        fit(MadeUpTask(), config(best="fnmr"), tmp_path / "other", resume=False)


def test_sigterm_finishes_the_step_and_stops(tmp_path: Path) -> None:
    class Terminated(MadeUpTask):
        def loss(self, batch: tuple[torch.Tensor, torch.Tensor]) -> StepLoss:
            self.steps = getattr(self, "steps", 0) + 1
            if self.steps == 5:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().loss(batch)

    before = signal.getsignal(signal.SIGTERM)
    result = fit(Terminated(), config(accumulate=1), tmp_path, resume=False)
    assert (result.step, result.finished) == (5, False)
    assert result.checkpoint.is_dir()
    assert signal.getsignal(signal.SIGTERM) is before
    result = fit(MadeUpTask(), config(accumulate=1), tmp_path, resume=True)
    assert (result.step, result.finished) == (12, True)
    assert [line["step"] for line in read_log(tmp_path, 99) if "loss" in line] == list(range(1, 13))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e4])
def test_divergence_names_step_checkpoint_and_a_remedy(tmp_path: Path, value: float) -> None:
    class Diverging(MadeUpTask):
        steps = 0

        def loss(self, batch: tuple[torch.Tensor, torch.Tensor]) -> StepLoss:
            self.steps += 1
            found = super().loss(batch)
            return StepLoss(found.total * value if self.steps == 15 else found.total)

    changes = {"accumulate": 1, "steps": 20, "clip_norm": None}
    with pytest.raises(TrainingError, match=r"step 14: .*loss is .*step-00000012.*learning rate"):
        fit(Diverging(), config(**changes), tmp_path, resume=False)
    state = read_state(tmp_path / "checkpoints" / "step-00000012")
    assert all(np.isfinite(state["progress"]["losses"]))


def test_gradients_that_are_not_finite_stop_the_run(tmp_path: Path) -> None:
    class Cliff(MadeUpTask):
        def loss(self, batch: tuple[torch.Tensor, torch.Tensor]) -> StepLoss:
            weight = self.modules["head"].weight
            return StepLoss(super().loss(batch).total + (weight - weight.detach()).abs().sum().sqrt())

    with pytest.raises(TrainingError, match=r"step 0: .*gradient norm is nan.*checkpoint: none"):
        fit(Cliff(), config(), tmp_path, resume=False)


def test_another_run_is_not_overwritten_nor_mixed(tmp_path: Path) -> None:
    fit(MadeUpTask(), config(), tmp_path, resume=False)
    with pytest.raises(ConfigError, match="holds a run of 12 steps"):
        fit(MadeUpTask(), config(), tmp_path, resume=False)
    other = config(optim=OptimConfig(lr=0.2), clip_norm=2.0, log_every=7)
    with pytest.raises(ConfigError) as caught:
        fit(MadeUpTask(), other, tmp_path, resume=True)
    assert "optim.lr: 0.05 before, 0.2 now" in str(caught.value)
    assert "clip_norm: 1.0 before, 2.0 now" in str(caught.value)
    assert "log_every" not in str(caught.value)

    class OtherData(MadeUpTask):
        def facts(self) -> dict[str, str | int | float]:
            return {"patterns": "made up", "seed": 12}

    with pytest.raises(ConfigError, match=r"facts\.seed: 11 before, 12 now"):
        fit(OtherData(), config(), tmp_path, resume=True)


def test_only_damaged_checkpoints_are_not_begun_anew(tmp_path: Path) -> None:
    fit(MadeUpTask(), config(keep=1), tmp_path, resume=False)
    (tmp_path / "checkpoints" / "step-00000012" / "state.json").write_text("{")
    with pytest.raises(TrainingError, match="all 1 checkpoints"):
        fit(MadeUpTask(), config(keep=1), tmp_path, resume=True)


def test_other_modules_are_refused(tmp_path: Path) -> None:
    fit(MadeUpTask(), config(), tmp_path, resume=False)
    with pytest.raises(TrainingError, match=r"backbone\.1\.running_mean unknown"):
        fit(MadeUpTask(norm=False), config(), tmp_path, resume=True)


def test_the_run_is_written_down(tmp_path: Path) -> None:
    fit(MadeUpTask(), config(), tmp_path, resume=False)
    lines = read_log(tmp_path, 99)
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 13))
    assert [line["step"] for line in lines if "measures" in line] == [5, 10, 12]
    assert lines[0]["learning_rate"] == pytest.approx(0.05 / 3)
    assert lines[0]["images_per_s"] == pytest.approx(16 * lines[0]["steps_per_s"])
    assert lines[0]["memory_bytes"] > 2**20
    assert 0 < lines[0]["parts"]["cross_entropy"] < 10
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["facts"] == {"patterns": "made up", "seed": 11}
    assert card["config"]["optim"]["lr"] == 0.05
    assert card["result"]["finished"]
    text = (tmp_path / "card.md").read_text()
    for words in ("## Measures", "accuracy", "patterns", "optim.rules", "torch", "wall_time_s", "loss.png"):
        assert words in text
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
    events = b"".join(path.read_bytes() for path in (tmp_path / "events").iterdir())
    for tag in (b"loss", b"parts/cross_entropy", b"gradient_norm", b"logit", b"measures/accuracy", b"batch"):
        assert tag in events


def test_every_step_is_in_one_line_of_the_log(tmp_path: Path) -> None:
    plain = {"measure_every": 5, "checkpoint_every": 3, "steps": 10}
    fit(MadeUpTask(), config(**plain, log_every=1), tmp_path / "each", resume=False)
    fit(MadeUpTask(), config(**plain, log_every=4), tmp_path / "some", resume=False)
    each = losses(tmp_path / "each")
    wanted = [np.mean(each[:4]), np.mean(each[4:8]), np.mean(each[8:])]
    assert losses(tmp_path / "some") == pytest.approx(wanted, rel=1e-6)
    assert all(line["steps_per_s"] > 0 for line in read_log(tmp_path / "some", 99) if "loss" in line)


def test_a_task_may_offer_nothing(tmp_path: Path) -> None:
    class Bare:
        def __init__(self) -> None:
            torch.manual_seed(0)
            self.modules = nn.ModuleDict({"net": nn.Linear(2, 1)})

        def batch(self, step: int) -> torch.Tensor:
            return torch.ones(4, 2) * step

        def loss(self, batch: torch.Tensor) -> StepLoss:
            return StepLoss(self.modules["net"](batch).square().mean())

        def measure(self) -> dict[str, float]:
            return {}

    result = fit(Bare(), LoopConfig(steps=3, optim=OptimConfig(lr=1e-3)), tmp_path, resume=True)
    assert (result.step, result.measures, result.best) == (3, {}, None)
    assert read_log(tmp_path, 3)[-1]["images_per_s"] is None


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ConfigError, match="found 0"):
        fit(MadeUpTask(), config(device="cuda"), tmp_path, resume=False)


def test_all_faults_of_the_settings_are_listed() -> None:
    with pytest.raises(ConfigError) as caught:
        LoopConfig(
            steps=10, precision="f64", accumulate=0, clip_norm=0, ema_decay=1, keep=0, device="tpu",  # type: ignore[arg-type]
            schedule=ScheduleConfig(kind="step", warmup_steps=10, milestones=(5, 10)), diverged_at=1,
        )  # fmt: skip
    for word in (
        "9 fault", "precision", "accumulate", "clip_norm", "ema_decay", "keep", "device",
        "warmup_steps", "milestones", "diverged_at",
    ):  # fmt: skip
        assert word in str(caught.value)


def test_the_example_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = SCRIPT.parents[3] / "docs" / "training-loop.md"
    code = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(code, str(page), "exec"), names)  # noqa: S102
    assert names["result"].finished
    assert names["result"].best_measures["accuracy"] > 0.8
