"""The report of a 1:1 evaluation: accuracy over folds, error rates with intervals, failures to acquire."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import ScoreArray
from lineament.core.errors import DataError
from lineament.evaluation.comparisons import LabelledScores, complete_folds, rate_points
from lineament.evaluation.evidence import Evidence, comparisons_digest, evidence_of
from lineament.evaluation.jsonfile import dump_report, load_report
from lineament.evaluation.machine import Machine, this_machine
from lineament.evaluation.one_to_one import RatePoint, separation_intervals, separation_text
from lineament.evaluation.samples import SampleEmbeddings, pair_similarities
from lineament.evaluation.trials import Trials
from lineament.metrics.bootstrap import (
    DEFAULT_RESAMPLING,
    PairScores,
    Replicates,
    Resampling,
    bootstrap_eer_auc,
    bootstrap_fnmr_at_fmr,
)
from lineament.metrics.lfw import FoldAccuracy, accuracy_at, fold_accuracy, summarise_folds
from lineament.metrics.verification import auc, eer_point

PROTOCOL_RATES = (1e-2, 1e-3)
"""Rates at which the LFW literature quotes TAR."""
_NO_REPLICATES = Replicates(np.empty((0, 0)), np.empty((0, 0)))


@dataclass(frozen=True, slots=True)
class WeightsUsed:
    """A weight file that took part: its name and the sha256 of its bytes."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class SystemUsed:
    """What was evaluated.

    Attributes:
        name: how tables and pictures call it.
        weights: every weight file that took part.
    """

    name: str
    weights: tuple[WeightsUsed, ...]


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """Everything that one evaluation found, and what it rests on. Rates are fractions.

    Attributes:
        system: what was evaluated.
        space: id of the embedding space.
        dataset: name of the data.
        protocol: which pairs, which pictures, which face, in words.
        n_subjects: subjects in the trials.
        n_samples: pictures in the trials.
        n_mated: mated pairs of the trials.
        n_nonmated: non-mated pairs of the trials.
        n_mated_compared: mated pairs whose pictures both gave an embedding.
        n_nonmated_compared: the same for non-mated pairs.
        fta_rate: failure-to-acquire rate: refused pictures over all pictures.
        refusals: refused pictures by reason.
        folds: accuracy of the comparisons made; None for a protocol without folds, or with a fold in which no
            comparison could be made.
        folds_end_to_end: accuracy at the same thresholds when a pair with a refused picture counts as a
            non-match: wrong when mated, right when not.
        eer: equal error rate of the comparisons made.
        eer_threshold: threshold at it.
        auc: area under the ROC.
        points: FNMR (TAR) at the rates of the protocol.
        not_measurable: rates of the protocol below one false match.
        replicates: bootstrap replicates behind the intervals.
        seed: seed of the bootstrap.
        machine: hardware and versions.
        wall_s: time for reading, decoding and embedding, s.
        evidence: curves, histogram, replicates and digests; None in reports of versions that kept none.
        eer_low: lower end of the 95 % interval of ``eer`` (subject bootstrap); None in reports of older versions.
        eer_high: upper end of it.
        auc_low: lower end of the 95 % interval of ``auc``; None in reports of older versions.
        auc_high: upper end of it.
        n_from_cache: pictures whose outcome an earlier run had kept; ``wall_s`` is no speed then.
        kind: tells this report from others in a file.
    """

    system: SystemUsed
    space: str
    dataset: str
    protocol: str
    n_subjects: int
    n_samples: int
    n_mated: int
    n_nonmated: int
    n_mated_compared: int
    n_nonmated_compared: int
    fta_rate: float
    refusals: dict[str, int]
    folds: FoldAccuracy | None
    folds_end_to_end: FoldAccuracy | None
    eer: float
    eer_threshold: float
    auc: float
    points: tuple[RatePoint, ...]
    not_measurable: tuple[float, ...]
    replicates: int
    seed: int
    machine: Machine
    wall_s: float
    evidence: Evidence | None = None
    eer_low: float | None = None
    eer_high: float | None = None
    auc_low: float | None = None
    auc_high: float | None = None
    n_from_cache: int = 0
    kind: Literal["verification"] = "verification"

    def to_json(self) -> str:
        """The report as JSON."""
        return dump_report(self)

    @classmethod
    def from_json(cls, text: str) -> "VerificationReport":
        """The report that :meth:`to_json` wrote.

        Raises:
            DataError: not such a report.
        """
        return load_report(cls, text)

    def text(self) -> str:
        """The report for people, a few lines; ISO names with TAR, FAR, FRR and EER beside them."""
        refused = ", ".join(f"{reason} {count}" for reason, count in self.refusals.items())
        lines = [
            f"{self.system.name} on {self.dataset}: {self.protocol}",
            f"{self.n_mated:,} mated and {self.n_nonmated:,} non-mated pairs, {self.n_samples:,} pictures, "
            f"{self.n_subjects:,} subjects; failure to acquire {self.fta_rate:.4f}"
            + (f" ({refused})" if refused else ""),
        ]
        whole = self.folds_end_to_end if self.fta_rate else None
        for name, folds in (("accuracy", self.folds), ("accuracy end to end", whole)):
            if folds is not None:
                lines.append(
                    f"{name} {folds.accuracy:.4f} +- {folds.standard_error:.4f} (standard error, "
                    f"{len(folds.fold_accuracies)} folds)"
                )
        lines.append(separation_text(self))
        lines += [point.text() for point in self.points]
        lines += [
            f"FMR (FAR) {rate:g}: below one false match, not measurable" for rate in self.not_measurable
        ]
        lines.append(
            f"95 % intervals: {self.replicates} replicates of resampled subjects, seed {self.seed}; space {self.space}"
        )
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, eq=False)
class ScoredTrials:
    """Similarities of a trial list.

    Attributes:
        trials: the comparisons.
        scores: (P,) float64 similarities; -inf for a pair with a refused picture.
    """

    trials: Trials
    scores: ScoreArray

    @property
    def compared(self) -> NDArray[np.bool_]:
        """(P,) True where both pictures gave an embedding."""
        return np.asarray(self.scores > -math.inf)

    def by_subject(self) -> PairScores:
        """The comparisons that were made, with their subjects.

        Raises:
            ValueError: no comparison was made.
        """
        number, made = self.trials.subject_of_sample, self.compared
        a, b = self.trials.pairs[made].T
        return PairScores(self.scores[made], number[a], number[b])

    def labelled(self) -> LabelledScores:
        """All comparisons with their answers and subjects."""
        number = self.trials.subject_of_sample
        a, b = self.trials.pairs.T
        return LabelledScores(self.scores, self.trials.mated, number[a], number[b])


