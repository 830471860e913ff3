"""One line of JSON for each request and event: ids, routes, statuses and times, never what people look like or are
called. Library messages are left out of tracebacks for the same reason.
"""

import json
import logging
import re
import sys
import time
import traceback
import uuid
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lineament.service.errors import fault_response

if TYPE_CHECKING:
    from lineament.service.metrics import Metrics

log = logging.getLogger(__name__)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_PROBES = {"/healthz", "/readyz", "/metrics"}
"""Routes that machines ask every few seconds; a line for each would hide the others."""
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_FIELDS = (
    "request_id",
    "method",
    "route",
    "status",
    "ms",
    "key_id",
    "error",
    "at",
    "reason",
    "address",
    "space",
    "workers",
)


class JsonLines(logging.Formatter):
    """A record as one line of JSON with the fields that are known to be harmless."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without newline."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {
            "time": when,
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
        if record.exc_info and record.exc_info[0] is not None:
            line |= {"error": record.exc_info[0].__name__, "at": where(record.exc_info[2])}
        return json.dumps(line)


def log_to_stderr() -> None:
    """Have every logger of the process write JSON lines to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("lineament").setLevel(logging.INFO)


def where(trace: TracebackType | None) -> list[str]:
    """The places of a traceback without messages and values: "file.py:12 function"."""
    return [f"{f.filename.rpartition('/')[2]}:{f.lineno} {f.name}" for f in traceback.extract_tb(trace)]


class RequestLog:
    """Outermost ASGI middleware: request ids, headers that every answer has, one line and one count a request.

    What nobody else caught ends here, as an answer 500 and a line that says where.
    """

    def __init__(self, app: ASGIApp, metrics: "Metrics") -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def noted_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self.app(scope, receive, noted_send)
        except Exception:
            log.exception("fault", extra={"request_id": request_id})
            if not status:
                await fault_response(request_id)(scope, receive, noted_send)
        finally:
            self._note(scope, status, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self.metrics.answered(method, route, status, seconds)
        caller = scope["state"].get("caller")
        facts = {
            "request_id": scope["state"]["request_id"],
            "method": method,
            "route": route,
            "status": status,
            "ms": round(1e3 * seconds, 1),
            "key_id": "" if caller is None else caller.key_id,
        }
        level = logging.DEBUG if route in _PROBES and status == 200 else logging.INFO
        log.log(level, "request", extra=facts)


def _request_id(scope: Scope) -> str:
    """The client's own id where it has a harmless shape, else a new one."""
    given = dict(scope["headers"]).get(b"x-request-id", b"")
    return given.decode() if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
