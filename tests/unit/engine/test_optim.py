"""Which parameters get which decay, and what the optimisers do with it."""

import pytest
import torch
from torch import nn

from lineament.core.errors import ConfigError
from lineament.engine import ModuleRule, OptimConfig
from lineament.engine.optim import build_optimisers, parameter_groups
from lineament.engine.row_sgd import RowSgd


@pytest.fixture
def modules() -> nn.ModuleDict:
    torch.manual_seed(0)
    backbone = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.PReLU(4), nn.Flatten(), nn.Linear(16, 8), nn.LayerNorm(8)
    )
    return nn.ModuleDict({"backbone": backbone, "head": nn.Linear(8, 3, bias=False)})


def settings(modules: nn.ModuleDict, config: OptimConfig) -> dict[str, tuple[float, float]]:
    names = {p: name for name, p in modules.named_parameters()}
    return {
        names[p]: (group["weight_decay"], group["lr"])
        for group in parameter_groups(modules, config)
        for p in group["params"]
    }


def test_decay_spares_biases_normalisations_and_prelu(modules: nn.ModuleDict) -> None:
    rule = ModuleRule(module="head", weight_decay=4e-4, lr_factor=10.0)
    assert settings(modules, OptimConfig(lr=0.1, weight_decay=4e-5, rules=(rule,))) == {
        "backbone.0.weight": (4e-5, 0.1),
        "backbone.0.bias": (0.0, 0.1),
        "backbone.1.weight": (0.0, 0.1),
        "backbone.1.bias": (0.0, 0.1),
        "backbone.2.weight": (0.0, 0.1),
        "backbone.4.weight": (4e-5, 0.1),
        "backbone.4.bias": (0.0, 0.1),
        "backbone.5.weight": (0.0, 0.1),
        "backbone.5.bias": (0.0, 0.1),
        "head.weight": (4e-4, 1.0),
    }


def test_the_longest_rule_wins_and_names_are_whole(modules: nn.ModuleDict) -> None:
    modules["backbone_teacher"] = nn.Linear(2, 2)
    rules = (ModuleRule(module="backbone", lr_factor=0.1), ModuleRule(module="backbone.4", weight_decay=1e-2))
    found = settings(modules, OptimConfig(lr=1.0, weight_decay=0.5, rules=rules))
    assert found["backbone.0.weight"] == (0.5, 0.1)
    assert found["backbone.4.weight"] == (1e-2, 1.0)
    assert found["backbone_teacher.weight"] == (0.5, 1.0)


def test_frozen_parameters_are_left_out(modules: nn.ModuleDict) -> None:
    modules["backbone"].requires_grad_(False)
    assert set(settings(modules, OptimConfig())) == {"head.weight"}
    modules["head"].requires_grad_(False)
    with pytest.raises(ConfigError, match="unfreeze"):
        parameter_groups(modules, OptimConfig())


def test_rules_that_fit_nothing_are_refused(modules: nn.ModuleDict) -> None:
    config = OptimConfig(rules=(ModuleRule(module="tail"), ModuleRule(module="back")))
    with pytest.raises(ConfigError, match=r"tail, back; modules are backbone, head"):
        parameter_groups(modules, config)


def test_sgd_follows_the_formula(modules: nn.ModuleDict) -> None:
    (optimiser,) = build_optimisers(modules, OptimConfig(lr=0.1, momentum=0.9, weight_decay=0.01))
    weight = modules["head"].weight
    expected, velocity = weight.detach().clone(), torch.zeros_like(weight)
    for step in range(4):
        weight.grad = torch.full_like(weight, step + 1.0)
        velocity = 0.9 * velocity + weight.grad + 0.01 * expected
        expected = expected - 0.1 * velocity
        optimiser.step()
    torch.testing.assert_close(weight.detach(), expected)


def test_a_first_gradient_may_come_late(modules: nn.ModuleDict) -> None:
    (optimiser,) = build_optimisers(modules, OptimConfig(lr=0.1, momentum=0.9, weight_decay=0.0))
    early, *late = modules.parameters()
    early.grad = torch.ones_like(early)
    optimiser.step()
    expected = [weight.detach() - 0.1 for weight in late]
    for weight in late:
        weight.grad = torch.ones_like(weight)
    optimiser.step()
    torch.testing.assert_close([weight.detach() for weight in late], expected)


def test_adamw_decays_apart_from_its_step(modules: nn.ModuleDict) -> None:
    (optimiser,) = build_optimisers(modules, OptimConfig(kind="adamw", lr=0.01, weight_decay=0.1))
    weight = modules["head"].weight
    expected = weight.detach() * (1 - 0.01 * 0.1) - 0.01
    weight.grad = torch.ones_like(weight)
    optimiser.step()
    torch.testing.assert_close(weight.detach(), expected)


def test_sharded_parameters_may_have_gradients_of_a_few_rows(modules: nn.ModuleDict) -> None:
    head = modules["head"].weight
    plain, rows = build_optimisers(modules, OptimConfig(lr=0.1), {head})
    assert isinstance(plain, torch.optim.SGD)
    assert isinstance(rows, RowSgd)
    assert [p for group in rows.param_groups for p in group["params"]] == [head]


def test_all_faults_are_listed() -> None:
    with pytest.raises(ConfigError) as caught:
        OptimConfig(kind="lion", lr=0, momentum=1, betas=(0.9, 1), weight_decay=-1)  # type: ignore[arg-type]
    for word in ("kind", "lr", "momentum", "betas", "weight_decay"):
        assert word in str(caught.value)
    with pytest.raises(ConfigError, match="lr_factor"):
        ModuleRule(module="head", lr_factor=0)
    with pytest.raises(ConfigError, match="once"):
        OptimConfig(rules=(ModuleRule(module="head"), ModuleRule(module="head")))
