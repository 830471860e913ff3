"""The protocols that reports are made of: which files of a data folder, which pictures, which face.

Each function takes the folder as it was published and gives what a report needs.
"""

from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from lineament.core.errors import DataError
from lineament.detection import Detector
from lineament.embedding import load_embedder
from lineament.embedding.cache import EmbeddingCache
from lineament.embedding.rewarped import RewarpedEmbedder
from lineament.evaluation.detection import DetectionReport, detection_report
from lineament.evaluation.detection_sets import DetectionSet, read_dlib_faces, read_facemask
from lineament.evaluation.samples import (
    Acquisition,
    CropEmbedder,
    Progress,
    acquire_samples,
    embed_crops,
    outcomes_of,
)
from lineament.evaluation.sets import PictureSource
from lineament.evaluation.trials import read_pairs
from lineament.evaluation.verification import (
    ScoredTrials,
    SystemUsed,
    VerificationReport,
    WeightsUsed,
    score_trials,
    verification_report,
)
from lineament.geometry import ARCFACE_112
from lineament.pipeline import FacePipeline
from lineament.zoo.manifest import find_model
from lineament.zoo.profiles import Profile
from lineament.zoo.session import Runtime

END_TO_END = "the face nearest to the centre of each picture, found and aligned by the pipeline"


@dataclass(frozen=True, slots=True, eq=False)
class Verified:
    """A report and the similarities behind it, for plots."""

    report: VerificationReport
    scored: ScoredTrials


def weights_of(*names: str) -> tuple[WeightsUsed, ...]:
    """Weight files of models by name; an option such as "+flip" is left out."""
    manifests = [find_model(name.partition("+")[0]) for name in names]
    return tuple(WeightsUsed(w.file, w.sha256) for m in manifests for w in m.weights)


def pictures_of(folder: Path) -> Path:
    """The zip of pictures in a data folder, or the folder itself when it holds none.

    Raises:
        DataError: there is no such folder, or it holds several zips.
    """
    if not folder.is_dir():
        raise DataError(f"expected a data folder, there is none at {folder}")
    zips = sorted(folder.glob("*.zip"))
    if len(zips) > 1:
        raise DataError(f"expected one zip of pictures in {folder}, got {', '.join(z.name for z in zips)}")
    return zips[0] if zips else folder


@dataclass(frozen=True, slots=True, eq=False)
class CropSystem:
    """An embedder on crops that are aligned to the ArcFace template already.

    Attributes:
        embedder: takes such crops, whatever its own template.
        used: name and weights.
        how: how a vector is made from a crop, in words.
    """

    embedder: CropEmbedder
    used: SystemUsed
    how: str


def crop_system(model: str, runtime: Runtime | None = None) -> CropSystem:
    """Load an embedder for aligned crops.

    Args:
        model: name in the zoo; "NAME+flip" averages with the mirror image. One of another template gets re-warped
            crops, which ``how`` says.
        runtime: how to run it.

    Raises:
        ModelError: the embedder cannot be had.
    """
    embedder = load_embedder(model, runtime)
    how = "aligned 112 px crops" + (", mirror image averaged" if model.endswith("+flip") else "")
    used = SystemUsed(_named(model, embedder.space), weights_of(model))
    if embedder.template == ARCFACE_112.name:
        return CropSystem(embedder, used, how)
    how += f"; re-warped to template {embedder.template} by one fixed similarity: not its own crop"
    return CropSystem(RewarpedEmbedder(embedder), used, how)


def crop_cache(folder: Path, system: CropSystem, runtime: Runtime | None = None) -> EmbeddingCache:
    """Where vectors of aligned crops are kept, apart for each space, weights, runtime and version.

    Args:
        folder: of all caches.
        system: what makes the vectors.
        runtime: how it runs.

    Raises:
        DataError: the cache cannot be used.
    """
    return EmbeddingCache(folder, system.embedder.space, _cache_key(system.how, system.used.weights, runtime))


def pipeline_cache(
    folder: Path, profile: Profile, pipeline: FacePipeline, how: str, runtime: Runtime | None = None
) -> EmbeddingCache:
    """Where vectors of whole pictures are kept, apart for each space, weights, rules, runtime and version.

    Args:
        folder: of all caches.
        profile: models and rules.
        pipeline: made from it.
        how: which face of a picture is taken, in words.
        runtime: how it runs.

    Raises:
        DataError: the cache cannot be used.
    """
    weights = weights_of(profile.detector, profile.embedder)
    looking = detector_arithmetic(profile, runtime)
    key = _cache_key(f"{how}; {looking}; {profile.sides_px} {pipeline.rules}", weights, runtime)
    return EmbeddingCache(folder, pipeline.embedding_space, key)


