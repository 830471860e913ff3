"""Errors of tracking several faces through a video: CLEAR MOT and identity rates. Ratios are made of summed counts.

Add the counts of several sequences with ``sum_clear`` and ``sum_identity``; means of ratios over sequences would
weigh a short video like a long one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import ScoreArray, describe, frozen
from lineament.metrics.assignment import best_assignment

MIN_OVERLAP = 0.5
MOSTLY_TRACKED = 0.8
MOSTLY_LOST = 0.2
_KEEP_BONUS = 1000.0
_EPSILON = float(np.finfo(np.float64).eps)

IdArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class TrackFrame:
    """True and found faces of one frame.

    Attributes:
        truth_ids: (M,) integer ids of the true faces, each once; a face that leaves and returns keeps its id.
        found_ids: (N,) integer ids that the tracker gave, each once.
        overlaps: (M, N) float64 similarity of their boxes in [0, 1], usually intersection over union.
    """

    truth_ids: IdArray
    found_ids: IdArray
    overlaps: ScoreArray

    def __post_init__(self) -> None:
        if self.overlaps.shape != (len(self.truth_ids), len(self.found_ids)):
            raise ValueError(
                f"overlaps must be ({len(self.truth_ids)}, {len(self.found_ids)}), got {describe(self.overlaps)}"
            )
        for name in ("truth_ids", "found_ids"):
            ids = getattr(self, name)
            if len(np.unique(ids)) != len(ids):
                raise ValueError(f"{name} of one frame must differ, got {ids.tolist()}")
            object.__setattr__(self, name, frozen(ids))
        object.__setattr__(self, "overlaps", frozen(self.overlaps))


@dataclass(frozen=True, slots=True)
class ClearCounts:
    """CLEAR MOT counts of one or several sequences.

    Attributes:
        matches: true boxes matched, frame by frame.
        false_positives: found boxes without a true one.
        misses: true boxes without a found one.
        id_switches: matches to another id than the face's last match, however long ago.
        fragmentations: times that the tracking of a face was taken up again.
        mostly_tracked: faces matched in more than 80 % of their frames.
        mostly_lost: faces matched in less than 20 % of their frames.
        n_faces: true tracks.
        overlap_sum: summed overlap of all matches.
    """

    matches: int
    false_positives: int
    misses: int
    id_switches: int
    fragmentations: int
    mostly_tracked: int
    mostly_lost: int
    n_faces: int
    overlap_sum: float

    @property
    def mota(self) -> float:
        """Multiple object tracking accuracy: (matches - false positives - switches) / true boxes; can be negative."""
        total = self.matches + self.misses
        return (self.matches - self.false_positives - self.id_switches) / total if total else math.nan

    @property
    def motp(self) -> float:
        """Multiple object tracking precision: mean overlap of the matches; higher is better."""
        return self.overlap_sum / self.matches if self.matches else math.nan


@dataclass(frozen=True, slots=True)
class IdentityCounts:
    """Identity counts of one or several sequences.

    Attributes:
        true_positives: boxes right under the best assignment of whole tracks.
        false_positives: found boxes that are not.
        false_negatives: true boxes that are not.
    """

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def precision(self) -> float:
        """IDP: right boxes / found boxes."""
        found = self.true_positives + self.false_positives
        return self.true_positives / found if found else math.nan

    @property
    def recall(self) -> float:
        """IDR: right boxes / true boxes."""
        total = self.true_positives + self.false_negatives
        return self.true_positives / total if total else math.nan

    @property
    def f1(self) -> float:
        """IDF1: 2 · right boxes / (found boxes + true boxes)."""
        both = 2 * self.true_positives + self.false_positives + self.false_negatives
        return 2 * self.true_positives / both if both else math.nan


def _frame_matches(
    frame: TrackFrame, previous: dict[int, int], min_overlap: float
) -> list[tuple[int, int, float]]:
    """True id, found id and overlap of each match: pairs of the frame before first, then the largest overlap."""
    kept = np.array([previous.get(int(i), -1) for i in frame.truth_ids])
    known = np.array([int(i) in previous for i in frame.truth_ids])
    weights = _KEEP_BONUS * (known[:, None] & (kept[:, None] == frame.found_ids)) + frame.overlaps
    weights[frame.overlaps < min_overlap - _EPSILON] = 0.0
    rows, columns = best_assignment(weights)
    return [
        (int(frame.truth_ids[i]), int(frame.found_ids[j]), float(frame.overlaps[i, j]))
        for i, j in zip(rows, columns, strict=True)
        if weights[i, j] > _EPSILON
    ]


def clear_mot(frames: Sequence[TrackFrame], min_overlap: float = MIN_OVERLAP) -> ClearCounts:
    """CLEAR MOT counts of one sequence.

    A frame without true or without found faces does not break the memory of the frame before, as in TrackEval.

    Args:
        frames: in their order; ids belong to this sequence alone.
        min_overlap: overlap from which on two boxes may match, in (0, 1].

    Source: K. Bernardin, R. Stiefelhagen, Evaluating Multiple Object Tracking Performance: The CLEAR MOT Metrics,
    2008; memory and bonus for kept pairs as in the evaluation of MOTChallenge.
    """
    previous: dict[int, int] = {}
    last: dict[int, int] = {}
    present: dict[int, int] = {}
    matched: dict[int, int] = {}
    starts: dict[int, int] = {}
    n_truth = n_found = switches = 0
    overlap_sum = 0.0
    for frame in frames:
        n_truth, n_found = n_truth + len(frame.truth_ids), n_found + len(frame.found_ids)
        for face in frame.truth_ids.tolist():
            present[face] = present.get(face, 0) + 1
        if not (len(frame.truth_ids) and len(frame.found_ids)):
            continue
        now = {}
        for face, track, overlap in _frame_matches(frame, previous, min_overlap):
            now[face] = track
            switches += face in last and last[face] != track
            starts[face] = starts.get(face, 0) + (face not in previous)
            matched[face] = matched.get(face, 0) + 1
            overlap_sum += overlap
        last |= now
        previous = now
    shares = [matched.get(face, 0) / count for face, count in present.items()]
    n_matches = sum(matched.values())
    return ClearCounts(
        matches=n_matches,
        false_positives=n_found - n_matches,
        misses=n_truth - n_matches,
        id_switches=switches,
        fragmentations=sum(count - 1 for count in starts.values()),
        mostly_tracked=sum(share > MOSTLY_TRACKED for share in shares),
        mostly_lost=sum(share < MOSTLY_LOST for share in shares),
        n_faces=len(present),
        overlap_sum=overlap_sum,
    )


def identity_counts(frames: Sequence[TrackFrame], min_overlap: float = MIN_OVERLAP) -> IdentityCounts:
    """Identity counts of one sequence: whole tracks are assigned one to one so that most boxes are right.

    Args:
        frames: in any order; ids belong to this sequence alone.
        min_overlap: overlap from which on two boxes agree, in (0, 1].

    Source: E. Ristani et al., Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking, 2016.
    """
    faces = np.unique(np.concatenate([f.truth_ids for f in frames])) if frames else np.zeros(0, np.int64)
    tracks = np.unique(np.concatenate([f.found_ids for f in frames])) if frames else np.zeros(0, np.int64)
    agreeing = np.zeros((len(faces), len(tracks)))
    for frame in frames:
        rows, columns = np.nonzero(frame.overlaps >= min_overlap)
        places = (
            np.searchsorted(faces, frame.truth_ids[rows]),
            np.searchsorted(tracks, frame.found_ids[columns]),
        )
        np.add.at(agreeing, places, 1)
    right = int(agreeing[best_assignment(agreeing)].sum())
    n_truth, n_found = sum(len(f.truth_ids) for f in frames), sum(len(f.found_ids) for f in frames)
    return IdentityCounts(right, n_found - right, n_truth - right)


def sum_clear(sequences: Sequence[ClearCounts]) -> ClearCounts:
    """The counts of all sequences together.

    Args:
        sequences: counts of each sequence.
    """
    return ClearCounts(**{f.name: sum(getattr(s, f.name) for s in sequences) for f in fields(ClearCounts)})


def sum_identity(sequences: Sequence[IdentityCounts]) -> IdentityCounts:
    """The counts of all sequences together.

    Args:
        sequences: counts of each sequence.
    """
    return IdentityCounts(
        **{f.name: sum(getattr(s, f.name) for s in sequences) for f in fields(IdentityCounts)}
    )
