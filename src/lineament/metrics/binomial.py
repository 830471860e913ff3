"""Exact intervals of a rate when its trials may be taken as independent."""

import math

from lineament.metrics.bootstrap import CONFIDENCE, Interval

_TINY = 1e-300


def clopper_pearson(errors: int, trials: int) -> Interval:
    """The exact two-sided 95 % interval of a binomial proportion.

    Comparisons that share people are not independent; there this interval is too narrow and resampling of subjects
    (:mod:`lineament.metrics.bootstrap`) is right. With no error among n trials the upper end is about 3.7 / n.

    Args:
        errors: number of errors.
        trials: number of trials, at least 1.

    Raises:
        ValueError: not ``0 <= errors <= trials`` or no trial.

    Source: C. J. Clopper, E. S. Pearson, Biometrika 26, 1934: the ends are beta quantiles.
    """
    if not 0 <= errors <= trials or trials < 1:
        raise ValueError(f"expected errors between 0 and the number of trials, got {errors} of {trials}")
    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if errors == 0 else _beta_quantile(tail, errors, trials - errors + 1)
    high = 1.0 if errors == trials else _beta_quantile(1 - tail, errors + 1, trials - errors)
    return Interval(low, high)


def _beta_quantile(probability: float, a: float, b: float) -> float:
    """Where the distribution function of Beta(a, b) reaches ``probability``, by bisection on log x or log (1 - x)."""
    if a > b:
        return 1.0 - _beta_quantile(1.0 - probability, b, a)
    low, high = -700.0, 0.0
    for _ in range(100):
        middle = (low + high) / 2
        if _beta_cdf(math.exp(middle), a, b) < probability:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


def _beta_cdf(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function I_x(a, b)."""
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    if x < (a + 1) / (a + b + 2):
        return front * _continued_fraction(x, a, b) / a
    return 1.0 - front * _continued_fraction(1.0 - x, b, a) / b


def _continued_fraction(x: float, a: float, b: float) -> float:
    """Continued fraction of I_x(a, b) (Abramowitz and Stegun 26.5.8) by Lentz's method."""
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1)
    d = 1.0 / (d if abs(d) > _TINY else _TINY)
    value = d
    for m in range(1, 20_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        step = 1.0
        for term in (even, odd):
            d = 1.0 + term * d
            d = 1.0 / (d if abs(d) > _TINY else _TINY)
            c = 1.0 + term / c
            c = c if abs(c) > _TINY else _TINY
            step = c * d
            value *= step
        if abs(step - 1.0) < 1e-14:
            break
    return value
