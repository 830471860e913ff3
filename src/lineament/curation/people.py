"""One person under two names: within a pack, or in a training pack and an evaluation pack."""

from dataclasses import dataclass

import numpy as np

from lineament.curation.similar import SimilarPairs, pairs_between, pairs_within, subject_centres
from lineament.curation.vectors import PackVectors
from lineament.packs import LabelArray


@dataclass(frozen=True, slots=True)
class SubjectPair:
    """Two subjects that may be one person.

    Attributes:
        first: label of the subject in the first pack.
        second: label of the subject in the second pack, or in the first one when it is compared with itself.
        similarity: cosine of both centres.
        first_record: of the most similar pair of pictures, the one of the first subject.
        second_record: the one of the second subject.
        best_similarity: cosine of these two pictures.
    """

    first: int
    second: int
    similarity: float
    first_record: int
    second_record: int
    best_similarity: float


def find_same_person(found: PackVectors, n_subjects: int, above: float) -> tuple[SubjectPair, ...]:
    """Pairs of subjects of one pack that look like one person.

    Such pairs must be merged or left out before look-alikes are mined: one person under two names is the perfect
    look-alike (Taigman et al., Web-Scale Training, 2015).

    Args:
        found: embeddings of the pack.
        n_subjects: number of its subjects.
        above: cosine in (0, 1] of the centres from which on a pair is listed.

    Returns: most similar first.

    Raises:
        ConfigError: too many pairs; raise ``above``.
    """
    centres = subject_centres(found.vectors, found.labels, n_subjects)
    return _described(pairs_within(centres, above), found, found)


def find_overlap(
    found: tuple[PackVectors, PackVectors], n_subjects: tuple[int, int], above: float
) -> tuple[SubjectPair, ...]:
    """Pairs of a subject of one pack and a subject of another that look like one person.

    Args:
        found: embeddings of both packs, of one space.
        n_subjects: number of subjects of each.
        above: cosine in (0, 1] of the centres from which on a pair is listed.

    Returns: most similar first.

    Raises:
        ConfigError: too many pairs; raise ``above``.
    """
    one, other = (subject_centres(f.vectors, f.labels, n) for f, n in zip(found, n_subjects, strict=True))
    return _described(pairs_between(one, other, above), *found)


def _described(pairs: SimilarPairs, one: PackVectors, other: PackVectors) -> tuple[SubjectPair, ...]:
    """The pairs with the most similar pictures of each."""
    of_one, of_other = _members(one.labels), _members(other.labels)
    columns = (pairs.first.tolist(), pairs.second.tolist(), pairs.similarity.tolist())
    described = []
    for first, second, similarity in zip(*columns, strict=True):
        a, b = of_one[first], of_other[second]
        product = one.vectors[a] @ other.vectors[b].T
        row, column = np.unravel_index(product.argmax(), product.shape)
        best = min(1.0, float(product[row, column]))
        described.append(SubjectPair(first, second, similarity, int(a[row]), int(b[column]), best))
    return tuple(described)


def _members(labels: LabelArray) -> dict[int, LabelArray]:
    """Record numbers of each subject."""
    order = np.argsort(labels, kind="stable")
    values, starts = np.unique(labels[order], return_index=True)
    return dict(zip(values.tolist(), np.split(order, starts[1:]), strict=True))
