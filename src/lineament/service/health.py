"""``/healthz`` and ``/readyz``: whether the process lives, and whether it takes work."""

from fastapi import APIRouter, Request

from lineament.service.errors import NotReady, errors_of
from lineament.service.schemas import ReadyReply
from lineament.service.work import Opening

router = APIRouter(tags=["operations"])


@router.get("/healthz", summary="Does the process live?")
async def get_health() -> dict[str, str]:
    """Answers as long as the process can answer at all; restart it when it does not."""
    return {"status": "alive"}


@router.get("/readyz", summary="Does it take work?", responses=errors_of(503))
async def get_readiness(request: Request) -> ReadyReply:
    """200 once the networks are loaded and warm; send no work before that."""
    opening: Opening = request.app.state.opening
    if opening.failure is not None:
        raise NotReady("the networks cannot be loaded; the log of the service says why")
    if opening.desk is None:
        raise NotReady("the networks are being loaded; try again in a few seconds")
    return ReadyReply(ready=True)
