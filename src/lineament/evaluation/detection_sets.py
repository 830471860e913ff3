"""Pictures with true face boxes, from the files that data sets bring along."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray

from lineament.core.arrays import FloatArray, check_floats, frozen
from lineament.core.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPicture:
    """The true faces of one picture.

    Attributes:
        name: name of the picture in its source.
        boxes: (M, 4) float32 xyxy, px.
        ignored: (M,) bool, True for faces that neither count nor make a detection false.
    """

    name: str
    boxes: FloatArray
    ignored: NDArray[np.bool_]

    def __post_init__(self) -> None:
        boxes = check_floats(self.boxes, (len(self.ignored), 4), "boxes")
        object.__setattr__(self, "boxes", frozen(boxes))
        object.__setattr__(self, "ignored", frozen(self.ignored))


@dataclass(frozen=True, slots=True)
class DetectionSet:
    """A detection data set.

    Attributes:
        name: how reports call it.
        pictures: folder or zip of the pictures.
        labels: one for each picture.
    """

    name: str
    pictures: Path
    labels: tuple[LabelledPicture, ...]


def _labelled(name: str, edges: list[tuple[float, ...]], ignored: list[bool]) -> LabelledPicture:
    """Boxes given by their outer edges, counted from the picture's corner, in the frame of pixel centres."""
    boxes = np.array(edges, np.float32).reshape(-1, 4) - np.float32(0.5)
    return LabelledPicture(name, boxes, np.array(ignored, np.bool_))


def read_facemask(folder: Path) -> DetectionSet:
    """The face-mask photographs: ``boxes.csv`` beside ``facemask_images.zip``.

    Args:
        folder: where both lie. The table has the columns file, xmin, ymin, xmax, ymax; further ones are left out.

    Raises:
        DataError: a table that cannot be read or a row that is no box; names the line.
    """
    path = folder / "boxes.csv"
    found: dict[str, list[tuple[float, ...]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                found.setdefault(row["file"], []).append(_csv_box(row))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"face boxes {path} cannot be read: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        line = sum(len(boxes) for boxes in found.values()) + 2
        raise DataError(
            f"face boxes {path}, line {line}: expected file, xmin < xmax, ymin < ymax: {error}"
        ) from error
    labels = tuple(_labelled(name, boxes, [False] * len(boxes)) for name, boxes in sorted(found.items()))
    return DetectionSet("det_facemask", folder / "facemask_images.zip", labels)


def _csv_box(row: dict[str, str]) -> tuple[float, ...]:
    box = tuple(float(row[key]) for key in ("xmin", "ymin", "xmax", "ymax"))
    if not (box[0] < box[2] and box[1] < box[3]):
        raise ValueError(f"box {box} is empty")
    return box


def read_dlib_faces(folder: Path) -> DetectionSet:
    """The dlib example photographs: ``training.xml`` and ``testing.xml`` beside the pictures.

    Args:
        folder: where they lie. Boxes marked ``ignore='1'`` do not count.

    Raises:
        DataError: a list that cannot be read; names the file and the picture.
    """
    labels = [label for name in ("training.xml", "testing.xml") for label in _read_dlib_xml(folder / name)]
    return DetectionSet("det_dlib_faces", folder, tuple(sorted(labels, key=lambda label: label.name)))


def _read_dlib_xml(path: Path) -> Iterator[LabelledPicture]:
    try:
        data = path.read_bytes()
        if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
            raise DataError(
                f"face boxes {path}: a list of boxes has no document type, this one was left unread"
            )
        images = list(ET.fromstring(data).iter("image"))  # noqa: S314  (no document type, so no entities)
    except (OSError, ET.ParseError) as error:
        raise DataError(f"face boxes {path} cannot be read: {error}") from error
    for image in images:
        name = image.get("file", "")
        try:
            edges = [_xml_box(box) for box in image.iter("box")]
        except (KeyError, ValueError) as error:
            raise DataError(
                f"face boxes {path}, picture {name}: expected left, top, width and height: {error}"
            ) from error
        yield _labelled(name, edges, [box.get("ignore") == "1" for box in image.iter("box")])


def _xml_box(box: ET.Element) -> tuple[float, ...]:
    left, top, width, height = (float(box.attrib[key]) for key in ("left", "top", "width", "height"))
    return left, top, left + width, top + height
