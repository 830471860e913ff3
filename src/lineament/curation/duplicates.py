"""The same photo twice: encoded anew, resized, mirrored or cropped a little differently."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from lineament.core.arrays import FloatArray, ImageArray
from lineament.core.errors import DataError
from lineament.curation.similar import pairs_between, pairs_within
from lineament.curation.vectors import PackVectors, read_crop
from lineament.packs import LabelArray, Pack

_GRID = 16


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two records that show one photo.

    Attributes:
        first: number of the record in the first pack.
        second: number of the record in the second pack, or in the first one when it is compared with itself.
        similarity: cosine of the embeddings.
        difference: of the pictures (:func:`picture_differences`), grey levels of 255.
    """

    first: int
    second: int
    similarity: float
    difference: float


def find_duplicates(
    packs: tuple[Pack, Pack | None],
    found: tuple[PackVectors, PackVectors | None],
    above: float,
    within: float,
) -> tuple[Duplicate, ...]:
    """Near-duplicates within one pack, or between two.

    Similar embeddings make candidates, since two photos of a person may be that similar too; of these, the pictures
    themselves are compared. Only pictures of candidates are read again.

    Args:
        packs: of aligned crops; the second one is None for duplicates within the first.
        found: their embeddings, of one space.
        above: cosine in (0, 1] from which on a pair is a candidate.
        within: largest difference of a duplicate, grey levels.

    Returns: most similar first.

    Raises:
        ConfigError: too many candidates; raise ``above``.
        DataError: a record that could be read before cannot be read now.
    """
    one, other = found
    pairs = (
        pairs_within(one.vectors, above)
        if other is None
        else pairs_between(one.vectors, other.vectors, above)
    )
    if packs[1] is None:
        first = second = _thumbnails(packs[0], np.concatenate([pairs.first, pairs.second]))
    else:
        first, second = _thumbnails(packs[0], pairs.first), _thumbnails(packs[1], pairs.second)
    a = np.array([first[i] for i in pairs.first.tolist()], np.float32).reshape(-1, _GRID, _GRID)
    b = np.array([second[i] for i in pairs.second.tolist()], np.float32).reshape(-1, _GRID, _GRID)
    differences = picture_differences(a, b)
    columns = (pairs.first, pairs.second, pairs.similarity, differences)
    same = differences <= within
    return tuple(Duplicate(*row) for row in zip(*(c[same].tolist() for c in columns), strict=True))


def _thumbnails(pack: Pack, records: LabelArray) -> dict[int, FloatArray]:
    """Small grey pictures of records, by number: (16, 16) float32 grey levels, mean taken off."""
    made = {}
    for index in np.unique(records).tolist():
        record = pack.read(index)
        crop = read_crop(record.name, record.image)
        if isinstance(crop, str):
            raise DataError(f"record {index} has changed since it was embedded: {crop}")
        made[index] = _thumbnail(crop)
    return made


def _thumbnail(crop: ImageArray) -> FloatArray:
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_GRID, _GRID), interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray(small - small.mean(), np.float32)


def picture_differences(a: FloatArray, b: FloatArray) -> FloatArray:
    """Mean absolute difference of small grey pictures, the better of the second one and its mirror image.

    Args:
        a: (P, H, W) float32 grey levels, mean taken off each picture, so that brightness does not count.
        b: (P, H, W) float32, likewise.

    Returns: (P,) float32 grey levels.
    """
    straight = np.abs(a - b).mean(axis=(1, 2))
    mirrored = np.abs(a - b[:, :, ::-1]).mean(axis=(1, 2))
    return np.asarray(np.minimum(straight, mirrored), np.float32)


def superfluous(duplicates: Sequence[Duplicate], pack: Pack) -> list[int]:
    """Records to leave out, so that no photo of one pack is there twice.

    Of duplicates of one subject the first stays. A photo under two subjects is left out under both: one of them is
    wrong, and the picture does not tell which.

    Args:
        duplicates: within ``pack``.
        pack: the records.

    Returns: record numbers, rising.
    """
    out: set[int] = set()
    for pair in duplicates:
        if pack.labels[pair.first] != pack.labels[pair.second]:
            out |= {pair.first, pair.second}
    for pair in sorted(duplicates, key=lambda d: (d.first, d.second)):
        if pair.first not in out:
            out.add(pair.second)
    return sorted(out)
