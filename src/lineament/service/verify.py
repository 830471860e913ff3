"""``/v1/verify``: are these the same person?"""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from lineament.core.types import Comparison, OperatingPoint, Refusal
from lineament.pipeline import FacePipeline
from lineament.service.access import Caller, Scope, require
from lineament.service.audit import record
from lineament.service.audit_entries import AuditEvent
from lineament.service.config import LimitSettings
from lineament.service.errors import errors_of
from lineament.service.pictures import accepts, decode, picture_body
from lineament.service.schemas import MadeWith, VerifyReply, VerifyRequest
from lineament.service.work import Desk, ready_desk, run

router = APIRouter(tags=["compare"])


@router.post(
    "/v1/verify",
    summary="Are these the same person?",
    responses=errors_of(400, 401, 403, 408, 413, 415, 422, 429, 503),
    openapi_extra=accepts(VerifyRequest),
)
async def verify(
    request: Request,
    caller: Annotated[Caller, Depends(require(Scope.MATCH))],  # noqa: ARG001 (the dependency is the check)
    desk: Annotated[Desk, Depends(ready_desk)],
    body: Annotated[VerifyRequest, Depends(picture_body(VerifyRequest))],
) -> VerifyReply:
    """Compare a reference with a probe at a false match rate.

    The answer is a match, no match, undecided (the similarity lies within the interval of the threshold), or refused:
    a picture that shows no face, several, or one that is too small or cut off cannot be compared, and says so. A
    service whose profile takes meshes off references says when it did; probes are compared as they are.
    """
    limits = request.app.state.config.limits
    reply = await run(request, desk.engine, partial(_verify, body, limits, desk.made_with))
    await record(request, _event(reply))
    request.app.state.metrics.outcomes.labels("verify", reply.decision).inc()
    return reply


def _verify(
    body: VerifyRequest, limits: LimitSettings, made_with: MadeWith, pipeline: FacePipeline
) -> VerifyReply:
    point: OperatingPoint = pipeline.operating_point(body.fmr)
    reference, probe = decode(body.reference, "reference", limits), decode(body.probe, "probe", limits)
    outcome: Comparison | Refusal = pipeline.verify(reference, probe, body.fmr)
    return VerifyReply.of(outcome, point, made_with, (reference.notes, probe.notes))


def _event(reply: VerifyReply) -> AuditEvent:
    return AuditEvent(
        action="verify",
        outcome=reply.decision,
        similarity=reply.similarity,
        threshold=reply.point.threshold,
        fmr=reply.point.fmr,
        record=reply.point.record,
        space=reply.restored.calibration_space if reply.restored else reply.space,
        weights=reply.weight_ids(),
    )
