"""What a service answers, as values; those of the library where it has them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lineament.core.types import (
    POINT_NAMES,
    Candidate,
    Decision,
    Detection,
    Detections,
    Embedding,
    Identification,
    OperatingPoint,
    Refusal,
    RefusalReason,
    Role,
)
from lineament.gallery.review import Finding, FindingKind


@dataclass(frozen=True, slots=True)
class Weights:
    """A model that took part.

    Attributes:
        name: of the model.
        task: what it does.
        sha256: digest of each published file by its role.
    """

    name: str
    task: str
    sha256: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MadeWith:
    """What made a result.

    Attributes:
        profile: models and rules.
        space: id of the embedding space.
        weights: of the models.
    """

    profile: str
    space: str
    weights: tuple[Weights, ...]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "MadeWith":
        """From the members of an answer."""
        weights = tuple(Weights(w["name"], w["task"], w["sha256"]) for w in document["weights"])
        return cls(document["profile"], document["space"], weights)


@dataclass(frozen=True, slots=True, eq=False)
class SeenFace:
    """A face in a picture that was sent; pixels and template stay with the service.

    Attributes:
        detection: where it is, px of the upright picture.
        rotation_deg: clockwise turn (0, 90, 180, 270) that made the picture upright by evidence.
        notes: what a person should know.
    """

    detection: Detection
    rotation_deg: int
    notes: tuple[str, ...]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "SeenFace":
        """From its member of an answer."""
        return cls(detection_of(document), document["rotation_deg"], tuple(document["notes"]))


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedFace:
    """A face with its template.

    Attributes:
        face: where it is.
        embedding: its template.
        made_with: models and rules.
    """

    face: SeenFace
    embedding: Embedding
    made_with: MadeWith


@dataclass(frozen=True, slots=True)
class RestoredReference:
    """That a mesh was taken off the reference before it was compared.

    Attributes:
        remover: id of what took it off.
        mesh_score: how sure the mesh was, in [0, 1].
        unrestored_similarity: cosine with the mesh, which decides nothing; None where no face was found under it.
        calibration_space: of the record that the decision was held against.
    """

    remover: str
    mesh_score: float
    unrestored_similarity: float | None
    calibration_space: str


@dataclass(frozen=True, slots=True, eq=False)
class Verified:
    """Result of a 1:1 verification.

    Attributes:
        decision: match, no match, or undecided where the evidence about the threshold does not allow an answer.
        similarity: cosine in [-1, 1]; higher is more alike.
        point: the operating point of the asked rate.
        llr: natural log-likelihood ratio of the similarity, or None.
        reference: face of the reference picture.
        probe: face of the probe picture.
        restored: what was done to the reference first; None for one that was taken as it is.
        made_with: models and rules.
    """

    decision: Decision
    similarity: float
    point: OperatingPoint
    llr: float | None
    reference: SeenFace
    probe: SeenFace
    restored: RestoredReference | None
    made_with: MadeWith

    @property
    def is_match(self) -> bool:
        """True when the decision is a match."""
        return self.decision is Decision.MATCH


@dataclass(frozen=True, slots=True)
class Demeshed:
    """What was found over a picture.

    Attributes:
        is_meshed: the score reaches the threshold.
        score: how sure the mesh is, in [0, 1].
        threshold: of the calibration record.
        clean_touched_rate: share of clean pictures that reach it at most, a fraction.
        record: name of the calibration record.
        remover: id of what takes meshes off.
        restored_png: the upright picture without the mesh as a PNG file; None where none was found.
    """

    is_meshed: bool
    score: float
    threshold: float
    clean_touched_rate: float
    record: str
    remover: str
    restored_png: bytes | None


@dataclass(frozen=True, slots=True, eq=False)
class Detected:
    """The faces of a picture.

    Attributes:
        detections: best score first, px of the upright picture.
        detected: how many were found; the limit of the service may have left some out.
        size_px: rows and columns of the upright picture.
        rotation_deg: clockwise turn that made it upright by evidence.
        notes: what decoding had to do.
        made_with: models and rules.
    """

    detections: Detections
    detected: int
    size_px: tuple[int, int]
    rotation_deg: int
    notes: tuple[str, ...]
    made_with: MadeWith


@dataclass(frozen=True, slots=True, eq=False)
class IdentifiedFace:
    """A face and who it may be.

    Attributes:
        face: where it is.
        found: result of the search.
        made_with: models and rules.
    """

    face: SeenFace
    found: Identification
    made_with: MadeWith


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job is.

    Attributes:
        state: "working"; "idle", when nothing waits; "stuck", when it cannot go on now; "cancelled".
        total: pictures that it has taken.
        waiting: pictures that are not settled.
        outcomes: how many were settled how.
        created_s: when it was made, s since 1970 UTC.
    """

    state: str
    total: int
    waiting: int
    outcomes: Mapping[str, int]
    created_s: float


