"""Clopper–Pearson intervals against scipy's beta quantiles."""

import pytest
from scipy.stats import beta  # type: ignore[import-untyped]

from lineament.metrics.binomial import clopper_pearson


@pytest.mark.parametrize(
    ("errors", "trials"),
    [(0, 1), (1, 1), (0, 10), (3, 10), (10, 10), (7, 1000), (999, 1000), (500, 1000), (30, 3_000_000),
     (250_000, 1_000_000), (1_499_999, 3_000_000)],
)  # fmt: skip
def test_ends_are_beta_quantiles(errors: int, trials: int) -> None:
    found = clopper_pearson(errors, trials)
    low = 0.0 if errors == 0 else beta.ppf(0.025, errors, trials - errors + 1)
    high = 1.0 if errors == trials else beta.ppf(0.975, errors + 1, trials - errors)
    assert found.low == pytest.approx(low, rel=1e-8, abs=1e-300)
    assert found.high == pytest.approx(high, rel=1e-8)


@pytest.mark.parametrize(("errors", "trials"), [(-1, 10), (11, 10), (0, 0)])
def test_impossible_counts_are_refused(errors: int, trials: int) -> None:
    with pytest.raises(ValueError, match="expected errors between"):
        clopper_pearson(errors, trials)
