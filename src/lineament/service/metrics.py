"""Counts and times for Prometheus; no label ever names a person, a gallery or a key."""

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from lineament.service.access import Scope, require
from lineament.service.errors import errors_of
from lineament.service.work import Opening

_BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
router = APIRouter(tags=["operations"])


class Metrics:
    """What one application counts; at ``app.state.metrics``."""

    def __init__(self, opening: Opening) -> None:
        """Count from zero.

        Args:
            opening: tells how busy the engine is.
        """
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "lineament_requests", "Answers.", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "lineament_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ("method", "route"),
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self.outcomes = Counter(
            "lineament_outcomes", "Decisions and refusals.", ("action", "outcome"), registry=self.registry
        )
        ready = Gauge("lineament_ready", "1 when work is taken.", registry=self.registry)
        running = Gauge("lineament_engine_running", "Work that goes on.", registry=self.registry)
        waiting = Gauge("lineament_engine_waiting", "Work that waits.", registry=self.registry)
        ready.set_function(lambda: float(opening.desk is not None))
        running.set_function(lambda: 0.0 if opening.desk is None else opening.desk.engine.load.running)
        waiting.set_function(lambda: 0.0 if opening.desk is None else opening.desk.engine.load.waiting)
        ProcessCollector(registry=self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer.

        Args:
            method: HTTP method.
            route: path template; empty where none fits.
            status: of the answer.
            seconds: how long it took.
        """
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)


@router.get(
    "/metrics",
    summary="Counts and times for Prometheus",
    response_class=Response,
    responses=errors_of(401, 403, 429)
    | {200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Text format."}},
    dependencies=[Depends(require(Scope.READ))],
)
def get_metrics(request: Request) -> Response:
    """Requests, outcomes, load of the engine, memory and time of the process."""
    metrics: Metrics = request.app.state.metrics
    return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)
