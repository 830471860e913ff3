"""Pictures of what a check found, for people to look at before anything is removed."""

from collections.abc import Sequence

import cv2
import numpy as np

from lineament.core.arrays import ImageArray
from lineament.core.errors import InputError
from lineament.curation.duplicates import Duplicate
from lineament.curation.noise import Suspect
from lineament.curation.people import SubjectPair
from lineament.curation.tables import subject_of
from lineament.imaging import BLUE, GREY, Tile, contact_sheet, decode_image
from lineament.packs import Pack

COLUMNS = 8
TILE_PX = 150


def suspects_sheet(pack: Pack, suspects: Sequence[Suspect], title: str) -> ImageArray:
    """Pictures that look unlike their subject: own similarity and subject, then the most similar other one.

    Args:
        pack: the records.
        suspects: at least one, in reading order.
        title: line at the top.

    Returns: (H, W, 3) uint8 RGB.

    Raises:
        DataError: a record cannot be read.
    """
    tiles = []
    for suspect in suspects:
        lines = [f"{suspect.similarity:.3f} {subject_of(pack, suspect.record)}", pack.names[suspect.record]]
        if suspect.rival >= 0:
            lines.insert(1, f"{suspect.rival_similarity:.3f} {pack.subjects[suspect.rival]}")
        tiles.append(Tile(_square(pack, suspect.record), "\n".join(lines)))
    return contact_sheet(tiles, COLUMNS, TILE_PX, title)


def duplicates_sheet(packs: tuple[Pack, Pack], duplicates: Sequence[Duplicate], title: str) -> ImageArray:
    """Pairs of pictures in neighbouring places, every other pair framed in blue.

    Args:
        packs: of the first and the second records; twice the same for duplicates within a pack.
        duplicates: at least one, in reading order.
        title: line at the top.

    Returns: (H, W, 3) uint8 RGB.

    Raises:
        DataError: a record cannot be read.
    """
    one, other = packs
    tiles = []
    for number, d in enumerate(duplicates):
        captions = (
            f"{d.similarity:.3f}, differs by {d.difference:.1f}\n{one.names[d.first]}",
            other.names[d.second],
        )
        tiles += _pair(packs, (d.first, d.second), captions, number)
    return contact_sheet(tiles, COLUMNS, TILE_PX, title)


def people_sheet(packs: tuple[Pack, Pack], pairs: Sequence[SubjectPair], title: str) -> ImageArray:
    """The most similar pictures of each pair of subjects in neighbouring places, every other pair framed in blue.

    Args:
        packs: of the first and the second subjects; twice the same for pairs within a pack.
        pairs: at least one, in reading order.
        title: line at the top.

    Returns: (H, W, 3) uint8 RGB.

    Raises:
        DataError: a record cannot be read.
    """
    one, other = packs
    tiles = []
    for number, p in enumerate(pairs):
        captions = (
            f"{one.subjects[p.first]}\ncentres {p.similarity:.3f}",
            f"{other.subjects[p.second]}\npictures {p.best_similarity:.3f}",
        )
        tiles += _pair(packs, (p.first_record, p.second_record), captions, number)
    return contact_sheet(tiles, COLUMNS, TILE_PX, title)


def _pair(
    packs: tuple[Pack, Pack], records: tuple[int, int], captions: tuple[str, str], number: int
) -> list[Tile]:
    colour = BLUE if number % 2 else GREY
    squares = [_square(*found) for found in zip(packs, records, strict=True)]
    return [Tile(square, caption, colour) for square, caption in zip(squares, captions, strict=True)]


def _square(pack: Pack, index: int) -> ImageArray:
    """The picture of a record, fitted into a square; grey where it cannot be decoded."""
    record = pack.read(index)
    square = np.full((TILE_PX, TILE_PX, 3), 200, np.uint8)
    try:
        pixels = decode_image(record.image, name=record.name).pixels
    except InputError:
        return square
    factor = TILE_PX / max(pixels.shape[:2])
    size = [max(1, round(side * factor)) for side in pixels.shape[1::-1]]
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    fitted = np.asarray(cv2.resize(pixels, size, interpolation=how), np.uint8)
    top, left = (TILE_PX - fitted.shape[0]) // 2, (TILE_PX - fitted.shape[1]) // 2
    square[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
    return square
