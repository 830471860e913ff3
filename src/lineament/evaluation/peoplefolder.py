"""A folder with one folder a person: which pictures count, and every pair of them or a drawn part."""

import hashlib
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray
from lineament.core.errors import DataError
from lineament.core.names import is_hidden
from lineament.evaluation.pairlists import LabelledPairs
from lineament.evaluation.sets import PictureSource, is_picture
from lineament.evaluation.tables import NAMED

IndexArray = NDArray[np.int32]
MAX_PAIRS = 2_000_000
"""Most pairs that are compared; of more a part is drawn."""
_PEOPLE_BLOCK = 1024


@dataclass(frozen=True, slots=True)
class People:
    """Pictures with their people.

    Attributes:
        samples: names of the pictures, "person/photo.jpg".
        subjects: the person of each.
        data_sha256: digest over names and bytes of the pictures.
        notes: what was left out and what is missing.
        digests: sha256 of the bytes of each picture, hex; empty for samples that are no pictures.
    """

    samples: tuple[str, ...]
    subjects: tuple[str, ...]
    data_sha256: str
    notes: tuple[str, ...]
    digests: tuple[str, ...] = ()

    @property
    def subject_of_sample(self) -> IndexArray:
        """(S,) int32 number of each sample's person."""
        return np.unique(np.asarray(self.subjects), return_inverse=True)[1].astype(np.int32)


def read_people(source: PictureSource) -> People:
    """The pictures of a folder or zip of folders, one for each person.

    The same file twice in one folder counts once, as a comparison with itself says nothing. Pictures outside of a
    person's folder and files that are no pictures are left out.

    Args:
        source: the folder.

    Raises:
        DataError: fewer than two people, or the same file lies under two people.
    """
    visible = [name for name in source.names() if not is_hidden(name)]
    pictures = [name for name in visible if is_picture(name)]
    inside = [name for name in pictures if "/" in name]
    digests = {name: hashlib.sha256(source.read(name)).hexdigest() for name in inside}
    samples = _once(inside, digests, source)
    subjects = tuple(name.partition("/")[0] for name in samples)
    counts = Counter(subjects)
    if len(counts) < 2:
        raise DataError(
            f"{source.path}: expected folders of two people or more (person/photo.jpg), found {len(counts)}"
        )
    empty = len(_folders(source)) - len(counts)
    lonely = sum(1 for count in counts.values() if count == 1)
    said = (
        (len(pictures) - len(inside), "pictures outside of a person's folder were left out"),
        (len(visible) - len(pictures), "files that are no pictures were left out"),
        (len(inside) - len(samples), "copies of a person's own picture were left out"),
        (empty, "folders hold no picture"),
        (lonely, f"of {len(counts):,} people have one picture only and so no mated pair"),
    )
    digest = hashlib.sha256("".join(f"{name}\t{digests[name]}\n" for name in samples).encode()).hexdigest()
    notes = tuple(f"{count:,} {words}" for count, words in said if count)
    return People(samples, subjects, digest, notes, tuple(digests[name] for name in samples))


def _folders(source: PictureSource) -> set[str]:
    """Folders of people, also those without any file."""
    there = {name.partition("/")[0] for name in source.names() if "/" in name}
    if source.path.is_dir():
        there |= {entry.name for entry in source.path.iterdir() if entry.is_dir()}
    return {name for name in there if not is_hidden(name)}


def _once(names: list[str], digests: dict[str, str], source: PictureSource) -> tuple[str, ...]:
    """The names without copies.

    Raises:
        DataError: a file that lies under two people.
    """
    first: dict[str, str] = {}
    shared = []
    for name in names:
        other = first.setdefault(digests[name], name)
        if other.partition("/")[0] != name.partition("/")[0]:
            shared.append(f"{other} = {name}")
    if shared:
        more = " and others" if len(shared) > NAMED else ""
        raise DataError(
            f"{source.path}: {len(shared)} files lie under two people ({', '.join(shared[:NAMED])}{more}); a picture "
            "shows one of them, or both names are one person: correct the folders"
        )
    return tuple(sorted(first.values()))


