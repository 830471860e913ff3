"""The optimiser of rows against torch's own, and against one that sees each row alone."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from lineament.engine.row_sgd import RowSgd, gradient_values


@pytest.mark.parametrize(("momentum", "decay"), [(0.0, 0.0), (0.9, 0.0), (0.9, 0.01)])
def test_dense_gradients_are_plain_sgd(momentum: float, decay: float) -> None:
    start = torch.randn(4, 3)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    mine = RowSgd([{"params": [ours], "lr": 0.2}], lr=0.1, momentum=momentum, weight_decay=decay)
    other = torch.optim.SGD([theirs], lr=0.2, momentum=momentum, weight_decay=decay)
    for _ in range(5):
        for parameter, optimiser in ((ours, mine), (theirs, other)):
            optimiser.zero_grad()
            (parameter**3).sum().backward()
            optimiser.step()
    torch.testing.assert_close(ours, theirs)


def test_each_row_is_trained_as_if_it_were_alone() -> None:
    start = torch.randn(6, 3)
    table = nn.Parameter(start.clone())
    rows = [nn.Parameter(row.clone()) for row in start]
    mine = RowSgd([table], lr=0.1, momentum=0.9, weight_decay=0.05)
    others = [torch.optim.SGD([row], lr=0.1, momentum=0.9, weight_decay=0.05) for row in rows]
    draw = torch.Generator().manual_seed(0)
    for _ in range(12):
        used = torch.randperm(6, generator=draw)[:3]
        target = torch.randn(3, 3, generator=draw)
        mine.zero_grad()
        (functional.embedding(used, table, sparse=True) - target).square().sum().backward()
        mine.step()
        for index, wanted in zip(used.tolist(), target, strict=True):
            others[index].zero_grad()
            (rows[index] - wanted).square().sum().backward()
            others[index].step()
    torch.testing.assert_close(table, torch.stack(list(rows)))


def test_accumulated_sparse_gradients_are_summed_by_row() -> None:
    table = nn.Parameter(torch.zeros(5, 2))
    for used in ([1, 3], [3, 4]):
        functional.embedding(torch.tensor(used), table, sparse=True).sum().backward()
    assert table.grad is not None
    assert sorted(gradient_values(table.grad)[:, 0].tolist()) == [1, 1, 2]
    RowSgd([table], lr=1.0).step()
    assert table[:, 0].tolist() == [0, -1, 0, -2, -1]


def test_state_goes_on_after_a_reload() -> None:
    def train(steps: int, table: nn.Parameter, optimiser: RowSgd) -> None:
        for _ in range(steps):
            optimiser.zero_grad()
            functional.embedding(torch.tensor([0, 2]), table, sparse=True).square().sum().backward()
            optimiser.step()

    whole = nn.Parameter(torch.ones(3, 2))
    optimiser = RowSgd([whole], lr=0.1, momentum=0.9)
    train(2, whole, optimiser)
    resumed = nn.Parameter(whole.detach().clone())
    again = RowSgd([resumed], lr=0.1, momentum=0.9)
    again.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    train(2, whole, optimiser)
    train(2, resumed, again)
    torch.testing.assert_close(resumed, whole, rtol=0, atol=0)


def test_a_closure_is_evaluated_with_gradients() -> None:
    table = nn.Parameter(torch.ones(2, 2))
    optimiser = RowSgd([table], lr=0.5)

    def loss() -> float:
        optimiser.zero_grad()
        total = table.square().sum()
        total.backward()
        return total.item()

    assert optimiser.step(loss) == 4
    assert not table.any()


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"momentum in \[0, 1\)"):
        RowSgd([nn.Parameter(torch.ones(1))], lr=0.1, momentum=1.0)