def score_trials(trials: Trials, samples: SampleEmbeddings) -> ScoredTrials:
    """Similarity of every pair of the trials.

    Args:
        trials: the comparisons.
        samples: one row for each of ``trials.samples``.
    """
    if len(samples.acquired) != len(trials.samples):
        raise ValueError(f"{len(trials.samples)} samples need as many rows, got {len(samples.acquired)}")
    scores = pair_similarities(samples.vectors, trials.pairs)
    scores[~samples.acquired[trials.pairs].all(axis=1)] = -math.inf
    return ScoredTrials(trials, scores)


def _accuracies(scored: ScoredTrials) -> tuple[FoldAccuracy | None, FoldAccuracy | None]:
    """Accuracy over the comparisons made, and over all pairs at the same thresholds."""
    trials, made = scored.trials, scored.compared
    if not complete_folds(trials.folds, made):
        return None, None
    mated = trials.mated
    folds = fold_accuracy(scored.scores[made], mated[made], trials.folds[made])
    whole = accuracy_at(scored.scores, mated, trials.folds, folds.fold_thresholds)
    return folds, summarise_folds(whole, folds.fold_thresholds)


def _comparisons_made(scored: ScoredTrials, dataset: str) -> tuple[int, int]:
    """Mated and non-mated comparisons that could be made, neither of them zero."""
    mated, made = scored.trials.mated, scored.compared
    counts = int((mated & made).sum()), int((~mated & made).sum())
    if not all(counts):
        raise DataError(
            f"{dataset}: error rates need mated and non-mated comparisons, "
            f"{counts[0]} and {counts[1]} could be made of {len(mated)} pairs"
        )
    return counts


def verification_report(
    scored: ScoredTrials,
    samples: SampleEmbeddings,
    system: SystemUsed,
    dataset: str,
    protocol: str,
    plan: Resampling = DEFAULT_RESAMPLING,
    data_sha256: str = "",
) -> VerificationReport:
    """Measure a system on scored trials.

    Args:
        scored: the comparisons and their similarities (:func:`score_trials`).
        samples: the embeddings behind them.
        system: what made them.
        dataset: name of the data.
        protocol: how the pictures were treated, in words; what is compared is added from the trials.
        plan: bootstrap of the intervals.
        data_sha256: digest of the pictures.

    Raises:
        DataError: no mated or no non-mated comparison could be made.
    """
    trials, made, mated = scored.trials, scored.compared, scored.trials.mated
    compared = _comparisons_made(scored, dataset)
    pairs = scored.by_subject()
    same, different = pairs.scores[pairs.mated], pairs.scores[~pairs.mated]
    equal = eer_point(same, different)
    measurable = [rate for rate in PROTOCOL_RATES if rate * compared[1] >= 1]
    folds, folds_end_to_end = _accuracies(scored)
    drawn = bootstrap_fnmr_at_fmr(pairs, measurable, plan) if measurable else _NO_REPLICATES
    report = VerificationReport(
        system=system,
        space=samples.space,
        dataset=dataset,
        protocol=f"{trials.protocol}; {protocol}",
        n_subjects=len(set(trials.subjects)),
        n_samples=len(trials.samples),
        n_mated=int(mated.sum()),
        n_nonmated=int((~mated).sum()),
        n_mated_compared=compared[0],
        n_nonmated_compared=compared[1],
        fta_rate=samples.fta_rate,
        refusals=samples.refusals,
        folds=folds,
        folds_end_to_end=folds_end_to_end,
        eer=(equal.fmr + equal.fnmr) / 2,
        eer_threshold=equal.threshold,
        auc=auc(same, different),
        points=rate_points(scored.labelled(), measurable, drawn),
        not_measurable=tuple(rate for rate in PROTOCOL_RATES if rate not in measurable),
        replicates=plan.replicates,
        seed=plan.seed,
        machine=this_machine(),
        wall_s=samples.wall_s,
        n_from_cache=samples.n_from_cache,
    )
    return _with_evidence(report, pairs, drawn, (data_sha256, comparisons_digest(trials, made)))


def _with_evidence(
    report: VerificationReport, pairs: PairScores, drawn: Replicates, digests: tuple[str, str]
) -> VerificationReport:
    """The report with the intervals of EER and AUC, and what they rest on."""
    separation = bootstrap_eer_auc(pairs, Resampling(report.replicates, report.seed))
    eer_interval, auc_interval = separation_intervals(pairs, separation)
    scores = pairs.scores[pairs.mated], pairs.scores[~pairs.mated]
    return replace(
        report,
        evidence=evidence_of(scores, digests, drawn.fnmr, separation),
        eer_low=eer_interval.low,
        eer_high=eer_interval.high,
        auc_low=auc_interval.low,
        auc_high=auc_interval.high,
    )
