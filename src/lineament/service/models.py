"""``/v1/models``: the registry of weights with their licences and measured figures."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from pydantic import Field

from lineament.service.access import Scope, require
from lineament.service.errors import errors_of
from lineament.service.schemas import ReplyBody
from lineament.service.work import Opening
from lineament.zoo.manifest import Manifest, find_model, list_models

router = APIRouter(tags=["evidence"], dependencies=[Depends(require(Scope.READ))])


class LicenceBody(ReplyBody):
    """Three answers that differ."""

    code: str
    weights: str
    data: str
    commercial_use: bool


class FigureBody(ReplyBody):
    """A measured figure."""

    name: str
    value: float
    interval95: tuple[float, float] | None
    protocol: str
    measured_by: str = Field(description='"us" or "publisher".')


class ModelBody(ReplyBody):
    """A model of the registry."""

    name: str
    task: str
    summary: str
    publisher: str
    paper: str
    dimension: int = Field(description="Length of a template; 0 for other tasks.")
    licence: LicenceBody
    sha256: dict[str, str] = Field(description="Digest of each published file by its role.")
    figures: list[FigureBody]
    in_use: bool = Field(description="This service works with it.")


@router.get("/v1/models", summary="All models", responses=errors_of(401, 403, 429))
def get_models(request: Request) -> list[ModelBody]:
    """Every model that profiles may name, whether its weights are here or not."""
    return [_body(manifest, request) for manifest in list_models().values()]


@router.get("/v1/models/{name}", summary="One model", responses=errors_of(401, 403, 404, 422, 429))
def get_model(request: Request, name: Annotated[str, Path(examples=["yunet"])]) -> ModelBody:
    """A model by its name."""
    return _body(find_model(name), request)


def _body(manifest: Manifest, request: Request) -> ModelBody:
    opening: Opening = request.app.state.opening
    used = {w.name for w in opening.desk.made_with.weights} if opening.desk else set()
    figures = [FigureBody(**m.model_dump(exclude={"report"})) for m in manifest.metric]
    return ModelBody(
        name=manifest.name,
        task=manifest.task,
        summary=manifest.summary,
        publisher=manifest.publisher,
        paper=manifest.paper,
        dimension=manifest.dimension,
        licence=LicenceBody(**manifest.licence.model_dump()),
        sha256={w.role: w.sha256 for w in manifest.weights},
        figures=figures,
        in_use=manifest.name in used,
    )
