"""Frozen stages keep weights and statistics through training."""

import copy

import pytest
import torch
from torch import nn

from lineament.nets import build_backbone, freeze


def trained(fraction: float) -> tuple[nn.Module, dict[str, torch.Tensor], int]:
    """A small network after a few steps, its state before, and how many stages were frozen."""
    torch.manual_seed(0)
    network = build_backbone("thin_net16", (32, 32), 16)
    frozen = freeze(network, fraction)
    before = copy.deepcopy(network.state_dict())
    network.train()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(2):
        if any(p.requires_grad for p in network.parameters()):
            features = network(torch.randn(4, 3, 32, 32))
            (features * torch.randn(features.shape)).sum().backward()
            optimiser.step()
    return network, before, frozen


@pytest.mark.parametrize(("fraction", "stages"), [(0.0, 0), (0.4, 4), (0.99, 10), (1.0, 11)])
def test_the_first_stages_stay_as_they_are(fraction: float, stages: int) -> None:
    network, before, frozen = trained(fraction)
    assert frozen == stages
    kept = {name for name, value in network.state_dict().items() if torch.equal(value, before[name])}
    expected = {name for name in before if name.startswith("body.") and int(name.split(".")[1]) < stages}
    if stages > 8:
        expected |= {n for n in before if n.startswith("output.") and int(n.split(".")[1]) < stages - 8}
    assert kept == expected


def test_dropout_of_frozen_stages_drops_nothing() -> None:
    network = build_backbone("iresnet18", (32, 32), 16)
    freeze(network, 1.0)
    network.train()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(network(images), network(images))


def test_copies_stay_frozen() -> None:
    network = build_backbone("thin_net16", (32, 32), 16)
    freeze(network, 1.0)
    copied = copy.deepcopy(network).train()
    before = copy.deepcopy(copied.state_dict())
    with torch.no_grad():
        copied(torch.randn(2, 3, 32, 32))
    assert all(torch.equal(value, before[name]) for name, value in copied.state_dict().items())


@pytest.mark.parametrize("fraction", [-0.1, 1.5, float("nan")])
def test_other_fractions_are_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        freeze(build_backbone("thin_net16", (32, 32), 16), fraction)
