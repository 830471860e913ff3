"""``/v1/galleries/{gallery}/jobs``: enroll many pictures; they are kept until each one is settled."""

import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field

from lineament.core.errors import GalleryError, InputError, ServiceError
from lineament.gallery import GalleryStore
from lineament.service.access import Caller, Scope, require
from lineament.service.archives import MAX_ENTRIES, Upload, read_archive, read_files
from lineament.service.audit import record, stamped
from lineament.service.audit_entries import AuditEvent
from lineament.service.changes import change
from lineament.service.enrolling import conflict_point, reviewing
from lineament.service.errors import GalleryUnavailable, NotFound, UnknownBodyType, errors_of
from lineament.service.gallery_schemas import (
    CONFLICT,
    CONFLICT_FMR,
    ConflictBody,
    FindingBody,
    Limit,
    Page,
    page,
)
from lineament.service.holdings import GalleryName, Holdings, open_gallery
from lineament.service.ids import check_address
from lineament.service.job_file import JobFile
from lineament.service.job_runner import JobRunner
from lineament.service.job_store import ID_PATTERN, JobStore
from lineament.service.job_types import ItemState, JobSettings
from lineament.service.json_body import accepts_json, content_type, json_body
from lineament.service.pictures import Part, read_parts
from lineament.service.schemas import Rate, RefusalBody, ReplyBody, RequestBody, RequestQuery
from lineament.service.work import Desk, ready_desk

log = logging.getLogger(__name__)
router = APIRouter(prefix="/v1/galleries/{gallery}/jobs", tags=["jobs"])
Enroller = Annotated[Caller, Depends(require(Scope.ENROLL))]
JobId = Annotated[str, Path(pattern=ID_PATTERN, description="Id of the job.")]
MAX_PARTS = MAX_ENTRIES
_ERRORS = errors_of(401, 403, 404, 409, 422, 429, 503)
_UPLOAD = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "archive": {
            "type": "string",
            "format": "binary",
            "description": "A ZIP archive with a folder for each subject, called by its id.",
        },
        "pictures": {
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "description": "Instead of an archive: files, called SUBJECT/NAME.",
        },
        "subject": {
            "type": "string",
            "minLength": 1,
            "maxLength": 200,
            "description": "Whose all pictures are; folders mean nothing then.",
        },
    },
}


class NewJob(RequestBody):
    """A job to make."""

    conflict: Literal["refuse", "review", "ignore"] = Field("refuse", description=CONFLICT)
    conflict_fmr: Rate | None = Field(None, description=CONFLICT_FMR)


class JobBody(ReplyBody):
    """How far a job is."""

    job: str
    gallery: str
    created_s: float = Field(description="s since 1970 UTC.")
    state: Literal["working", "idle", "stuck", "cancelled"] = Field(
        description="working: pictures wait or are worked on; idle: none does, more may come; stuck: it could not go "
        "on (the log of the service says why) and is tried again; cancelled: nothing more is enrolled."
    )
    total: int = Field(description="Pictures that it has taken.")
    waiting: int = Field(description="Pictures that are not settled yet.")
    outcomes: dict[str, int] = Field(
        description="How many were settled how: enrolled, already_there, pending, unreadable, no_face, several_faces, "
        "face_too_small, face_cut_off, conflict, belongs_to_another, sample_id_taken, rejected_before, cancelled, "
        "forgotten (the subject was removed)."
    )
    conflict: Literal["refuse", "review", "ignore"]
    conflict_fmr: float | None

    @classmethod
    def of(cls, job: JobFile) -> "JobBody":
        """The body of a value."""
        progress, settings = job.progress(), job.settings
        state: Literal["working", "idle", "stuck", "cancelled"] = "working" if progress.waiting else "idle"
        if progress.is_cancelled:
            state = "cancelled"
        elif progress.is_stuck:
            state = "stuck"
        return cls(
            job=job.job_id,
            gallery=settings.gallery,
            created_s=settings.created_s,
            state=state,
            total=progress.total,
            waiting=progress.waiting,
            outcomes=progress.statuses,
            conflict=settings.conflict,
            conflict_fmr=settings.conflict_fmr,
        )


