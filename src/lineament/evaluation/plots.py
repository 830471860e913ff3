"""Pictures of error rates: ROC, DET, CMC, CED and similarity histograms. Needs the extra ``plots``."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import ScoreArray
from lineament.core.errors import ConfigError
from lineament.metrics.landmarks import ced
from lineament.metrics.verification import roc

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours differ for every kind of colour blindness; line styles tell systems apart without colour.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
Target = Path | IO[bytes]
"""Where a PNG goes."""
_DET_TICKS = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.2, 0.4)


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Similarities of one system.

    Attributes:
        mated: (M,) float64.
        nonmated: (N,) float64.
    """

    mated: ScoreArray
    nonmated: ScoreArray


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Error rates of one system along its thresholds.

    Attributes:
        fmr: (K,) float64 false match rates, not increasing.
        fnmr: (K,) float64 false non-match rates at the same thresholds.
        n_mated: mated comparisons behind them.
        n_nonmated: non-mated comparisons behind them.
    """

    fmr: ScoreArray
    fnmr: ScoreArray
    n_mated: int
    n_nonmated: int


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Counts of similarities in bins.

    Attributes:
        edges: (K + 1,) float64 edges of the bins.
        mated: (K,) mated comparisons in each bin.
        nonmated: (K,) non-mated comparisons in each bin.
    """

    edges: ScoreArray
    mated: NDArray[np.int64]
    nonmated: NDArray[np.int64]


def _curves(systems: Mapping[str, Scores]) -> dict[str, Curve]:
    curves = {}
    for name, scores in systems.items():
        found = roc(scores.mated, scores.nonmated)
        curves[name] = Curve(found.fmr, found.fnmr, len(scores.mated), len(scores.nonmated))
    return curves


