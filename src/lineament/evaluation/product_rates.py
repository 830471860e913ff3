"""What the calibrated thresholds of the product give on other data: both error rates with their intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineament.core.errors import NotCalibrated
from lineament.core.types import OperatingPoint
from lineament.evaluation.comparisons import LabelledScores, without_errors
from lineament.metrics.bootstrap import Resampling
from lineament.metrics.rates import bootstrap_rates


@dataclass(frozen=True, slots=True)
class CalibratedRate:
    """What the calibrated threshold of a rate gives on these data, fractions with 95 % intervals.

    Attributes:
        asked: false match rate that the threshold was calibrated for.
        threshold: the calibrated threshold.
        record: name of the calibration record.
        fmr: false match rate seen here.
        fmr_low: lower end of its interval.
        fmr_high: upper end of it.
        fnmr: false non-match rate seen here.
        fnmr_low: lower end of its interval.
        fnmr_high: upper end of it.
    """

    asked: float
    threshold: float
    record: str
    fmr: float
    fmr_low: float
    fmr_high: float
    fnmr: float
    fnmr_low: float
    fnmr_high: float

    def text(self) -> str:
        """One line."""
        return (
            f"calibrated threshold {self.threshold:.4f} for FMR (FAR) {self.asked:g} ({self.record}): here FMR "
            f"{self.fmr:.3g} [{self.fmr_low:.3g}, {self.fmr_high:.3g}], FNMR {self.fnmr:.4f} "
            f"[{self.fnmr_low:.4f}, {self.fnmr_high:.4f}]"
        )


def calibrated_rates(
    labelled: LabelledScores,
    threshold: Callable[[float], OperatingPoint] | None,
    fmrs: Sequence[float],
    plan: Resampling,
) -> tuple[tuple[CalibratedRate, ...], tuple[str, ...]]:
    """The product's thresholds on these comparisons, and notes on rates without one.

    Args:
        labelled: comparisons and answers.
        threshold: the calibrated operating point of a false match rate; None for a bare embedder.
        fmrs: false match rates, fractions.
        plan: bootstrap over people; without known people there are no rates.
    """
    made = labelled.made()
    if threshold is None or made.subject_a is None:
        return (), ()
    points, notes = [], []
    for rate in fmrs:
        try:
            points.append(threshold(rate))
        except NotCalibrated as error:
            notes.append(f"no calibrated threshold for FMR {rate:g}: {error}")
    above = [made.scores >= point.threshold for point in points]
    matched = _rates([accepted[~made.mated] for accepted in above], made, ~made.mated, plan)
    missed = _rates([~accepted[made.mated] for accepted in above], made, made.mated, plan)
    return tuple(
        CalibratedRate(point.fmr, point.threshold, point.record, *fmr, *fnmr)
        for point, fmr, fnmr in zip(points, matched, missed, strict=True)
    ), tuple(notes)


def _rates(
    errors: Sequence[NDArray[np.bool_]], made: LabelledScores, kind: NDArray[np.bool_], plan: Resampling
) -> list[tuple[float, float, float]]:
    """Rate of each kind of error among the comparisons of one kind, with the ends of its interval."""
    if made.subject_a is None or made.subject_b is None or not errors:
        return []
    a, b = made.subject_a[kind], made.subject_b[kind]
    counts = [int(wrong.sum()) for wrong in errors]
    people = len(np.union1d(a, b))
    ends = [
        without_errors(interval, count, people)
        for interval, count in zip(bootstrap_rates(errors, a, b, plan), counts, strict=True)
    ]
    return [(count / len(a), end.low, end.high) for count, end in zip(counts, ends, strict=True)]
