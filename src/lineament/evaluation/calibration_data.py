"""The pictures that a calibration record is measured from: the user's own people, or LFW View 1."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lineament.core.errors import DataError
from lineament.embedding.cache import EmbeddingCache
from lineament.evaluation.calibration import Provenance, fit_calibration
from lineament.evaluation.peoplefolder import read_people
from lineament.evaluation.protocols import END_TO_END, pictures_of, pipeline_cache
from lineament.evaluation.samples import (
    Acquisition,
    Progress,
    SampleEmbeddings,
    acquire_samples,
    all_pair_scores,
    decode_or_refuse,
    outcomes_of,
)
from lineament.evaluation.sets import PictureSource, is_picture
from lineament.evaluation.trials import read_pairs
from lineament.metrics.bootstrap import DEFAULT_RESAMPLING, Resampling
from lineament.pipeline import FacePipeline
from lineament.zoo.calibration import CalibrationRecord
from lineament.zoo.profiles import Profile
from lineament.zoo.records import CalibrationData
from lineament.zoo.session import Runtime

LFW_LIST = "pairsDevTest.txt"
MOST_PICTURES = 10_000
"""Every pair of so many pictures takes about 2 GB of memory."""
OWN_PICTURES = "one folder a person; the face that each picture is about, found and aligned by the pipeline"


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A record and what happened to the pictures that are not in it.

    Attributes:
        record: the record.
        refusals: how many pictures were refused for each reason.
        notes: what else of the data was left out or is missing.
    """

    record: CalibrationRecord
    refusals: dict[str, int]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Gathered:
    """Samples with their subjects, and how they were made."""

    samples: SampleEmbeddings
    subjects: tuple[str, ...]
    digest: str
    how: str
    notes: tuple[str, ...] = ()


def check_names(names: Sequence[str]) -> None:
    """Refuse before any picture is read what cannot be calibrated on.

    Args:
        names: files relative to the data folder, with "/"; hidden ones and those that are no pictures do not count.

    Raises:
        DataError: no picture, pictures outside of any person's folder, or too many pictures.
    """
    pictures = [name for name in names if is_picture(name)]
    loose = [name for name in pictures if "/" not in name]
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


def measure_calibration(
    data: Path,
    pipeline: FacePipeline,
    profile: Profile,
    progress: Progress | None = None,
    plan: Resampling = DEFAULT_RESAMPLING,
    runtime: Runtime | None = None,
    cache_folder: Path | None = None,
) -> Calibrated:
    """Measure thresholds and likelihood ratios of a pipeline's embedding space from every pair of pictures.

    Args:
        data: a folder or a zip with one folder for each person; or the folder of LFW View 1 (``pairsDevTest.txt`` and
            the pictures), whose protocol takes the face nearest to the centre.
        pipeline: finds, aligns and embeds.
        profile: what the pipeline was made from.
        progress: told after every batch.
        plan: bootstrap over subjects.
        runtime: how the pipeline was asked to run; runtimes differ in the last digits.
        cache_folder: keeps vectors and refusals, so that an interrupted run goes on; None keeps none.

    Raises:
        DataError: the data cannot be read, or are too few for a record.
    """
    gather, how = (_lfw, END_TO_END) if (data / LFW_LIST).is_file() else (_own, OWN_PICTURES)
    cache = None if cache_folder is None else pipeline_cache(cache_folder, profile, pipeline, how, runtime)
    found = gather(data, pipeline, cache, progress)
    here = found.samples.acquired
    _, numbers = np.unique(np.asarray(found.subjects), return_inverse=True)
    pairs = all_pair_scores(found.samples.vectors[here], numbers[here].astype(np.int32))
    name = data.resolve().stem
    provenance = Provenance(
        name=f"{profile.name}-{name}",
        space=pipeline.embedding_space,
        data=(CalibrationData(name=name, digest=found.digest),),
        protocol=f"every pair of the {int(here.sum())} pictures of {found.how} (profile {profile.name}: "
        f"{profile.detector} at {', '.join(map(str, profile.sides_px))} px, {profile.embedder}, "
        f"{profile.precision})",
        n_images=int(here.sum()),
        n_refused=int(len(here) - here.sum()),
    )
    return Calibrated(fit_calibration(pairs, provenance, plan), found.samples.refusals, found.notes)


def _lfw(
    data: Path, pipeline: FacePipeline, cache: EmbeddingCache | None, progress: Progress | None
) -> _Gathered:
    trials = read_pairs(data / LFW_LIST)
    acquisition = Acquisition(lambda images: outcomes_of(pipeline.extract_central(images)), cache=cache)
    with PictureSource(pictures_of(data)) as source:
        samples = acquire_samples(trials.samples, source, acquisition, pipeline.embedding_space, progress)
        digest = source.digest(trials.samples)
    return _Gathered(samples, trials.subjects, digest, f"LFW View 1 pairsDevTest once; {END_TO_END}")


def _own(
    data: Path, pipeline: FacePipeline, cache: EmbeddingCache | None, progress: Progress | None
) -> _Gathered:
    acquisition = Acquisition(
        lambda images: outcomes_of(pipeline.extract_many(images)), decode_or_refuse, cache
    )
    with PictureSource(data) as source:
        check_names(source.names())
        people = read_people(source)
        samples = acquire_samples(people.samples, source, acquisition, pipeline.embedding_space, progress)
    how = f"{data.name} once; {OWN_PICTURES}"
    return _Gathered(samples, people.subjects, people.data_sha256, how, people.notes)
