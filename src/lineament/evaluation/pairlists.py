"""Lists of pairs that users bring, with answers: which pictures, which pairs, and whose they are as far as known."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import frozen
from lineament.core.errors import DataError
from lineament.evaluation.comparisons import LabelledScores
from lineament.evaluation.samples import SampleEmbeddings, pair_similarities
from lineament.evaluation.tables import Table, read_table
from lineament.evaluation.trials import read_pairs
from lineament.imaging.formats import SUFFIXES

IndexArray = NDArray[np.int32]
SAME = frozenset({"yes", "same", "1", "true", "match", "mated", "genuine"})
DIFFERENT = frozenset(
    {"no", "different", "0", "false", "nonmatch", "non-match", "nonmated", "non-mated", "impostor"}
)
SUBJECT_COLUMNS = ("subject_a", "subject_b")
"""Columns that are taken for the two people without being told."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPairs:
    """Pairs of pictures with their true answers.

    Attributes:
        protocol: what is compared, in words.
        samples: names of the pictures, each once.
        pairs: (P, 2) int32 indices into ``samples``, each pair once.
        mated: (P,) bool, True for a pair of one person.
        subjects: the person of each sample; None when the people cannot be told.
        folds: (P,) int32 fold of each pair; None without folds.
        notes: what a reader of the figures should know.
    """

    protocol: str
    samples: tuple[str, ...]
    pairs: IndexArray
    mated: NDArray[np.bool_]
    subjects: tuple[str, ...] | None
    folds: IndexArray | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("pairs", "mated"):
            object.__setattr__(self, name, frozen(getattr(self, name)))

    @property
    def subject_of_sample(self) -> IndexArray | None:
        """(S,) int32 number of each sample's person."""
        if self.subjects is None:
            return None
        return np.unique(np.asarray(self.subjects), return_inverse=True)[1].astype(np.int32)

    def check_kinds(self) -> None:
        """Refuse before the work what cannot be measured after it.

        Raises:
            DataError: no mated or no non-mated pair.
        """
        n_mated = int(self.mated.sum())
        if not 0 < n_mated < len(self.mated):
            raise DataError(
                f"error rates need pairs of one person and pairs of two people, got {n_mated} and "
                f"{len(self.mated) - n_mated}; people with one picture only make no mated pair"
            )

    def score(self, found: SampleEmbeddings) -> LabelledScores:
        """Similarity of every pair; -inf with a refused picture.

        Args:
            found: one row for each of ``samples``.
        """
        scores = pair_similarities(found.vectors, self.pairs)
        scores[~found.acquired[self.pairs].all(axis=1)] = -np.inf
        number = self.subject_of_sample
        a, b = (None, None) if number is None else (number[self.pairs[:, 0]], number[self.pairs[:, 1]])
        return LabelledScores(scores, self.mated, a, b, self.folds)


@dataclass(frozen=True, slots=True)
class PairColumns:
    """Names of the columns of a pair list; an empty one is found by what the columns hold.

    Attributes:
        file_a: first picture.
        file_b: second picture.
        label: same person or not.
        subject_a: person of the first picture.
        subject_b: person of the second picture.
    """

    file_a: str = ""
    file_b: str = ""
    label: str = ""
    subject_a: str = ""
    subject_b: str = ""

    def __post_init__(self) -> None:
        for a, b in ((self.file_a, self.file_b), (self.subject_a, self.subject_b)):
            if bool(a) != bool(b):
                raise ValueError(f"name both columns of a kind or none, got {a!r} and {b!r}")


def read_pair_list(path: Path, columns: PairColumns) -> LabelledPairs:
    """The pairs of a list: an LFW ``pairs.txt``, or a CSV with two picture columns and an answer.

    Args:
        path: a list whose name ends in ``.txt`` keeps the LFW grammar; any other one is a CSV.
        columns: where the CSV has what.

    Raises:
        DataError: the list cannot be read, or its columns are not what they should be.
    """
    if path.suffix.lower() != ".txt":
        return _from_table(read_table(path), columns)
    trials = read_pairs(path)
    pairs, folds = trials.pairs, trials.folds
    return LabelledPairs(trials.protocol, trials.samples, pairs, trials.mated, trials.subjects, folds)


def _from_table(table: Table, columns: PairColumns) -> LabelledPairs:
    first, second = _file_columns(table, columns)
    people = _subject_columns(table, columns)
    label = columns.label or _label_column(table, {first, second, *people}, optional=bool(people))
    a, b = table.column(first), table.column(second)
    mated = _answers(table, people, label)
    self_pairs = [row for row in range(len(a)) if a[row] == b[row]]
    if self_pairs:
        raise table.fault("a picture is paired with itself", self_pairs)
    samples = tuple(sorted({*a, *b}))
    place = {name: i for i, name in enumerate(samples)}
    every = np.array([(place[x], place[y]) for x, y in zip(a, b, strict=True)], np.int32)
    kept = _unique_pairs(table, every, mated)
    pairs, answers = every[kept], mated[kept]
    notes = [f"{len(every) - len(kept)} duplicate pairs were counted once"] if len(kept) < len(every) else []
    if people:
        subjects: tuple[str, ...] | None = _listed_people(table, people, samples, (a, b))
    else:
        subjects, said = linked_people(len(samples), pairs, answers)
        notes.append(said)
    protocol = f"{len(pairs):,} pairs of the list {table.path.name}"
    return LabelledPairs(protocol, samples, pairs, answers, subjects, notes=tuple(notes))


