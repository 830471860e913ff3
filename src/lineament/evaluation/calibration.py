"""Fit a calibration record: thresholds by false match rate, with intervals, and log-likelihood ratios."""

import math
from dataclasses import dataclass

import numpy as np

from lineament.core.arrays import ScoreArray
from lineament.core.errors import DataError
from lineament.evaluation.comparisons import without_errors
from lineament.metrics.bootstrap import DEFAULT_RESAMPLING, PairScores, Resampling, bootstrap_fnmr_at_fmr
from lineament.metrics.llr import cllr, fit_affine_smoothed, min_cllr
from lineament.metrics.verification import fnmr_at_fmr
from lineament.zoo.calibration import (
    MIN_FALSE_MATCHES,
    CalibrationRecord,
    CalibrationRow,
    ratio_limits,
)
from lineament.zoo.records import CalibrationData

STEPS_PER_DECADE = 20
LARGEST_FMR = 0.1


def supported_rates(n_nonmated: int) -> tuple[float, ...]:
    """The grid of a record: twenty rates a decade from 0.1 down to thirty expected false matches.

    Args:
        n_nonmated: number of non-mated comparisons.

    Returns: falling rates, fractions of six digits; empty when not even 0.1 is supported.
    """
    rates = []
    for step in range(STEPS_PER_DECADE * 12):
        rate = float(f"{LARGEST_FMR * 10 ** (-step / STEPS_PER_DECADE):.6g}")
        if rate * n_nonmated < MIN_FALSE_MATCHES * (1 - 1e-9):
            break
        rates.append(rate)
    return tuple(rates)


def _rows(
    pairs: PairScores, same: ScoreArray, different: ScoreArray, plan: Resampling
) -> tuple[CalibrationRow, ...]:
    """Threshold and FNMR with their intervals at every supported rate."""
    rates = supported_rates(len(different))
    replicates = bootstrap_fnmr_at_fmr(pairs, rates, plan)
    if not np.isfinite(replicates.thresholds).all():
        raise DataError(
            f"{pairs.n_subjects} subjects are too few for an interval of the threshold: some resamples hold no "
            "admissible similarity; bring more subjects"
        )
    n_mated_subjects = len(np.unique(pairs.subject_a[pairs.mated]))
    rows = []
    for column, rate in enumerate(rates):
        point = fnmr_at_fmr(same, different, rate)
        around = replicates.threshold_interval(column)
        errors = int(np.count_nonzero(same < point.threshold))
        missed = without_errors(replicates.fnmr_interval(column), errors, n_mated_subjects)
        rows.append(
            CalibrationRow(
                fmr=rate,
                threshold=point.threshold,
                low=around.low,
                high=around.high,
                fnmr=point.fnmr,
                fnmr_low=missed.low,
                fnmr_high=missed.high,
            )
        )
    return tuple(rows)


@dataclass(frozen=True, slots=True)
class _Ratios:
    """Line from similarities to log-likelihood ratios, and its cost within the limits of the evidence, bit."""

    slope: float
    offset: float
    cllr: float
    min_cllr: float


def _ratios(same: ScoreArray, different: ScoreArray) -> _Ratios:
    line = fit_affine_smoothed(same, different)
    if line.slope <= 0:
        raise DataError(
            "mated comparisons are not more alike than non-mated ones; check that every folder holds one person"
        )
    low, high = ratio_limits(len(same), len(different))
    cost = cllr(np.clip(line(same), low, high), np.clip(line(different), low, high))
    return _Ratios(line.slope, line.offset, cost, min_cllr(same, different))


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the comparisons of a record come from.

    Attributes:
        name: name of the record.
        space: id of the embedding space.
        data: the data sets, with digests.
        protocol: how the comparisons were made, in words.
        n_images: pictures that took part.
        n_refused: pictures that gave no face.
    """

    name: str
    space: str
    data: tuple[CalibrationData, ...]
    protocol: str
    n_images: int
    n_refused: int


def fit_calibration(
    pairs: PairScores, provenance: Provenance, plan: Resampling = DEFAULT_RESAMPLING
) -> CalibrationRecord:
    """The record of an embedding space from comparisons with known subjects.

    Args:
        pairs: mated and non-mated comparisons; every non-mated pair of a set is best, as only their number
            decides how small a rate can be supported.
        provenance: where they come from.
        plan: bootstrap over subjects of thresholds and FNMR.

    Raises:
        DataError: a kind of comparison is missing, there are fewer than 300 non-mated comparisons, so few
            subjects that a threshold has no finite interval, or mated comparisons are not more alike.
    """
    same, different = pairs.scores[pairs.mated], pairs.scores[~pairs.mated]
    if not len(same) or not supported_rates(len(different)):
        raise DataError(
            f"a calibration needs mated comparisons and at least {math.ceil(MIN_FALSE_MATCHES / LARGEST_FMR)} "
            f"non-mated ones, got {len(same)} and {len(different)}"
        )
    ratios = _ratios(same, different)
    return CalibrationRecord(
        name=provenance.name,
        space=provenance.space,
        protocol=provenance.protocol,
        data=provenance.data,
        n_subjects=pairs.n_subjects,
        n_images=provenance.n_images,
        n_refused=provenance.n_refused,
        n_mated=len(same),
        n_nonmated=len(different),
        llr_slope=ratios.slope,
        llr_offset=ratios.offset,
        cllr=ratios.cllr,
        min_cllr=ratios.min_cllr,
        seed=plan.seed,
        replicates=plan.replicates,
        rows=_rows(pairs, same, different, plan),
    )
