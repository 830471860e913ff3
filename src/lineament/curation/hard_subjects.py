"""Semantic bootstrapping: few subjects, but such as are taken for each other.

Source: Taigman, Yang, Ranzato, Wolf, "Web-Scale Training for Face Identification", CVPR 2015. A network saturates on
more subjects drawn at random; a second network is trained on seed subjects and their look-alikes. The paper compares
linear models of the subjects, here it is the centres of their features.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class HardSubjects:
    """The subjects of a second training stage.

    Attributes:
        chosen: (N,) int64 subject numbers, increasing.
        same_person: (K, 2) int64 pairs of subjects so alike that they may be one person; the second of each is never
            chosen.
    """

    chosen: NDArray[np.int64]
    same_person: NDArray[np.int64]


def hard_subjects(
    centres: FloatArray, wanted: int, seeds: int, same_above: float, rng: np.random.Generator
) -> HardSubjects:
    """Seed subjects and the subjects nearest to them.

    All seeds are extended in turns by their next nearest subject until enough are found, so that the set is a union
    of neighbourhoods of about equal size. A pair above ``same_above`` is no pair of look-alikes but most likely one
    person under two names, which would teach the network to separate what is the same: the later one of them is out.

    Args:
        centres: (C, D) float32 unit centres (:func:`lineament.curation.similar.subject_centres`).
        wanted: subjects to choose, ``seeds`` included; fewer are found when too many are out.
        seeds: subjects drawn at random.
        same_above: similarity of centres above which two subjects count as one person.
        rng: of the draw.

    Raises:
        ValueError: ``seeds`` or ``wanted`` that do not fit the number of subjects.
    """
    count = len(centres)
    if not 1 <= seeds <= wanted <= count:
        raise ValueError(
            f"expected 1 <= seeds <= wanted <= {count} subjects, got seeds {seeds}, wanted {wanted}"
        )
    alike = centres @ centres.T
    np.fill_diagonal(alike, -np.inf)
    first, second = np.nonzero(np.triu(alike > same_above, 1))
    same_person = np.stack([first, second], axis=1).astype(np.int64)
    out = np.zeros(count, np.bool_)
    out[second] = True
    kept = np.flatnonzero(~out)
    chosen = dict.fromkeys(int(k) for k in rng.choice(kept, min(seeds, len(kept)), replace=False))
    alike[:, out] = -np.inf
    nearest = np.argsort(-alike[list(chosen)], axis=1, kind="stable")
    for column in nearest.T:
        if len(chosen) >= min(wanted, len(kept)):
            break
        for neighbour in column:
            if len(chosen) < wanted and not out[neighbour]:
                chosen.setdefault(int(neighbour))
    return HardSubjects(np.sort(np.fromiter(chosen, np.int64)), same_person)
