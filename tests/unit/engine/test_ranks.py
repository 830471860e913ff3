"""Two ranks do what one does with the same global batch."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from made_up_task import PLAIN, MadeUpTask, ShardedTask, batch_norm_case, config
from torch import nn

from lineament.core.errors import ConfigError
from lineament.engine import Ranks, fit, read_ranks, synchronise_batch_norm
from lineament.engine.checkpoint import read_state, read_tensors
from lineament.engine.log import read_log

SCRIPT = Path(__file__).with_name("made_up_task.py")
SETTINGS = config(**PLAIN)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder where two ranks trained, one rank's run was continued, and so on; see ``made_up_task``."""
    folder = tmp_path_factory.mktemp("ranks")
    stopped = MadeUpTask(batch=16)
    stop_after(stopped, 6)
    assert fit(stopped, SETTINGS, folder / "continued", resume=False).step == 6
    sharded = ShardedTask(ranks=Ranks())
    stop_after(sharded, 6)
    assert fit(sharded, SETTINGS, folder / "sharded", resume=False).step == 6
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [sys.executable, SCRIPT, "two_ranks", folder],
            env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for process in ranks:
            _, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors
    finally:
        for process in ranks:
            process.kill()
    return folder


def stop_after(task: MadeUpTask, steps: int) -> None:
    """Ask for a stop, as SIGTERM would, in a step of the task."""
    plain, seen = task.loss, []

    def loss(batch: tuple[torch.Tensor, torch.Tensor]) -> object:
        seen.append(1)
        if len(seen) == steps:
            signal.raise_signal(signal.SIGTERM)
        return plain(batch)

    task.loss = loss  # type: ignore[assignment, method-assign]


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_log(folder, 99) if "loss" in line]


def weights(folder: Path, step: int = 12) -> dict[str, torch.Tensor]:
    path = folder / "checkpoints" / f"step-{step:08d}"
    files = read_tensors(path, read_state(path))
    return {f"{file}:{name}": value for file, values in files.items() for name, value in values.items()}


def assert_same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(
            value, theirs[name], rtol=2e-4, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.slow
def test_two_ranks_follow_the_curve_of_one(out: Path, tmp_path: Path) -> None:
    fit(MadeUpTask(batch=16), SETTINGS, tmp_path, resume=False)
    one, two = losses(tmp_path), losses(out / "pair")
    assert len(one) == 12
    assert two == pytest.approx(one, rel=1e-5)
    assert_same(weights(out / "pair"), weights(tmp_path))
    assert read_state(out / "pair" / "checkpoints" / "step-00000012")["ranks"] == 2


@pytest.mark.slow
def test_two_ranks_go_on_from_a_checkpoint_of_one(out: Path, tmp_path: Path) -> None:
    fit(MadeUpTask(batch=16), SETTINGS, tmp_path, resume=False)
    assert losses(out / "continued") == pytest.approx(losses(tmp_path), rel=1e-5)
    assert_same(weights(out / "continued"), weights(tmp_path))


@pytest.mark.slow
def test_one_rank_goes_on_from_a_checkpoint_of_two(out: Path, tmp_path: Path) -> None:
    kept = out / "pair" / "checkpoints" / "step-00000008"
    shutil.copytree(kept, tmp_path / "checkpoints" / kept.name)
    fit(MadeUpTask(batch=16), SETTINGS, tmp_path, resume=True)
    assert_same(weights(tmp_path), weights(out / "pair"))


@pytest.mark.slow
def test_sharded_weights_and_their_momentum_travel_between_ranks(out: Path, tmp_path: Path) -> None:
    fit(ShardedTask(ranks=Ranks()), SETTINGS, tmp_path, resume=False)
    found = weights(out / "sharded")
    assert found["modules:head.weight"].shape == (4, 32)
    assert found["optimiser:momentum_buffer/head.weight"].shape == (4, 32)
    assert losses(out / "sharded") == pytest.approx(losses(tmp_path), rel=1e-5)
    assert_same(found, weights(tmp_path))


@pytest.mark.slow
def test_batch_norm_over_ranks_is_that_of_the_whole_batch(out: Path) -> None:
    layer = nn.BatchNorm1d(3, momentum=0.3).train()
    pictures, factors = batch_norm_case(Ranks())
    outcome = layer(pictures)
    (outcome.pow(3) * factors).sum().backward()
    ranks = [torch.load(out / f"batch_norm_{rank}.pt", weights_only=True) for rank in range(2)]
    assert pictures.grad is not None
    torch.testing.assert_close(torch.cat([r["out"] for r in ranks]), outcome.detach(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(torch.cat([r["gradient"] for r in ranks]), pictures.grad, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(sum(r["weight"] for r in ranks), layer.weight.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(sum(r["bias"] for r in ranks), layer.bias.grad, rtol=1e-4, atol=1e-4)
    for rank in ranks:
        torch.testing.assert_close(rank["running_mean"], layer.running_mean, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(rank["running_var"], layer.running_var, rtol=1e-4, atol=1e-5)
        assert rank["num_batches_tracked"] == 1


def test_synchronising_keeps_weights_names_and_hooks() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, eps=1e-3), nn.ModuleDict({"a": nn.BatchNorm1d(2)})
    )
    before = dict(net.named_parameters())
    pictures = torch.randn(2, 3, 5, 5)
    expected = net[1].eval()(net[0](pictures))
    names = list(net.state_dict())
    seen: list[nn.Module] = []
    net[1].register_forward_pre_hook(lambda layer, _: seen.append(layer))
    synchronise_batch_norm(net)
    assert type(net[1]) is type(net[2]["a"]) is not nn.BatchNorm2d
    assert list(net.state_dict()) == names
    assert all(value is before[name] for name, value in net.named_parameters())
    assert torch.equal(net[1](net[0](pictures)), expected)
    assert seen == [net[1]]
    alone = net[1].train()(pictures.repeat(1, 2, 1, 1)[:, :4])  # one process: the plain one
    assert abs(float(alone.detach().mean())) < 1e-6


def test_ranks_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert read_ranks() == Ranks(0, 1, 0)
    for name, value in (("RANK", "5"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert read_ranks() == Ranks(5, 8, 1)
    monkeypatch.setenv("RANK", "8")
    with pytest.raises(ConfigError, match="RANK < WORLD_SIZE"):
        read_ranks()
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(ConfigError, match="whole numbers"):
        read_ranks()
