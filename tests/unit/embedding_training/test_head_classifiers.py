"""Classifiers with margins, plain softmax, center loss and the sphere of fixed radius."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lineament.embedding.training.heads import (
    ArcFace,
    Classifier,
    Crystal,
    HeadModule,
    MagFace,
    NormalisedSoftmax,
    Softmax,
    SoftmaxCenter,
    crystal_radius_bound,
)
from lineament.embedding.training.heads.numerics import cosines_to_rows, norms_and_directions


def batch(seed: int = 0, size: int = 12, dimension: int = 5, classes: int = 4) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    features = torch.randn(size, dimension, generator=draw, dtype=torch.float64) * 3
    return features, torch.randint(0, classes, (size,), generator=draw)


def log_loss(logits: list[float], target: int) -> float:
    return math.log(sum(math.exp(value - logits[target]) for value in logits))


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def cosine(a: list[float], b: list[float]) -> float:
    return dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))


def test_cosines_have_the_gradient_of_two_divisions() -> None:
    draw = torch.Generator().manual_seed(0)
    directions = norms_and_directions(torch.randn(4, 3, generator=draw, dtype=torch.float64))[
        1
    ].requires_grad_()
    weights = torch.randn(6, 3, generator=draw, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(cosines_to_rows, (directions, weights))
    plain = directions @ torch.nn.functional.normalize(weights).T
    torch.testing.assert_close(cosines_to_rows(directions, weights), plain)


def test_softmax_is_the_mean_log_loss() -> None:
    features, labels = batch()
    head = Softmax(5, 4).double()
    with torch.no_grad():
        head.linear.bias.copy_(torch.tensor([0.1, -0.2, 0.3, 0.0]))
    weights, bias = head.linear.weight.tolist(), head.linear.bias.tolist()
    expected = [
        log_loss([dot(x, w) + b for w, b in zip(weights, bias, strict=True)], y)
        for x, y in zip(features.tolist(), labels.tolist(), strict=True)
    ]
    result = head(features, labels)
    assert result.total.item() == pytest.approx(sum(expected) / len(expected))
    targets = [cosine(x, weights[y]) for x, y in zip(features.tolist(), labels.tolist(), strict=True)]
    assert result.histograms["target_cosine"].tolist() == pytest.approx(targets)


def test_crystal_is_softmax_on_a_sphere() -> None:
    features, labels = batch()
    head = Crystal(5, 4, alpha=7.0).double()
    weights = head.linear.weight.tolist()
    expected = [
        log_loss([7 * dot(x, w) / math.sqrt(dot(x, x)) for w in weights], y)
        for x, y in zip(features.tolist(), labels.tolist(), strict=True)
    ]
    result = head(features, labels)
    assert result.total.item() == pytest.approx(sum(expected) / len(expected))
    assert result.histograms["feature_norm"].tolist() == pytest.approx(
        [math.sqrt(dot(x, x)) for x in features.tolist()]
    )


def test_crystal_radius_has_a_lower_bound() -> None:
    assert crystal_radius_bound(10_000, 0.9) == pytest.approx(11.4, abs=0.02)
    assert crystal_radius_bound(58_000, 0.9) == pytest.approx(13.2, abs=0.05)
    assert crystal_radius_bound(2, 0.9) == 0
    with pytest.raises(ValueError, match=r"alpha must be at least 11\.41"):
        Crystal(5, 10_000, alpha=11.0)
    Crystal(5, 10_000, alpha=12.0)
    with pytest.raises(ValueError, match="posterior"):
        crystal_radius_bound(10, 1.0)


def test_bound_is_what_evenly_spread_classes_reach() -> None:
    # Classes in opposite pairs: the right one at cosine 1, one at -1, C - 2 at 0.
    classes, posterior = 100, 0.9
    alpha = crystal_radius_bound(classes, posterior)
    reached = math.exp(alpha) / (math.exp(alpha) + (classes - 2) + math.exp(-alpha))
    assert reached == pytest.approx(posterior, abs=1e-4)


def test_subcenters_score_by_the_nearest() -> None:
    features, labels = batch()
    head = Classifier(5, 4, NormalisedSoftmax(10.0), subcenters=3).double()
    weights = head.weight.tolist()
    expected = []
    for x, y in zip(features.tolist(), labels.tolist(), strict=True):
        logits = [10 * max(cosine(x, weights[c * 3 + k]) for k in range(3)) for c in range(4)]
        expected.append(log_loss(logits, y))
    assert head(features, labels).total.item() == pytest.approx(sum(expected) / len(expected))


def test_figures_are_those_without_margin() -> None:
    features, labels = batch()
    head = Classifier(5, 4, ArcFace()).double()
    weights = head.weight.tolist()
    result = head(features, labels)
    rows = [[cosine(x, w) for w in weights] for x in features.tolist()]
    hits = [row.index(max(row)) == y for row, y in zip(rows, labels.tolist(), strict=True)]
    assert float(result.parts["accuracy"]) == pytest.approx(sum(hits) / len(hits))
    own = [row[y] for row, y in zip(rows, labels.tolist(), strict=True)]
    assert result.histograms["target_cosine"].tolist() == pytest.approx(own)
    assert not any(value.requires_grad for value in [*result.parts.values(), *result.histograms.values()])


def test_regulariser_is_part_of_the_loss() -> None:
    features, labels = batch()
    result = Classifier(5, 4, MagFace()).double()(features, labels)
    torch.testing.assert_close(result.total, result.parts["cross_entropy"] + result.parts["regulariser"])


def center_step(
    centers: list[list[float]], features: Tensor, labels: Tensor, rate: float
) -> list[list[float]]:
    """The published rule, centre by centre."""
    moved = []
    for subject, center in enumerate(centers):
        own = [x for x, y in zip(features.tolist(), labels.tolist(), strict=True) if y == subject]
        delta = [sum(c - x[i] for x in own) / (1 + len(own)) for i, c in enumerate(center)]
        moved.append([c - rate * d for c, d in zip(center, delta, strict=True)])
    return moved


def test_centers_move_by_the_published_rule() -> None:
    head = SoftmaxCenter(5, 6, center_weight=0.01, center_rate=0.5).double()
    centers = head.centers.tolist()
    for seed in range(3):
        features, labels = batch(seed)
        away = [
            sum((v - c) ** 2 for v, c in zip(x, centers[y], strict=True))
            for x, y in zip(features.tolist(), labels.tolist(), strict=True)
        ]
        result = head(features, labels)
        assert float(result.parts["center"]) == pytest.approx(sum(away) / len(away) / 2)
        joint = result.parts["cross_entropy"] + 0.01 * result.parts["center"]
        torch.testing.assert_close(result.total.detach(), joint)
        centers = center_step(centers, features, labels, 0.5)
        torch.testing.assert_close(head.centers, torch.tensor(centers, dtype=torch.float64))
    assert "centers" in head.state_dict()
    assert "centers" not in dict(head.named_parameters())


def test_centers_rest_outside_training() -> None:
    head = SoftmaxCenter(5, 4).double()
    head.eval()(*batch())
    with torch.no_grad():
        head.train()(*batch())
    assert not head.centers.any()


CLASSIFIERS: dict[str, Callable[[], HeadModule]] = {
    "softmax": lambda: Softmax(5, 4),
    "crystal": lambda: Crystal(5, 4, alpha=10.0),
    "center": lambda: SoftmaxCenter(5, 4, center_weight=0.1),
    "arc": lambda: Classifier(5, 4, ArcFace(0.3, 8.0)),
    "subcenter": lambda: Classifier(5, 4, ArcFace(0.3, 8.0), subcenters=2),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_gradients_are_the_derivatives(name: str) -> None:
    features, labels = batch(size=5)
    head = CLASSIFIERS[name]().double()
    parameters = {key: value.detach().clone().requires_grad_() for key, value in head.named_parameters()}

    def total(x: Tensor, *values: Tensor) -> Tensor:
        fresh = copy.deepcopy(head)  # centres move in a forward pass
        state = dict(zip(parameters, values, strict=True))
        result: Tensor = torch.func.functional_call(fresh, state, (x, labels)).total
        return result

    assert torch.autograd.gradcheck(total, (features.requires_grad_(), *parameters.values()))