def _figure() -> "tuple[Figure, Axes]":
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            'pictures of error rates need matplotlib, which is not installed: pip install "lineament[plots]"'
        ) from error
    figure = Figure(figsize=(6.4, 5.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.grid(visible=True, which="major", color="0.85", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)
    return figure, axes


def _line(index: int, name: str) -> dict[str, Any]:
    """Look and label of a system's line; a dollar sign in its name is no formula."""
    return {
        "label": name.replace("$", r"\$"),
        "color": _COLOURS[index % len(_COLOURS)],
        "linestyle": _STYLES[index % len(_STYLES)],
        "linewidth": 1.8,
    }


def plot_roc(target: Target, systems: Mapping[str, Scores]) -> None:
    """ROC: true accept rate over false match rate on a logarithmic axis, several systems in one picture.

    Args:
        target: PNG to write.
        systems: scores by name, in the order of the legend.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    plot_roc_curves(target, _curves(systems))


def plot_roc_curves(target: Target, curves: Mapping[str, Curve]) -> None:
    """:func:`plot_roc` from curves that were measured before."""
    figure, axes = _figure()
    for index, (name, curve) in enumerate(curves.items()):
        seen = curve.fmr > 0
        axes.step(curve.fmr[seen], 1 - curve.fnmr[seen], where="pre", **_line(index, name))
    axes.set_xscale("log")
    floor = min(1 / curve.n_nonmated for curve in curves.values())
    axes.set_xlim(10 ** math.floor(math.log10(floor) + 1e-9), 1)
    axes.set_xlabel("false match rate (FAR)")
    axes.set_ylabel("true accept rate (TAR = 1 - FNMR)")
    axes.legend(loc="lower right", fontsize=9)
    figure.savefig(target, format="png")


def _probit(rates: ScoreArray | Sequence[float], count: int) -> NDArray[np.float64]:
    """Normal deviates of rates, kept off 0 and 1 by half an error in ``count``."""
    deviate = NormalDist().inv_cdf
    clipped = np.clip(rates, 1 / (2 * count), 1 - 1 / (2 * count))
    return np.array([deviate(float(rate)) for rate in clipped])


def plot_det(target: Target, systems: Mapping[str, Scores]) -> None:
    """DET: false non-match rate over false match rate, both on normal-deviate axes.

    Args:
        target: PNG to write.
        systems: scores by name, in the order of the legend.

    Raises:
        ConfigError: matplotlib is not installed.

    Source: A. Martin et al., "The DET curve in assessment of detection task performance", Eurospeech 1997.
    """
    plot_det_curves(target, _curves(systems))


def plot_det_curves(target: Target, curves: Mapping[str, Curve]) -> None:
    """:func:`plot_det` from curves that were measured before."""
    figure, axes = _figure()
    for index, (name, curve) in enumerate(curves.items()):
        seen = (curve.fmr > 0) & (curve.fnmr > 0)
        far, frr = _probit(curve.fmr[seen], curve.n_nonmated), _probit(curve.fnmr[seen], curve.n_mated)
        axes.plot(far, frr, **_line(index, name))
    counts = (max(c.n_nonmated for c in curves.values()), max(c.n_mated for c in curves.values()))
    for axis, count in zip((axes.xaxis, axes.yaxis), counts, strict=True):
        ticks = [tick for tick in _DET_TICKS if tick >= 1 / (2 * count)]
        axis.set_ticks(list(_probit(ticks, 10**9)), [f"{tick:g}" for tick in ticks])
        axis.set_view_interval(
            float(_probit([1 / (2 * count)], 10**9)[0]) - 0.1, NormalDist().inv_cdf(0.5), ignore=True
        )
    axes.plot(
        [-6, 0], [-6, 0], color="0.6", linewidth=0.8, linestyle=":", zorder=0, scalex=False, scaley=False
    )
    axes.set_xlabel("false match rate (FAR), normal deviate")
    axes.set_ylabel("false non-match rate (FRR), normal deviate")
    axes.legend(loc="upper right", fontsize=9)
    figure.savefig(target, format="png")


def plot_similarities(target: Target, scores: Scores, thresholds: Mapping[str, float]) -> None:
    """Histograms of mated and non-mated similarities, with thresholds as vertical lines.

    Args:
        target: PNG to write.
        scores: similarities of one system.
        thresholds: thresholds by label ("FMR 1e-3"); may be empty.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    both = (scores.nonmated, scores.mated)
    edges = np.linspace(min(float(s.min()) for s in both), max(float(s.max()) for s in both), 81)
    nonmated, mated = (np.histogram(values, edges)[0] for values in both)
    plot_histogram(target, Histogram(edges, mated, nonmated), thresholds)


def plot_histogram(target: Target, counts: Histogram, thresholds: Mapping[str, float]) -> None:
    """:func:`plot_similarities` from similarities that were counted before."""
    figure, axes = _figure()
    for label, values, colour, hatch in (
        ("non-mated", counts.nonmated, _COLOURS[1], "//"),
        ("mated", counts.mated, _COLOURS[0], ""),
    ):
        axes.hist(counts.edges[:-1], counts.edges, weights=values, density=True, color=colour, alpha=0.45,  # type: ignore[arg-type]
                  hatch=hatch, label=f"{label} ({int(values.sum()):,})")  # fmt: skip
    for index, (label, threshold) in enumerate(thresholds.items()):
        axes.axvline(threshold, color="black", linestyle=_STYLES[(index + 1) % len(_STYLES)], linewidth=1.2,
                     label=f"{label}: {threshold:.3f}")  # fmt: skip
    axes.set_xlabel("similarity")
    axes.set_ylabel("density")
    axes.legend(loc="upper center", fontsize=9)
    figure.savefig(target, format="png")


def plot_cmc(target: Target, systems: Mapping[str, ScoreArray]) -> None:
    """CMC: how many mated searches find their mate within the first candidates.

    Args:
        target: PNG to write.
        systems: (K,) CMC(1) .. CMC(K) by name (:func:`lineament.metrics.identification.cmc`).

    Raises:
        ConfigError: matplotlib is not installed.
    """
    figure, axes = _figure()
    for index, (name, rates) in enumerate(systems.items()):
        axes.plot(range(1, len(rates) + 1), rates, **_line(index, name))
    longest = max(len(rates) for rates in systems.values())
    if longest > 50:
        axes.set_xscale("log")
    else:
        axes.locator_params(axis="x", integer=True)
    axes.set_xlim(1, max(longest, 2))
    axes.set_ylim(top=1)
    axes.set_xlabel("rank")
    axes.set_ylabel("mate found within the rank (CMC)")
    axes.legend(loc="lower right", fontsize=9)
    figure.savefig(target, format="png")


def plot_ced(target: Target, systems: Mapping[str, ScoreArray], limit: float) -> None:
    """CED: the fraction of pictures whose normalised point error is at most the value on the axis.

    Args:
        target: PNG to write.
        systems: (N,) normalised errors by name; +inf for a picture without points.
        limit: end of the axis, for example 0.08 of the outer eye corners' distance.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    figure, axes = _figure()
    limits = np.linspace(0, limit, 401)
    for index, (name, errors) in enumerate(systems.items()):
        axes.plot(limits, ced(errors, limits), **_line(index, name))
    axes.set_xlim(0, limit)
    axes.set_ylim(0, 1)
    axes.set_xlabel("normalised mean error")
    axes.set_ylabel("fraction of the pictures (CED)")
    axes.legend(loc="lower right", fontsize=9)
    figure.savefig(target, format="png")


def plot_group_rates(
    target: Target,
    groups: Mapping[str, tuple[float | None, float | None, float | None]],
    name: str,
) -> None:
    """One error rate of several groups with its interval, on a logarithmic axis where no rate is zero.

    Args:
        target: PNG to write.
        groups: rate and both ends of its interval by name; None where there is none.
        name: of the rate.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    figure, axes = _figure()
    shown = [
        (place, rate, low, high)
        for place, (rate, low, high) in enumerate(groups.values())
        if rate is not None and low is not None and high is not None
    ]
    for place, rate, low, high in shown:
        axes.plot([low, high], [place, place], color=_COLOURS[0], linewidth=2)
        axes.plot([rate], [place], color=_COLOURS[1], marker="o", markersize=6)
    if shown and all(low > 0 for _, _, low, _ in shown):
        axes.set_xscale("log")
    axes.set_yticks(range(len(groups)), [group.replace("$", r"\$") for group in groups])
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.set_xlabel(f"{name} with its 95 % interval")
    figure.savefig(target, format="png")
