"""A pack in numbers."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lineament.packs.base import UNKNOWN, LabelArray, Pack
from lineament.packs.pictures import picture_size, suffix_of
from lineament.packs.selection import Progress, counted

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""Quantiles that are given; linear interpolation between the two neighbours."""


@dataclass(frozen=True, slots=True)
class PackStats:
    """A pack in numbers.

    Attributes:
        records: number of records.
        unknown: how many of them have no known subject.
        subjects: number of subjects.
        empty_subjects: how many of them have no record.
        per_subject: quantile (:data:`QUANTILES`) to pictures of a subject that has any.
        histogram: how many subjects have 1, 2 to 3, 4 to 7, 8 to 15 … pictures, by the first number.
        image_bytes: size of all pictures.
        bytes_quantiles: quantile to bytes of a picture.
        kinds: format of the pictures by their first bytes (".jpg" …; ".img": unknown) to their number.
        sizes_px: (height, width) to the number of pictures, most frequent first; None: no size in the header.
    """

    records: int
    unknown: int
    subjects: int
    empty_subjects: int
    per_subject: Mapping[float, float]
    histogram: Mapping[int, int]
    image_bytes: int
    bytes_quantiles: Mapping[float, float]
    kinds: Mapping[str, int]
    sizes_px: Mapping[tuple[int, int] | None, int]


def pack_stats(pack: Pack, progress: Progress | None = None) -> PackStats:
    """Reads every record once and counts; no picture is decoded.

    Args:
        pack: at least one record.
        progress: told how far it is.

    Raises:
        DataError: a record cannot be read.
    """
    bytes_of = np.zeros(len(pack), np.int64)
    kinds: Counter[str] = Counter()
    sizes: Counter[tuple[int, int] | None] = Counter()
    for number in counted(np.arange(len(pack)), progress):
        image = pack.read(number).image
        bytes_of[number] = len(image)
        kinds[suffix_of(image)] += 1
        sizes[picture_size(image)] += 1
    counts = pictures_per_subject(pack.labels)
    return PackStats(
        len(pack),
        int(np.count_nonzero(pack.labels == UNKNOWN)),
        len(pack.subjects),
        len(pack.subjects) - len(counts),
        _quantiles(counts),
        _histogram(counts),
        int(bytes_of.sum()),
        _quantiles(bytes_of),
        dict(kinds.most_common()),
        dict(sizes.most_common()),
    )


def pictures_per_subject(labels: LabelArray) -> LabelArray:
    """(S,) number of pictures of each subject that has any, by label."""
    return np.asarray(np.unique(labels[labels != UNKNOWN], return_counts=True)[1], np.int64)


def _quantiles(values: LabelArray) -> dict[float, float]:
    if not len(values):
        return {}
    return dict(zip(QUANTILES, np.quantile(values, QUANTILES).tolist(), strict=True))


def _histogram(counts: LabelArray) -> dict[int, int]:
    """Powers of two to the number of counts from that one to below the next."""
    powers = np.frexp(counts)[1] - 1
    found = np.bincount(powers, minlength=1) if len(counts) else np.zeros(0, np.int64)
    return {2**power: n for power, n in enumerate(found.tolist())}