def _file_columns(table: Table, columns: PairColumns) -> tuple[str, str]:
    if columns.file_a:
        return columns.file_a, columns.file_b
    files = [c for c in table.columns if all(Path(v).suffix.lower() in SUFFIXES for v in table.column(c))]
    if len(files) != 2:
        raise DataError(
            f"{table.path}: expected exactly two columns of picture files, found {len(files)} "
            f"({', '.join(files) or 'none'}) among {table.seen()}; name them with --file-a and --file-b"
        )
    return files[0], files[1]


def _subject_columns(table: Table, columns: PairColumns) -> tuple[str, ...]:
    if columns.subject_a:
        return columns.subject_a, columns.subject_b
    return SUBJECT_COLUMNS if set(SUBJECT_COLUMNS) <= set(table.columns) else ()


def _label_column(table: Table, taken: set[str], optional: bool) -> str:
    """The one other column that holds nothing but answers; empty when it may be left out and is."""
    rest = [c for c in table.columns if c not in taken]
    found = [c for c in rest if {v.lower() for v in table.column(c)} <= SAME | DIFFERENT]
    if not found:
        # a column of answers with some odd words is meant, so that the message can name their lines
        known = {c: sum(v.lower() in SAME | DIFFERENT for v in table.column(c)) for c in rest}
        found = [c for c in rest if 2 * known[c] > len(table.rows)]
    if len(found) == 1 or (optional and not found):
        return "".join(found)
    raise DataError(
        f"{table.path}: expected one column that says same or different ({', '.join(sorted(SAME))}; "
        f"{', '.join(sorted(DIFFERENT))}), found {len(found)} ({', '.join(found) or 'none'}) among {table.seen()}; "
        "name it with --label, or the people with --subject-a and --subject-b"
    )


def parse_answers(table: Table, column: str) -> NDArray[np.bool_]:
    """(R,) True where a column says that the two are one person.

    Raises:
        DataError: another word than the known ones; names the lines.
    """
    words = [value.lower() for value in table.column(column)]
    unknown = [row for row, word in enumerate(words) if word not in SAME | DIFFERENT]
    if unknown:
        raise table.fault(
            f"column {column!r} must say {', '.join(sorted(SAME))} or {', '.join(sorted(DIFFERENT))}, got "
            f"{table.column(column)[unknown[0]]!r}",
            unknown,
        )
    return np.array([word in SAME for word in words])


def _answers(table: Table, people: Sequence[str], label: str) -> NDArray[np.bool_]:
    """(R,) True for one person, from the label or the people; both must agree."""
    said = parse_answers(table, label) if label else None
    if not people:
        assert said is not None  # noqa: S101 - without people there is always a label column
        return said
    a, b = (np.array(table.column(name)) for name in people)
    if said is not None and np.any(said != (a == b)):
        wrong = np.flatnonzero(said != (a == b)).tolist()
        raise table.fault(f"column {label!r} contradicts the people in {' and '.join(people)}", wrong)
    return np.asarray(a == b)


def _unique_pairs(table: Table, pairs: IndexArray, mated: NDArray[np.bool_]) -> NDArray[np.int64]:
    """First row of each pair, whatever its order; copies must agree."""
    _, first, group = np.unique(np.sort(pairs, axis=1), axis=0, return_index=True, return_inverse=True)
    differs = np.flatnonzero(mated != mated[first[group.ravel()]])
    if len(differs):
        raise table.fault("a pair is listed as same and as different", differs.tolist())
    return np.sort(first)


def _listed_people(
    table: Table, people: Sequence[str], samples: Sequence[str], files: tuple[Sequence[str], Sequence[str]]
) -> tuple[str, ...]:
    """The person of each sample.

    Raises:
        DataError: a picture with two people.
    """
    owner: dict[str, str] = {}
    wrong = []
    for pictures, column in zip(files, people, strict=True):
        for row, (picture, person) in enumerate(zip(pictures, table.column(column), strict=True)):
            if owner.setdefault(picture, person) != person:
                wrong.append(row)
    if wrong:
        raise table.fault("a picture belongs to two people", sorted(set(wrong)))
    return tuple(owner[sample] for sample in samples)


def linked_people(
    n_samples: int, pairs: IndexArray, mated: NDArray[np.bool_]
) -> tuple[tuple[str, ...] | None, str]:
    """People as far as mated pairs tell: pictures that are linked by them are of one person.

    Args:
        n_samples: number of pictures.
        pairs: (P, 2) indices of pictures.
        mated: (P,) True for a pair of one person.

    Returns: a name for each sample's person and what was done, in words; None for the people when a non-mated pair
        lies inside one of them, as then the answers contradict each other.
    """
    number = np.arange(n_samples)
    a, b = pairs[mated].T
    while True:
        lower = np.minimum(number[a], number[b])
        moved = number.copy()
        np.minimum.at(moved, a, lower)
        np.minimum.at(moved, b, lower)
        moved = moved[moved]
        if np.array_equal(moved, number):
            break
        number = moved
    inside = int(np.count_nonzero(number[pairs[~mated, 0]] == number[pairs[~mated, 1]]))
    if inside:
        return None, (
            f"{inside} non-mated pairs join pictures that mated pairs say are of one person: some answers are wrong; "
            "the people stay unknown"
        )
    people = len(np.unique(number))
    return tuple(str(n) for n in number), (
        f"people were inferred: pictures linked by mated pairs count as one person, {people:,} in all; people that "
        "the list does not link make intervals too narrow"
    )
