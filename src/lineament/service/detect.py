"""``/v1/detect``: which faces are in a picture?"""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from lineament.pipeline import FacePipeline
from lineament.service.access import Caller, Scope, require
from lineament.service.config import LimitSettings
from lineament.service.errors import errors_of
from lineament.service.pictures import accepts, decode, picture_body
from lineament.service.schemas import DetectionBody, DetectReply, DetectRequest, MadeWith
from lineament.service.work import Desk, ready_desk, run

router = APIRouter(tags=["compare"])


@router.post(
    "/v1/detect",
    summary="Which faces are in a picture?",
    responses=errors_of(400, 401, 403, 408, 413, 415, 422, 429, 503),
    openapi_extra=accepts(DetectRequest),
)
async def detect(
    request: Request,
    caller: Annotated[Caller, Depends(require(Scope.MATCH))],  # noqa: ARG001 (the dependency is the check)
    desk: Annotated[Desk, Depends(ready_desk)],
    body: Annotated[DetectRequest, Depends(picture_body(DetectRequest))],
) -> DetectReply:
    """Boxes, five points and scores, in px of the upright picture; no face is an empty list, not an error."""
    limits = request.app.state.config.limits
    return await run(request, desk.engine, partial(_detect, body, limits, desk.made_with))


def _detect(
    body: DetectRequest, limits: LimitSettings, made_with: MadeWith, pipeline: FacePipeline
) -> DetectReply:
    image = decode(body.picture, "picture", limits)
    upright = pipeline.detect(image)
    height, width = upright.pixels.shape[:2]
    found = upright.detections
    return DetectReply(
        width=width,
        height=height,
        rotation_deg=upright.rotation_deg,
        notes=list(image.notes),
        detected=len(found),
        faces=[DetectionBody.of(found[i]) for i in range(min(len(found), limits.faces))],
        **made_with.said(),
    )
