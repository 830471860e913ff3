"""Calibration records: the thresholds that keep an asked error rate in one embedding space, with their evidence."""

import math
from pathlib import Path
from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from lineament.core.errors import NotCalibrated
from lineament.core.types import OperatingPoint, RatioLine
from lineament.zoo.files import write_atomic
from lineament.zoo.records import (
    CalibrationData,
    Strict,
    find_record,
    parse_record,
    record_file_name,
    record_folders,
    user_calibration_folder,
)
from lineament.zoo.toml import toml_value

MIN_FALSE_MATCHES = 30
"""Expected false matches that a row of a record must rest on (+-30 % at 90 % confidence)."""
SAMPLES_EXPONENT = 0.9
"""How the chance of a false match grows with the samples of one subject, see :func:`effective_size`."""
_UNTHINKABLE_FMR = 1e-30


class CalibrationRow(Strict):
    """One supported rate.

    Attributes:
        fmr: false match rate, a fraction.
        threshold: smallest observed similarity that keeps it.
        low: lower end of the 95 % interval of the threshold (subject bootstrap).
        high: upper end of that interval.
        fnmr: false non-match rate at the threshold, a fraction.
        fnmr_low: lower end of the 95 % interval of the FNMR at this FMR.
        fnmr_high: upper end of that interval.
    """

    fmr: float = Field(gt=0, lt=1)
    threshold: float
    low: float
    high: float
    fnmr: float = Field(ge=0, le=1)
    fnmr_low: float = Field(ge=0, le=1)
    fnmr_high: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high or self.fnmr_low > self.fnmr_high:
            raise ValueError(f"an interval of the row at FMR {self.fmr:g} ends before it begins")
        return self


