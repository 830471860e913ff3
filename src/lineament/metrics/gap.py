"""How much of what a disturbance takes a remedy gives back, with paired bootstrap intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

from lineament.core.arrays import ScoreArray, frozen
from lineament.metrics.bootstrap import (
    CONFIDENCE,
    Interval,
    PairScores,
    Resampling,
    bootstrap_fnmr_at_fmr,
    percentile_interval,
)
from lineament.metrics.verification import tar_at_far_protocol


@dataclass(frozen=True, slots=True, eq=False)
class Replicated:
    """A figure and its values in bootstrap replicates; figures of one plan and the same subjects are drawn alike.

    Attributes:
        value: of all data.
        replicates: (B,) float64, the figure in each replicate.
    """

    value: float
    replicates: ScoreArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "replicates", frozen(self.replicates))

    @property
    def interval(self) -> Interval:
        """95 % percentile interval."""
        return percentile_interval(self.replicates)


@dataclass(frozen=True, slots=True)
class GapClosed:
    """Share of the way from the floor to the ceiling; below 0 where a remedy harms, above 1 beyond the ceiling.

    Attributes:
        value: of all data.
        low: lower end of the 95 % interval.
        high: upper end of it.
    """

    value: float
    low: float
    high: float


def replicated_tar(pairs: PairScores, fars: Sequence[float], plan: Resampling) -> tuple[Replicated, ...]:
    """True accept rate at each false match rate, its threshold chosen anew in every replicate.

    Args:
        pairs: mated and non-mated comparisons.
        fars: false match rates, fractions in (0, 1].
        plan: number of replicates and seed.

    Raises:
        ValueError: one kind of comparisons is missing, or a rate that cannot be measured.

    Source: as :func:`lineament.metrics.bootstrap.bootstrap_fnmr_at_fmr`.
    """
    mated = pairs.mated
    values = [tar_at_far_protocol(pairs.scores[mated], pairs.scores[~mated], far).tar for far in fars]
    drawn = bootstrap_fnmr_at_fmr(pairs, fars, plan).fnmr
    return tuple(Replicated(value, 1 - drawn[:, k]) for k, value in enumerate(values))


def gap_closed(remedy: Replicated, floor: Replicated, ceiling: Replicated) -> GapClosed | None:
    """``(remedy - floor) / (ceiling - floor)`` with the interval of the ratio over paired replicates.

    Args:
        remedy: the figure with the disturbance and the remedy.
        floor: with the disturbance alone.
        ceiling: without the disturbance.

    Returns:
        None where no gap is shown, that is where the interval of ``ceiling - floor`` reaches zero or the figure
        itself has none. Else replicates without a gap, fewer than the tail of the interval, are left out.

    Raises:
        ValueError: the replicates differ in number.
    """
    sizes = {figure.replicates.shape for figure in (remedy, floor, ceiling)}
    if len(sizes) != 1:
        raise ValueError(f"paired replicates must be of one number, got {sorted(sizes)}")
    gaps = ceiling.replicates - floor.replicates
    shown = gaps > 0
    if ceiling.value <= floor.value or shown.mean() <= 1 - (1 - CONFIDENCE) / 2:
        return None
    interval = percentile_interval((remedy.replicates - floor.replicates)[shown] / gaps[shown])
    value = (remedy.value - floor.value) / (ceiling.value - floor.value)
    return GapClosed(value, interval.low, interval.high)