@dataclass(frozen=True, slots=True)
class InTheWay:
    """The sample that stands in the way of an enrollment.

    Attributes:
        subject_id: whose it is.
        sample_id: its id.
        similarity: cosine in [-1, 1].
    """

    subject_id: str
    sample_id: str
    similarity: float


@dataclass(frozen=True, slots=True, eq=False)
class JobItem:
    """What became of a picture of a job.

    Attributes:
        position: counts from 1 in the order of the uploads.
        name: its path in the upload; empty when its subject was removed.
        subject_id: whose it is.
        sample_id: under which it is enrolled.
        outcome: "waiting", "enrolled", "already_there", ...: one of the outcomes of the job.
        detail: why it cannot be read, or empty.
        refusal: why it gave no face.
        conflict: the sample that stands in the way.
        findings: why it waits for a decision.
    """

    position: int
    name: str
    subject_id: str
    sample_id: str
    outcome: str
    detail: str
    refusal: Refusal | None
    conflict: InTheWay | None
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "JobItem":
        """From its member of an answer."""
        d, conflict = document, document["conflict"]
        return cls(
            position=d["position"],
            name=d["name"],
            subject_id=d["subject"],
            sample_id=d["sample"],
            outcome=d["outcome"],
            detail=d["detail"],
            refusal=None if d["refusal"] is None else refusal_of(d["refusal"]),
            conflict=None
            if conflict is None
            else InTheWay(conflict["subject"], conflict["sample"], conflict["similarity"]),
            findings=findings_of(d["findings"]),
        )


def detection_of(document: Mapping[str, Any]) -> Detection:
    """A face from its box, score and named points."""
    points = [document["points"][name] or (math.nan, math.nan) for name in POINT_NAMES]
    return Detection(np.array(document["box"], np.float32), document["score"], np.array(points, np.float32))


def detections_of(documents: Sequence[Mapping[str, Any]]) -> Detections:
    """Faces, best score first."""
    if not documents:
        return Detections.none()
    faces = [detection_of(d) for d in documents]
    return Detections(
        np.stack([f.box for f in faces]),
        np.array([f.score for f in faces], np.float32),
        np.stack([f.points for f in faces]),
    )


def refusal_of(document: Mapping[str, Any]) -> Refusal:
    """Why there is no face. Scores and points of the seen faces are not sent: 0 and NaN."""
    boxes = np.array(document["boxes"], np.float32).reshape(-1, 4)
    count = len(boxes)
    seen = Detections(boxes, np.zeros(count, np.float32), np.full((count, 5, 2), np.nan, np.float32))
    return Refusal(
        RefusalReason(document["reason"]),
        document["detail"],
        seen,
        Role(document["role"]),
        document["rotation_deg"],
    )


def point_of(document: Mapping[str, Any], space: str) -> OperatingPoint:
    """The operating point of an answer."""
    low, high = document["interval95"]
    return OperatingPoint(
        fmr=document["fmr"],
        threshold=document["threshold"],
        low=low,
        high=high,
        n_nonmated=document["n_nonmated"],
        record=document["record"],
        space=space,
    )


def candidate_of(document: Mapping[str, Any]) -> Candidate:
    """A subject that was found."""
    d = document
    return Candidate(d["rank"], d["subject"], d["similarity"], d["sample"])


def findings_of(documents: Sequence[Mapping[str, Any]]) -> tuple[Finding, ...]:
    """Why a sample waits."""
    return tuple(
        Finding(FindingKind(d["kind"]), d["value"], d["limit"], d["subject"], d["sample"]) for d in documents
    )


def identified_of(document: Mapping[str, Any]) -> list[IdentifiedFace]:
    """The faces of a search."""
    made_with = MadeWith.of(document)
    point = point_of(document["point"], made_with.space)
    return [
        IdentifiedFace(
            SeenFace.of(face),
            Identification(
                candidates=tuple(candidate_of(c) for c in face["candidates"]),
                undecided=tuple(candidate_of(c) for c in face["undecided"]),
                nearest=None if face["nearest"] is None else candidate_of(face["nearest"]),
                fpir=document["fpir"],
                gallery_size=document["gallery_size"],
                point=point,
            ),
            made_with,
        )
        for face in document["faces"]
    ]
