"""Figures that every report of 1:1 comparison holds: error rates at a rate, EER and AUC, with 95 % intervals."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lineament.evaluation.evidence import Evidence
from lineament.metrics.binomial import clopper_pearson
from lineament.metrics.bootstrap import Interval, PairScores, SeparationReplicates, percentile_interval
from lineament.metrics.lfw import FoldAccuracy
from lineament.metrics.verification import COUNT_RULE, eer_point


@dataclass(frozen=True, slots=True)
class RatePoint:
    """Error rates at one rate of the protocol.

    Attributes:
        asked: the false match rate of the protocol, a fraction.
        threshold: smallest observed similarity that keeps it among the comparisons made.
        fmr: false match rate reached.
        false_matches: number of non-mated comparisons behind ``fmr``.
        fnmr: false non-match rate of the comparisons made.
        fnmr_low: lower end of its 95 % interval (subject bootstrap, threshold chosen anew).
        fnmr_high: upper end of it.
        far: false accept rate of the whole transaction: a refused picture is a rejection.
        frr: false reject rate of the whole transaction: a refused picture is a rejection.
    """

    asked: float
    threshold: float
    fmr: float
    false_matches: int
    fnmr: float
    fnmr_low: float
    fnmr_high: float
    far: float
    frr: float

    @property
    def well_supported(self) -> bool:
        """False when the point rests on fewer than ten false matches, and so is a protocol's only."""
        return self.false_matches >= COUNT_RULE

    def text(self) -> str:
        """One line, ISO names first."""
        note = "" if self.well_supported else f"; fewer than {COUNT_RULE} false matches, read the interval"
        return (
            f"FMR (FAR) {self.asked:g}: FNMR {self.fnmr:.4f} [{self.fnmr_low:.4f}, {self.fnmr_high:.4f}], "
            f"TAR {1 - self.fnmr:.4f} [{1 - self.fnmr_high:.4f}, {1 - self.fnmr_low:.4f}], "
            f"FRR {self.frr:.4f}, threshold {self.threshold:.4f}, {self.false_matches} false matches{note}"
        )


class OneToOne(Protocol):
    """Figures of 1:1 comparison as every report of them holds them; rates are fractions."""

    @property
    def n_subjects(self) -> int | None:
        """Subjects in the comparisons; None when they are not known."""

    @property
    def n_mated(self) -> int:
        """Mated pairs of the list."""

    @property
    def n_nonmated(self) -> int:
        """Non-mated pairs of the list."""

    @property
    def n_mated_compared(self) -> int:
        """Mated comparisons made."""

    @property
    def n_nonmated_compared(self) -> int:
        """Non-mated comparisons made."""

    @property
    def folds(self) -> FoldAccuracy | None:
        """Accuracy over folds; None without folds."""

    @property
    def eer(self) -> float:
        """Equal error rate."""

    @property
    def eer_threshold(self) -> float:
        """Threshold at it."""

    @property
    def eer_low(self) -> float | None:
        """Lower end of its interval; None without one."""

    @property
    def eer_high(self) -> float | None:
        """Upper end of it."""

    @property
    def auc(self) -> float:
        """Area under the ROC."""

    @property
    def auc_low(self) -> float | None:
        """Lower end of its interval; None without one."""

    @property
    def auc_high(self) -> float | None:
        """Upper end of it."""

    @property
    def points(self) -> tuple[RatePoint, ...]:
        """FNMR at false match rates."""

    @property
    def evidence(self) -> Evidence | None:
        """Curves and replicates; None where none were kept."""


def separation_intervals(pairs: PairScores, drawn: SeparationReplicates) -> tuple[Interval, Interval]:
    """95 % intervals of EER and AUC.

    Resampling cannot show errors of a kind that was not seen. Where the threshold of the EER lets one kind of error
    pass only, or none, that kind is bounded by no error among so many people, and the EER lies below the larger of
    both rates there. Where no mated pair is as little alike as a non-mated one, 1 - AUC lies below the sum of both
    bounds.

    Args:
        pairs: the comparisons.
        drawn: replicates of them.
    """
    eer, auc = percentile_interval(drawn.eer), percentile_interval(drawn.auc)
    mated, nonmated = pairs.scores[pairs.mated], pairs.scores[~pairs.mated]
    point = eer_point(mated, nonmated)
    if point.fmr and point.fnmr:
        return eer, auc
    people = (
        np.union1d(pairs.subject_a[kind], pairs.subject_b[kind]) for kind in (pairs.mated, ~pairs.mated)
    )
    bound = clopper_pearson(0, min(map(len, people))).high
    eer = Interval(0.0, max(eer.high, bound))
    if mated.min() > nonmated.max():
        auc = Interval(min(auc.low, max(0.0, 1 - 2 * bound)), 1.0)
    return eer, auc


def bracketed(low: float | None, high: float | None, pattern: str) -> str:
    """`` [low, high]`` with both ends in ``pattern``; empty without an interval."""
    if low is None or high is None:
        return ""
    return f" [{low:{pattern}}, {high:{pattern}}]"


def separation_text(found: OneToOne) -> str:
    """EER and AUC in one line for people."""
    return (
        f"EER {found.eer:.4f}{bracketed(found.eer_low, found.eer_high, '.4f')} at threshold "
        f"{found.eer_threshold:.4f}, AUC {found.auc:.5f}{bracketed(found.auc_low, found.auc_high, '.5f')}"
    )
