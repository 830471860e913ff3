"""Learning rates against the formulas they come from."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lineament.core.errors import ConfigError
from lineament.engine import ScheduleConfig, learning_rate_factor

STEPS = 50


def curve(schedule: ScheduleConfig) -> list[float]:
    return [learning_rate_factor(schedule, step, STEPS) for step in range(STEPS)]


def test_warm_up_is_linear_and_ends_at_one() -> None:
    found = curve(ScheduleConfig(warmup_steps=10))
    assert found[:10] == pytest.approx([s / 10 for s in range(1, 11)])
    assert found[10:] == [1.0] * 40


def test_steps_of_the_paper() -> None:
    found = curve(ScheduleConfig(kind="step", milestones=(20, 28), decay=0.1))
    assert found == pytest.approx([1.0] * 20 + [0.1] * 8 + [0.01] * 22)


def test_cosine_is_that_of_torch() -> None:
    found = curve(ScheduleConfig(kind="cosine", floor=0.2))
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS, eta_min=0.2)
    for rate in found:
        assert rate == pytest.approx(optimiser.param_groups[0]["lr"])
        optimiser.step()
        theirs.step()


def test_poly_is_that_of_torch() -> None:
    found = curve(ScheduleConfig(kind="poly", power=2))
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.PolynomialLR(optimiser, STEPS, power=2)
    for rate in found:
        assert rate == pytest.approx(optimiser.param_groups[0]["lr"])
        optimiser.step()
        theirs.step()


def test_curves_begin_after_the_warm_up() -> None:
    found = curve(ScheduleConfig(kind="cosine", warmup_steps=10))
    assert found[10] == 1.0
    assert found[30] == pytest.approx(0.5)
    assert found[-1] == pytest.approx(0.5 * (1 + math.cos(math.pi * 39 / 40)))


@given(
    kind=st.sampled_from(["constant", "cosine", "poly"]),
    warmup=st.integers(0, 49),
    floor=st.floats(0, 0.9),
    power=st.floats(0.1, 4),
)
def test_factors_rise_then_fall_within_bounds(kind: str, warmup: int, floor: float, power: float) -> None:
    found = curve(ScheduleConfig(kind=kind, warmup_steps=warmup, floor=floor, power=power))  # type: ignore[arg-type]
    assert all(0 < rate <= 1 for rate in found)
    assert found[:warmup] == sorted(found[:warmup])
    assert found[warmup:] == sorted(found[warmup:], reverse=True)
    assert found[warmup] == 1.0


def test_all_faults_are_listed() -> None:
    with pytest.raises(ConfigError) as caught:
        ScheduleConfig(kind="staircase", warmup_steps=-1, milestones=(3, 2), decay=0, power=0, floor=1)  # type: ignore[arg-type]
    for word in ("kind", "warmup_steps", "milestones", "decay", "power", "floor"):
        assert word in str(caught.value)