class CalibrationRecord(Strict):
    """Thresholds of one embedding space, measured once, with everything that says how far to trust them.

    Attributes:
        schema_version: version of the file format ("schema" in the file).
        name: name of the record.
        space: id of the embedding space.
        protocol: how comparisons were made, in words.
        data: the data sets.
        n_subjects: subjects that took part.
        n_images: pictures that took part.
        n_refused: pictures that gave no face and so did not.
        n_mated: mated comparisons.
        n_nonmated: non-mated comparisons.
        llr_slope: natural log-likelihood ratio for each unit of similarity (a line, mated and non-mated
            comparisons weighed half and half).
        llr_offset: log-likelihood ratio of similarity 0.
        cllr: cost of the ratios that :meth:`llr` gives for these comparisons, bit; 0 is perfect, 1 says nothing.
        min_cllr: what would remain after the best monotone calibration, bit.
        seed: seed of the bootstrap.
        replicates: number of bootstrap replicates.
        rows: supported rates, largest first; thresholds do not fall from row to row.
    """

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    name: str = Field(min_length=1)
    space: str = Field(min_length=1)
    protocol: str
    data: tuple[CalibrationData, ...] = Field(min_length=1, strict=False)
    n_subjects: int = Field(ge=2)
    n_images: int = Field(ge=2)
    n_refused: int = Field(ge=0)
    n_mated: int = Field(ge=1)
    n_nonmated: int = Field(ge=1)
    llr_slope: float = Field(gt=0)
    llr_offset: float
    cllr: float = Field(ge=0)
    min_cllr: float = Field(ge=0, le=1)
    seed: int
    replicates: int = Field(ge=100)
    rows: tuple[CalibrationRow, ...] = Field(min_length=1, strict=False)

    @model_validator(mode="after")
    def _rows_fall(self) -> Self:
        for above, below in zip(self.rows, self.rows[1:], strict=False):
            if below.fmr >= above.fmr or below.threshold < above.threshold:
                raise ValueError(
                    "rows must be sorted by falling fmr with thresholds that never fall, "
                    f"but fmr {below.fmr:g} follows {above.fmr:g}"
                )
        return self

    @property
    def smallest_fmr(self) -> float:
        """The smallest rate that the record supports."""
        return self.rows[-1].fmr

    @property
    def ratio(self) -> RatioLine:
        """Log-likelihood ratios of this space, within :func:`ratio_limits`."""
        low, high = ratio_limits(self.n_mated, self.n_nonmated)
        return RatioLine(self.llr_slope, self.llr_offset, low, high)

    def llr(self, similarity: float) -> float:
        """Natural log-likelihood ratio of a similarity: ln P(similarity | same) / P(similarity | different).

        It does not depend on how likely a mated comparison is beforehand: add the logarithm of those odds to get
        the logarithm of the odds afterwards. It never falls with the similarity.
        """
        return self.ratio(similarity)

    def point(self, fmr: float) -> OperatingPoint:
        """Threshold for a false match rate: the row with the largest rate that does not exceed ``fmr``.

        Args:
            fmr: the rate asked for, a fraction in (0, 1). Nothing is interpolated, so the rate kept is the
                asked one or up to 12 % (one step of the grid) stricter.

        Raises:
            ValueError: not a fraction in (0, 1).
            NotCalibrated: a rate outside the rows; says how many comparisons it would take.
        """
        if not 0.0 < fmr < 1.0:
            raise ValueError(f"fmr is a fraction in (0, 1), got {fmr}")
        if fmr > self.rows[0].fmr:
            raise NotCalibrated(
                f"FMR {fmr:g} is above the largest rate of record {self.name}, {self.rows[0].fmr:g}; "
                "ask for that rate or a smaller one"
            )
        if fmr < self.smallest_fmr:
            raise NotCalibrated(f"{self._lacks(fmr)}; the smallest supported rate is {self.smallest_fmr:.3g}")
        return self._at(fmr)

    def point_for_fpir(self, fpir: float, samples: int, subjects: int) -> OperatingPoint:
        """Threshold at which a search of a gallery returns somebody for at most ``fpir`` of unknown probes.

        Args:
            fpir: false positive identification rate, a fraction in (0, 1).
            samples: templates searched, at least 1.
            subjects: people that they belong to, 1 to ``samples``.

        Returns: the point; its ``fmr`` is the rate per comparison (:func:`fmr_for_fpir`). Rates above the largest
            row take that row.

        Raises:
            ValueError: a rate outside (0, 1) or an impossible gallery.
            NotCalibrated: more than the comparisons of the record can support; says what would be needed, the
                largest gallery at this rate and the smallest rate at this gallery size.
        """
        fmr = fmr_for_fpir(fpir, samples, subjects)
        if fmr < self.smallest_fmr:
            independent = math.log1p(-fpir) / math.log1p(-self.smallest_fmr)
            largest = math.floor(independent * samples / effective_size(samples, subjects))
            smallest = -math.expm1(effective_size(samples, subjects) * math.log1p(-self.smallest_fmr))
            at_this_rate = f"up to {largest:,} templates" if largest else "no gallery"
            raise NotCalibrated(
                f"FPIR {fpir:g} over {samples:,} templates: {self._lacks(fmr)}; the record supports "
                f"{at_this_rate} at this FPIR, and FPIR {smallest:.2g} or more at this gallery size"
            )
        return self._at(fmr)

    def _lacks(self, fmr: float) -> str:
        if fmr < _UNTHINKABLE_FMR:
            return f"FMR {fmr:.3g} cannot be measured"
        needed = math.ceil(MIN_FALSE_MATCHES / fmr)
        return f"FMR {fmr:.3g} needs {needed:,} non-mated comparisons, record {self.name} has {self.n_nonmated:,}"

    def _at(self, fmr: float) -> OperatingPoint:
        row = next(row for row in self.rows if row.fmr <= fmr)
        return OperatingPoint(
            fmr, row.threshold, row.low, row.high, self.n_nonmated, self.name, self.space, self.ratio
        )

    def to_toml(self) -> str:
        """The record as a TOML document; :func:`parse_calibration` reads it back to an equal record."""
        fields = self.model_dump()
        tables = {"data": fields.pop("data"), "rows": fields.pop("rows")}
        lines = [f"{key} = {toml_value(value)}" for key, value in fields.items()]
        for key, items in tables.items():
            inline = [", ".join(f"{k} = {toml_value(v)}" for k, v in item.items()) for item in items]
            lines += [f"{key} = [", *(f"    {{ {text} }}," for text in inline), "]"]
        return "\n".join(lines) + "\n"

    def save(self, folder: Path) -> Path:
        """Write the record into ``folder`` under the name that :func:`load_calibration` looks for.

        Args:
            folder: made when it is not there; an earlier record of the same space is replaced.

        Returns: path of the file.
        """
        path = folder / record_file_name(self.space)
        write_atomic(path, self.to_toml().encode())
        return path


