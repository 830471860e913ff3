"""``/v1/galleries/{gallery}/subjects``: who is enrolled; look, remove, merge, rename."""

import logging
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Request
from pydantic import Field

from lineament.core.errors import ServiceError
from lineament.gallery import GalleryStore, Removal
from lineament.service.access import Caller, Scope, require
from lineament.service.changes import change
from lineament.service.errors import errors_of
from lineament.service.gallery_schemas import (
    Id,
    Page,
    RemovalReply,
    SampleBody,
    SubjectBody,
    SubjectPage,
    page,
)
from lineament.service.holdings import GalleryName, SubjectPath, open_gallery
from lineament.service.job_store import JobStore
from lineament.service.json_body import accepts_json, json_body
from lineament.service.schemas import ReplyBody, RequestBody

log = logging.getLogger(__name__)
router = APIRouter(prefix="/v1/galleries/{gallery}", tags=["people"])
Reader = Annotated[Caller, Depends(require(Scope.READ))]
Enroller = Annotated[Caller, Depends(require(Scope.ENROLL))]
Store = Annotated[GalleryStore, Depends(open_gallery)]
_ERRORS = errors_of(401, 403, 404, 409, 422, 429, 503)


class SubjectReply(ReplyBody):
    """A subject with its samples."""

    subject: str
    samples: list[SampleBody] = Field(description="Oldest first, in any state.")


class MergeRequest(RequestBody):
    """Two subjects that are one person."""

    into: Id = Field(description="The subject that stays.")
    source: Id = Field(description="The subject that goes; its samples become those of the other.")


class MergeReply(ReplyBody):
    """What a merge did."""

    subject: str
    samples_moved: int


class RenameRequest(RequestBody):
    """Another id for a subject."""

    subject: Id = Field(description="Id now.")
    new: Id = Field(description="Id from now on; of nobody in the gallery.")


class RenameReply(ReplyBody):
    """What a rename did."""

    subject: str


@router.get("/subjects", summary="Who is enrolled", responses=_ERRORS)
async def list_subjects(
    caller: Reader,  # noqa: ARG001 (the dependency is the check)
    store: Store,
    query: Page,
) -> SubjectPage:
    """Subjects that a search can find, ordered by id."""
    subjects = await to_thread.run_sync(store.subjects)
    stretch, following = page(subjects, lambda s: s.subject_id, query.after, query.limit)
    return SubjectPage(subjects=[SubjectBody.of(s) for s in stretch], next=following)


@router.get("/subjects/{subject:path}", summary="A subject with its samples", responses=_ERRORS)
async def get_subject(
    caller: Reader,  # noqa: ARG001 (the dependency is the check)
    store: Store,
    subject: SubjectPath,
) -> SubjectReply:
    """All its samples, searched or not, without templates."""
    records = await to_thread.run_sync(store.subject, subject)
    return SubjectReply(subject=subject, samples=[SampleBody.of(r) for r in records])


@router.delete("/subjects/{subject:path}", summary="Remove a subject", responses=_ERRORS)
async def delete_subject(
    request: Request,
    caller: Enroller,  # noqa: ARG001 (the dependency is the check)
    gallery: GalleryName,
    store: Store,
    subject: SubjectPath,
) -> RemovalReply:
    """With all its samples, for good: no search finds them, their bytes are overwritten, jobs forget them.

    The receipt is signed, and names the backups and exports that may still hold them.
    """
    jobs: JobStore = request.app.state.jobs

    def remove() -> Removal:
        store.subject(subject)  # 404 before anything is touched
        jobs.forget(gallery, subject)
        removal = store.remove_subject(subject)
        try:
            jobs.forget(gallery, subject)  # jobs may have found the subject in the way until it was gone
        except ServiceError as error:  # the subject is gone, and only this answer has the receipt
            log.exception("job_failed", extra={"reason": str(error)})
        return removal

    event = {"action": "subject.remove", "gallery": gallery, "result_ids": (subject,)}
    return RemovalReply.of(await change(request, event, remove))


@router.post(
    "/merges",
    summary="Make two subjects one",
    responses=_ERRORS | errors_of(408, 413, 415),
    openapi_extra=accepts_json(MergeRequest),
)
async def merge_subjects(
    request: Request,
    caller: Enroller,  # noqa: ARG001 (the dependency is the check)
    gallery: GalleryName,
    store: Store,
    body: Annotated[MergeRequest, Depends(json_body(MergeRequest))],
) -> MergeReply:
    """For one person who was enrolled under two ids; pictures of jobs that wait become those of the one who stays."""
    jobs: JobStore = request.app.state.jobs

    def merge() -> int:
        with jobs.moving(gallery, body.source, body.into):
            return store.merge(body.into, body.source)

    event = {"action": "subject.merge", "gallery": gallery, "result_ids": (body.into, body.source)}
    moved = await change(request, event, merge)
    return MergeReply(subject=body.into, samples_moved=moved)


@router.post(
    "/renames",
    summary="Give a subject another id",
    responses=_ERRORS | errors_of(408, 413, 415),
    openapi_extra=accepts_json(RenameRequest),
)
async def rename_subject(
    request: Request,
    caller: Enroller,  # noqa: ARG001 (the dependency is the check)
    gallery: GalleryName,
    store: Store,
    body: Annotated[RenameRequest, Depends(json_body(RenameRequest))],
) -> RenameReply:
    """Its samples stay as they are; pictures of jobs that wait are enrolled under the new id."""
    jobs: JobStore = request.app.state.jobs

    def rename() -> None:
        with jobs.moving(gallery, body.subject, body.new):
            store.rename(body.subject, body.new)

    event = {"action": "subject.rename", "gallery": gallery, "result_ids": (body.subject, body.new)}
    await change(request, event, rename)
    return RenameReply(subject=body.new)