class JobPage(ReplyBody):
    """Some jobs, oldest first."""

    jobs: list[JobBody]
    next: str | None = Field(description="Pass this as ``after`` to go on; null at the end.")


class TakenReply(ReplyBody):
    """What an upload added."""

    taken: int = Field(description="Pictures that are kept from now on, until each is settled.")
    known: int = Field(description="Pictures that the job had before: same subject, file name and bytes.")


class ItemBody(ReplyBody):
    """A picture of a job."""

    position: int = Field(description="Counts from 1 in the order of the uploads.")
    name: str = Field(description="Its path in the upload; empty when its subject was removed.")
    subject: str
    sample: str
    outcome: str = Field(description='"waiting", or one of the outcomes of the job.')
    detail: str = Field(description="Why it cannot be read, or empty.")
    refusal: RefusalBody | None = Field(description="Why it gave no face.")
    conflict: ConflictBody | None = Field(description="The sample that stands in the way.")
    findings: list[FindingBody] = Field(description="Why it waits for a decision.")

    @classmethod
    def of(cls, item: ItemState) -> "ItemBody":
        """The body of a value."""
        nothing: dict[str, Any] = {"detail": "", "refusal": None, "conflict": None, "findings": []}
        names = {"name": item.name, "subject": item.subject_id, "sample": item.sample_id}
        return cls.model_validate(
            nothing | names | {"position": item.position, "outcome": item.status} | item.found
        )


class ItemPage(ReplyBody):
    """Some pictures of a job, in the order of the uploads."""

    items: list[ItemBody]
    next: int | None = Field(description="Pass this as ``after`` to go on; null at the end.")


async def open_job(request: Request, gallery: GalleryName, job: JobId) -> AsyncIterator[JobFile]:
    """A dependency: the job of the path; put it after :func:`lineament.service.access.require`."""
    jobs: JobStore = request.app.state.jobs
    opened = await to_thread.run_sync(jobs.open, gallery, job)
    try:
        yield opened
    finally:
        await to_thread.run_sync(opened.close)


Opened = Annotated[JobFile, Depends(open_job)]


@router.post(
    "",
    status_code=201,
    summary="Make a job",
    responses=_ERRORS | errors_of(408, 413, 415),
    openapi_extra=accepts_json(NewJob),
)
async def create_job(
    request: Request,
    caller: Enroller,
    gallery: GalleryName,
    desk: Annotated[Desk, Depends(ready_desk)],
    store: Annotated[GalleryStore, Depends(open_gallery)],
    body: Annotated[NewJob, Depends(json_body(NewJob))],
) -> JobBody:
    """Empty; send it pictures, as often as you like. What it has taken survives a crash of the service."""
    conflict_point(desk.engine.pipeline, body.conflict, body.conflict_fmr)
    if body.conflict == "review":
        reviewing(store)
    event = stamped(request, AuditEvent(action="job.create", outcome="done", gallery=gallery))
    settings = JobSettings(
        gallery=gallery,
        conflict=body.conflict,
        conflict_fmr=body.conflict_fmr,
        request_id=event.request_id,
        key_id=caller.key_id,
        route=event.route,
    )
    jobs: JobStore = request.app.state.jobs

    def make() -> JobBody:
        with jobs.make(settings) as job:
            return JobBody.of(job)

    made = await to_thread.run_sync(make)
    await record(request, replace(event, result_ids=(made.job,)))
    return made


@router.get("", summary="The jobs of a gallery", responses=_ERRORS)
async def list_jobs(
    request: Request,
    caller: Enroller,  # noqa: ARG001 (the dependency is the check)
    gallery: GalleryName,
    query: Page,
) -> JobPage:
    """Oldest first; one that does not open, which the log of the service says, is left out."""
    jobs: JobStore = request.app.state.jobs
    holdings: Holdings = request.app.state.holdings

    def read() -> JobPage:
        holdings.require(gallery)
        stretch, following = page(jobs.ids(gallery), str, query.after, query.limit)
        bodies = []
        for job_id in stretch:
            try:
                with suppress(NotFound), jobs.open(gallery, job_id) as job:
                    bodies.append(JobBody.of(job))
            except ServiceError as error:
                log.exception("job_failed", extra={"reason": str(error)})
        return JobPage(jobs=bodies, next=following)

    return await to_thread.run_sync(read)


