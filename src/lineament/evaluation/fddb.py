"""FDDB: its annotations and the curves of a detector over all ten folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lineament.core.arrays import FloatArray, check_floats, frozen
from lineament.core.errors import DataError
from lineament.evaluation.boxlists import ScoredBoxes, read_blocks, read_box_list, read_text
from lineament.metrics.fddb import FddbPicture, FddbRoc, fddb_roc

N_FOLDS = 10


@dataclass(frozen=True, slots=True, eq=False)
class FddbLabels:
    """The annotated faces of one picture.

    Attributes:
        name: picture without suffix, "2002/08/11/big/img_591".
        fold: 1 to 10.
        ellipses: (M, 5) float32 semi-axes (major, minor) px, angle rad, centre x, y px.
    """

    name: str
    fold: int
    ellipses: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "ellipses", frozen(check_floats(self.ellipses, (None, 5), "ellipses")))


def read_fddb_labels(folder: Path) -> tuple[FddbLabels, ...]:
    """The annotations of all ten folds.

    Args:
        folder: holds ``FDDB-fold-NN.txt`` and ``FDDB-fold-NN-ellipseList.txt``.

    Raises:
        DataError: a list that is missing or broken, or whose pictures are not those of its fold.
    """
    labels: list[FddbLabels] = []
    for fold in range(1, N_FOLDS + 1):
        names = read_text(folder / f"FDDB-fold-{fold:02d}.txt").split()
        path = folder / f"FDDB-fold-{fold:02d}-ellipseList.txt"
        found = [FddbLabels(name, fold, ellipses) for name, ellipses in read_blocks(path, 5)]
        if [label.name for label in found] != names:
            raise DataError(
                f"annotations {path}: expected the {len(names)} pictures of the fold in their order, "
                f"got {len(found)} pictures"
            )
        labels += found
    return tuple(labels)


def read_fddb_detections(paths: Sequence[Path]) -> dict[str, ScoredBoxes]:
    """Detections in the form in which results are handed in, one list for each fold.

    Args:
        paths: the lists; rectangles only.

    Raises:
        DataError: a list that is missing or broken, or a picture that occurs twice.
    """
    found: dict[str, ScoredBoxes] = {}
    for path in paths:
        for name, boxes in read_box_list(path):
            if name in found:
                raise DataError(f"detections {path}: picture {name} occurs twice; each belongs to one fold")
            found[name] = boxes
    return found


def fddb_curves(
    labels: Sequence[FddbLabels],
    detections: Mapping[str, ScoredBoxes],
    sizes_px: Mapping[str, tuple[int, int]],
) -> FddbRoc:
    """Discrete and continuous curve over all pictures together.

    The annotations are ellipses, so the rule by which a detector's boxes were made to fit them, if any, belongs beside
    the figures.

    Args:
        labels: annotations of all pictures.
        detections: for each name, also for pictures in which nothing was found.
        sizes_px: width and height of each picture.

    Raises:
        DataError: a picture without detections or size.
    """
    missing = [label.name for label in labels if label.name not in detections or label.name not in sizes_px]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(labels)} pictures have no detections (an empty entry says that nothing was "
            "found) or no size"
        )
    return fddb_roc(
        [
            FddbPicture(found.boxes, found.scores, label.ellipses, sizes_px[label.name])
            for label in labels
            for found in (detections[label.name],)
        ]
    )
