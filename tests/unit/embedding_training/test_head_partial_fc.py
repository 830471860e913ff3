"""Partial FC on one and on two processes against a plain classifier of the whole batch."""

import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, multiprocessing, nn
from torch.nn import functional

from lineament.embedding.training.heads import (
    AdaFace,
    AmSoftmax,
    ArcFace,
    Circle,
    Classifier,
    MagFace,
    Margin,
    NormalisedSoftmax,
    PartialFc,
    SphereFace,
)
from lineament.engine.row_sgd import RowSgd

D, C, PER_RANK, WORLD = 6, 11, 8, 2
MARGINS = ("ada", "am", "arc", "circle", "mag", "sphere")
STEPS = 6


def margin_of(name: str) -> Margin:
    return {
        "ada": lambda: AdaFace(ema_rate=0.5, concentration=2.0),
        "am": lambda: AmSoftmax(scale=10.0),
        "arc": lambda: ArcFace(scale=10.0),
        "circle": lambda: Circle(scale=10.0),
        "mag": lambda: MagFace(norm_low=0.5, norm_high=9.0, scale=10.0),
        "sphere": SphereFace,
    }[name]()


def whole_batch() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(4)
    inputs = torch.randn(WORLD * PER_RANK, 5, generator=draw, dtype=torch.float64)
    return inputs, torch.randint(0, C, (WORLD * PER_RANK,), generator=draw)


def backbone() -> nn.Linear:
    torch.manual_seed(9)
    return nn.Linear(5, D).double()


def average(net: nn.Module) -> None:
    """What the loop does to the gradients of everything that is not sharded."""
    for parameter in net.parameters():
        assert parameter.grad is not None
        distributed.all_reduce(parameter.grad)
        parameter.grad /= WORLD


def one_step(head: nn.Module, inputs: Tensor, labels: Tensor) -> dict[str, Any]:
    net = backbone()
    result = head(net(inputs), labels)
    result.total.backward()
    if isinstance(head, PartialFc) and distributed.is_initialized():
        average(net)
    return {
        "total": result.total.item(),
        "parts": {key: value.item() for key, value in result.parts.items()},
        "histograms": dict(result.histograms),
        "backbone": net.weight.grad,
        "weight": head.weight.grad,
        "state": head.state_dict(),
    }


def loss_curve(head: nn.Module, inputs: Tensor, labels: Tensor) -> list[float]:
    net = backbone()
    optimiser = RowSgd([*net.parameters(), *head.parameters()], lr=0.1, momentum=0.9, weight_decay=1e-3)
    curve = []
    for _ in range(STEPS):
        total = head(net(inputs), labels).total
        optimiser.zero_grad()
        total.backward()
        if isinstance(head, PartialFc) and distributed.is_initialized():
            average(net)
        optimiser.step()
        curve.append(total.item())
    return curve


