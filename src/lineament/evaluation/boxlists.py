"""Lists of detected boxes as benchmark tools exchange them: a name, a count, and one ``x y w h score`` a line."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lineament.core.arrays import FloatArray, check_floats, frozen
from lineament.core.errors import DataError
from lineament.core.types import Detections


@dataclass(frozen=True, slots=True, eq=False)
class ScoredBoxes:
    """Detections of one picture in the frame of such lists.

    Attributes:
        boxes: (N, 4) float32 xyxy px counted from the picture's corner: x, y, x + w, y + h of the list.
        scores: (N,) float32, on any scale.
    """

    boxes: FloatArray
    scores: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", frozen(check_floats(self.scores, (None,), "scores")))
        object.__setattr__(self, "boxes", frozen(check_floats(self.boxes, (len(self.scores), 4), "boxes")))


def to_scored_boxes(detections: Detections) -> ScoredBoxes:
    """Detections in the frame of box lists, half a pixel away from the frame of pixel centres.

    Args:
        detections: of one picture.
    """
    return ScoredBoxes(detections.boxes + np.float32(0.5), detections.scores)


def read_text(path: Path) -> str:
    """The text of a list.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"list {path} cannot be read: {error}") from error


def read_blocks(path: Path, n_numbers: int) -> Iterator[tuple[str, FloatArray]]:
    """Names and rows of a list of blocks: a line with a name, a line with a count, that many lines of numbers.

    Args:
        path: the list.
        n_numbers: numbers used of each line; further ones are left out.

    Yields:
        The name and an (N, n_numbers) float32 array.

    Raises:
        DataError: a list that cannot be read or ends early; names the line.
    """
    lines = read_text(path).splitlines()
    at = 0
    while at < len(lines):
        name = lines[at].strip()
        if not name:
            at += 1
            continue
        try:
            numbers = _rows(lines[at + 1 :], n_numbers)
        except (IndexError, ValueError) as error:
            raise DataError(
                f"list {path}, line {at + 1}: expected a name, a count and rows of {n_numbers} numbers: {error}"
            ) from error
        yield name, numbers
        at += 2 + len(numbers)


def _rows(lines: list[str], n_numbers: int) -> FloatArray:
    """The rows that the count in the first line announces."""
    count = int(lines[0])
    rows = [[float(v) for v in line.split()[:n_numbers]] for line in lines[1 : 1 + count]]
    if count < 0 or len(rows) != count:
        raise ValueError(f"the list ends after {len(rows)} of {count} rows")
    return np.array(rows, np.float32).reshape(count, n_numbers)


def read_box_list(path: Path) -> Iterator[tuple[str, ScoredBoxes]]:
    """Names and detections of a list.

    Args:
        path: the list; several pictures may follow each other.

    Raises:
        DataError: a list that cannot be read or ends early; names the line.
    """
    for name, rows in read_blocks(path, 5):
        corners = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
        yield name, ScoredBoxes(corners, rows[:, 4].copy())
