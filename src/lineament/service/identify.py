"""``/v1/galleries/{gallery}/identify``: who is this?"""

import asyncio
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from lineament.core.types import Face, Identification, OperatingPoint, Refusal
from lineament.gallery import GalleryStore
from lineament.pipeline import FacePipeline
from lineament.service.access import Caller, Scope, require
from lineament.service.audit import record
from lineament.service.audit_entries import AuditEvent
from lineament.service.config import LimitSettings
from lineament.service.errors import errors_of
from lineament.service.gallery_schemas import CandidateBody, IdentifiedFace, IdentifyReply, IdentifyRequest
from lineament.service.holdings import GalleryName, open_gallery
from lineament.service.pictures import accepts, decode, picture_body
from lineament.service.schemas import MadeWith, PointBody, RefusalBody
from lineament.service.work import Desk, ready_desk, run

router = APIRouter(prefix="/v1/galleries/{gallery}", tags=["compare"])


@router.post(
    "/identify",
    summary="Who is this?",
    responses=errors_of(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra=accepts(IdentifyRequest),
)
async def identify(
    request: Request,
    caller: Annotated[Caller, Depends(require(Scope.MATCH))],  # noqa: ARG001 (the dependency is the check)
    gallery: GalleryName,
    desk: Annotated[Desk, Depends(ready_desk)],
    body: Annotated[IdentifyRequest, Depends(picture_body(IdentifyRequest))],
) -> IdentifyReply:
    """Search a gallery at a false positive identification rate.

    The threshold follows from the rate and from how many templates and subjects the gallery holds. Of each face:
    subjects that match, subjects that might (the similarity lies within the interval of the threshold), and the
    nearest one whatever the threshold. With ``all`` faces, the rate holds for each of them.
    """
    store = await open_gallery(request, gallery)
    limits = request.app.state.config.limits
    reply = await run(request, desk.engine, partial(_identify, body, store, limits, desk.made_with))
    await asyncio.gather(*[record(request, event) for event in _events(gallery, reply)])
    for face in reply.faces:
        request.app.state.metrics.outcomes.labels("identify", face.decision).inc()
    if reply.refusal is not None:
        request.app.state.metrics.outcomes.labels("identify", "refused").inc()
    return reply


def _identify(
    body: IdentifyRequest,
    store: GalleryStore,
    limits: LimitSettings,
    made_with: MadeWith,
    pipeline: FacePipeline,
) -> IdentifyReply:
    size = store.size
    point: OperatingPoint = pipeline.calibration.point_for_fpir(
        body.fpir, max(1, size.samples), max(1, size.subjects)
    )
    image = decode(body.picture, "picture", limits)
    refusal: Refusal | None = None
    faces: list[Face] = []
    if body.faces == "one":
        found = pipeline.extract_one(image)
        if isinstance(found, Refusal):
            refusal, detected = found, len(found.detections)
        else:
            faces, detected = [found], 1
    else:
        upright = pipeline.detect(image)
        faces, detected = pipeline.faces_of(upright, limits.faces), len(upright.detections)
    searched = [
        store.identify(f.embedding, point=point, fpir=body.fpir, max_candidates=body.max_candidates)
        for f in faces
    ]
    return IdentifyReply(
        fpir=body.fpir,
        gallery_size=size.samples,
        point=PointBody.of(point),
        faces=[_face(f, image.notes, i) for f, i in zip(faces, searched, strict=True)],
        detected=detected,
        refusal=None if refusal is None else RefusalBody.of(refusal),
        **made_with.said(),
    )


def _face(face: Face, notes: tuple[str, ...], found: Identification) -> IdentifiedFace:
    return IdentifiedFace.of_face(
        face,
        notes,
        decision=found.decision.value,
        candidates=[CandidateBody.of(c) for c in found.candidates],
        undecided=[CandidateBody.of(c) for c in found.undecided],
        nearest=None if found.nearest is None else CandidateBody.of(found.nearest),
    )


def _events(gallery: str, reply: IdentifyReply) -> list[AuditEvent]:
    """One for each search, or one that says that there was nothing to search."""
    event = partial(
        AuditEvent,
        action="identify",
        gallery=gallery,
        threshold=reply.point.threshold,
        fmr=reply.point.fmr,
        fpir=reply.fpir,
        record=reply.point.record,
        space=reply.space,
        weights=reply.weight_ids(),
    )
    return [
        event(
            outcome=face.decision,
            similarity=None if face.nearest is None else face.nearest.similarity,
            result_ids=tuple(c.subject for c in (*face.candidates, *face.undecided)),
        )
        for face in reply.faces
    ] or [event(outcome="refused")]
