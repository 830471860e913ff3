"""``/v1/galleries/{gallery}/held``: samples that are not searched, and what is decided about them."""

from functools import partial
from typing import Annotated, Literal

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from lineament.gallery import GalleryStore, SampleState
from lineament.service.access import Caller, Scope, require
from lineament.service.changes import change
from lineament.service.enrolling import reviewing
from lineament.service.errors import errors_of
from lineament.service.gallery_schemas import FindingBody, Id, SampleBody
from lineament.service.holdings import GalleryName, open_gallery
from lineament.service.json_body import accepts_json, json_body
from lineament.service.schemas import ReplyBody, RequestBody, RequestQuery

router = APIRouter(prefix="/v1/galleries/{gallery}", tags=["people"])
Enroller = Annotated[Caller, Depends(require(Scope.ENROLL))]
Store = Annotated[GalleryStore, Depends(open_gallery)]
_ERRORS = errors_of(401, 403, 404, 409, 422, 429, 503)


class HeldSample(SampleBody):
    """A sample that is not searched."""

    findings: list[FindingBody] = Field(description="Why it waits; empty when it does not.")


class DecisionRequest(RequestBody):
    """What is to become of a sample."""

    sample: Id
    decision: Literal["approve", "reject", "quarantine", "release"] = Field(
        description="approve or reject one that waits; quarantine one that is searched; release or reject one that "
        "is in quarantine. A rejected sample loses its template and is not asked again."
    )
    note: str = Field("", max_length=1000, description="Why; kept with the decision.")


class DecisionReply(ReplyBody):
    """What became of a sample."""

    sample: str
    state: Literal["active", "quarantined", "rejected"]


class HeldQuery(RequestQuery):
    """Which samples."""

    state: Literal["pending", "quarantined", "rejected"] = Field(
        default="pending", description="Which of them."
    )


@router.get("/held", summary="Samples that are not searched", responses=_ERRORS)
async def list_held(
    caller: Enroller,  # noqa: ARG001 (the dependency is the check)
    store: Store,
    query: Annotated[HeldQuery, Query()],
) -> list[HeldSample]:
    """Oldest first; those that wait with what was found about them. Embedded galleries only."""
    review = reviewing(store).review

    def read() -> list[HeldSample]:
        why = {p.sample_id: p.findings for p in review.waiting()} if query.state == "pending" else {}
        return [
            HeldSample(
                **SampleBody.of(r).model_dump(),
                findings=[FindingBody.of(f) for f in why.get(r.sample_id, ())],
            )
            for r in review.held(SampleState(query.state))
        ]

    return await to_thread.run_sync(read)


@router.post(
    "/decisions",
    summary="Decide about a sample",
    responses=_ERRORS | errors_of(408, 413, 415),
    openapi_extra=accepts_json(DecisionRequest),
)
async def decide(
    request: Request,
    caller: Enroller,
    gallery: GalleryName,
    store: Store,
    body: Annotated[DecisionRequest, Depends(json_body(DecisionRequest))],
) -> DecisionReply:
    """Durable, kept with who decided and why. Embedded galleries only."""
    review = reviewing(store).review
    decisions = {
        "approve": (review.approve, SampleState.ACTIVE),
        "reject": (review.reject, SampleState.REJECTED),
        "quarantine": (review.quarantine, SampleState.QUARANTINED),
        "release": (review.release, SampleState.ACTIVE),
    }
    make, state = decisions[body.decision]
    event = {"action": f"sample.{body.decision}", "gallery": gallery, "result_ids": (body.sample,)}
    await change(request, event, partial(make, body.sample, by=caller.key_id, note=body.note))
    return DecisionReply.model_validate({"sample": body.sample, "state": state.value})
