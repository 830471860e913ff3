"""What 1:1 comparisons with known answers say: error rates with intervals, and which rates their number supports."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import ScoreArray, frozen
from lineament.core.errors import DataError
from lineament.evaluation.evidence import Evidence, evidence_of
from lineament.evaluation.one_to_one import RatePoint, separation_intervals, separation_text
from lineament.metrics.binomial import clopper_pearson
from lineament.metrics.bootstrap import (
    Interval,
    PairScores,
    Replicates,
    Resampling,
    SeparationReplicates,
    bootstrap_eer_auc,
    bootstrap_fnmr_at_fmr,
)
from lineament.metrics.lfw import FoldAccuracy, fold_accuracy
from lineament.metrics.verification import (
    COUNT_RULE,
    allowed_errors,
    auc,
    eer_point,
    tar_at_far_protocol,
)

IndexArray = NDArray[np.int32]
RATES = (1e-1, 1e-2, 1e-3, 1e-4)
"""False match rates that are looked at when none was asked for."""
BY_SUBJECT = "95 % intervals from resampled people, the threshold chosen anew in each"
BY_PAIR = (
    "95 % Clopper-Pearson intervals at a fixed threshold: the people are not known, and pairs that share people are "
    "not independent, so these are too narrow; EER and AUC have none"
)


@dataclass(frozen=True, slots=True, eq=False)
class LabelledScores:
    """Comparisons with their true answers.

    Attributes:
        scores: (P,) float64 similarities; -inf for a pair with a refused picture.
        mated: (P,) bool, True for a pair of one subject.
        subject_a: (P,) int32 subject of the first sample; None when subjects are not known.
        subject_b: (P,) int32 subject of the second sample, equal for mated pairs and no others.
        folds: (P,) int32 fold of each pair; None for a protocol without folds.
    """

    scores: ScoreArray
    mated: NDArray[np.bool_]
    subject_a: IndexArray | None = None
    subject_b: IndexArray | None = None
    folds: IndexArray | None = None

    def __post_init__(self) -> None:
        shape = self.scores.shape
        for name in ("scores", "mated", "subject_a", "subject_b", "folds"):
            values = getattr(self, name)
            if values is None:
                continue
            if values.shape != shape or values.ndim != 1:
                raise ValueError(f"{name} must have one value for each of {shape} scores, got {values.shape}")
            object.__setattr__(self, name, frozen(values))
        if np.isnan(self.scores).any():
            raise ValueError("similarities must not be NaN")
        if (self.subject_a is None) != (self.subject_b is None):
            raise ValueError("the subjects of both samples must be known, or none")
        if self.subject_a is not None and np.any((self.subject_a == self.subject_b) != self.mated):
            raise ValueError("mated pairs, and no others, must be of one subject")

    @property
    def compared(self) -> NDArray[np.bool_]:
        """(P,) True where both pictures gave an embedding."""
        return np.asarray(self.scores > -math.inf)

    def by_subject(self) -> PairScores | None:
        """The comparisons that were made, with their subjects; None when these are not known."""
        if self.subject_a is None or self.subject_b is None:
            return None
        made = self.compared
        return PairScores(self.scores[made], self.subject_a[made], self.subject_b[made])

    def made(self) -> "LabelledScores":
        """The comparisons that could be made."""
        chosen = self.compared
        some = (None if v is None else v[chosen] for v in (self.subject_a, self.subject_b, self.folds))
        return LabelledScores(self.scores[chosen], self.mated[chosen], *some)


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """Error rates of 1:1 comparisons. Rates are fractions.

    Attributes:
        n_subjects: people who take part; None when they are not known.
        n_mated: pairs of one person.
        n_nonmated: pairs of two people.
        n_mated_compared: mated pairs whose pictures both gave an embedding.
        n_nonmated_compared: the same for non-mated pairs.
        eer: equal error rate of the comparisons made.
        eer_threshold: threshold at it.
        auc: area under the ROC.
        points: FNMR at the rates that are supported.
        not_supported: which asked rates are not given, and what they would need.
        intervals: how the intervals were made, in words.
        folds: accuracy over the folds of the list; None where :func:`complete_folds` says no.
        eer_low: lower end of the 95 % interval of ``eer`` (subject bootstrap); None when subjects are not known and
            in reports of older versions.
        eer_high: upper end of it.
        auc_low: lower end of the 95 % interval of ``auc``; None as ``eer_low``.
        auc_high: upper end of it.
        evidence: curves, histogram, replicates and digests; None in reports of older versions.
    """

    n_subjects: int | None
    n_mated: int
    n_nonmated: int
    n_mated_compared: int
    n_nonmated_compared: int
    eer: float
    eer_threshold: float
    auc: float
    points: tuple[RatePoint, ...]
    not_supported: tuple[str, ...]
    intervals: str
    folds: FoldAccuracy | None
    eer_low: float | None = None
    eer_high: float | None = None
    auc_low: float | None = None
    auc_high: float | None = None
    evidence: Evidence | None = None

    def text(self) -> str:
        """For people, a line for each figure; ISO names with TAR, FAR, FRR and EER beside them."""
        people = "" if self.n_subjects is None else f" of {self.n_subjects:,} people"
        lines = [
            f"1:1: {self.n_mated:,} mated and {self.n_nonmated:,} non-mated pairs{people}; compared "
            f"{self.n_mated_compared:,} and {self.n_nonmated_compared:,}",
        ]
        if self.folds is not None:
            lines.append(
                f"accuracy {self.folds.accuracy:.4f} +- {self.folds.standard_error:.4f} (standard error, "
                f"{len(self.folds.fold_accuracies)} folds)"
            )
        lines.append(separation_text(self))
        lines += [point.text() for point in self.points]
        return "\n".join([*lines, *self.not_supported, self.intervals])


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """Bootstrap replicates of comparisons; nothing is drawn where the subjects are not known."""

    rates: Replicates | None = None
    separation: SeparationReplicates | None = None
    eer: tuple[float | None, float | None] = (None, None)
    auc: tuple[float | None, float | None] = (None, None)


def comparison_report(
    labelled: LabelledScores,
    rates: Sequence[float],
    plan: Resampling,
    digests: tuple[str, str] = ("", ""),
) -> ComparisonReport:
    """Measure comparisons.

    A rate is given when the non-mated comparisons let at least ten false matches pass; else it is explained.

    Args:
        labelled: comparisons and answers.
        rates: false match rates asked for, fractions.
        plan: bootstrap over people, where they are known.
        digests: of the data, and of the comparisons that were made, hex sha256.

    Raises:
        DataError: no mated or no non-mated comparison could be made.
    """
    made = labelled.made()
    same, different = made.scores[made.mated], made.scores[~made.mated]
    if not len(same) or not len(different):
        raise DataError(
            f"error rates need mated and non-mated comparisons, {len(same)} and {len(different)} could be made of "
            f"{len(labelled.scores)} pairs"
        )
    supported = [rate for rate in rates if allowed_errors(rate, len(different)) >= COUNT_RULE]
    equal = eer_point(same, different)
    drawn = _draw(made.by_subject(), supported, plan)
    return ComparisonReport(
        n_subjects=_count_subjects(made),
        n_mated=int(labelled.mated.sum()),
        n_nonmated=int((~labelled.mated).sum()),
        n_mated_compared=len(same),
        n_nonmated_compared=len(different),
        eer=(equal.fmr + equal.fnmr) / 2,
        eer_threshold=equal.threshold,
        auc=auc(same, different),
        points=rate_points(labelled, supported, drawn.rates),
        not_supported=_not_supported(rates, supported, len(different)),
        intervals=BY_PAIR
        if drawn.separation is None
        else f"{BY_SUBJECT} ({plan.replicates}, seed {plan.seed})",
        folds=_fold_accuracy(labelled),
        eer_low=drawn.eer[0],
        eer_high=drawn.eer[1],
        auc_low=drawn.auc[0],
        auc_high=drawn.auc[1],
        evidence=evidence_of(
            (same, different),
            digests,
            np.empty((0, 0)) if drawn.rates is None else drawn.rates.fnmr,
            drawn.separation,
        ),
    )


def _draw(pairs: PairScores | None, rates: Sequence[float], plan: Resampling) -> _Drawn:
    if pairs is None:
        return _Drawn()
    separation = bootstrap_eer_auc(pairs, plan)
    eer, auc_ends = separation_intervals(pairs, separation)
    return _Drawn(
        bootstrap_fnmr_at_fmr(pairs, rates, plan) if rates else None,
        separation,
        (eer.low, eer.high),
        (auc_ends.low, auc_ends.high),
    )


def _not_supported(rates: Sequence[float], supported: Sequence[float], n_nonmated: int) -> tuple[str, ...]:
    return tuple(
        f"FMR (FAR) {rate:g} is not given: it needs {math.ceil(COUNT_RULE / rate * (1 - 1e-12)):,} non-mated "
        f"comparisons ({COUNT_RULE} false matches), there are {n_nonmated:,}"
        for rate in rates
        if rate not in supported
    )


def _count_subjects(made: LabelledScores) -> int | None:
    if made.subject_a is None or made.subject_b is None:
        return None
    return len(np.union1d(made.subject_a, made.subject_b))


def _fold_accuracy(labelled: LabelledScores) -> FoldAccuracy | None:
    folds, made = labelled.folds, labelled.compared
    if folds is None or not complete_folds(folds, made):
        return None
    return fold_accuracy(labelled.scores[made], labelled.mated[made], folds[made])


def complete_folds(folds: IndexArray, compared: NDArray[np.bool_]) -> bool:
    """True where accuracy over folds can be given: two folds or more, with comparisons that were made in each.

    Args:
        folds: (P,) fold of each pair, 0-based; at least one pair.
        compared: (P,) True where the comparison was made.
    """
    sizes = np.bincount(folds[compared], minlength=int(folds.max()) + 1)
    return len(sizes) >= 2 and bool(sizes.all())


def rate_points(
    labelled: LabelledScores, rates: Sequence[float], drawn: Replicates | None
) -> tuple[RatePoint, ...]:
    """FNMR at false match rates, of the comparisons made and of the whole transaction.

    Args:
        labelled: comparisons and answers, both kinds among those that were made.
        rates: fractions, each of one false match or more.
        drawn: bootstrap replicates with a column for each rate; None takes intervals of independent pairs.
    """
    made = labelled.made()
    same, different = made.scores[made.mated], made.scores[~made.mated]
    n_mated = int(labelled.mated.sum())
    n_nonmated = len(labelled.mated) - n_mated
    found = [tar_at_far_protocol(same, different, rate) for rate in rates]
    missed = [int(np.count_nonzero(same < point.threshold)) for point in found]
    intervals = _intervals(made, missed, drawn)
    return tuple(
        RatePoint(
            asked=rate,
            threshold=point.threshold,
            fmr=point.fmr,
            false_matches=point.false_matches,
            fnmr=point.fnmr,
            fnmr_low=interval.low,
            fnmr_high=interval.high,
            far=point.false_matches / n_nonmated,
            frr=1 - (len(same) - errors) / n_mated,
        )
        for rate, point, errors, interval in zip(rates, found, missed, intervals, strict=True)
    )


def _intervals(made: LabelledScores, missed: Sequence[int], drawn: Replicates | None) -> list[Interval]:
    """Intervals of FNMR at each rate."""
    if drawn is None or made.subject_a is None:
        return [clopper_pearson(errors, int(made.mated.sum())) for errors in missed]
    n_mated_subjects = len(np.unique(made.subject_a[made.mated]))
    return [
        without_errors(drawn.fnmr_interval(column), errors, n_mated_subjects)
        for column, errors in enumerate(missed)
    ]


def without_errors(interval: Interval, errors: int, n_subjects: int) -> Interval:
    """An interval of resampled subjects, widened where no error was seen, as resampling cannot show one then.

    The upper end becomes that of no subject with an error among ``n_subjects`` independent ones.

    Args:
        interval: of the resamples.
        errors: errors that were seen.
        n_subjects: subjects who could have had one.
    """
    if errors:
        return interval
    return Interval(0.0, max(interval.high, clopper_pearson(0, n_subjects).high))