def detector_arithmetic(profile: Profile, runtime: Runtime | None = None) -> str:
    """Arithmetic of a profile's detector on this machine, in words; it moves the points of faces a little.

    Args:
        profile: models and rules.
        runtime: how they run.

    Raises:
        RuntimeUnavailable: this machine cannot run the profile.
    """
    looking = replace(runtime or Runtime(), precision=profile.detector_precision).resolved()
    return f"detector in {looking.precision}"


def _cache_key(how: str, weights: tuple[WeightsUsed, ...], runtime: Runtime | None) -> str:
    """All that decides which vector a picture gives, beside the space; runtimes differ in the last digits."""
    backend = (runtime or Runtime()).resolved().backend
    return f"{how}; {backend}; {' '.join(w.sha256 for w in weights)}; lineament {version('lineament')}"


def verify_aligned(
    folder: Path,
    model: str,
    runtime: Runtime | None = None,
    progress: Progress | None = None,
    cache_folder: Path | None = None,
) -> Verified:
    """LFW View 2 on crops that are aligned already (112 px, five points on the ArcFace template).

    Args:
        folder: ``pairs.txt`` and the crops.
        model: embedder, as :func:`crop_system` takes it.
        runtime: how to run it.
        progress: told after every batch.
        cache_folder: keeps vectors, so that an interrupted run goes on; None keeps none.

    Raises:
        DataError: the data cannot be read.
        ModelError: the embedder cannot be had.
    """
    pictures, trials = pictures_of(folder), read_pairs(folder / "pairs.txt")
    system = crop_system(model, runtime)
    cache = None if cache_folder is None else crop_cache(cache_folder, system, runtime)
    with PictureSource(pictures) as source:
        samples = embed_crops(trials.samples, source, system.embedder, ARCFACE_112.size_px, progress, cache)
        digest = source.digest(trials.samples)
    scored = score_trials(trials, samples)
    report = verification_report(scored, samples, system.used, folder.name, system.how, data_sha256=digest)
    return Verified(report, scored)


def _named(model: str, space: str) -> str:
    """Name of a system: the model, and its precision when that is not the usual one."""
    return f"{model} bf16" if "-bf16" in space.partition("@")[0] else model


def verify_end_to_end(
    folder: Path,
    profile: Profile,
    runtime: Runtime | None = None,
    progress: Progress | None = None,
    cache_folder: Path | None = None,
) -> Verified:
    """LFW View 1 from whole pictures: detect, take the central face, align, embed; refusals count.

    Args:
        folder: ``pairsDevTest.txt`` and the pictures.
        profile: models and rules.
        runtime: how to run them.
        progress: told after every batch.
        cache_folder: keeps vectors and refusals, so that an interrupted run goes on; None keeps none.

    Raises:
        DataError: the data cannot be read.
        ModelError: the models cannot be had.
    """
    trials = read_pairs(folder / "pairsDevTest.txt")
    pipeline = FacePipeline.from_settings(profile, runtime)
    cache = (
        None if cache_folder is None else pipeline_cache(cache_folder, profile, pipeline, END_TO_END, runtime)
    )
    acquisition = Acquisition(lambda images: outcomes_of(pipeline.extract_central(images)), cache=cache)
    with PictureSource(pictures_of(folder)) as source:
        samples = acquire_samples(trials.samples, source, acquisition, pipeline.embedding_space, progress)
        digest = source.digest(trials.samples)
    scored = score_trials(trials, samples)
    system = SystemUsed(
        f"profile {profile.name} ({profile.detector}, {profile.embedder})",
        weights_of(profile.detector, profile.embedder),
    )
    how = f"{END_TO_END}; {detector_arithmetic(profile, runtime)}"
    report = verification_report(scored, samples, system, folder.name, how, data_sha256=digest)
    return Verified(report, scored)


def find_detection_set(folder: Path) -> DetectionSet:
    """The labelled pictures of a folder, by the files that it holds.

    Raises:
        DataError: neither of the known kinds.
    """
    if (folder / "boxes.csv").is_file():
        return read_facemask(folder)
    if (folder / "training.xml").is_file():
        return read_dlib_faces(folder)
    raise DataError(
        f"expected boxes.csv (face masks) or training.xml (dlib faces) in {folder}, found neither"
    )


def measure_detector(
    dataset: DetectionSet, detector: Detector, sides_px: tuple[int, ...], progress: Progress | None = None
) -> DetectionReport:
    """Report of a detector at its manifest's score threshold.

    Args:
        dataset: pictures and true boxes.
        detector: what :class:`lineament.detection.JointScales` made at ``sides_px``.
        sides_px: for the system's name.
        progress: told after every batch, anew for each turn.
    """
    name = f"{detector.name} at {' and '.join(map(str, sides_px))} px"
    return detection_report(dataset, detector.detect, SystemUsed(name, weights_of(detector.name)), progress)


def with_precision(profile: Profile, precision: str) -> Profile:
    """The profile with another arithmetic of its embedder; its own when ``precision`` is empty."""
    return Profile.model_validate(profile.model_dump() | {"precision": precision}) if precision else profile