def effective_size(samples: int, subjects: int) -> float:
    """Independent comparisons that a search of a gallery amounts to: ``subjects * (samples / subjects) ** 0.9``.

    Templates of one person resemble each other, so a stranger who is like one of them is like the others too. For
    LFW people with k = 2 to 10 pictures, two networks and rates of 1e-3 to 1e-5, k templates raise the chance of a
    false match by k^0.73 to k^0.91, bar one estimate of k^1.0 from 23 people; 0.9 stays on the safe side. With
    unequal numbers of samples the mean overstates the size, which is safe too.

    Raises:
        ValueError: fewer samples than subjects, or nobody.
    """
    if not 1 <= subjects <= samples:
        raise ValueError(f"a gallery has 1 to {samples} subjects for {samples} samples, got {subjects}")
    return float(subjects * (samples / subjects) ** SAMPLES_EXPONENT)


def fmr_for_fpir(fpir: float, samples: int, subjects: int) -> float:
    """False match rate per comparison at which a search keeps a false positive identification rate.

    ``1 - (1 - fpir) ** (1 / n)`` with n = :func:`effective_size`, as if so many comparisons were independent. They
    share the probe, and people differ in how often they are taken for others, so the true FPIR is mostly lower (0.83
    to 1.08 times the asked one for LFW, with dlib's network 0.57 to 0.91 times), as long as the gallery resembles the
    calibration data.

    Args:
        fpir: false positive identification rate, a fraction in (0, 1).
        samples: templates searched.
        subjects: people that they belong to.

    Raises:
        ValueError: a rate outside (0, 1) or an impossible gallery.

    Source: FPIR ~ 1 - (1 - FMR)^N, ISO/IEC 19795-1 and the NIST and IJB identification protocols.
    """
    if not 0.0 < fpir < 1.0:
        raise ValueError(f"fpir is a fraction in (0, 1), got {fpir}")
    return -math.expm1(math.log1p(-fpir) / effective_size(samples, subjects))


def ratio_limits(n_mated: int, n_nonmated: int) -> tuple[float, float]:
    """Smallest and largest natural log-likelihood ratio that so many comparisons support.

    A ratio of 1,000 says that so high a similarity is a thousand times rarer among strangers. Something that none of
    n comparisons shows may still happen in 3 / n of them (95 % confidence, rule of three), so no ratio beyond n / 3
    is given out: there the line would only be prolonged into the void.

    Args:
        n_mated: mated comparisons.
        n_nonmated: non-mated comparisons.

    Source: the idea of bounds by the amount of data: P. Vergeer et al., Science & Justice 56, 2016 (ELUB).
    """
    return -math.log(max(n_mated / 3, 1.0)), math.log(max(n_nonmated / 3, 1.0))


def parse_calibration(text: str, origin: str) -> CalibrationRecord:
    """A record from its TOML text.

    Args:
        text: the document.
        origin: what to call it in errors.

    Raises:
        ManifestError: not TOML, or keys that are unknown, missing or wrong; all are listed.
    """
    return parse_record(CalibrationRecord, text, f"calibration record {origin}")


def calibrated_spaces() -> tuple[str, ...]:
    """Ids of all embedding spaces that have a record, sorted.

    Raises:
        ManifestError: a record with faults.
    """
    spaces = set()
    for folder in record_folders():
        for entry in folder.iterdir() if folder.is_dir() else ():
            if entry.name.endswith(".toml"):
                spaces.add(parse_calibration(entry.read_text(encoding="utf-8"), entry.name).space)
    return tuple(sorted(spaces))


def load_calibration(space: str) -> CalibrationRecord:
    """The record of an embedding space: the user's own one, else the one of the package.

    Args:
        space: id of the embedding space.

    Raises:
        NotCalibrated: no record; lists the spaces that have one.
        ManifestError: a record with faults, or one that lies under the name of another space.
    """
    record = find_record(CalibrationRecord, "calibration record", ("space", space))
    if record is not None:
        return record
    there = ", ".join(calibrated_spaces()) or "none"
    raise NotCalibrated(
        f"no calibration record for embedding space {space}; spaces with a record: {there}. "
        f'Measure one with "lineament calibrate PEOPLE --profile NAME", or put its file into '
        f"{user_calibration_folder()}"
    )
