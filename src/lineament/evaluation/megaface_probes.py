"""The people who are searched for: from a folder of people, or from saved embeddings with their people."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lineament.core.arrays import FloatArray, check_floats, frozen
from lineament.core.errors import DataError
from lineament.evaluation.peoplefolder import read_people
from lineament.evaluation.samples import Acquisition, Progress, acquire_samples
from lineament.evaluation.sets import PictureSource
from lineament.evaluation.vectors import RowArray, VectorPart, blocks


@dataclass(frozen=True, slots=True, eq=False)
class Probes:
    """Photos of people who are searched for.

    Attributes:
        name: of the data.
        vectors: (P, D) float32 unit vectors of the photos that gave one.
        subjects: (P,) int64 person of each, a number below ``len(photos)``.
        photos: (S,) int64 photos of each person, refused ones included where it is known whose they are.
        refusals: refused photos by reason.
        space: id of the embedding space; empty when it is not known.
        digest: of the data, hex.
        notes: what was left out.
    """

    name: str
    vectors: FloatArray
    subjects: RowArray
    photos: RowArray
    refusals: dict[str, int]
    space: str
    digest: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "vectors", frozen(check_floats(self.vectors, (None, None), "vectors")))
        if self.subjects.shape != (len(self.vectors),):
            raise ValueError(f"subjects must be ({len(self.vectors)},), got {self.subjects.shape}")
        if np.any(np.bincount(self.subjects, minlength=len(self.photos)) > self.photos):
            raise ValueError("photos must count at least the vectors of each person")

    @property
    def trials(self) -> RowArray:
        """(S,) trials of each person."""
        return np.asarray(self.photos * (self.photos - 1))


def probes_of_folder(
    source: PictureSource, acquisition: Acquisition, space: str, progress: Progress | None = None
) -> tuple[Probes, frozenset[str]]:
    """Probes from ``person/photo.jpg``.

    Args:
        source: the folder or zip.
        acquisition: how bytes become vectors.
        space: id of the embedding space.
        progress: told after every batch.

    Returns: the probes, and the sha256 of their pictures, which must not compete as distractors.

    Raises:
        DataError: no such folder, or no picture gave a vector.
    """
    people = read_people(source)
    found = acquire_samples(people.samples, source, acquisition, space, progress)
    numbers = people.subject_of_sample.astype(np.int64)
    probes = Probes(
        source.path.name,
        found.vectors[found.acquired],
        numbers[found.acquired],
        np.bincount(numbers),
        found.refusals,
        space,
        people.data_sha256,
        people.notes,
    )
    return probes, frozenset(people.digests)


def probes_of_vectors(part: VectorPart, subjects: Sequence[str]) -> Probes:
    """Probes from saved embeddings.

    Args:
        part: the embeddings.
        subjects: the person of each row; empty takes the folder of each picture, of refused ones too.

    Raises:
        DataError: the people are not known, or not as many as rows; or a row is no vector.
    """
    if not subjects and not part.names:
        raise DataError(
            f"probes {part.name}: the file does not say whose vectors they are; give a list with one person a line "
            "(--subjects)"
        )
    named = list(subjects) or [Path(name).parent.name for name in part.names]
    if len(named) != len(part):
        raise DataError(
            f"probes {part.name}: expected a person for each of {len(part):,} rows, got {len(named):,}"
        )
    refused = [] if subjects else [Path(name).parent.name for name in part.refused_names]
    numbers = np.unique(np.asarray(named + refused), return_inverse=True)[1].astype(np.int64)
    left_out = sum(count for _, count in part.refusals) - len(refused)
    lonely = sum(1 for count in Counter(named + refused).values() if count == 1)
    said = (
        (left_out, f"refused photos of {part.name} are in no trial: the list does not say whose they are"),
        (lonely, f"of {numbers.max() + 1:,} people have one photo only and so no trial"),
    )
    return Probes(
        name=part.name,
        vectors=np.concatenate(list(blocks([part]))),
        subjects=numbers[: len(named)],
        photos=np.bincount(numbers),
        refusals=dict(part.refusals),
        space=part.space,
        digest=part.digest,
        notes=tuple(f"{count:,} {words}" for count, words in said if count),
    )


def read_subjects(path: Path) -> tuple[str, ...]:
    """One person a line.

    Raises:
        DataError: the file cannot be read, or a line is empty.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"people {path} cannot be read: {error}; expected text with one person a line"
        ) from error
    empty = [number for number, line in enumerate(lines, 1) if not line.strip()]
    if empty or not lines:
        raise DataError(
            f"people {path}: expected one person a line, line {empty[0] if empty else 1} is empty"
        )
    return tuple(line.strip() for line in lines)
