"""WIDER FACE: its annotations, the published form of detections, and its three figures. Needs the extra ``eval``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray, check_floats, frozen
from lineament.core.errors import ConfigError, DataError
from lineament.evaluation.boxlists import ScoredBoxes, read_box_list
from lineament.metrics.widerface import WiderPicture, wider_average_precision, wider_curve

SUBSETS = ("easy", "medium", "hard")


@dataclass(frozen=True, slots=True, eq=False)
class WiderLabels:
    """The annotated faces of one picture.

    Attributes:
        name: event and picture without suffix, "0--Parade/0_Parade_marchingband_1_465".
        boxes: (M, 4) float32 xyxy px counted from the picture's corner: x, y, x + w, y + h of the annotation.
        easy: (M,) bool, True for the faces of the subset.
        medium: (M,) bool, likewise; holds the easy faces too.
        hard: (M,) bool, likewise; holds the medium faces too.
    """

    name: str
    boxes: FloatArray
    easy: NDArray[np.bool_]
    medium: NDArray[np.bool_]
    hard: NDArray[np.bool_]

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes", frozen(check_floats(self.boxes, (None, 4), "boxes")))
        for subset in SUBSETS:
            object.__setattr__(self, subset, frozen(getattr(self, subset)))


@dataclass(frozen=True, slots=True)
class WiderResult:
    """Average precision on the three subsets, fractions.

    Attributes:
        easy: average precision on the easy faces.
        medium: on the medium and easy ones.
        hard: on all but the tiniest.
        n_faces: faces of the three subsets.
    """

    easy: float
    medium: float
    hard: float
    n_faces: tuple[int, int, int]


def _load_mat(path: Path) -> dict[str, Any]:
    try:
        from scipy.io import loadmat  # type: ignore[import-untyped]
        from scipy.io.matlab import MatReadError  # type: ignore[import-untyped]
    except ImportError as error:
        raise ConfigError(
            'reading WIDER FACE annotations needs scipy, which is not installed; run pip install "lineament[eval]"'
        ) from error
    try:
        found: dict[str, Any] = loadmat(path)
    except (OSError, ValueError, TypeError, NotImplementedError, MatReadError) as error:
        raise DataError(f"WIDER FACE annotations {path} cannot be read: {error}") from error
    return found


def read_wider_labels(folder: Path) -> tuple[WiderLabels, ...]:
    """The annotations of the validation set.

    Args:
        folder: holds ``wider_face_val.mat`` and ``wider_{easy,medium,hard}_val.mat``.

    Raises:
        ConfigError: scipy is not installed.
        DataError: a file that is missing or not of this form.
    """
    whole = _load_mat(folder / "wider_face_val.mat")
    lists = [_load_mat(folder / f"wider_{subset}_val.mat") for subset in SUBSETS]
    labels = []
    try:
        kept = [part["gt_list"] for part in lists]
        for e, event in enumerate(whole["event_list"][:, 0]):
            for i, stem in enumerate(whole["file_list"][e, 0][:, 0]):
                rows = whole["face_bbx_list"][e, 0][i, 0].astype(np.float32).reshape(-1, 4)
                masks = (_mask(part[e, 0][i, 0], len(rows)) for part in kept)
                boxes = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:]], axis=1)
                labels.append(WiderLabels(f"{event[0]}/{stem[0]}", boxes, *masks))
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise DataError(
            f"WIDER FACE annotations in {folder}: expected event_list, file_list, face_bbx_list and gt_list: {error!r}"
        ) from error
    return tuple(labels)


def _mask(numbers: NDArray[np.integer], count: int) -> NDArray[np.bool_]:
    """Faces named by their numbers, counted from 1."""
    mask = np.zeros(count, np.bool_)
    mask[numbers.ravel().astype(np.int64) - 1] = True
    return mask


def read_wider_detections(folder: Path, names: Sequence[str]) -> dict[str, ScoredBoxes]:
    """Detections in the form in which results are handed in: ``<event>/<picture>.txt``.

    Args:
        folder: holds a folder for each event.
        names: pictures as in :class:`WiderLabels`.

    Raises:
        DataError: a picture without its file, or a file that is not of this form.
    """
    found = {}
    for name in names:
        path = folder / f"{name}.txt"
        lists = [boxes for _, boxes in read_box_list(path)]
        if len(lists) != 1:
            raise DataError(f"detections {path}: expected the boxes of one picture, got {len(lists)} lists")
        found[name] = lists[0]
    return found


def wider_result(labels: Sequence[WiderLabels], detections: Mapping[str, ScoredBoxes]) -> WiderResult:
    """Average precision on the three subsets.

    Detections should reach down to low scores (0.02 in published results), and the size at which pictures were given
    to the detector belongs beside the figures.

    Args:
        labels: annotations of all pictures.
        detections: for each name, also for pictures in which nothing was found.

    Raises:
        DataError: a picture without detections.
    """
    missing = [label.name for label in labels if label.name not in detections]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(labels)} pictures have no entry; an empty one says nothing was found"
        )
    curves = {subset: wider_curve(_pictures(labels, detections, subset)) for subset in SUBSETS}
    easy, medium, hard = (wider_average_precision(curves[subset]) for subset in SUBSETS)
    n_faces = (curves["easy"].n_faces, curves["medium"].n_faces, curves["hard"].n_faces)
    return WiderResult(easy, medium, hard, n_faces)


def _pictures(
    labels: Sequence[WiderLabels], detections: Mapping[str, ScoredBoxes], subset: str
) -> list[WiderPicture]:
    return [
        WiderPicture(found.boxes, found.scores, label.boxes, getattr(label, subset))
        for label in labels
        for found in (detections[label.name],)
    ]
