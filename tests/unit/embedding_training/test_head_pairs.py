"""Losses of pairs and triplets against loops over all of them, and against another library."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning import distances, losses, miners, reducers
from torch import Tensor, nn

from lineament.embedding.training.heads import (
    MININGS,
    CirclePairs,
    Contrastive,
    CosineTriplet,
    EuclideanTriplet,
)
from lineament.embedding.training.heads import mining as mining_module
from lineament.embedding.training.heads.mining import Batch, pairs_of_subjects, random, semi_hard

Triples = list[tuple[int, int, int]]


def batch(seed: int, size: int = 14, subjects: int = 4) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    features = torch.randn(size, 6, generator=draw, dtype=torch.float64)
    labels = torch.randint(0, subjects, (size,), generator=draw)
    # Samples of a subject lie together, so that mining has something to choose.
    return features + 1.5 * torch.randn(subjects, 6, generator=draw, dtype=torch.float64)[labels], labels


def squared_distances(features: Tensor) -> list[list[float]]:
    rows = [[v / math.sqrt(sum(u * u for u in x)) for v in x] for x in features.tolist()]
    return [[sum((p - q) ** 2 for p, q in zip(a, b, strict=True)) for b in rows] for a in rows]


def triples(labels: list[int]) -> Triples:
    every = itertools.product(range(len(labels)), repeat=3)
    return [(a, p, n) for a, p, n in every if a != p and labels[a] == labels[p] and labels[a] != labels[n]]


def mined(mining: str, d: list[list[float]], labels: list[int], margin: float) -> Triples:
    every = triples(labels)
    if mining == "batch-all":
        return [t for t in every if d[t[0]][t[1]] - d[t[0]][t[2]] + margin > 0]
    if mining == "batch-hard":
        anchors = sorted({a for a, _, _ in every})
        return [
            (
                anchor,
                max((p for a, p, _ in every if a == anchor), key=lambda p: d[anchor][p]),
                min((n for a, _, n in every if a == anchor), key=lambda n: d[anchor][n]),
            )
            for anchor in anchors
        ]
    found = []
    for anchor, positive in sorted({(a, p) for a, p, _ in every}):
        near = d[anchor][positive]
        fitting = [n for a, p, n in every if (a, p) == (anchor, positive) and near < d[a][n] < near + margin]
        if fitting:
            found.append((anchor, positive, min(fitting, key=lambda n: d[anchor][n])))
    return found


@pytest.mark.parametrize("mining", ["batch-all", "batch-hard", "semi-hard"])
@pytest.mark.parametrize("seed", range(4))
def test_euclidean_triplets_are_those_of_the_loops(mining: str, seed: int) -> None:
    features, labels = batch(seed)
    d = squared_distances(features)
    chosen = mined(mining, d, labels.tolist(), 0.2)
    values = [max(0.0, d[a][p] - d[a][n] + 0.2) for a, p, n in chosen]
    result = EuclideanTriplet(6, 4, mining=mining)(features, labels)
    assert values
    assert result.total.item() == pytest.approx(sum(values) / len(values))
    every = triples(labels.tolist())
    groups = {"batch-all": 3, "batch-hard": 1, "semi-hard": 2}[mining]
    candidates = len({t[:groups] for t in every})
    assert float(result.parts["active_fraction"]) == pytest.approx(sum(v > 0 for v in values) / candidates)
    others = [d[i][j] for i, j in itertools.permutations(range(len(labels)), 2)]
    assert float(result.parts["mean_distance"]) == pytest.approx(sum(others) / len(others))


@pytest.mark.parametrize("mining", ["batch-all", "batch-hard", "semi-hard"])
def test_cosine_triplets_are_half_the_euclidean_ones(mining: str) -> None:
    features, labels = batch(1)
    cosine = CosineTriplet(6, 4, mining=mining, margin_cos=0.15)(features, labels).total
    euclidean = EuclideanTriplet(6, 4, mining=mining, margin_squared=0.3)(features, labels).total
    torch.testing.assert_close(cosine, euclidean / 2)


def test_cosine_batch_hard_is_the_formula() -> None:
    features, labels = batch(2)
    d = squared_distances(features)
    chosen = mined("batch-hard", d, labels.tolist(), 0.2)
    values = [max(0.0, (1 - d[a][n] / 2) - (1 - d[a][p] / 2) + 0.2) for a, p, n in chosen]
    result = CosineTriplet(6, 4, mining="batch-hard", margin_cos=0.2)(features, labels)
    assert result.total.item() == pytest.approx(sum(values) / len(values))


def test_random_negatives_are_drawn_evenly() -> None:
    labels = torch.tensor([0, 0, 1, 2, 3])
    looked_at = Batch(torch.rand(5, 5), *pairs_of_subjects(labels), 0.2)
    torch.manual_seed(0)
    drawn = [random(looked_at) for _ in range(600)]
    counts = torch.zeros(5)
    for found in drawn:
        assert found.anchors.tolist() == [0, 1]
        assert found.positives.tolist() == [1, 0]
        counts += torch.bincount(found.negatives, minlength=5)
    assert counts[:2].tolist() == [0, 0]
    # Chi-square with two degrees of freedom: above 13.8 once in a thousand.
    assert float(((counts[2:] - 400) ** 2 / 400).sum()) < 13.8


def test_small_blocks_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = batch(3)
    whole = {m: EuclideanTriplet(6, 4, mining=m)(features, labels).total for m in ("batch-all", "semi-hard")}
    monkeypatch.setattr(mining_module, "_BLOCK_ELEMENTS", 40)
    for mining, total in whole.items():
        torch.testing.assert_close(EuclideanTriplet(6, 4, mining=mining)(features, labels).total, total)


@given(st.integers(0, 10_000), st.integers(2, 16), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_semi_hard_negatives_lie_between_positive_and_margin(seed: int, size: int, subjects: int) -> None:
    features, labels = batch(seed, size, subjects)
    directions = nn.functional.normalize(features)
    d = 2 - 2 * directions @ directions.T
    found = semi_hard(Batch(d, *pairs_of_subjects(labels), 0.2))
    positive, negative = d[found.anchors, found.positives], d[found.anchors, found.negatives]
    assert bool(((positive < negative) & (negative < positive + 0.2)).all())
    assert bool((labels[found.anchors] == labels[found.positives]).all())
    assert bool((labels[found.anchors] != labels[found.negatives]).all())


@pytest.mark.parametrize("mining", MININGS)
@pytest.mark.parametrize(
    "labels", [[0, 0, 0, 0], [0, 1, 2, 3], [2]], ids=["one subject", "no mated pair", "one sample"]
)
def test_no_triplet_is_no_loss(mining: str, labels: list[int]) -> None:
    features = torch.randn(len(labels), 6, requires_grad=True)
    for head in (EuclideanTriplet(6, 4, mining=mining), CosineTriplet(6, 4, mining=mining)):
        result = head(features, torch.tensor(labels))
        result.total.backward()
        assert result.total.item() == 0
        assert all(bool(value.isfinite().all()) for value in result.parts.values())
        assert features.grad is not None
        assert not features.grad.any()


def test_contrastive_is_the_mean_of_each_kind_of_pair() -> None:
    features, labels = batch(0)
    d = squared_distances(features)
    names = labels.tolist()
    pairs = list(itertools.combinations(range(len(names)), 2))
    mated = [d[i][j] for i, j in pairs if names[i] == names[j]]
    others = [max(0.0, 1.2 - math.sqrt(d[i][j])) ** 2 for i, j in pairs if names[i] != names[j]]
    result = Contrastive(6, 4, margin_distance=1.2)(features, labels)
    expected = sum(mated) / len(mated) / 2 + sum(others) / len(others) / 2
    assert result.total.item() == pytest.approx(expected)
    assert len(result.histograms["mated_similarity"]) == len(mated)
    assert len(result.histograms["nonmated_similarity"]) == len(others)


def test_circle_pairs_are_the_formula() -> None:
    features, labels = batch(0)
    d, names = squared_distances(features), labels.tolist()
    values = []
    for a in range(len(names)):
        cosines = [1 - value / 2 for value in d[a]]
        p = [s for i, s in enumerate(cosines) if names[i] == names[a] and i != a]
        n = [s for i, s in enumerate(cosines) if names[i] != names[a]]
        if p and n:
            towards = sum(math.exp(-8 * max(0.0, 1.25 - s) * (s - 0.75)) for s in p)
            away = sum(math.exp(8 * max(0.0, s + 0.25) * (s - 0.25)) for s in n)
            values.append(math.log(1 + towards * away))
    result = CirclePairs(6, 4, scale=8.0)(features, labels)
    assert result.total.item() == pytest.approx(sum(values) / len(values))


def against_library(ours: nn.Module, theirs: Callable[[Tensor, Tensor], Tensor], seed: int) -> None:
    features, labels = batch(seed)
    mine, other = features.clone().requires_grad_(), features.clone().requires_grad_()
    loss, expected = ours(mine, labels).total, theirs(other, labels)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(mine.grad, other.grad)


@pytest.mark.parametrize("seed", range(3))
def test_circle_pairs_are_those_of_another_library(seed: int) -> None:
    other = losses.CircleLoss(m=0.25, gamma=32, reducer=reducers.AvgNonZeroReducer())
    against_library(CirclePairs(6, 4, scale=32.0), other, seed)


@pytest.mark.parametrize("seed", range(3))
def test_batch_all_is_that_of_another_library(seed: int) -> None:
    other = losses.TripletMarginLoss(
        margin=0.2, distance=distances.LpDistance(power=2), reducer=reducers.AvgNonZeroReducer()
    )
    against_library(EuclideanTriplet(6, 4, mining="batch-all"), other, seed)


@pytest.mark.parametrize("seed", range(3))
def test_batch_hard_is_that_of_another_library(seed: int) -> None:
    distance = distances.CosineSimilarity()
    loss = losses.TripletMarginLoss(margin=0.1, distance=distance, reducer=reducers.MeanReducer())
    miner = miners.BatchHardMiner(distance=distance)
    against_library(CosineTriplet(6, 4, mining="batch-hard"), lambda x, y: loss(x, y, miner(x, y)), seed)


def test_mated_part_of_contrastive_is_that_of_another_library() -> None:
    features, labels = batch(0)
    other = losses.ContrastiveLoss(
        pos_margin=0, neg_margin=0, distance=distances.LpDistance(power=2), reducer=reducers.MeanReducer()
    )
    nonzero = Contrastive(6, 4, margin_distance=1e-6)(features, labels)
    torch.testing.assert_close(2 * nonzero.total, other(features, labels))


HEADS: dict[str, Callable[[], nn.Module]] = {
    "contrastive": lambda: Contrastive(6, 4),
    "circle": lambda: CirclePairs(6, 4, scale=8.0),
    "batch-all": lambda: EuclideanTriplet(6, 4, mining="batch-all"),
    "batch-hard": lambda: EuclideanTriplet(6, 4, mining="batch-hard"),
    "semi-hard": lambda: CosineTriplet(6, 4),
}


@pytest.mark.parametrize("name", [n for n in HEADS if n != "circle"])
def test_gradients_are_the_derivatives(name: str) -> None:
    features, labels = batch(5, size=9)
    head = HEADS[name]()
    assert torch.autograd.gradcheck(lambda x: head(x, labels).total, (features.requires_grad_(),))


def test_circle_gradient_holds_its_weights() -> None:
    # Weights are constants: differences of the loss with weights held are what the gradient must be.
    features, labels = batch(5, size=9)
    head = CirclePairs(6, 4, scale=8.0)
    mated, nonmated = pairs_of_subjects(labels)
    directions = nn.functional.normalize(features)
    fixed = directions @ directions.T
    rows = mated.any(1) & nonmated.any(1)

    def held(x: Tensor) -> Tensor:
        unit = nn.functional.normalize(x)
        s = unit @ unit.T
        p = torch.exp(-8 * (1.25 - fixed).clamp(min=0) * (s - 0.75)) * mated
        n = torch.exp(8 * (fixed + 0.25).clamp(min=0) * (s - 0.25)) * nonmated
        return torch.log1p(p.sum(1) * n.sum(1))[rows].mean()

    mine, other = features.clone().requires_grad_(), features.clone().requires_grad_()
    head(mine, labels).total.backward()
    held(other).backward()
    torch.testing.assert_close(mine.grad, other.grad)


@pytest.mark.parametrize("name", HEADS)
def test_equal_and_opposite_samples_have_finite_gradients(name: str) -> None:
    features = torch.tensor(
        [[1.0, 0, 0, 0, 0, 0]] * 3 + [[-1.0, 0, 0, 0, 0, 0]] * 2 + [[0.0] * 6], requires_grad=True
    )
    result = HEADS[name]()(features, torch.tensor([0, 1, 0, 1, 0, 1]))
    result.total.backward()
    assert bool(result.total.isfinite())
    assert features.grad is not None
    assert bool(features.grad.isfinite().all())


def test_wrong_settings_are_named() -> None:
    with pytest.raises(
        ValueError, match="mining must be one of batch-all, batch-hard, random, semi-hard, got 'hardest'"
    ):
        EuclideanTriplet(6, 4, mining="hardest")
    with pytest.raises(ValueError, match="margin_squared"):
        EuclideanTriplet(6, 4, margin_squared=5)
    with pytest.raises(ValueError, match="margin_cos"):
        CosineTriplet(6, 4, margin_cos=0)
    with pytest.raises(ValueError, match="margin_distance"):
        Contrastive(6, 4, margin_distance=-1)
