"""``/v1/demesh``: is there a security mesh over a picture, and what is under it?"""

import base64
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from lineament.core.errors import InputError
from lineament.imaging import encode_png
from lineament.pipeline import FacePipeline
from lineament.service.access import Caller, Scope, require
from lineament.service.config import LimitSettings
from lineament.service.errors import errors_of
from lineament.service.pictures import accepts, decode, picture_body
from lineament.service.schemas import DemeshReply, DemeshRequest
from lineament.service.work import Desk, ready_desk, run

router = APIRouter(tags=["compare"])


@router.post(
    "/v1/demesh",
    summary="Take a security mesh off a picture",
    responses=errors_of(400, 401, 403, 408, 413, 415, 422, 429, 503),
    openapi_extra=accepts(DemeshRequest),
)
async def demesh(
    request: Request,
    caller: Annotated[Caller, Depends(require(Scope.MATCH))],  # noqa: ARG001 (the dependency is the check)
    desk: Annotated[Desk, Depends(ready_desk)],
    body: Annotated[DemeshRequest, Depends(picture_body(DemeshRequest))],
) -> DemeshReply:
    """The restored picture where a mesh was found; a clean picture is not touched.

    For a service whose profile takes meshes off (``id-photo``); others answer 422.
    """
    return await run(request, desk.engine, partial(_demesh, body, request.app.state.config.limits))


def _demesh(body: DemeshRequest, limits: LimitSettings, pipeline: FacePipeline) -> DemeshReply:
    gate = pipeline.mesh
    if gate is None:
        raise InputError(
            'the profile of this service takes no meshes off; set engine.profile to "id-photo" where it is configured'
        )
    made = gate.restore(decode(body.picture, "picture", limits).pixels)
    is_meshed = gate.is_meshed(made.finding)
    return DemeshReply(
        is_meshed=is_meshed,
        score=made.finding.score,
        threshold=gate.threshold,
        clean_touched_rate=gate.rate,
        record=gate.record,
        remover=gate.id,
        restored=base64.b64encode(encode_png(made.pixels)).decode() if is_meshed else None,
    )
