"""Draws pairs of pictures for verification and writes them in the grammar of LFW's ``pairs.txt``.

View 2 begins with ``folds<TAB>count``; each fold lists ``count`` lines ``name i j`` (one subject), then ``count``
lines ``name i other j``. View 1 begins with ``count`` alone and is one such block. ``name i`` is the picture
``name/name_%04d``.

Source: Huang et al., Labeled Faces in the Wild, 2007, and the format notes that come with the lists.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import frozen
from lineament.core.errors import DataError
from lineament.packs.base import UNKNOWN, IndexArray, Pack

_NUMBERED = re.compile(r"(.+)_(\d{4,})")
_LISTABLE = 4
"""All pairs are listed and drawn from when they are at most so many times those that are wanted."""


@dataclass(frozen=True, slots=True, eq=False)
class DrawnPairs:
    """Pairs in folds: of each fold first the mated ones, then as many others.

    Attributes:
        records: (P, 2) int64 record numbers, P = 2 * folds * count; no pair is there twice in either order.
        n_folds: number of folds; no subject is in two of them.
        count: mated pairs of a fold, and non-mated ones.
    """

    records: IndexArray
    n_folds: int
    count: int

    def __post_init__(self) -> None:
        if self.records.shape != (2 * self.n_folds * self.count, 2):
            raise ValueError(
                f"records must be ({2 * self.n_folds * self.count}, 2), got {self.records.shape}"
            )
        object.__setattr__(self, "records", frozen(self.records))

    @property
    def mated(self) -> NDArray[np.bool_]:
        """(P,) True for a pair of one subject."""
        return np.tile(np.repeat([True, False], self.count), self.n_folds)


def draw_pairs(pack: Pack, n_folds: int, count: int, seed: int) -> DrawnPairs:
    """Draw pairs in folds of different people.

    Subjects are dealt to the folds at random, those with several pictures first. Mated pairs go round the subjects of
    a fold, one drawn pair each, until there are enough. A non-mated pair takes two drawn subjects and a drawn picture
    of each; where there are not many more pairs than are wanted, all pairs are equally likely.

    Args:
        pack: records without a known subject are not used.
        n_folds: number of folds; 1 for View 1.
        count: mated pairs of each fold, and non-mated ones.
        seed: of the draw.

    Raises:
        ValueError: no fold or no pair is asked for.
        DataError: too few subjects or pictures; says how many pairs a fold can have.
    """
    if n_folds < 1 or count < 1:
        raise ValueError(f"at least one fold and one pair must be drawn, got {n_folds} and {count}")
    rng = np.random.default_rng(seed)
    order = np.argsort(pack.labels, kind="stable")
    order = order[pack.labels[order] != UNKNOWN]
    labels = pack.labels[order]
    members = np.split(order, np.flatnonzero(np.diff(labels)) + 1) if len(order) else []
    dealt: list[list[IndexArray]] = [[] for _ in range(n_folds)]
    several = [m for m in members if len(m) > 1]
    single = [m for m in members if len(m) == 1]
    place = 0
    for group in (several, single):
        for number in rng.permutation(len(group)).tolist():
            dealt[place % n_folds].append(group[number])
            place += 1
    drawn = []
    for fold, subjects in enumerate(dealt):
        drawn += [_mated(subjects, count, fold, rng), _nonmated(subjects, count, fold, rng)]
    return DrawnPairs(np.concatenate(drawn), n_folds, count)


def _mated(subjects: list[IndexArray], count: int, fold: int, rng: np.random.Generator) -> IndexArray:
    """(count, 2) pairs of one subject each, spread over the subjects, in the order of the subjects."""
    n_pairs = [len(m) * (len(m) - 1) // 2 for m in subjects]
    if sum(n_pairs) < count:
        raise DataError(
            f"fold {fold} has {len(subjects)} subjects with {sum(n_pairs)} mated pairs, {count} are wanted; "
            "ask for fewer pairs or folds"
        )
    wanted = _even_shares(np.array(n_pairs), count, rng)
    found = []
    for records, n, share in zip(subjects, n_pairs, wanted.tolist(), strict=True):
        codes = np.sort(rng.choice(n, share, replace=False))
        # code k of the pairs (i, j), i < j, in the order (0, 1), (0, 2), (1, 2), (0, 3) …
        j = ((1 + np.sqrt(1 + 8 * codes.astype(np.float64))) / 2).astype(np.int64)
        found.append(records[np.stack([codes - j * (j - 1) // 2, j], axis=1)])
    return np.concatenate(found)


def _even_shares(most: IndexArray, count: int, rng: np.random.Generator) -> IndexArray:
    """How many each gives so that they give ``count``: as even as ``most`` allows, what is over drawn at random."""
    low, high = 0, int(most.max())
    while low < high:  # the highest level that does not give too much
        level = (low + high + 1) // 2
        low, high = (level, high) if np.minimum(most, level).sum() <= count else (low, level - 1)
    shares = np.minimum(most, low)
    more = np.flatnonzero(most > low)
    shares[rng.choice(more, count - int(shares.sum()), replace=False)] += 1
    return shares


def _nonmated(subjects: list[IndexArray], count: int, fold: int, rng: np.random.Generator) -> IndexArray:
    """(count, 2) different pairs of two subjects each."""
    sizes = np.array([len(m) for m in subjects])
    total = int((sizes.sum() ** 2 - (sizes**2).sum()) // 2)
    if total < count:
        raise DataError(
            f"fold {fold} has {len(subjects)} subjects with {total} non-mated pairs, {count} are wanted; "
            "ask for fewer pairs or folds"
        )
    records, owner = np.concatenate(subjects), np.repeat(np.arange(len(subjects)), sizes)
    if total <= _LISTABLE * count:
        a, b = np.triu_indices(len(records), 1)
        apart = owner[a] != owner[b]
        chosen = np.sort(rng.choice(total, count, replace=False))
        return np.stack([records[a[apart]][chosen], records[b[apart]][chosen]], axis=1)
    starts = np.cumsum(sizes) - sizes
    codes = np.zeros(0, np.int64)
    while len(codes) < count:
        two = rng.integers(0, len(subjects), (2 * count, 2))
        two = two[two[:, 0] != two[:, 1]]
        rows = np.sort(starts[two] + rng.integers(0, sizes[two]), axis=1)
        codes = np.concatenate([codes, rows[:, 0] * len(records) + rows[:, 1]])
        codes = codes[np.sort(np.unique(codes, return_index=True)[1])]
    codes = np.sort(codes[:count])
    return np.stack([records[codes // len(records)], records[codes % len(records)]], axis=1)


def lfw_text(pack: Pack, drawn: DrawnPairs, *, view: int) -> str:
    """The pairs as a ``pairs.txt``.

    Args:
        pack: what they were drawn from; its pictures are named ``name/name_0001.jpg``.
        drawn: the pairs; one fold for View 1.
        view: 1 or 2.

    Raises:
        ValueError: another view, or View 1 with several folds.
        DataError: a picture whose name the grammar cannot say.
    """
    if view not in {1, 2} or (view == 1 and drawn.n_folds != 1):
        raise ValueError(f"view must be 2, or 1 with one fold, got {view} with {drawn.n_folds}")
    head = f"{drawn.n_folds}\t{drawn.count}" if view == 2 else str(drawn.count)
    return "\n".join([head, *_lines(pack, drawn)]) + "\n"


def _lines(pack: Pack, drawn: DrawnPairs) -> Iterator[str]:
    for (a, b), mated in zip(drawn.records.tolist(), drawn.mated.tolist(), strict=True):
        (first, i), (second, j) = _numbered(pack, a), _numbered(pack, b)
        yield f"{first}\t{i}\t{j}" if mated else f"{first}\t{i}\t{second}\t{j}"


def _numbered(pack: Pack, record: int) -> tuple[str, int]:
    """Subject and number of a picture, as LFW names it."""
    name, subject = pack.names[record], pack.subjects[int(pack.labels[record])]
    match = _NUMBERED.fullmatch(PurePosixPath(name).stem)
    if match is None or match[1] != subject or any(c.isspace() for c in subject):
        raise DataError(
            f"record {record}: pairs.txt can only say pictures that are named like ada/ada_0001.jpg, "
            f"got {name!r} of {subject!r}; write a .csv instead"
        )
    return subject, int(match[2])


def csv_text(pack: Pack, drawn: DrawnPairs) -> str:
    """The pairs as a CSV ``file_a,file_b,label,subject_a,subject_b``, label "same" or "different"."""
    out = io.StringIO(newline="")
    table = csv.writer(out, lineterminator="\n")
    table.writerow(("file_a", "file_b", "label", "subject_a", "subject_b"))
    for (a, b), mated in zip(drawn.records.tolist(), drawn.mated.tolist(), strict=True):
        people = (pack.subjects[int(pack.labels[a])], pack.subjects[int(pack.labels[b])])
        table.writerow((pack.names[a], pack.names[b], "same" if mated else "different", *people))
    return out.getvalue()
