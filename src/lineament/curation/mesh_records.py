"""The list of issued photos: what was drawn for each, enough to issue it again."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from lineament.core.errors import DataError
from lineament.imaging.mesh import DEFAULT_RANGES, UNSEEN_RANGES, Lines, Mesh, MeshRanges
from lineament.imaging.portrait import Frame, Issuance

RANGES: Mapping[str, MeshRanges] = MappingProxyType({"default": DEFAULT_RANGES, "unseen": UNSEEN_RANGES})
"""Ranges that the list knows, by name."""
COLUMNS = (
    "record",
    "name",
    "subject",
    "family",
    "seed",
    "ranges",
    "layout",
    "frame",
    "scale",
    "blur_sigma_px",
    "jpeg_quality",
    "ink_red",
    "ink_green",
    "ink_blue",
    "opacity",
    "lines",
    "coverage",
    "sha256",
)
"""Of the list. ``frame`` holds the six numbers of the matrix, ``jpeg_quality`` is empty for PNG, ``lines`` is JSON."""


@dataclass(frozen=True, slots=True)
class MeshRecord:
    """One issued photo.

    Attributes:
        record: number of the photo in its pack, from 0 on.
        name: of the issued photo in the pack that was written.
        subject: whose photo it is; empty when the pack does not tell.
        issuance: how it was issued.
        ink: (3,) red, green, blue of the ink, [0, 255]; follows from the issuance, as does what is below.
        opacity: of the ink.
        lines: what was drawn for the lines, px of the picture on which they were drawn.
        coverage: mean of the mask, in [0, 1].
        sha256: of the encoded picture.
    """

    record: int
    name: str
    subject: str
    issuance: Issuance
    ink: tuple[float, float, float]
    opacity: float
    lines: Lines
    coverage: float
    sha256: str


def mesh_row(record: MeshRecord) -> list[str]:
    """One line of the list, in the order of :data:`COLUMNS`; numbers are exact.

    Raises:
        ValueError: ranges that have no name in :data:`RANGES`.
    """
    issuance = record.issuance
    mesh = issuance.mesh
    ranges = next((name for name, known in RANGES.items() if known == mesh.ranges), None)
    if ranges is None:
        raise ValueError(f"the list knows the ranges {', '.join(RANGES)}, got {mesh.ranges}")
    values: tuple[Any, ...] = (
        record.record,
        record.name,
        record.subject,
        mesh.family,
        mesh.seed,
        ranges,
        issuance.layout,
        "" if issuance.frame is None else " ".join(map(repr, issuance.frame)),
        issuance.scale,
        issuance.blur_sigma_px,
        "" if issuance.jpeg_quality is None else issuance.jpeg_quality,
        *record.ink,
        record.opacity,
        json.dumps(dict(record.lines)),
        record.coverage,
        record.sha256,
    )
    return [str(value) for value in values]


def read_mesh_records(path: Path) -> list[MeshRecord]:
    """The list that ``lineament data mesh`` wrote.

    Raises:
        DataError: it cannot be read, or a line is none of its; names the line.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not rows or tuple(rows[0]) != COLUMNS:
        raise DataError(f"{path}: expected the columns {', '.join(COLUMNS)}, got {rows[:1]}")
    found = []
    for number, row in enumerate(rows[1:], 2):
        try:
            found.append(_record(dict(zip(COLUMNS, row, strict=True))))
        except (ValueError, KeyError) as error:
            raise DataError(f"{path}, line {number}: {error}; restore the list as it was written") from error
    return found


def _record(row: dict[str, str]) -> MeshRecord:
    """A line; :class:`Mesh` and :class:`Issuance` check what it says."""
    frame = tuple(float(part) for part in row["frame"].split())
    if len(frame) not in {0, 6}:
        raise ValueError(f"frame must be six numbers or none, got {row['frame']!r}")
    mesh = Mesh(family=cast("Any", row["family"]), seed=int(row["seed"]), ranges=RANGES[row["ranges"]])
    issuance = Issuance(
        mesh=mesh,
        layout=cast("Any", row["layout"]),
        frame=cast("Frame", frame) if frame else None,
        scale=float(row["scale"]),
        blur_sigma_px=float(row["blur_sigma_px"]),
        jpeg_quality=int(row["jpeg_quality"]) if row["jpeg_quality"] else None,
    )
    ink = (float(row["ink_red"]), float(row["ink_green"]), float(row["ink_blue"]))
    return MeshRecord(
        int(row["record"]),
        row["name"],
        row["subject"],
        issuance,
        ink,
        float(row["opacity"]),
        json.loads(row["lines"]),
        float(row["coverage"]),
        row["sha256"],
    )
