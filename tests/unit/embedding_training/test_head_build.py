"""Every head by name: half precision, zero vectors, bad input, settings."""

import pytest
import torch

from lineament.core.errors import ConfigError
from lineament.embedding.training.heads import HEADS, HeadModule, build_head

D, C = 16, 7


def made(name: str) -> HeadModule:
    torch.manual_seed(0)
    return build_head(name, D, C)


def finite(head: HeadModule, features: torch.Tensor, labels: torch.Tensor) -> None:
    result = head(features, labels)
    result.total.backward()
    values = [result.total, *result.parts.values(), *result.histograms.values(), features.grad]
    values += [parameter.grad for parameter in head.parameters()]
    assert result.total.dtype == torch.float32
    assert all(value is not None and bool(value.isfinite().all()) for value in values)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_every_precision_gives_a_finite_float32_loss(name: str, dtype: torch.dtype) -> None:
    draw = torch.Generator().manual_seed(2)
    features = (torch.randn(12, D, generator=draw) * 20).to(dtype).requires_grad_()
    finite(made(name), features, torch.arange(12) % 5)


@pytest.mark.parametrize("name", HEADS)
def test_zero_vectors_have_a_loss_and_a_bounded_gradient(name: str) -> None:
    features = torch.zeros(6, D)
    features[0] = 1.0
    features.requires_grad_()
    head = made(name)
    finite(head, features, torch.arange(6) % 3)
    assert features.grad is not None
    assert float(features.grad.abs().max()) < 1e3


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("labels", [[3], [3, 3, 3]], ids=["one sample", "one subject"])
def test_one_subject_is_enough(name: str, labels: list[int]) -> None:
    finite(made(name), torch.randn(len(labels), D, requires_grad=True), torch.tensor(labels))


@pytest.mark.parametrize(
    "name", [n for n in HEADS if "triplet" not in n and n not in {"contrastive", "circle-pairs"}]
)
def test_features_on_the_class_weights_stay_finite(name: str) -> None:
    head = made(name)
    weight = next(p for key, p in head.named_parameters() if key.endswith("weight")).detach()
    features = torch.cat((weight[:C], -weight[:C])).clone().requires_grad_()
    finite(head, features, torch.arange(C).repeat(2))


@pytest.mark.parametrize("name", HEADS)
def test_autocast_changes_nothing(name: str) -> None:
    features, labels = torch.randn(8, D, requires_grad=True), torch.arange(8) % 4
    head = made(name).eval()
    torch.manual_seed(1)
    plain = head(features, labels).total
    torch.manual_seed(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = head(features, labels).total
    torch.testing.assert_close(mixed, plain, rtol=0, atol=0)
    ours, theirs = (torch.autograd.grad(total, features)[0] for total in (mixed, plain))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("name", [name for name in HEADS if not name.startswith("partial-")])
def test_a_few_steps_lower_the_loss(name: str) -> None:
    head = made(name)
    labels = torch.arange(20) % 5
    features = torch.randn(20, D, requires_grad=True)
    optimiser = torch.optim.Adam([features, *head.parameters()], lr=0.05)
    before = None
    for _ in range(40):
        torch.manual_seed(3)
        loss = head(features, labels).total
        before = loss.item() if before is None else before
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    if name.endswith("sphereface"):
        # The margin is eased in meanwhile, so its loss is compared at its first step.
        head.load_state_dict({**head.state_dict(), "margin.steps": torch.tensor(0)})
    torch.manual_seed(3)
    assert before is not None
    assert head(features, labels).total.item() < 0.9 * before


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (torch.ones(2, D), torch.tensor([0, C]), rf"labels must be in 0\.\.{C - 1}.* got 0\.\.{C}"),
        (torch.ones(2, D), torch.tensor([-1, 0]), r"got -1\.\.0"),
        (torch.ones(2, D + 1), torch.tensor([0, 1]), r"features must be \(B, 16\) float"),
        (torch.ones(2, D, dtype=torch.int64), torch.tensor([0, 1]), "float, got"),
        (torch.ones(2, D), torch.tensor([0, 1, 2]), r"labels must be \(2,\) int64"),
        (torch.ones(2, D), torch.tensor([0.0, 1.0]), "int64, got"),
        (torch.ones(0, D), torch.zeros(0, dtype=torch.int64), "empty batch"),
    ],
)
@pytest.mark.parametrize("name", ["softmax", "arcface", "partial-arcface", "triplet-euclidean"])
def test_bad_input_is_refused(name: str, features: torch.Tensor, labels: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(name)(features, labels)


def test_an_unknown_head_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        ConfigError, match=r"no head 'arcfase' \(did you mean 'arcface'\?\); heads are adaface, "
    ):
        build_head("arcfase", D, C)


def test_all_wrong_settings_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        build_head("partial-arcface", D, C, scle=3, scale="64", margin_rad=9, sample_rate=0)
    message = str(caught.value)
    for part in (
        "'scle' (did you mean 'scale'?)",
        "scale must be",
        "margin_rad must be",
        "sample_rate must be",
    ):
        assert part in message
    assert message.endswith("its settings are: sample_rate, seed, margin_rad, scale")
    with pytest.raises(ConfigError, match="its settings are: none"):
        build_head("softmax", D, C, scale=3)
    with pytest.raises(ConfigError, match="classes must be an integer of at least 1, got 0"):
        build_head("arcface", D, 0)


@pytest.mark.parametrize("name", HEADS)
def test_defaults_are_accepted_by_name(name: str) -> None:
    head = build_head(name, D, C, **HEADS[name].settings)
    assert head.state_dict().keys() == made(name).state_dict().keys()


def test_subcenters_are_three_unless_told_otherwise() -> None:
    assert build_head("subcenter-arcface", D, C).weight.shape == (3 * C, D)
    assert build_head("subcenter-arcface", D, C, subcenters=2).weight.shape == (2 * C, D)