def work(rank: int, folder: str) -> None:
    """Everything that two processes are tried on, once: starting them takes longer than all of it."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=WORLD)
    inputs, labels = whole_batch()
    own = slice(rank * PER_RANK, (rank + 1) * PER_RANK)
    found: dict[str, Any] = {}
    for name in MARGINS:
        found[name] = one_step(PartialFc(D, C, margin_of(name)).double(), inputs[own], labels[own])
    found["curve"] = loss_curve(PartialFc(D, C, margin_of("arc")).double(), inputs[own], labels[own])
    sampled = PartialFc(D, C, margin_of("arc"), sample_rate=0.2, seed=3).double()
    found["sampled"] = one_step(sampled, inputs[own], labels[own])
    found["bounds"] = (sampled.first, sampled.last)
    found["fresh"] = PartialFc(3, 5001, margin_of("arc"), seed=5).consolidated()
    taken = PartialFc(D, C, margin_of("ada"))
    taken.load_consolidated(torch.load(f"{folder}/whole.pt"))
    found["taken"] = {"own": taken.weight.detach(), "whole": taken.consolidated()}
    try:
        taken(torch.ones(2 + rank, D), torch.zeros(2 + rank, dtype=torch.int64))
    except ValueError as error:
        found["uneven"] = str(error)
    torch.save(found, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[Mapping[str, Any]]:
    folder = tmp_path_factory.mktemp("ranks")
    torch.save(PartialFc(D, C, margin_of("ada"), seed=8).consolidated(), folder / "whole.pt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLOO_SOCKET_IFNAME", "lo")
        multiprocessing.spawn(work, (str(folder),), nprocs=WORLD)
    return [torch.load(Path(folder) / f"{rank}.pt") for rank in range(WORLD)]


def dense(margin: Margin, seed: int = 0) -> Classifier:
    head = Classifier(D, C, margin).double()
    head.load_state_dict({**head.state_dict(), "weight": PartialFc(D, C, margin, seed=seed).weight})
    return head


@pytest.mark.parametrize("name", MARGINS)
def test_two_ranks_are_one_classifier(name: str, ranks: list[Mapping[str, Any]]) -> None:
    expected = one_step(dense(margin_of(name)), *whole_batch())
    for rank, found in enumerate(ranks):
        result = found[name]
        own = slice(rank * PER_RANK, (rank + 1) * PER_RANK)
        assert result["total"] == pytest.approx(expected["total"], rel=1e-9)
        assert result["parts"] == pytest.approx(expected["parts"], rel=1e-6)
        torch.testing.assert_close(result["backbone"], expected["backbone"])
        for key, value in expected["histograms"].items():
            torch.testing.assert_close(result["histograms"][key], value[own])
        for key in set(expected["state"]) - {"weight"}:
            torch.testing.assert_close(result["state"][key], expected["state"][key])
    torch.testing.assert_close(torch.cat([r[name]["weight"] for r in ranks]), expected["weight"])


def test_two_ranks_train_like_one(ranks: list[Mapping[str, Any]]) -> None:
    expected = loss_curve(dense(margin_of("arc")), *whole_batch())
    assert expected[-1] < expected[0]
    for found in ranks:
        assert found["curve"] == pytest.approx(expected, rel=1e-9)


def rows_of(gradient: Tensor) -> list[int]:
    assert gradient.is_sparse
    return sorted(gradient.coalesce().indices()[0].tolist())


def test_sampled_ranks_are_a_classifier_of_the_used_classes(ranks: list[Mapping[str, Any]]) -> None:
    inputs, labels = whole_batch()
    used = [found["bounds"][0] + row for found in ranks for row in rows_of(found["sampled"]["weight"])]
    assert set(labels.tolist()) <= set(used)
    weights = PartialFc(D, C, margin_of("arc"), seed=3).double().weight.detach()
    head = Classifier(D, len(used), margin_of("arc")).double()
    head.load_state_dict({"weight": weights[used]})
    expected = one_step(head, inputs, torch.tensor([used.index(label) for label in labels.tolist()]))
    gradients = [found["sampled"]["weight"].coalesce().values() for found in ranks]
    torch.testing.assert_close(torch.cat(gradients), expected["weight"])
    for found in ranks:
        assert found["sampled"]["total"] == pytest.approx(expected["total"], rel=1e-9)
        torch.testing.assert_close(found["sampled"]["backbone"], expected["backbone"])


def test_fresh_weights_do_not_depend_on_the_ranks(ranks: list[Mapping[str, Any]]) -> None:
    alone = PartialFc(3, 5001, margin_of("arc"), seed=5).weight.detach()
    assert float(alone.std()) == pytest.approx(0.01, rel=0.05)
    assert len(alone.unique(dim=0)) == 5001
    for found in ranks:
        torch.testing.assert_close(found["fresh"]["weight"], alone, rtol=0, atol=0)


def test_weights_move_between_numbers_of_ranks(ranks: list[Mapping[str, Any]]) -> None:
    whole = PartialFc(D, C, margin_of("ada"), seed=8).consolidated()
    assert [len(found["taken"]["own"]) for found in ranks] == [5, 6]
    for found in ranks:
        assert found["taken"]["whole"].keys() == whole.keys()
        for key, value in whole.items():
            torch.testing.assert_close(found["taken"]["whole"][key], value, rtol=0, atol=0)
    back = PartialFc(D, C, margin_of("ada"))
    back.load_consolidated(ranks[0]["taken"]["whole"])
    torch.testing.assert_close(back.weight, whole["weight"], rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"must be \(11, 6\), got \(5, 6\)"):
        back.load_consolidated({**whole, "weight": whole["weight"][:5]})


def test_batches_of_different_sizes_are_refused_everywhere(ranks: list[Mapping[str, Any]]) -> None:
    for found in ranks:
        assert found["uneven"] == "all ranks must give batches of one size, got [2, 3]"


@pytest.mark.parametrize("name", MARGINS)
def test_one_rank_is_the_plain_classifier(name: str) -> None:
    found = one_step(PartialFc(D, C, margin_of(name)).double(), *whole_batch())
    expected = one_step(dense(margin_of(name)), *whole_batch())
    assert found["total"] == pytest.approx(expected["total"], rel=1e-9)
    torch.testing.assert_close(found["backbone"], expected["backbone"])
    torch.testing.assert_close(found["weight"], expected["weight"])


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.99])
def test_a_sample_keeps_the_batch_and_has_its_size(rate: float) -> None:
    classes = 200
    head = PartialFc(D, classes, NormalisedSoftmax(), sample_rate=rate)
    seen = []
    for seed in range(4):
        labels = torch.randint(0, classes, (16,), generator=torch.Generator().manual_seed(seed))
        head.weight.grad = None
        head(torch.randn(16, D), labels).total.backward()
        used = rows_of(head.weight.grad)
        assert set(labels.tolist()) <= set(used)
        assert len(used) == max(len(labels.unique()), math.ceil(rate * classes))
        seen.append(tuple(used))
    assert len(set(seen)) == 4
    again = PartialFc(D, classes, NormalisedSoftmax(), sample_rate=rate)
    again.steps.fill_(3)
    again(torch.randn(16, D), labels).total.backward()
    assert tuple(rows_of(again.weight.grad)) == seen[3]


def test_sampled_classes_are_drawn_evenly() -> None:
    head = PartialFc(D, 40, NormalisedSoftmax(), sample_rate=0.25)
    counts = torch.zeros(40)
    for _ in range(200):
        head.weight.grad = None
        head(torch.ones(1, D), torch.tensor([7])).total.backward()
        counts[rows_of(head.weight.grad)] += 1
    assert counts[7] == 200
    others = counts[torch.arange(40) != 7]
    expected = 200 * 9 / 39
    # Chi-square with 38 degrees of freedom: above 70 once in a thousand.
    assert float(((others - expected) ** 2 / expected).sum()) < 70


def test_absent_classes_are_left_alone() -> None:
    head = PartialFc(D, 60, ArcFace(), sample_rate=0.2)
    optimiser = RowSgd(head.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    for step in range(5):
        before = head.weight.detach().clone()
        momentum = optimiser.state[head.weight].get("momentum_buffer", torch.zeros_like(before)).clone()
        labels = torch.arange(8) + step
        optimiser.zero_grad()
        head(torch.randn(8, D), labels).total.backward()
        used = rows_of(head.weight.grad)
        absent = sorted(set(range(60)) - set(used))
        optimiser.step()
        after = optimiser.state[head.weight]["momentum_buffer"]
        torch.testing.assert_close(head.weight.detach()[absent], before[absent], rtol=0, atol=0)
        torch.testing.assert_close(after[absent], momentum[absent], rtol=0, atol=0)
        assert bool((head.weight.detach()[used] != before[used]).any(1).all())


def test_gradients_are_the_derivatives() -> None:
    inputs, labels = whole_batch()
    features = backbone()(inputs[:5]).detach().requires_grad_()
    head = PartialFc(D, C, ArcFace(scale=8.0)).double()

    def total(x: Tensor, weight: Tensor) -> Tensor:
        result: Tensor = torch.func.functional_call(head, {"weight": weight}, (x, labels[:5])).total
        return result

    assert torch.autograd.gradcheck(total, (features, head.weight.detach().clone().requires_grad_()))


def test_the_softmax_does_not_overflow() -> None:
    head = PartialFc(D, C, NormalisedSoftmax(1e4))
    features = head.weight.detach()[:4].clone().requires_grad_()
    result = head(features, torch.tensor([0, 1, 3, 2]))
    result.total.backward()
    cosines = functional.normalize(features) @ functional.normalize(head.weight).T
    torch.testing.assert_close(
        result.total, functional.cross_entropy(1e4 * cosines, torch.tensor([0, 1, 3, 2]))
    )
    assert features.grad is not None
    assert bool(features.grad.isfinite().all())


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ValueError, match=r"sample_rate must be .*got 1\.5; seed must be an integer"):
        PartialFc(D, C, ArcFace(), sample_rate=1.5, seed=-1)


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "bound_mib"), [(1.0, 2600), (0.1, 1550)])
def test_a_million_classes_fit_the_stated_memory(rate: float, bound_mib: int) -> None:
    script = f"""
import resource, torch
from lineament.embedding.training.heads import ArcFace, PartialFc
from lineament.engine.row_sgd import RowSgd
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
head = PartialFc(128, 1_000_000, ArcFace(), sample_rate={rate})
optimiser = RowSgd(head.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
for _ in range(2):
    optimiser.zero_grad()
    head(torch.randn(64, 128, requires_grad=True), torch.randint(0, 1_000_000, (64,))).total.backward()
    optimiser.step()
print(peak() - before)
"""
    found = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert float(found.stdout) < bound_mib
