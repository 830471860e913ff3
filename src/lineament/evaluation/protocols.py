"""The protocols that reports are made of: which files of a data folder, which pictures, which face.

Each function takes the folder as it was published and gives what a report needs.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lineament.core.arrays import FloatArray, ImageArray
from lineament.core.errors import DataError
from lineament.detection import Detector
from lineament.embedding import Embedder, load_embedder
from lineament.evaluation.detection import DetectionReport, detection_report
from lineament.evaluation.detection_sets import DetectionSet, read_dlib_faces, read_facemask
from lineament.evaluation.samples import (
    Progress,
    SampleEmbeddings,
    embed_crops,
    extract_samples,
)
from lineament.evaluation.sets import PictureSource
from lineament.evaluation.trials import Trials, read_pairs
from lineament.evaluation.verification import (
    ScoredTrials,
    SystemUsed,
    VerificationReport,
    WeightsUsed,
    score_trials,
    verification_report,
)
from lineament.geometry import ARCFACE_112, TEMPLATES, fit_similarity, warp
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


class RewarpedEmbedder:
    """An embedder of another template, fed with ArcFace crops.

    The crops are moved onto the embedder's own template by the one similarity that brings the templates together:
    not the crop that it was trained on, as pixels outside the ArcFace crop are missing and the points were fitted
    to that crop.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.name = embedder.name
        self.space = embedder.space
        self._embedder = embedder
        self._template = TEMPLATES[embedder.template]
        self._matrix = fit_similarity(ARCFACE_112.points, self._template.points)

    def embed(self, crops: ImageArray) -> FloatArray:
        """Unit vectors of (N, 112, 112, 3) uint8 RGB ArcFace crops."""
        size = self._template.size_px
        moved = np.empty((len(crops), size, size, 3), np.uint8)
        for target, crop in zip(moved, crops, strict=True):
            target[...] = warp(crop, self._matrix, size)
        return self._embedder.embed(moved)


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


def verify_aligned(
    folder: Path, model: str, runtime: Runtime | None = None, progress: Progress | None = None
) -> Verified:
    """LFW View 2 on crops that are aligned already (112 px, five points on the ArcFace template).

    Args:
        folder: ``pairs.txt`` and the crops.
        model: embedder; "NAME+flip" averages with the mirror image. One of another template gets re-warped crops,
            which the report's protocol says.
        runtime: how to run it.
        progress: told after every batch.

    Raises:
        DataError: the data cannot be read.
        ModelError: the embedder cannot be had.
    """
    pictures, trials = pictures_of(folder), read_pairs(folder / "pairs.txt")
    embedder = load_embedder(model, runtime)
    own = embedder.template == ARCFACE_112.name
    how = "aligned 112 px crops" + (", mirror image averaged" if model.endswith("+flip") else "")
    if not own:
        how += f"; re-warped to template {embedder.template} by one fixed similarity: not its own crop"
    with PictureSource(pictures) as source:
        samples = embed_crops(
            trials.samples,
            source,
            embedder if own else RewarpedEmbedder(embedder),
            ARCFACE_112.size_px,
            progress,
        )
        digest = source.digest(trials.samples)
    scored = score_trials(trials, samples)
    system = SystemUsed(_named(model, embedder.space), weights_of(model))
    report = verification_report(scored, samples, system, folder.name, how, data_sha256=digest)
    return Verified(report, scored)


def _named(model: str, space: str) -> str:
    """Name of a system: the model, and its precision when that is not the usual one."""
    return f"{model} bf16" if "-bf16" in space.partition("@")[0] else model


def verify_end_to_end(
    folder: Path, profile: Profile, runtime: Runtime | None = None, progress: Progress | None = None
) -> Verified:
    """LFW View 1 from whole pictures: detect, take the central face, align, embed; refusals count.

    Args:
        folder: ``pairsDevTest.txt`` and the pictures.
        profile: models and rules.
        runtime: how to run them.
        progress: told after every batch.

    Raises:
        DataError: the data cannot be read.
        ModelError: the models cannot be had.
    """
    trials = read_pairs(folder / "pairsDevTest.txt")
    samples, digest = _extracted(folder, trials, profile, runtime, progress)
    scored = score_trials(trials, samples)
    system = SystemUsed(
        f"profile {profile.name} ({profile.detector}, {profile.embedder})",
        weights_of(profile.detector, profile.embedder),
    )
    report = verification_report(scored, samples, system, folder.name, END_TO_END, data_sha256=digest)
    return Verified(report, scored)


def _extracted(
    folder: Path, trials: Trials, profile: Profile, runtime: Runtime | None, progress: Progress | None
) -> tuple[SampleEmbeddings, str]:
    """Embeddings of all pictures of the trials, and the digest of the pictures."""
    pipeline = FacePipeline.from_settings(profile, runtime)
    with PictureSource(pictures_of(folder)) as source:
        samples = extract_samples(trials.samples, source, pipeline.extract_central, progress)
        return samples, source.digest(trials.samples)


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
