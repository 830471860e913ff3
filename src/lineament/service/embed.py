"""``/v1/embed``: templates of faces, for programs that compare them themselves."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from lineament.core.types import Face, Image, Refusal
from lineament.pipeline import FacePipeline
from lineament.service.access import Caller, Scope, require
from lineament.service.audit import record
from lineament.service.audit_entries import AuditEvent
from lineament.service.config import LimitSettings
from lineament.service.errors import errors_of
from lineament.service.pictures import accepts, decode, picture_body
from lineament.service.schemas import EmbeddedFace, EmbedReply, EmbedRequest, MadeWith, RefusalBody
from lineament.service.work import Desk, ready_desk, run

router = APIRouter(tags=["compare"])


@router.post(
    "/v1/embed",
    summary="Templates of the faces of a picture",
    responses=errors_of(400, 401, 403, 408, 413, 415, 422, 429, 503),
    openapi_extra=accepts(EmbedRequest),
)
async def embed(
    request: Request,
    caller: Annotated[Caller, Depends(require(Scope.MATCH))],  # noqa: ARG001 (the dependency is the check)
    desk: Annotated[Desk, Depends(ready_desk)],
    body: Annotated[EmbedRequest, Depends(picture_body(EmbedRequest))],
) -> EmbedReply:
    """Vectors of unit length with the id of their space; they are personal data, keep them as such."""
    limits = request.app.state.config.limits
    reply = await run(request, desk.engine, partial(_embed, body, limits, desk.made_with))
    outcome = "refused" if reply.refusal else "done"
    event = AuditEvent(action="embed", outcome=outcome, space=reply.space, weights=reply.weight_ids())
    await record(request, event)
    request.app.state.metrics.outcomes.labels("embed", outcome).inc()
    return reply


def _embed(
    body: EmbedRequest, limits: LimitSettings, made_with: MadeWith, pipeline: FacePipeline
) -> EmbedReply:
    image = decode(body.picture, "picture", limits)
    faces, detected, refusal = (_one if body.faces == "one" else _all)(image, limits, pipeline)
    return EmbedReply(
        faces=[EmbeddedFace.of_face(f, image.notes, vector=f.embedding.vector.tolist()) for f in faces],
        detected=detected,
        refusal=None if refusal is None else RefusalBody.of(refusal),
        **made_with.said(),
    )


_Found = tuple[list[Face], int, Refusal | None]


def _one(image: Image, _limits: LimitSettings, pipeline: FacePipeline) -> _Found:
    """The face that the picture is about; smaller ones count as found."""
    found = pipeline.extract_one(image)
    if isinstance(found, Refusal):
        return [], len(found.detections), found
    return [found], 1, None


def _all(image: Image, limits: LimitSettings, pipeline: FacePipeline) -> _Found:
    upright = pipeline.detect(image)
    return pipeline.faces_of(upright, limits.faces), len(upright.detections), None
