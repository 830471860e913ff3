"""Two systems, figure by figure, and whether the data allow saying that they differ."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lineament.evaluation.verification import ScoredTrials, VerificationReport
from lineament.metrics.bootstrap import PairScores, Resampling
from lineament.metrics.paired import (
    Difference,
    paired_eer_auc,
    paired_fold_accuracy,
    paired_tar_at_far,
)

Judged = tuple[VerificationReport, ScoredTrials]
"""A report and the scores behind it."""
Basis = Literal["paired", "separate", "none"]
Verdict = Literal["same", "differ", "not shown", "no interval"]


@dataclass(frozen=True, slots=True)
class FigureDifference:
    """One figure of two systems.

    Attributes:
        name: what the figure is.
        base: the figure of the first system.
        other: the figure of the second system.
        low: lower end of the interval of ``other - base``; None without one.
        high: upper end of it.
        basis: "paired" for a 95 % interval of the difference on identical resamples (or folds); "separate" for the
            widest difference that the two separate 95 % intervals leave, which is conservative; "none".
    """

    name: str
    base: float
    other: float
    low: float | None
    high: float | None
    basis: Basis

    @property
    def difference(self) -> float:
        """``other - base``."""
        return self.other - self.base

    @property
    def verdict(self) -> Verdict:
        """What the interval allows to say."""
        if self.low is None or self.high is None:
            return "same" if self.base == self.other else "no interval"
        if self.low == self.high == 0:
            return "same"
        return "differ" if self.low > 0 or self.high < 0 else "not shown"

    def says(self) -> str:
        """The verdict as a sentence for people."""
        if self.verdict == "no interval":
            return "no interval: no statement"
        if self.verdict == "same":
            return "the same"
        if self.basis == "paired":
            return "they differ" if self.verdict == "differ" else "a difference is not shown"
        return (
            "they differ: the intervals do not overlap"
            if self.verdict == "differ"
            else "the intervals overlap: no statement"
        )

    def cells(self) -> tuple[str, str, str, str, str]:
        """A row for people: name, both figures, the difference with its interval, the statement."""
        digits = 5 if self.name == "AUC" else 4  # areas of good systems differ in the fifth digit
        ends = () if self.low is None or self.high is None else (self.low, self.high)
        interval = f" [{', '.join(f'{end:+.{digits}f}' for end in ends)}]" if ends else ""
        return (
            self.name,
            f"{self.base:.{digits}f}",
            f"{self.other:.{digits}f}",
            f"{self.difference:+.{digits}f}{interval}",
            self.says(),
        )


@dataclass(frozen=True, slots=True)
class SystemDifference:
    """Two systems of one run, judged on the comparisons that both could make.

    Attributes:
        base: name of the first system.
        other: name of the second system.
        n_mated: mated comparisons that both made.
        n_nonmated: non-mated comparisons that both made.
        figures: accuracy where there are folds, TAR at each rate, EER and AUC.
    """

    base: str
    other: str
    n_mated: int
    n_nonmated: int
    figures: tuple[FigureDifference, ...]


@dataclass(frozen=True, slots=True)
class Ends:
    """A figure of one report with the ends of its 95 % interval; None without one."""

    value: float
    low: float | None
    high: float | None


def rate_name(rate: float) -> str:
    """How differences call the true accept rate at a false match rate."""
    return f"TAR at FAR {rate:g} (1 - FNMR at FMR)"


def paired(name: str, found: Difference) -> FigureDifference:
    """A figure from the difference ``other - base``."""
    return FigureDifference(name, found.second, found.first, found.low, found.high, "paired")


def separate(name: str, base: Ends, other: Ends) -> FigureDifference:
    """A figure with the interval of each report: all that the two intervals leave possible."""
    if base.low is None or base.high is None or other.low is None or other.high is None:
        return plain(name, base.value, other.value)
    low, high = other.low - base.high, other.high - base.low
    return FigureDifference(name, base.value, other.value, low, high, "separate")


def plain(name: str, base: float, other: float) -> FigureDifference:
    """A figure without any interval."""
    return FigureDifference(name, base, other, None, None, "none")


def compare_systems(base: Judged, other: Judged) -> SystemDifference:
    """Paired comparison of two systems that judged the same trials.

    Accuracy is that of all pairs (a refused picture is a non-match); TAR, EER and AUC are those of the
    comparisons that both systems made, TAR at the rates of the first report that those can measure.

    Args:
        base: report and scores of the first system; its bootstrap is used.
        other: report and scores of the second one, for the same trials.

    Raises:
        ValueError: different trials.
    """
    scored = (base[1], other[1])
    trials = scored[0].trials
    if not all(np.array_equal(trials.pairs, s.trials.pairs) for s in scored):
        raise ValueError("systems can be compared on the same trials only")
    figures = []
    folds = [report.folds_end_to_end for report, _ in (base, other)]
    if folds[0] is not None and folds[1] is not None:
        found = paired_fold_accuracy(folds[1].fold_accuracies, folds[0].fold_accuracies)
        figures.append(paired("accuracy, all pairs", found))
    both = scored[0].compared & scored[1].compared
    n_mated, n_nonmated = (int((kind & both).sum()) for kind in (trials.mated, ~trials.mated))
    if n_mated and n_nonmated:
        number = trials.subject_of_sample
        a, b = trials.pairs[both].T
        pairs = [PairScores(s.scores[both], number[a], number[b]) for s in scored]
        plan = Resampling(base[0].replicates, base[0].seed)
        rates = [point.asked for point in base[0].points if point.asked * n_nonmated >= 1]
        tars = paired_tar_at_far(pairs[1], pairs[0], rates, plan) if rates else ()
        figures += [paired(rate_name(rate), tar) for rate, tar in zip(rates, tars, strict=True)]
        figures += map(paired, ("EER", "AUC"), paired_eer_auc(pairs[1], pairs[0], plan))
    return SystemDifference(base[0].system.name, other[0].system.name, n_mated, n_nonmated, tuple(figures))