@router.get("/{job}", summary="How far a job is", responses=_ERRORS)
async def get_job(caller: Enroller, opened: Opened) -> JobBody:  # noqa: ARG001 (the dependency is the check)
    """Counts of what was settled how."""
    return await to_thread.run_sync(JobBody.of, opened)


@router.post(
    "/{job}/pictures",
    summary="Send pictures to a job",
    responses=_ERRORS | errors_of(400, 408, 413, 415),
    openapi_extra={
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _UPLOAD}}}
    },
)
async def add_pictures(
    request: Request,
    caller: Enroller,  # noqa: ARG001 (the dependency is the check)
    opened: Opened,
) -> TakenReply:
    """All of an upload are taken, or none; they are on the disk when the answer comes.

    Sending an upload again adds nothing twice. The bytes of a picture are removed once it is settled.
    """
    if content_type(request) != "multipart/form-data":
        raise UnknownBodyType("send multipart/form-data with an archive, or with pictures")
    parts = await read_parts(request, MAX_PARTS)
    max_bytes = request.app.state.config.limits.body_bytes
    taken, known = await to_thread.run_sync(lambda: opened.add(_uploads(parts, max_bytes)))
    runner: JobRunner = request.app.state.runner
    runner.notify()
    return TakenReply(taken=taken, known=known)


class ItemQuery(RequestQuery):
    """Which page of the pictures of a job."""

    after: int = Field(default=0, ge=0, le=2**53, description="``next`` of the page before.")
    limit: Limit = 100


@router.get("/{job}/items", summary="What became of the pictures of a job", responses=_ERRORS)
async def list_items(
    caller: Enroller,  # noqa: ARG001 (the dependency is the check)
    opened: Opened,
    query: Annotated[ItemQuery, Query()],
) -> ItemPage:
    """Those that wait, too."""
    items = await to_thread.run_sync(opened.items, query.after, query.limit)
    following = items[-1].position if len(items) == query.limit else None
    return ItemPage(items=[ItemBody.of(i) for i in items], next=following)


@router.post("/{job}/cancel", summary="Stop a job", responses=_ERRORS)
async def cancel_job(
    request: Request,
    caller: Enroller,  # noqa: ARG001 (the dependency is the check)
    gallery: GalleryName,
    opened: Opened,
) -> JobBody:
    """Nothing more is enrolled when the answer comes; what was enrolled stays."""
    event = {"action": "job.cancel", "gallery": gallery, "result_ids": (opened.job_id,)}
    await change(request, event, opened.cancel)
    return await to_thread.run_sync(JobBody.of, opened)


@router.delete("/{job}", status_code=204, summary="Forget a job", responses=_ERRORS)
async def delete_job(
    request: Request,
    caller: Enroller,  # noqa: ARG001 (the dependency is the check)
    gallery: GalleryName,
    job: JobId,
) -> None:
    """With all that it knows of its pictures; a job that still works must be cancelled first."""
    jobs: JobStore = request.app.state.jobs

    def remove() -> None:
        # one that does not open never works again
        with suppress(GalleryUnavailable), jobs.open(gallery, job) as opened, opened.changing():
            if opened.progress().waiting:
                raise GalleryError("the job still works; cancel it first")
        jobs.remove(gallery, job)

    await change(request, {"action": "job.delete", "gallery": gallery, "result_ids": (job,)}, remove)


def _uploads(parts: Sequence[Part], max_bytes: int) -> Iterator[Upload]:
    """The pictures of a form."""
    texts = {p.name: p.value for p in parts if isinstance(p.value, str)}
    files = [(p.name, p.file_name, p.value) for p in parts if isinstance(p.value, bytes)]
    kinds = [name for name, _, _ in files]
    if set(texts) - {"subject"} or not (kinds == ["archive"] or (kinds and set(kinds) == {"pictures"})):
        raise InputError('expected one file "archive" or files "pictures", and the text "subject" at most')
    subject = texts.get("subject")
    if subject is not None:
        check_address(subject, "subject")
    if kinds == ["archive"]:
        return read_archive(files[0][2], subject, max_bytes)
    return read_files([(name, data) for _, name, data in files], subject, max_bytes)
