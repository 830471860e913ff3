"""Margin rules against formulas written out sample by sample, published figures and another library."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning import losses
from torch import Tensor
from torch.nn import functional

from lineament.embedding.training.heads import (
    AdaFace,
    AmSoftmax,
    ArcFace,
    Circle,
    Classifier,
    CombinedMargin,
    MagFace,
    Margin,
    NormalisedSoftmax,
    SphereFace,
)

EASY, HARD = (0.8, 0.1, -0.2), (0.3, 0.35, -0.1)


def arc_target(cosine: float, margin: float) -> float:
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    return math.cos(angle + margin) if angle < math.pi - margin else cosine - margin * math.sin(margin)


def psi(angle: float, m: int) -> float:
    k = min(m - 1, math.floor(angle * m / math.pi))
    return (-1) ** k * math.cos(m * angle) - 2 * k


def combined_target(cosine: float, m1: float, m2: float, m3: float) -> float:
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    if m1 * angle + m2 < math.pi:
        return math.cos(m1 * angle + m2) - m3
    last = min(math.pi, (math.pi - m2) / m1)
    return cosine - max(m2 * math.sin(m2), 1 + math.cos(last)) - m3


def mag_target(cosine: float, norm: float) -> float:
    return arc_target(cosine, 0.45 + 0.35 * (min(110.0, max(10.0, norm)) - 10) / 100)


def ada_target(cosine: float, norm: float) -> float:
    z = max(-1.0, min(1.0, (min(100.0, max(0.001, norm)) - 20) / (100 + 0.001) * 0.333))
    angle = math.acos(max(-1.0, min(1.0, cosine))) - 0.4 * z
    return math.cos(min(math.pi - 0.001, max(0.001, angle))) - (0.4 + 0.4 * z)


def sphere_target(cosine: float, _: float) -> float:
    ease = 1000.0
    return (ease * cosine + psi(math.acos(max(-1.0, min(1.0, cosine))), 4)) / (1 + ease)


RULES: dict[str, tuple[Callable[[], Margin], Callable[[float, float], float], Callable[[float], float]]] = {
    "normalised": (NormalisedSoftmax, lambda c, _: c, lambda _: 30.0),
    "am": (AmSoftmax, lambda c, _: c - 0.35, lambda _: 30.0),
    "arc": (ArcFace, lambda c, _: arc_target(c, 0.5), lambda _: 64.0),
    "combined": (CombinedMargin, lambda c, _: combined_target(c, 1.0, 0.3, 0.2), lambda _: 64.0),
    "combined-steep": (
        lambda: CombinedMargin(margin_factor=1.5, margin_rad=0.1, margin_cos=0.05),
        lambda c, _: combined_target(c, 1.5, 0.1, 0.05),
        lambda _: 64.0,
    ),
    "combined-flat": (
        lambda: CombinedMargin(margin_factor=0.9, margin_rad=0.4, margin_cos=0.15),
        lambda c, _: combined_target(c, 0.9, 0.4, 0.15),
        lambda _: 64.0,
    ),
    "mag": (MagFace, mag_target, lambda _: 64.0),
    "ada": (lambda: AdaFace().eval(), ada_target, lambda _: 64.0),
    "sphere": (lambda: SphereFace().eval(), sphere_target, lambda norm: norm),
}


def one_row(cosines: tuple[float, ...], norm: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    return torch.tensor([cosines], dtype=torch.float64), torch.tensor([norm]).double(), torch.tensor([0])


def cross_entropy(margin: Margin, cosines: tuple[float, ...]) -> float:
    logits, _ = margin.logits(*one_row(cosines))
    return float(functional.cross_entropy(logits, torch.tensor([0])))


@pytest.mark.parametrize("name", RULES)
def test_logits_are_the_formula(name: str) -> None:
    make, target_of, scale_of = RULES[name]
    draw = torch.Generator().manual_seed(7)
    cosines = torch.rand(40, 5, generator=draw, dtype=torch.float64) * 2 - 1
    cosines[:4, 0] = torch.tensor([1.0, -1.0, 0.0, -0.999999])
    norms = torch.rand(40, generator=draw, dtype=torch.float64) * 150
    labels = torch.randint(-1, 5, (40,), generator=draw)
    labels[:4] = 0
    logits, _ = make().logits(cosines, norms, labels)
    for row in range(40):
        for column in range(5):
            cosine, norm = float(cosines[row, column]), float(norms[row])
            wanted = target_of(cosine, norm) if labels[row] == column else cosine
            assert float(logits[row, column]) == pytest.approx(scale_of(norm) * wanted, abs=2e-5)


@pytest.mark.parametrize("name", RULES)
def test_target_never_rises_with_the_angle(name: str) -> None:
    angle = torch.linspace(0, math.pi, 2001, dtype=torch.float64)
    cosines = angle.cos()[:, None]
    norms = torch.full((2001,), 50.0, dtype=torch.float64)
    logits, _ = RULES[name][0]().logits(cosines, norms, torch.zeros(2001, dtype=torch.int64))
    assert bool((logits.diff(dim=0) <= 1e-9).all())


def test_sphereface_alone_never_rises() -> None:
    values = SphereFace().psi(torch.linspace(0, math.pi, 4001, dtype=torch.float64).cos())
    assert bool((values.diff() <= 1e-9).all())
    assert float(values[0]) == pytest.approx(1)
    assert float(values[-1]) == pytest.approx(-7)


@pytest.mark.parametrize("name", RULES)
def test_gradients_are_the_derivatives(name: str) -> None:
    make = RULES[name][0]
    draw = torch.Generator().manual_seed(3)
    cosines = (torch.rand(6, 4, generator=draw, dtype=torch.float64) * 1.9 - 0.95).requires_grad_()
    labels = torch.tensor([0, 1, 2, 3, -1, 0])
    norms = (torch.rand(6, generator=draw, dtype=torch.float64) * 60 + 20).requires_grad_()

    def logits(c: Tensor, n: Tensor) -> Tensor:
        # Of AdaFace the norm decides the margin and takes no gradient.
        return make().logits(c, n.detach() if name == "ada" else n, labels)[0]

    norms.requires_grad_(name in {"mag", "sphere"})
    assert torch.autograd.gradcheck(logits, (cosines, norms))


@pytest.mark.parametrize("name", [*RULES, "circle"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_cosines_have_finite_gradients(name: str, dtype: torch.dtype) -> None:
    margin = Circle() if name == "circle" else RULES[name][0]()
    cosines = torch.tensor(
        [[1.0, -1.0], [-1.0, 1.0], [1.0000001, 0.0], [-1.0000001, 0.0], [0.0, 0.0]], dtype=dtype
    )
    cosines.requires_grad_()
    norms = torch.tensor([0.0, 1e-7, 1.0, 100.0, 1e4], dtype=dtype, requires_grad=True)
    logits, extra = margin.logits(cosines, norms, torch.zeros(5, dtype=torch.int64))
    total = functional.cross_entropy(logits, torch.zeros(5, dtype=torch.int64))
    (total if extra is None else total + extra).backward()
    assert bool(logits.isfinite().all())
    assert cosines.grad is not None
    assert bool(cosines.grad.isfinite().all())
    assert norms.grad is None or bool(norms.grad.isfinite().all())


@settings(deadline=None)
@given(st.floats(-1, 1), st.floats(0, 1.5), st.floats(1, 100))
def test_arcface_is_the_combined_margin_of_one_angle(cosine: float, margin: float, scale: float) -> None:
    row = one_row((cosine, 0.3))
    arc, _ = ArcFace(margin, scale).logits(*row)
    both, _ = CombinedMargin(1.0, margin, 0.0, scale).logits(*row)
    # At the place where the rule changes, rounding may choose either side.
    if abs(math.acos(cosine) + margin - math.pi) > 1e-6:
        torch.testing.assert_close(arc, both, atol=1e-5, rtol=1e-6)


@settings(deadline=None)
@given(st.floats(-1, 1), st.floats(0, 1), st.floats(1, 100))
def test_am_softmax_is_the_combined_margin_of_a_cosine(cosine: float, margin: float, scale: float) -> None:
    row = one_row((cosine, 0.3))
    am, _ = AmSoftmax(margin, scale).logits(*row)
    both, _ = CombinedMargin(1.0, 0.0, margin, scale).logits(*row)
    torch.testing.assert_close(am, both, atol=1e-6, rtol=1e-6)


def test_published_figures_of_am_softmax() -> None:
    assert cross_entropy(AmSoftmax(), EASY) == pytest.approx(2.7539468e-05, rel=1e-6)
    assert cross_entropy(AmSoftmax(), HARD) == pytest.approx(12.0000075, rel=1e-7)


def test_published_figures_of_arcface() -> None:
    scale = 64.0
    assert float(ArcFace().logits(*one_row(EASY))[0][0, 0]) / scale == pytest.approx(0.41441073, abs=1e-8)
    assert float(ArcFace().logits(*one_row(HARD))[0][0, 0]) / scale == pytest.approx(-0.19406805, abs=1e-8)
    assert cross_entropy(ArcFace(), EASY) == pytest.approx(1.8239e-09, rel=1e-4)
    assert cross_entropy(ArcFace(), HARD) == pytest.approx(34.820355, rel=1e-7)
    past = ArcFace().logits(*one_row((math.cos(2.9), 0.0)))[0][0, 0]
    assert float(past) / scale == pytest.approx(-1.21067, abs=1e-5)


def test_arcface_has_the_true_gradient() -> None:
    cosines = torch.tensor([HARD], dtype=torch.float64, requires_grad=True)
    logits, _ = ArcFace().logits(cosines, torch.ones(1), torch.tensor([0]))
    functional.cross_entropy(logits, torch.tensor([0])).backward()
    assert cosines.grad is not None
    assert float(cosines.grad[0, 0]) == pytest.approx(-65.815, abs=1e-3)


def test_published_figures_of_circle() -> None:
    logits, _ = Circle().logits(*one_row(EASY))
    torch.testing.assert_close(logits, torch.tensor([[5.76, -13.44, -5.76]], dtype=torch.float64))
    assert cross_entropy(Circle(), EASY) == pytest.approx(9.934e-06, rel=1e-3)


def test_circle_weights_take_no_gradient() -> None:
    cosines = torch.tensor([EASY], dtype=torch.float64, requires_grad=True)
    Circle().logits(cosines, torch.ones(1), torch.tensor([0]))[0].sum().backward()
    expected = torch.tensor([[256 * 0.45, 256 * 0.35, 256 * 0.05]], dtype=torch.float64)
    torch.testing.assert_close(cosines.grad, expected)


def test_published_figure_of_sphereface() -> None:
    assert float(SphereFace().psi(torch.tensor([math.cos(1.0)]).double())) == pytest.approx(
        -1.3463564, abs=1e-7
    )


def test_published_figures_of_magface() -> None:
    norms = torch.tensor([60.0], dtype=torch.float64)
    assert float(MagFace().margins_rad(norms)) == pytest.approx(0.625)
    assert float(MagFace().regulariser(norms)) == pytest.approx(0.0216253, abs=1e-7)
    _, extra = MagFace().logits(torch.tensor([EASY]).double(), norms, torch.tensor([0]))
    assert extra is not None
    assert float(extra) == pytest.approx(35 * 0.0216253, abs=1e-5)


def test_adaface_goes_from_arcface_over_am_softmax_to_a_negative_angle() -> None:
    margin = AdaFace(concentration=1e6).eval()
    for norm, angle, away in ((1.0, 0.4, 0.0), (20.0, 0.0, 0.4), (90.0, -0.4, 0.8)):
        logits, _ = margin.logits(*one_row(EASY, norm))
        wanted = 64 * (math.cos(math.acos(0.8) + angle) - away)
        assert float(logits[0, 0]) == pytest.approx(wanted, abs=1e-4)


def test_adaface_follows_the_norms_in_training_only() -> None:
    margin = AdaFace(ema_rate=0.25)
    norms = torch.tensor([4.0, 8.0])
    arguments = torch.zeros(2, 3), norms, torch.tensor([0, 1])
    margin.eval().logits(*arguments)
    assert (float(margin.mean), float(margin.std)) == (20, 100)
    margin.train().logits(*arguments)
    assert float(margin.mean) == pytest.approx(0.25 * 6 + 0.75 * 20)
    assert float(margin.std) == pytest.approx(0.25 * 2 + 0.75 * 100)
    margin.logits(torch.zeros(1, 3), torch.tensor([5.0]), torch.tensor([0]))
    assert math.isfinite(float(margin.std))
    assert set(Classifier(4, 3, margin).state_dict()) == {"weight", "margin.mean", "margin.std"}


def test_sphereface_eases_in_step_by_step() -> None:
    margin = SphereFace(lambda_start=1000, lambda_rate=0.12, lambda_min=5)
    row = one_row((0.5, 0.1))
    expected = psi(math.acos(0.5), 4)
    for step in range(3):
        ease = 1000 / (1 + 0.12 * step)
        logits, _ = margin.logits(*row)
        assert float(logits[0, 0]) == pytest.approx((ease * 0.5 + expected) / (1 + ease), rel=1e-6)
    margin.steps.fill_(10**6)
    logits, _ = margin.logits(*row)
    assert float(logits[0, 0]) == pytest.approx((5 * 0.5 + expected) / 6, rel=1e-6)
    assert "margin.steps" in Classifier(4, 3, margin).state_dict()


def test_no_margin_is_plain_cross_entropy() -> None:
    draw = torch.Generator().manual_seed(1)
    cosines, labels = torch.rand(9, 4, generator=draw) * 2 - 1, torch.randint(0, 4, (9,), generator=draw)
    plain = functional.cross_entropy(cosines, labels)
    for margin in (
        AmSoftmax(0.0, 1.0),
        ArcFace(0.0, 1.0),
        CombinedMargin(1.0, 0.0, 0.0, 1.0),
        NormalisedSoftmax(1.0),
    ):
        logits, _ = margin.logits(cosines, torch.ones(9), labels)
        torch.testing.assert_close(functional.cross_entropy(logits, labels), plain)


@pytest.mark.parametrize(
    ("margin", "subcenters", "other"),
    [
        (NormalisedSoftmax(20.0), 1, losses.NormalizedSoftmaxLoss(6, 8, temperature=1 / 20)),
        (AmSoftmax(0.3, 20.0), 1, losses.CosFaceLoss(6, 8, margin=0.3, scale=20)),
        (ArcFace(0.4, 20.0), 1, losses.ArcFaceLoss(6, 8, margin=math.degrees(0.4), scale=20)),
        (
            ArcFace(0.4, 20.0),
            3,
            losses.SubCenterArcFaceLoss(
                num_classes=6, embedding_size=8, margin=math.degrees(0.4), scale=20, sub_centers=3
            ),
        ),
    ],
    ids=["normalised", "am", "arc", "subcenter"],
)
def test_value_and_gradient_are_those_of_another_library(
    margin: Margin, subcenters: int, other: torch.nn.Module
) -> None:
    draw = torch.Generator().manual_seed(5)
    head = Classifier(8, 6, margin, subcenters)
    with torch.no_grad():
        other.W.copy_(head.weight.T)
    ours = torch.randn(32, 8, generator=draw).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    labels = torch.randint(0, 6, (32,), generator=draw)
    loss, expected = head(ours, labels).total, other(theirs, labels)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=2e-3, atol=2e-5)
    torch.testing.assert_close(head.weight.grad, other.W.grad.T, rtol=2e-3, atol=2e-3)


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
def test_sphereface_target_is_that_of_another_library() -> None:
    other = losses.SphereFaceLoss(6, 8, margin=4, scale=1)
    head = Classifier(8, 6, SphereFace(lambda_start=0, lambda_min=0))
    with torch.no_grad():
        other.W.copy_(head.weight.T)
    draw = torch.Generator().manual_seed(5)
    features, labels = torch.randn(32, 8, generator=draw), torch.randint(0, 6, (32,), generator=draw)
    torch.testing.assert_close(head(features, labels).total, other(features, labels), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ArcFace(margin_rad=2.0, scale=-1), ["margin_rad", "scale"]),
        (lambda: AmSoftmax(margin_cos=math.nan), ["margin_cos"]),
        (lambda: AmSoftmax(scale=True), ["scale"]),
        (lambda: CombinedMargin(margin_factor=0, margin_cos=-1), ["margin_factor", "margin_cos"]),
        (lambda: Circle(margin_cos=2), ["margin_cos"]),
        (lambda: MagFace(norm_low=200.0), ["norm_low", "norm_high"]),
        (lambda: MagFace(norm_low=-1.0, scale=0), ["norm_low", "scale"]),
        (lambda: AdaFace(concentration=0, ema_rate=2), ["concentration", "ema_rate"]),
        (lambda: SphereFace(margin_factor=2.5, lambda_min=-1), ["margin_factor", "lambda_min"]),  # type: ignore[arg-type]
    ],
)
def test_wrong_settings_are_all_named(make: Callable[[], object], words: list[str]) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        make()
    assert all(word in str(caught.value) for word in words)
