"""Lists of comparisons: which samples, whose they are, and which pairs are compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import frozen
from lineament.core.errors import DataError

IndexArray = NDArray[np.int32]
N_FOLDS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Trials:
    """Comparisons of samples.

    Attributes:
        protocol: what is compared and how folds are made, in words.
        samples: names of the pictures, "person/person_0001.jpg" for example; each once.
        subjects: the subject of each sample.
        pairs: (P, 2) int32 indices into ``samples``.
        folds: (P,) int32 fold of each pair, 0-based; all zero when the protocol has no folds.
    """

    protocol: str
    samples: tuple[str, ...]
    subjects: tuple[str, ...]
    pairs: IndexArray
    folds: IndexArray

    def __post_init__(self) -> None:
        if len(self.subjects) != len(self.samples):
            raise ValueError(f"{len(self.samples)} samples need as many subjects, got {len(self.subjects)}")
        for name, shape in (("pairs", (len(self.folds), 2)), ("folds", (len(self.folds),))):
            values = np.asarray(getattr(self, name), np.int32)
            if values.shape != shape:
                raise ValueError(f"{name} must be {shape}, got {values.shape}")
            object.__setattr__(self, name, frozen(values))
        if len(self.pairs) and not (self.pairs.min() >= 0 and self.pairs.max() < len(self.samples)):
            raise ValueError(f"pairs must be indices of the {len(self.samples)} samples")

    @property
    def subject_of_sample(self) -> IndexArray:
        """(S,) int32 number of each sample's subject; numbers follow the sorted names."""
        _, numbers = np.unique(np.asarray(self.subjects), return_inverse=True)
        return numbers.astype(np.int32)

    @property
    def mated(self) -> NDArray[np.bool_]:
        """(P,) True where both samples are of one subject."""
        number = self.subject_of_sample
        return np.asarray(number[self.pairs[:, 0]] == number[self.pairs[:, 1]])


def read_pairs(path: Path) -> Trials:
    """The comparisons of a ``pairs.txt`` in one of the official LFW grammars.

    View 2 begins with ``folds count``: each fold lists ``count`` lines ``name i j`` (one subject) and then
    ``count`` lines ``name i other j``. View 1 begins with ``count`` alone and has one such block; it is cut
    into ten folds in file order (``count`` folds where that is less), a tenth of the mated and a tenth of the
    non-mated pairs each, so that no threshold is learned on the pairs that it judges. Fields are separated by any
    white space. The sample ``name i`` is the picture ``name/name_%04d.jpg``.

    Args:
        path: the text file.

    Raises:
        DataError: the file cannot be read or does not keep the grammar; every faulty line is named.

    Source: Huang et al., Labeled Faces in the Wild, 2007, and the format notes that come with the lists.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"pairs file {path} cannot be read: {error}") from error
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    header = lines[0][1] if lines else []
    if len(header) not in (1, 2) or not all(_is_number(field) for field in header):
        raise DataError(
            f"pairs file {path}, line 1: expected the number of pairs, or of folds and pairs, got {header}"
        )
    view, count = len(header), int(header[-1])
    blocks = int(header[0]) if view == 2 else 1
    expected = 2 * blocks * count
    faults = [
        f"line {number}: {fault}"
        for k, (number, fields) in enumerate(lines[1 : 1 + expected])
        if (fault := _fault(fields, mated=k % (2 * count) < count))
    ]
    if len(lines) - 1 != expected:
        faults.append(
            f"line {lines[-1][0]}: expected {expected} pairs after the header, got {len(lines) - 1}"
        )
    if faults:
        raise DataError(f"pairs file {path} has {len(faults)} faults: " + "; ".join(faults))
    named = [_samples_of(fields) for _, fields in lines[1:]]
    samples = tuple(sorted({sample for pair in named for sample in pair}))
    place = {sample: i for i, sample in enumerate(samples)}
    within = np.arange(expected) % (2 * count)
    n_folds = blocks if view == 2 else min(N_FOLDS, count)
    folds = np.arange(expected) // (2 * count) if view == 2 else within % count * n_folds // count
    return Trials(
        protocol=(
            f"LFW View 2 pairs, {n_folds} folds of {count} mated and {count} non-mated comparisons"
            if view == 2
            else f"LFW View 1 pairs, {count} mated and {count} non-mated comparisons, "
            f"{'ten' if n_folds == N_FOLDS else n_folds} folds in file order"
        ),
        samples=tuple(f"{name}/{name}_{index:04d}.jpg" for name, index in samples),
        subjects=tuple(name for name, _ in samples),
        pairs=np.array([(place[a], place[b]) for a, b in named], np.int32),
        folds=folds.astype(np.int32),
    )


def _is_number(field: str) -> bool:
    return field.isascii() and field.isdigit() and int(field) > 0


def _fault(fields: list[str], mated: bool) -> str:
    """What is wrong with the fields of a line; empty when nothing is."""
    expected = "name i j" if mated else "name i other j"
    numbers = fields[1:] if mated else fields[1::2]
    if len(fields) != len(expected.split()) or not all(_is_number(field) for field in numbers):
        return f"expected '{expected}', got '{' '.join(fields)}'"
    if not mated and fields[0] == fields[2]:
        return f"a non-mated pair of one person, '{' '.join(fields)}'"
    if mated and int(fields[1]) == int(fields[2]):
        return f"a picture paired with itself, '{' '.join(fields)}'"
    return ""


def _samples_of(fields: list[str]) -> tuple[tuple[str, int], tuple[str, int]]:
    if len(fields) == 3:
        return (fields[0], int(fields[1])), (fields[0], int(fields[2]))
    return (fields[0], int(fields[1])), (fields[2], int(fields[3]))


def all_pairs(samples: Sequence[str], subjects: Sequence[str]) -> Trials:
    """Every pair of different samples once.

    Args:
        samples: N names of pictures, each once.
        subjects: the subject of each.

    Returns: N * (N - 1) / 2 comparisons without folds.

    Raises:
        ValueError: a sample that is listed twice.
    """
    if len(set(samples)) != len(samples):
        raise ValueError("every sample may be listed once only, or it would be compared with itself")
    first, second = np.triu_indices(len(samples), 1)
    return Trials(
        protocol=f"every pair of {len(samples)} samples once",
        samples=tuple(samples),
        subjects=tuple(subjects),
        pairs=np.stack([first, second], axis=1).astype(np.int32),
        folds=np.zeros(len(first), np.int32),
    )