def people_pairs(people: People, seed: int, max_pairs: int = MAX_PAIRS) -> LabelledPairs:
    """Every pair of pictures once, or a drawn part of them when there are too many.

    Of more than ``max_pairs`` pairs at most half are mated; both kinds are drawn evenly.

    Args:
        people: the pictures.
        seed: of the draw.
        max_pairs: most pairs.
    """
    subjects, n = people.subject_of_sample, len(people.samples)
    total = n * (n - 1) // 2
    mated = _mated_pairs(subjects)
    if total <= max_pairs:
        first, second = np.triu_indices(n, 1)
        pairs = np.stack([first, second], axis=1).astype(np.int32)
        protocol = f"every pair of {n:,} pictures once"
    else:
        rng = np.random.default_rng(seed)
        n_mated = len(mated)
        if n_mated > max_pairs // 2:
            mated = mated[np.sort(rng.choice(n_mated, max_pairs // 2, replace=False))]
        wanted = min(max_pairs - len(mated), total - n_mated)
        pairs = np.concatenate([mated, _drawn_nonmated(subjects, wanted, rng)])
        protocol = (
            f"{len(mated):,} of {n_mated:,} mated and {wanted:,} of {total - n_mated:,} non-mated pairs of {n:,} "
            f"pictures, drawn with seed {seed}"
        )
    return LabelledPairs(
        protocol,
        people.samples,
        pairs,
        np.asarray(subjects[pairs[:, 0]] == subjects[pairs[:, 1]]),
        people.subjects,
        notes=people.notes,
    )


def _mated_pairs(subjects: IndexArray) -> IndexArray:
    order = np.argsort(subjects, kind="stable")
    found = [np.zeros((0, 2), np.int32)]
    for rows in np.split(order, np.flatnonzero(np.diff(subjects[order])) + 1):
        a, b = np.triu_indices(len(rows), 1)
        found.append(np.stack([rows[a], rows[b]], axis=1).astype(np.int32))
    return np.concatenate(found)


def _drawn_nonmated(subjects: IndexArray, wanted: int, rng: np.random.Generator) -> IndexArray:
    """``wanted`` different non-mated pairs, each as likely as any other."""
    n = len(subjects)
    codes = np.zeros(0, np.int64)
    while len(codes) < wanted:
        drawn = np.sort(rng.integers(0, n, (int(1.2 * (wanted - len(codes))) + 100, 2)), axis=1)
        drawn = drawn[subjects[drawn[:, 0]] != subjects[drawn[:, 1]]]
        every = np.concatenate([codes, drawn[:, 0] * n + drawn[:, 1]])
        # the first of equal draws stays, so that no pair is favoured when the list is cut
        codes = every[np.sort(np.unique(every, return_index=True)[1])]
    codes = codes[:wanted]
    return np.stack([codes // n, codes % n], axis=1).astype(np.int32)


def alike_people(vectors: FloatArray, subjects: IndexArray) -> int:
    """How many two people are as alike as one: names that may stand for the same person, or mixed folders.

    Two people count when the mean similarity between their pictures reaches that among the pictures of one person, as
    nine tenths of the people with two pictures or more have it.

    Args:
        vectors: (S, D) float32 unit vectors, at least one.
        subjects: (S,) number of each vector's person.
    """
    _, person, counts = np.unique(subjects, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(sums, person, vectors)
    several = counts >= 2
    if not several.any():
        return 0
    n = counts[several]
    within = ((sums[several] ** 2).sum(axis=1) - n) / (n * (n - 1))
    means, usual, found = sums / counts[:, None], np.quantile(within, 0.1), 0
    for start in range(0, len(means), _PEOPLE_BLOCK):
        alike = means[start : start + _PEOPLE_BLOCK] @ means.T >= usual
        # only people after the row's own, so that every two count once
        found += int(np.count_nonzero(np.triu(alike, start + 1)))
    return found
