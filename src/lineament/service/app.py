"""The application factory: settings in, a FastAPI application out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

import lineament
from lineament.pipeline import Engine
from lineament.service import (
    audit,
    calibration,
    demesh,
    detect,
    embed,
    galleries,
    health,
    identify,
    jobs,
    metrics,
    models,
    page,
    reports,
    review,
    samples,
    subjects,
    verify,
)
from lineament.service.access import Access, KeyFile, allow_origins, check_origins
from lineament.service.audit_entries import read_mac_key
from lineament.service.audit_log import AuditLog
from lineament.service.config import ServiceConfig
from lineament.service.errors import errors_of, handle_errors
from lineament.service.holdings import Holdings
from lineament.service.job_layout import FOLDER
from lineament.service.job_runner import JobRunner
from lineament.service.job_store import JobStore
from lineament.service.limits import BodyLimits
from lineament.service.logs import RequestLog
from lineament.service.work import Opening

RESOURCES = (
    *(verify, detect, embed, demesh),
    *(galleries, subjects, samples, review, identify, jobs),
    *(models, calibration, reports, audit, health, metrics, page),
)
"""One file each; its ``router`` holds the routes."""


def create_app(config: ServiceConfig, engine: Engine | None = None) -> FastAPI:
    """The service of these settings; it loads its networks when it starts, and is ready when they are warm.

    Args:
        config: settings.
        engine: one that is there already, to be used and drained instead of the one of the settings.

    Raises:
        ConfigError: keys, origins or the key of the audit log cannot be used.
        ServiceError: the audit log cannot be written.
        GalleryError: the key of the galleries cannot be read.
    """
    app = FastAPI(
        title="Lineament",
        version=lineament.__version__,
        summary="Face verification and identification at an error rate that you asked for and that was measured.",
        lifespan=_lifespan,
        responses=errors_of(500),
        generate_unique_id_function=lambda route: route.name,
        docs_url=None,  # the usual page would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # a path that was cut off must not lead to what holds it
    )
    access, log = config.access, config.audit
    mac_key = None if log.key_file is None else read_mac_key(log.key_file)
    app.state.config = config
    app.state.access = Access(key_file(config), origins=check_origins(access.origins))
    app.state.audit = AuditLog(log.folder, mac_key=mac_key)
    app.state.opening = Opening(config.engine, engine)
    app.state.metrics = metrics.Metrics(app.state.opening)
    _keep_galleries(app, config)
    handle_errors(app)
    for resource in RESOURCES:
        app.include_router(resource.router)
    allow_origins(app, app.state.access.origins)
    app.add_middleware(BodyLimits, limits=config.limits)
    app.add_middleware(RequestLog, metrics=app.state.metrics)
    return app


def key_file(config: ServiceConfig) -> KeyFile | None:
    """The keys of the settings, if there are any."""
    return None if config.access.keys is None else KeyFile(config.access.keys)


def _keep_galleries(app: FastAPI, config: ServiceConfig) -> None:
    state = app.state
    state.holdings = Holdings(config.gallery)
    state.jobs = JobStore(config.gallery.folder / FOLDER, state.holdings.key)
    state.runner = JobRunner(state.jobs, state.holdings, state.opening, state.audit, config.limits)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Answer health checks while the networks are loaded; at the end, finish what was accepted."""
    opening: Opening = app.state.opening
    loading = asyncio.create_task(opening.open())
    app.state.runner.start()
    try:
        yield
    finally:
        await loading
        await asyncio.to_thread(app.state.runner.stop)
        await opening.close()
        app.state.holdings.close()
