"""Bodies of requests and answers, as they stand in the OpenAPI document.

Pixels: boxes are ``x0, y0, x1, y1`` and points ``x, y`` in px of the upright picture (turned as its metadata say, then
clockwise by ``rotation_deg``); the origin is the centre of the top-left pixel, left and right are the picture's sides.
"""

import base64
import binascii
import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from lineament.core.types import POINT_NAMES, Comparison, Detection, Face, OperatingPoint, Refusal
from lineament.service.examples import MATCH, REFUSED
from lineament.zoo.manifest import list_models

Box = tuple[float, float, float, float]
Point = tuple[float, float]


def _decoded(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("must be base64 (RFC 4648, no line breaks, no data: prefix)") from error


Picture = Annotated[
    bytes,
    BeforeValidator(_decoded),
    Field(min_length=1),
    WithJsonSchema(
        {
            "type": "string",
            "format": "byte",
            "contentEncoding": "base64",
            "description": "JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF or PNM file in base64 (HEIC where installed).",
        }
    ),
]
"""An encoded picture: a file part of a form, or base64 in JSON."""
Rate = Annotated[float, Field(gt=0, lt=1)]


class RequestBody(BaseModel):
    """Body of a request; unknown members are faults."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RequestQuery(BaseModel):
    """Query of a request; unknown members are faults, so that a slip of the pen is said and not passed over."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ReplyBody(BaseModel):
    """Body of an answer."""

    model_config = ConfigDict(frozen=True)


class ErrorDetail(ReplyBody):
    """What went wrong."""

    code: str = Field(description="Stable name of the kind of error.", examples=["image_unreadable"])
    message: str = Field(description="What was expected, what came, what to do.")
    details: list[dict[str, Any]] = Field(
        default=[], description="Faults one by one, where there are several."
    )


class ErrorBody(ReplyBody):
    """Body of every answer that is not a success."""

    error: ErrorDetail
    request_id: str = Field(description="As in the header X-Request-Id; quote it when asking for help.")


class PointBody(ReplyBody):
    """The operating point that a similarity was held against."""

    fmr: float = Field(description="False match rate that was asked for, a fraction.")
    threshold: float = Field(description="Similarity that keeps the rate in the calibration data.")
    interval95: tuple[float, float] = Field(description="95 % interval of the threshold.")
    n_nonmated: int = Field(description="Comparisons of different people behind it.")
    record: str = Field(description="Name of the calibration record.")

    @classmethod
    def of(cls, point: OperatingPoint) -> Self:
        """The body of a value."""
        return cls(
            fmr=point.fmr,
            threshold=point.threshold,
            interval95=(point.low, point.high),
            n_nonmated=point.n_nonmated,
            record=point.record,
        )


class WeightsBody(ReplyBody):
    """A model with the digests of its published files."""

    name: str
    task: str
    sha256: dict[str, str] = Field(description="Digest by role of the file.")


class MadeWith(ReplyBody):
    """What made a result."""

    profile: str = Field(description="Models and rules.")
    space: str = Field(description="Id of the embedding space; only templates of equal space compare.")
    weights: list[WeightsBody]

    def said(self) -> dict[str, Any]:
        """The fields, to be repeated in an answer."""
        return {"profile": self.profile, "space": self.space, "weights": self.weights}

    def weight_ids(self) -> tuple[str, ...]:
        """Names with digests, as the audit log writes them: "yunet model=5838..."."""
        return tuple(" ".join([w.name, *(f"{r}={d}" for r, d in w.sha256.items())]) for w in self.weights)


class DetectionBody(ReplyBody):
    """A face in a picture."""

    box: Box = Field(description="x0, y0, x1, y1, px.")
    score: float = Field(description="Score of the detector in [0, 1].")
    points: dict[str, Point | None] = Field(description="Five points by name; null where none is known.")

    @classmethod
    def of(cls, detection: Detection) -> Self:
        """The body of a value."""
        return cls(**_detection(detection))


class FaceBody(DetectionBody):
    """A face that was compared or embedded."""

    rotation_deg: int = Field(description="Clockwise turn that made the picture upright by evidence.")
    notes: list[str] = Field(description="What a person should know.")

    @classmethod
    def of_face(cls, face: Face, notes: Sequence[str] = (), **more: Any) -> Self:
        """The body of a face, with what decoding its picture had to do and what a subclass adds."""
        seen = _detection(face.detection)
        return cls(**seen, rotation_deg=face.rotation_deg, notes=[*notes, *face.notes], **more)


class RefusalBody(ReplyBody):
    """Why a picture gave no face that can be compared: an outcome, not an error."""

    role: Literal["reference", "probe"]
    reason: str = Field(examples=["no_face", "several_faces", "face_too_small", "face_cut_off"])
    detail: str = Field(description="What was found and what is needed, for people.")
    boxes: list[Box] = Field(description="Faces that were seen, px.")
    rotation_deg: int

    @classmethod
    def of(cls, refusal: Refusal) -> Self:
        """The body of a value."""
        return cls(
            role=refusal.role.value,
            reason=refusal.reason.value,
            detail=refusal.detail,
            boxes=[rounded_box(box) for box in refusal.detections.boxes.tolist()],
            rotation_deg=refusal.rotation_deg,
        )


class VerifyRequest(RequestBody):
    """Two pictures and a rate."""

    reference: Picture
    probe: Picture
    fmr: Rate = Field(
        description="False match rate that you accept, a fraction: 0.001 lets one in a thousand strangers pass.",
        examples=[0.001],
    )


class RestoredBody(ReplyBody):
    """That a mesh was taken off the reference before it was compared."""

    remover: str = Field(description="Id of what took it off.")
    mesh_score: float = Field(description="How sure the mesh was, in [0, 1].")
    unrestored_similarity: float | None = Field(
        description="Similarity with the mesh, which decides nothing; null where no face was found under it."
    )
    calibration_space: str = Field(description="Calibration record that the decision was held against.")

    @classmethod
    def of(cls, outcome: Comparison) -> Self | None:
        """The body of a comparison with a restored reference; None for others."""
        restored = outcome.reference.restored
        if restored is None:
            return None
        return cls(
            remover=restored.remover,
            mesh_score=restored.mesh_score,
            unrestored_similarity=outcome.unrestored_similarity,
            calibration_space=outcome.reference.calibration_space,
        )


class VerifyReply(MadeWith):
    """A decision, or why there is none."""

    model_config = ConfigDict(json_schema_extra={"examples": [MATCH, REFUSED]})

    decision: Literal["match", "no_match", "undecided", "refused"]
    similarity: float | None = Field(description="Cosine in [-1, 1]; null when a picture was refused.")
    llr: float | None = Field(description="Natural log-likelihood ratio of the similarity.")
    log10_lr: float | None = Field(description="The same to base 10.")
    point: PointBody
    reference: FaceBody | None
    probe: FaceBody | None
    restored: RestoredBody | None = Field(description="Null for a reference that was taken as it is.")
    refusal: RefusalBody | None

    @classmethod
    def of(
        cls,
        outcome: Comparison | Refusal,
        point: OperatingPoint,
        made_with: MadeWith,
        notes: tuple[Sequence[str], Sequence[str]],
    ) -> Self:
        """The body of an outcome.

        Args:
            outcome: comparison or refusal.
            point: what was asked for; a comparison has its own.
            made_with: models and rules.
            notes: what decoding the reference and the probe had to do.
        """
        common = made_with.said()
        if isinstance(outcome, Refusal):
            nothing: dict[str, Any] = dict.fromkeys(
                ("similarity", "llr", "log10_lr", "reference", "probe", "restored")
            )
            common |= {"point": PointBody.of(point), "refusal": RefusalBody.of(outcome)}
            return cls(decision="refused", **nothing, **common)
        return cls(
            decision=outcome.decision.value,
            similarity=outcome.similarity,
            llr=outcome.llr,
            point=PointBody.of(outcome.point),
            log10_lr=None if outcome.llr is None else outcome.llr / math.log(10),
            reference=FaceBody.of_face(outcome.reference, notes[0]),
            probe=FaceBody.of_face(outcome.probe, notes[1]),
            restored=RestoredBody.of(outcome),
            refusal=None,
            **common,
        )


class DemeshRequest(RequestBody):
    """One picture."""

    picture: Picture


class DemeshReply(ReplyBody):
    """Whether a mesh lies over a picture, and the picture without it."""

    is_meshed: bool = Field(description="The score reaches the threshold.")
    score: float = Field(description="How sure the mesh is, in [0, 1].")
    threshold: float
    clean_touched_rate: float = Field(
        description="Share of clean pictures that reach the threshold at most, a fraction."
    )
    record: str = Field(description="Name of the calibration record of the threshold.")
    remover: str = Field(description="Id of what takes meshes off.")
    restored: str | None = Field(
        description="PNG in base64, as large as the upright picture; null where no mesh was found.",
        json_schema_extra={"contentEncoding": "base64"},
    )


class DetectRequest(RequestBody):
    """One picture."""

    picture: Picture


class DetectReply(MadeWith):
    """The faces of a picture, best score first."""

    width: int = Field(description="Columns of the upright picture, px.")
    height: int = Field(description="Rows of the upright picture, px.")
    rotation_deg: int = Field(description="Clockwise turn that made the picture upright by evidence.")
    notes: list[str] = Field(description="What decoding had to do.")
    detected: int = Field(
        description="All faces that were found; the limit of the service may leave some out."
    )
    faces: list[DetectionBody]


class EmbedRequest(RequestBody):
    """One picture, and whose templates are wanted."""

    picture: Picture
    faces: Literal["one", "all"] = Field(
        "one",
        description="one: the face that the picture is about, or a refusal; all: every face that can be compared.",
    )


class EmbeddedFace(FaceBody):
    """A face with its template."""

    vector: list[float] = Field(description="Template of unit length; compare by inner product.")


class EmbedReply(MadeWith):
    """Templates of a picture."""

    faces: list[EmbeddedFace]
    detected: int = Field(description="All faces that were found, those too that cannot be compared.")
    refusal: RefusalBody | None = Field(description='Why there is no face; only when "one" was asked for.')


class ReadyReply(ReplyBody):
    """Whether work is taken."""

    ready: bool


def weights_of(*names: str) -> list[WeightsBody]:
    """Models with their digests; one that is in no registry has none."""
    known = list_models()
    return [
        WeightsBody(name=n, task=known[n].task, sha256={w.role: w.sha256 for w in known[n].weights})
        if n in known
        else WeightsBody(name=n, task="", sha256={})
        for n in names
    ]


def rounded_box(box: Sequence[float]) -> Box:
    """A box with the digits that mean something."""
    x0, y0, x1, y1 = (round(v, 2) for v in box)
    return x0, y0, x1, y1


def _detection(detection: Detection) -> dict[str, Any]:
    points = zip(POINT_NAMES, detection.points.tolist(), strict=True)
    return {
        "box": rounded_box(detection.box.tolist()),
        "score": round(detection.score, 4),
        "points": {
            name: None if math.isnan(x + y) else (round(x, 2), round(y, 2)) for name, (x, y) in points
        },
    }
