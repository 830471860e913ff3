"""``/v1/calibrations``: the thresholds that keep asked rates, with the evidence behind them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field

from lineament.service.access import Scope, require
from lineament.service.errors import NotFound, errors_of
from lineament.service.schemas import PointBody, ReplyBody, RequestQuery
from lineament.service.work import Opening
from lineament.zoo.calibration import CalibrationRecord, calibrated_spaces, load_calibration

router = APIRouter(tags=["evidence"], dependencies=[Depends(require(Scope.READ))])
Space = Annotated[str, Path(description="Id of an embedding space.")]


class CalibrationSummary(ReplyBody):
    """A record in short."""

    name: str
    space: str
    protocol: str = Field(description="How comparisons were made, in words.")
    n_subjects: int
    n_mated: int
    n_nonmated: int
    largest_fmr: float = Field(description="Largest false match rate that can be asked for.")
    smallest_fmr: float = Field(description="Smallest one that the comparisons support.")
    in_use: bool = Field(description="This service decides by it.")


@router.get("/v1/calibrations", summary="All calibration records", responses=errors_of(401, 403, 429))
def get_calibrations(request: Request) -> list[CalibrationSummary]:
    """Every embedding space that has thresholds; for others no rate can be asked for."""
    used = _used_space(request)
    found = [_record(request, space) for space in sorted(_spaces(request))]
    return [
        CalibrationSummary(
            name=r.name,
            space=r.space,
            protocol=r.protocol,
            n_subjects=r.n_subjects,
            n_mated=r.n_mated,
            n_nonmated=r.n_nonmated,
            largest_fmr=r.rows[0].fmr,
            smallest_fmr=r.smallest_fmr,
            in_use=r.space == used,
        )
        for r in found
    ]


@router.get(
    "/v1/calibrations/{space}", summary="One record whole", responses=errors_of(401, 403, 404, 422, 429)
)
def get_calibration(request: Request, space: Space) -> CalibrationRecord:
    """Rows of rates with thresholds and intervals, data sets with digests, likelihood ratios."""
    return _find(request, space)


class PointQuery(RequestQuery):
    """Which rate."""

    fmr: float = Field(gt=0, lt=1, description="False match rate, a fraction.")


@router.get(
    "/v1/calibrations/{space}/point",
    summary="The threshold of a rate",
    responses=errors_of(401, 403, 404, 422, 429),
)
def get_point(
    request: Request,
    space: Space,
    query: Annotated[PointQuery, Query()],
) -> PointBody:
    """What a decision at this false match rate would be held against."""
    return PointBody.of(_find(request, space).point(query.fmr))


def _used_space(request: Request) -> str:
    """Space that the service decides in, if it is ready and has a record."""
    opening: Opening = request.app.state.opening
    return opening.desk.made_with.space if opening.desk and opening.desk.is_calibrated else ""


def _spaces(request: Request) -> set[str]:
    """Embedding spaces with a record; every record is read for that."""
    return {*calibrated_spaces(), _used_space(request)} - {""}


def _find(request: Request, space: str) -> CalibrationRecord:
    if space not in _spaces(request):
        raise NotFound("there is no calibration record for this embedding space; see /v1/calibrations")
    return _record(request, space)


def _record(request: Request, space: str) -> CalibrationRecord:
    """The record of one of :func:`_spaces`."""
    opening: Opening = request.app.state.opening
    if opening.desk and space == _used_space(request):
        return opening.desk.engine.pipeline.calibration
    return load_calibration(space)
