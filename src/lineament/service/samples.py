"""``/v1/galleries/{gallery}/samples``: enroll from a picture, and remove."""

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from lineament.core.errors import SubjectNotFound
from lineament.core.types import Face, OperatingPoint, Refusal, Role
from lineament.gallery import EnrollmentRefusal, GalleryStore, NewSample, PendingSample, Removal
from lineament.pipeline import FacePipeline
from lineament.service.access import Caller, Scope, require
from lineament.service.changes import change
from lineament.service.config import LimitSettings
from lineament.service.enrolling import conflict_point, enroll, status_of
from lineament.service.errors import EnrollmentConflict, errors_of
from lineament.service.gallery_schemas import (
    ConflictBody,
    EnrollReply,
    EnrollRequest,
    FindingBody,
    RemovalReply,
)
from lineament.service.holdings import GalleryName, SamplePath, open_gallery
from lineament.service.job_store import JobStore
from lineament.service.pictures import accepts, decode, picture_body
from lineament.service.schemas import FaceBody, PointBody, RefusalBody
from lineament.service.work import Desk, ready_desk, run

router = APIRouter(prefix="/v1/galleries/{gallery}", tags=["people"])
Enroller = Annotated[Caller, Depends(require(Scope.ENROLL))]
Store = Annotated[GalleryStore, Depends(open_gallery)]
_MADE: dict[int | str, dict[str, Any]] = {
    200: {"description": "It was there before, waits for a decision, or the picture was refused."},
    201: {"model": EnrollReply, "description": "Enrolled; it survives a crash from now on."},
}
_WORDS = {
    "conflict": "the picture looks like another subject; enroll it there, merge the two if they are one person, or "
    "say what to do about conflicts",
    "belongs_to_another": "the picture is enrolled as another subject; merge the two if they are one person",
    "sample_id_taken": "another picture has that sample id; choose another one",
    "rejected_before": "the picture was offered before and rejected; it is not asked again",
}


@dataclass(frozen=True, slots=True)
class _Found:
    """What a picture showed.

    Attributes:
        face: or why there is none.
        notes: what decoding had to do.
        point: at which similarity the face looks like somebody else; None when nobody looks.
    """

    face: Face | Refusal
    notes: tuple[str, ...]
    point: OperatingPoint | None


@router.post(
    "/samples",
    summary="Enroll a subject from a picture",
    responses=_MADE | errors_of(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra=accepts(EnrollRequest),
)
async def enroll_sample(
    request: Request,
    response: Response,
    caller: Enroller,  # noqa: ARG001 (the dependency is the check)
    gallery: GalleryName,
    desk: Annotated[Desk, Depends(ready_desk)],
    body: Annotated[EnrollRequest, Depends(picture_body(EnrollRequest))],
) -> EnrollReply:
    """Sending the same picture of the same subject again changes nothing and says so.

    A picture that shows no face, several, or one that is too small or cut off is refused with status 200. One that
    is, or looks like, somebody else's is refused with status 409; ``details`` name the sample in the way.
    """
    store = await open_gallery(request, gallery)
    found = await run(request, desk.engine, partial(_extract, body, request.app.state.config.limits))
    said = desk.made_with.said() | {
        "subject": body.subject,
        "conflict_point": None if found.point is None else PointBody.of(found.point),
    }
    outcomes = request.app.state.metrics.outcomes
    if isinstance(found.face, Refusal):
        outcomes.labels("enroll", "refused").inc()
        refusal = RefusalBody.of(found.face)
        return EnrollReply(outcome="refused", sample=None, face=None, refusal=refusal, findings=[], **said)
    event = {
        "action": "sample.enroll",
        "gallery": gallery,
        "result_ids": (body.subject, *filter(None, [body.sample])),
        "space": desk.made_with.space,
        "weights": desk.made_with.weight_ids(),
    }
    digest = hashlib.sha256(body.picture).hexdigest()
    sample = NewSample(body.subject, found.face.embedding, body.sample, digest)
    work = partial(enroll, store, sample, body.conflict, found.point)
    made = await change(request, event, work, lambda outcome: status_of(outcome, body.subject))
    status = status_of(made, body.subject)
    outcomes.labels("enroll", status).inc()
    if isinstance(made, EnrollmentRefusal):
        raise EnrollmentConflict(status, _WORDS[status], ConflictBody.of(made).model_dump())
    response.status_code = 201 if status == "enrolled" else 200
    return EnrollReply.model_validate(
        said
        | {
            "outcome": status,
            "sample": made.sample_id,
            "face": FaceBody.of_face(found.face, found.notes),
            "refusal": None,
            "findings": [FindingBody.of(f) for f in made.findings] if isinstance(made, PendingSample) else [],
        }
    )


def _extract(body: EnrollRequest, limits: LimitSettings, pipeline: FacePipeline) -> _Found:
    point = conflict_point(pipeline, body.conflict, body.conflict_fmr)
    image = decode(body.picture, "picture", limits)
    return _Found(pipeline.extract_one(image, Role.REFERENCE), image.notes, point)


@router.delete(
    "/samples/{sample:path}",
    summary="Remove a sample",
    responses=errors_of(401, 403, 404, 409, 422, 429, 503),
)
async def delete_sample(
    request: Request,
    caller: Enroller,  # noqa: ARG001 (the dependency is the check)
    gallery: GalleryName,
    store: Store,
    sample: SamplePath,
) -> RemovalReply:
    """For good, as a subject is removed; a subject goes with its last sample."""
    jobs: JobStore = request.app.state.jobs

    def remove() -> Removal:
        jobs.check(gallery)  # a receipt that was made must not be lost because jobs cannot forget its subject
        removal = store.remove_sample(sample)
        if removal.receipt is not None:
            try:
                store.subject(removal.receipt.subject_id)
            except SubjectNotFound:
                jobs.forget(gallery, removal.receipt.subject_id)
        return removal

    event = {"action": "sample.remove", "gallery": gallery, "result_ids": (sample,)}
    return RemovalReply.of(await change(request, event, remove))
