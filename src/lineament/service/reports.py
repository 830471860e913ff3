"""``/v1/reports``: evaluation reports of a folder, as JSON and as pages."""

import threading
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi import Path as PathParameter
from pydantic import Field

from lineament.core.errors import ConfigError, DataError, ServiceError
from lineament.evaluation.html import reports_page
from lineament.evaluation.reading import name_of, read_reports
from lineament.evaluation.report_diff import compare_reports
from lineament.service.access import Scope, require
from lineament.service.config import ServiceConfig
from lineament.service.errors import NotFound, errors_of
from lineament.service.schemas import ReplyBody

router = APIRouter(tags=["evidence"], dependencies=[Depends(require(Scope.READ))])
Name = Annotated[str, PathParameter(description="Name of a report, as /v1/reports lists it.")]
_PAGE_HEADERS = {
    # a page is a document to read: even one that somebody tampered with may run and load nothing
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
}
_drawing = threading.Lock()


class ReportSummary(ReplyBody):
    """A report in short."""

    name: str
    kinds: list[str] = Field(description="Kinds of the reports in the file.")
    systems: list[str] = Field(description="What was evaluated.")
    datasets: list[str]


@router.get("/v1/reports", summary="All reports", responses=errors_of(401, 403, 429))
def get_reports(request: Request) -> list[ReportSummary]:
    """The reports in the folder of the settings; other files there are passed over."""
    found = [_summary(path, _version(path)) for path in _files(request).values()]
    return [summary for summary in found if summary is not None]


@router.get(
    "/v1/reports/{name}",
    summary="One report as it was written",
    response_class=Response,
    responses=errors_of(401, 403, 404, 422, 429)
    | {200: {"content": {"application/json": {"schema": {}}}, "description": "The report."}},
)
def get_report(request: Request, name: Name) -> Response:
    """The JSON file of ``lineament evaluate``."""
    return Response(_find(request, name).read_bytes(), media_type="application/json")


@router.get(
    "/v1/reports/{name}/page",
    summary="One report as a page",
    response_class=Response,
    responses=errors_of(401, 403, 404, 422, 429, 503)
    | {200: {"content": {"text/html": {"schema": {"type": "string"}}}, "description": "The page."}},
)
def get_report_page(request: Request, name: Name) -> Response:
    """Tables and curves in one file; nothing in it is loaded from elsewhere.

    A page that ``lineament report html`` wrote beside the report, and that is not older, is given out; else it is
    drawn, which takes seconds.
    """
    path = _find(request, name)
    written = path.with_suffix(".html")
    if written.is_file() and written.stat().st_mtime_ns >= path.stat().st_mtime_ns:
        return Response(written.read_bytes(), media_type="text/html", headers=_PAGE_HEADERS)
    with _drawing:  # one at a time; the second reader finds it done
        text = _page(path, _version(path))
    return Response(text, media_type="text/html", headers=_PAGE_HEADERS)


def _files(request: Request) -> dict[str, Path]:
    config: ServiceConfig = request.app.state.config
    folder = config.reports.folder
    return {} if folder is None else {path.stem: path for path in sorted(folder.glob("*.json"))}


def _find(request: Request, name: str) -> Path:
    """The file of a report; a name that is not listed leads nowhere, whatever it looks like."""
    path = _files(request).get(name)
    if path is None or _summary(path, _version(path)) is None:
        raise NotFound("there is no report of that name; see /v1/reports")
    return path


def _version(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=256)
def _summary(path: Path, _version: tuple[int, int]) -> ReportSummary | None:
    try:
        reports = read_reports(path)
    except DataError:
        return None
    return ReportSummary(
        name=path.stem,
        kinds=list(dict.fromkeys(r.kind for r in reports)),
        systems=list(dict.fromkeys(map(name_of, reports))),
        datasets=list(dict.fromkeys(r.dataset for r in reports)),
    )


@lru_cache(maxsize=16)
def _page(path: Path, _version: tuple[int, int]) -> str:
    reports = read_reports(path)
    try:
        return reports_page(reports, compare_reports(reports))
    except ConfigError as error:
        raise ServiceError(f"the page cannot be drawn here: {error}") from error
