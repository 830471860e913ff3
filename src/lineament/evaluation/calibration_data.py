"""The pictures that a calibration record is measured from: the user's own people, or LFW View 1."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from lineament.core.errors import DataError
from lineament.evaluation.calibration import Provenance, fit_calibration
from lineament.evaluation.protocols import END_TO_END, pictures_of
from lineament.evaluation.samples import (
    Acquisition,
    Progress,
    SampleEmbeddings,
    acquire_samples,
    all_pair_scores,
    decode_or_refuse,
    extract_samples,
    outcomes_of,
)
from lineament.evaluation.sets import PictureSource
from lineament.evaluation.trials import read_pairs
from lineament.imaging.formats import SUFFIXES
from lineament.metrics.bootstrap import DEFAULT_RESAMPLING, Resampling
from lineament.pipeline import FacePipeline
from lineament.zoo.calibration import CalibrationData, CalibrationRecord
from lineament.zoo.profiles import Profile

LFW_LIST = "pairsDevTest.txt"
MOST_PICTURES = 10_000
"""Every pair of so many pictures takes about 2 GB of memory."""
OWN_PICTURES = "one folder a person; the face that each picture is about, found and aligned by the pipeline"


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A record and what happened to the pictures that are not in it.

    Attributes:
        record: the record.
        refusals: how many pictures were left out for each reason.
    """

    record: CalibrationRecord
    refusals: dict[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class _Gathered:
    """Samples with their subjects, and how they were made."""

    samples: SampleEmbeddings
    subjects: tuple[str, ...]
    digest: str
    how: str


def people_of(names: Sequence[str]) -> dict[str, str]:
    """The person of each picture: the first folder of its name.

    Args:
        names: files relative to the data folder, with "/"; hidden ones and those that are no pictures are skipped.

    Raises:
        DataError: no picture, pictures outside of any person's folder, or too many pictures.
    """
    paths = [PurePosixPath(name) for name in names]
    pictures = [
        p
        for p in paths
        if p.suffix.lower() in SUFFIXES and not any(part.startswith((".", "__MACOSX")) for part in p.parts)
    ]
    loose = [p for p in pictures if len(p.parts) == 1]
    if not pictures or loose:
        raise DataError(
            f"expected pictures in one folder for each person (person/photo.jpg), got {len(pictures)} pictures, "
            f"{len(loose)} of them outside of any folder; put each into the folder of its person"
        )
    if len(pictures) > MOST_PICTURES:
        raise DataError(
            f"every pair of {len(pictures):,} pictures is too much to compare; bring at most {MOST_PICTURES:,}, "
            "rather many people than many pictures of each"
        )
    return {str(p): p.parts[0] for p in pictures}


def measure_calibration(
    data: Path,
    pipeline: FacePipeline,
    profile: Profile,
    progress: Progress | None = None,
    plan: Resampling = DEFAULT_RESAMPLING,
) -> Calibrated:
    """Measure thresholds and likelihood ratios of a pipeline's embedding space from every pair of pictures.

    Args:
        data: a folder or a zip with one folder for each person; or the folder of LFW View 1 (``pairsDevTest.txt`` and
            the pictures), whose protocol takes the face nearest to the centre.
        pipeline: finds, aligns and embeds.
        profile: what the pipeline was made from.
        progress: told after every batch.
        plan: bootstrap over subjects.

    Raises:
        DataError: the data cannot be read, or are too few for a record.
    """
    found = _lfw(data, pipeline, progress) if (data / LFW_LIST).is_file() else _own(data, pipeline, progress)
    here = found.samples.acquired
    _, numbers = np.unique(np.asarray(found.subjects), return_inverse=True)
    pairs = all_pair_scores(found.samples.vectors[here], numbers[here].astype(np.int32))
    name = data.resolve().stem
    provenance = Provenance(
        name=f"{profile.name}-{name}",
        space=pipeline.embedding_space,
        data=(CalibrationData(name=name, digest=found.digest),),
        protocol=f"every pair of the {len(here)} pictures of {found.how} (profile {profile.name}: "
        f"{profile.detector} at {', '.join(map(str, profile.sides_px))} px, {profile.embedder}, "
        f"{profile.precision})",
        n_images=int(here.sum()),
        n_refused=int(len(here) - here.sum()),
    )
    return Calibrated(fit_calibration(pairs, provenance, plan), found.samples.refusals)


def _lfw(data: Path, pipeline: FacePipeline, progress: Progress | None) -> _Gathered:
    trials = read_pairs(data / LFW_LIST)
    with PictureSource(pictures_of(data)) as source:
        samples = extract_samples(trials.samples, source, pipeline.extract_central, progress)
        digest = source.digest(trials.samples)
    return _Gathered(samples, trials.subjects, digest, f"LFW View 1 pairsDevTest once; {END_TO_END}")


def _own(data: Path, pipeline: FacePipeline, progress: Progress | None) -> _Gathered:
    with PictureSource(data) as source:
        people = people_of(source.names())
        acquisition = Acquisition(lambda images: outcomes_of(pipeline.extract_many(images)), decode_or_refuse)
        names = tuple(people)
        samples = acquire_samples(names, source, acquisition, pipeline.embedding_space, progress)
        return _Gathered(
            samples, tuple(people.values()), source.digest(names), f"{data.name} once; {OWN_PICTURES}"
        )
