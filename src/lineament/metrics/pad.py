"""Error rates of presentation attack detection (ISO/IEC 30107-3), one formula a function.

Scores say how live a presentation is; one is accepted as bona fide when ``score >= threshold``. Attacks are kept apart
by the species of their instrument, for the worst species is what counts: rates pooled over species depend on how many
of each were tried. Presentations without a response are counted apart, never as accepted or rejected.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import ScoreArray, describe
from lineament.metrics.verification import (
    MeasuredPoint,
    allowed_errors,
    check_scores,
    eer_point,
    fmr,
    fnmr,
    tar_at_far_protocol,
)

Attacks = Mapping[str, ScoreArray]
"""Scores of the attacks of each instrument species."""
OPERATING_APCER = {"BPCER10": 0.10, "BPCER20": 0.05, "BPCER100": 0.01}


@dataclass(frozen=True, slots=True)
class PadPoint:
    """Both error rates at one threshold.

    Attributes:
        threshold: a presentation is accepted when score >= threshold.
        apcer: attack presentation classification error rate of the worst species, a fraction.
        bpcer: bona fide presentation classification error rate, a fraction.
    """

    threshold: float
    apcer: float
    bpcer: float

    @property
    def acer(self) -> float:
        """Mean of both; used in the literature, but not part of the standard."""
        return (self.apcer + self.bpcer) / 2


def apcer_by_species(attacks: Attacks, threshold: float) -> dict[str, float]:
    """APCER of each species: the fraction of its attacks that are accepted.

    Args:
        attacks: scores of the attacks of each species, at least one species and one attack of each.
        threshold: a presentation is accepted when score >= threshold.

    Raises:
        ValueError: no species, or one without attacks.

    Source: ISO/IEC 30107-3.
    """
    if not attacks:
        raise ValueError("APCER needs attacks of at least one species, got none")
    return {species: fmr(scores, threshold) for species, scores in attacks.items()}


def apcer(attacks: Attacks, threshold: float) -> float:
    """APCER of the worst species, the figure to report; see :func:`apcer_by_species` for the arguments."""
    return max(apcer_by_species(attacks, threshold).values())


def bpcer(bona_fide: ScoreArray, threshold: float) -> float:
    """BPCER: the fraction of bona fide presentations that are rejected.

    Args:
        bona_fide: (N,) float64 scores.
        threshold: a presentation is accepted when score >= threshold.

    Source: ISO/IEC 30107-3.
    """
    return fnmr(bona_fide, threshold)


def pad_point(bona_fide: ScoreArray, attacks: Attacks, threshold: float) -> PadPoint:
    """Both error rates at a given threshold; ``.acer`` is their mean.

    Args:
        bona_fide: (N,) float64 scores.
        attacks: scores of the attacks of each species. All attacks under one name give pooled rates, which hide the
            worst species behind the others: a usual error.
        threshold: a presentation is accepted when score >= threshold.
    """
    return PadPoint(threshold, apcer(attacks, threshold), bpcer(bona_fide, threshold))


def bpcer_at_apcer(bona_fide: ScoreArray, attacks: Attacks, apcer: float) -> PadPoint:
    """BPCER at the smallest observed threshold whose worst APCER does not exceed ``apcer``.

    Args:
        bona_fide: (N,) float64 scores.
        attacks: scores of the attacks of each species.
        apcer: 0.10, 0.05 and 0.01 for BPCER10, BPCER20 and BPCER100.

    Raises:
        ValueError: no species, or one with fewer than ``1 / apcer`` attacks, on which the rate cannot be measured.

    Source: ISO/IEC 30107-3. Nothing is interpolated; a species may reach less than ``apcer``.
    """
    if not attacks:
        raise ValueError("APCER needs attacks of at least one species, got none")
    few = {
        species: len(scores) for species, scores in attacks.items() if allowed_errors(apcer, len(scores)) < 1
    }
    if few:
        raise ValueError(
            f"APCER {apcer:g} needs at least {math.ceil(1 / apcer * (1 - 1e-12))} attacks of each species, got {few}"
        )
    # Each species bounds the threshold from below; any observed score that satisfies the strictest one will do.
    everything = np.concatenate([check_scores(bona_fide, "bona fide"), *attacks.values()])
    strictest = max(tar_at_far_protocol(everything, scores, apcer).threshold for scores in attacks.values())
    return pad_point(bona_fide, attacks, strictest)


def development_threshold(bona_fide: ScoreArray, attacks: ScoreArray) -> MeasuredPoint:
    """Threshold of the equal error rate on development data, with both rates there.

    Args:
        bona_fide: (N,) float64 scores of the development set.
        attacks: (M,) float64 scores of its attacks, species pooled as in cross-database protocols.
    """
    return eer_point(bona_fide, attacks)


def hter(bona_fide: ScoreArray, attacks: ScoreArray, threshold: float) -> float:
    """Half total error rate on test data: the mean of the pooled attack error and the bona fide error.

    Args:
        bona_fide: (N,) float64 scores of the test set.
        attacks: (M,) float64 scores of its attacks, species pooled.
        threshold: from :func:`development_threshold` on other data; one chosen on the test set would be
            too optimistic.
    """
    return (fmr(attacks, threshold) + fnmr(bona_fide, threshold)) / 2


def non_response_rate(responded: NDArray[np.bool_]) -> float:
    """APNRR of attacks of one species, or BPNRR of bona fide presentations: the fraction without a response.

    Args:
        responded: (N,) bool, False where the system gave no score (no face found, time out).

    Source: ISO/IEC 30107-3, attack and bona fide presentation non-response rate.
    """
    flags = _check_flags(responded, "responded")
    return 1 - int(np.count_nonzero(flags)) / len(flags)


def iapar(accepted: NDArray[np.bool_], matched: NDArray[np.bool_]) -> float:
    """Impostor attack presentation accept rate of the full system for one species.

    Args:
        accepted: (N,) bool, True where attack detection took the attack for bona fide.
        matched: (N,) bool, True where the matcher took it for the attacked subject.

    Source: ISO/IEC 30107-3 (2023), formerly IAPMR: the whole system says yes only if both parts do.
    """
    first, second = _check_flags(accepted, "accepted"), _check_flags(matched, "matched")
    if first.shape != second.shape:
        raise ValueError(
            f"both decisions are needed of each attack, got {describe(first)} and {describe(second)}"
        )
    return int(np.count_nonzero(first & second)) / len(first)


def riapar(iapar: float, frr: float) -> float:
    """Relative impostor attack presentation accept rate: IAPAR plus the false reject rate of the full system.

    Args:
        iapar: of the worst species, a fraction.
        frr: fraction of the bona fide transactions of mated subjects that the full system rejects, by attack
            detection or by the matcher, at the same settings.

    Source: ISO/IEC 30107-3 (2023).
    """
    for name, rate in (("IAPAR", iapar), ("FRR", frr)):
        if not 0 <= rate <= 1:
            raise ValueError(f"{name} is a fraction in [0, 1], got {rate}")
    return iapar + frr


def _check_flags(flags: NDArray[np.bool_], name: str) -> NDArray[np.bool_]:
    if not isinstance(flags, np.ndarray) or flags.ndim != 1 or flags.size == 0 or flags.dtype != np.bool_:
        raise ValueError(f"{name} must be a non-empty (N,) bool array, got {describe(flags)}")
    return flags
