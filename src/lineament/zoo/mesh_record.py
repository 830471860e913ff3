"""Calibration records of mesh removers: from which score on a picture counts as meshed, with the evidence."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import ConfigDict, Field, model_validator

from lineament.core.arrays import ScoreArray
from lineament.core.errors import DataError, NotCalibrated
from lineament.metrics.binomial import clopper_pearson
from lineament.zoo.files import write_atomic
from lineament.zoo.records import (
    CalibrationData,
    Strict,
    find_record,
    parse_record,
    record_file_name,
    user_calibration_folder,
)
from lineament.zoo.toml import toml_document

RATES = (1e-1, 1e-2, 1e-3, 1e-4)
"""Rates that a record has rows for, as far as its clean pictures reach."""
_FOLDER = "mesh"


class MeshRow(Strict):
    """One supported rate.

    Attributes:
        rate: share of clean pictures that are taken for meshed at most, a fraction: the upper end of the exact 95 %
            interval of that share stays below it.
        threshold: a picture counts as meshed when its score is at least this.
        touched: clean pictures of the data that reach the threshold.
        missed: share of meshed pictures that do not reach it.
        missed_low: lower end of the exact 95 % interval of that share.
        missed_high: upper end of that interval.
    """

    rate: float = Field(gt=0, lt=1)
    threshold: float = Field(ge=0)
    touched: int = Field(ge=0)
    missed: float = Field(ge=0, le=1)
    missed_low: float = Field(ge=0, le=1)
    missed_high: float = Field(ge=0, le=1)


class MeshRecord(Strict):
    """Thresholds of one mesh remover, measured once.

    Attributes:
        schema_version: version of the file format ("schema" in the file).
        name: name of the record.
        remover: id of the remover, :attr:`lineament.demesh.NetworkRemover.id`.
        protocol: which pictures, and how their meshes were made, in words.
        data: the data sets.
        n_clean: clean pictures, one of each scene, none of them of the people that reports are made with.
        n_meshed: meshed pictures.
        rows: supported rates, largest first; thresholds do not fall from row to row.
    """

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    name: str = Field(min_length=1)
    remover: str = Field(min_length=1)
    protocol: str
    data: tuple[CalibrationData, ...] = Field(min_length=1, strict=False)
    n_clean: int = Field(ge=1)
    n_meshed: int = Field(ge=1)
    rows: tuple[MeshRow, ...] = Field(min_length=1, strict=False)

    @model_validator(mode="after")
    def _rows_fall(self) -> Self:
        for above, below in zip(self.rows, self.rows[1:], strict=False):
            if below.rate >= above.rate or below.threshold < above.threshold:
                raise ValueError("rows must be sorted by falling rate with thresholds that never fall")
        return self

    def row(self, rate: float) -> MeshRow:
        """The row with the largest rate that does not exceed the asked one.

        Args:
            rate: acceptable share of clean pictures that are touched, a fraction in (0, 1).

        Raises:
            ValueError: not a fraction in (0, 1).
            NotCalibrated: smaller than the clean pictures of the record support.
        """
        if not 0.0 < rate < 1.0:
            raise ValueError(f"a rate is a fraction in (0, 1), got {rate}")
        fitting = next((row for row in self.rows if row.rate <= rate), None)
        if fitting is None:
            raise NotCalibrated(
                f"record {self.name} of {self.n_clean:,} clean pictures supports touching {self.rows[-1].rate:g} of "
                f"them or more, {rate:g} was asked for; ask for that, or measure on more pictures"
            )
        return fitting

    def save(self, folder: Path) -> Path:
        """Write the record below ``folder``, where :func:`load_mesh_record` looks for it; returns the file.

        Args:
            folder: a calibration folder; an earlier record of the same remover is replaced.
        """
        path = folder / _FOLDER / record_file_name(self.remover)
        write_atomic(path, toml_document(self.model_dump()).encode())
        return path


def fit_mesh_rows(
    clean: ScoreArray, meshed: ScoreArray, rates: Sequence[float] = RATES
) -> tuple[MeshRow, ...]:
    """The rows of a record.

    The threshold of a rate is just above as many clean scores as the exact 95 % interval of the touched share allows
    to lie below it: with n clean pictures, none of which may be touched, a rate of 3.7 / n.

    Args:
        clean: (N,) scores of clean pictures; pictures count as independent, so bring one of each person or scene.
        meshed: (M,) scores of meshed pictures.
        rates: falling.

    Raises:
        DataError: no rate is supported by so few clean pictures, or there are no meshed ones.
    """
    falling = np.sort(np.asarray(clean, np.float64))[::-1]
    count = len(falling)
    rows = []
    for rate in rates:
        allowed = _most_touched(rate, count)
        if allowed is None or not len(meshed):
            continue
        threshold = float(np.nextafter(falling[allowed], np.inf))
        missed = int((meshed < threshold).sum())
        around = clopper_pearson(missed, len(meshed))
        rows.append(
            MeshRow(
                rate=rate,
                threshold=threshold,
                touched=int((falling >= threshold).sum()),
                missed=missed / len(meshed),
                missed_low=around.low,
                missed_high=around.high,
            )
        )
    if not rows:
        raise DataError(
            f"expected meshed pictures and enough clean ones for a rate of {rates[0]:g}, got {len(meshed)} and "
            f"{count}; bring at least {int(np.ceil(3.7 / rates[0]))} clean ones"
        )
    return tuple(rows)


def _most_touched(rate: float, count: int) -> int | None:
    """How many of ``count`` clean pictures may be touched so that the interval ends at ``rate``; None if none."""
    if count == 0 or clopper_pearson(0, count).high > rate:
        return None
    low, high = 0, int(rate * count) + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if clopper_pearson(middle, count).high <= rate else (low, middle)
    return low


def parse_mesh_record(text: str, origin: str) -> MeshRecord:
    """A record from its TOML text.

    Args:
        text: the document.
        origin: what to call it in errors.

    Raises:
        ManifestError: not TOML, or keys that are unknown, missing or wrong; all are listed.
    """
    return parse_record(MeshRecord, text, f"mesh record {origin}")


def load_mesh_record(remover: str) -> MeshRecord:
    """The record of a mesh remover: the user's own one, else the one of the package.

    Args:
        remover: id of the remover.

    Raises:
        NotCalibrated: there is none.
        ManifestError: a record with faults, or one that lies under the name of another remover.
    """
    record = find_record(MeshRecord, "mesh record", ("remover", remover), _FOLDER)
    if record is not None:
        return record
    raise NotCalibrated(
        f"no calibration record for mesh remover {remover}, so no score says whether a picture is meshed; put its "
        f"file into {user_calibration_folder() / _FOLDER}"
    )
