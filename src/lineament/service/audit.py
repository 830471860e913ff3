"""``/v1/audit`` and how other resources write to the log.

The whole log is checked from the command line, not over HTTP: what a service says about its own log proves little.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, Field

from lineament.service.access import Caller, Scope, require
from lineament.service.audit_check import lines, noted, reading, within
from lineament.service.audit_entries import Anchor, AuditEntry, AuditEvent
from lineament.service.audit_log import AuditLog
from lineament.service.errors import errors_of
from lineament.service.schemas import RequestQuery

MAX_SCAN = 20_000
"""Entries that one request reads at most."""

_NUMBER = re.compile(rb'\{"number":([0-9]{1,16}),')

router = APIRouter(prefix="/v1/audit", tags=["audit"])
Admin = Annotated[Caller, Depends(require(Scope.ADMIN))]


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Some entries of the audit log.

    Attributes:
        entries: as they were written, in the order of the log; only those of galleries that the key may touch.
        after: pass this as ``after`` to go on; null at the end of the log.
        changed: lines that were passed over because they are not as they were written; more than 0 calls for
            ``lineament audit verify``.
    """

    entries: list[AuditEntry]
    after: int | None
    changed: int


class EntryQuery(RequestQuery):
    """Which entries."""

    after: int = Field(default=0, ge=0, le=10**15, description="Number of the last entry that is known.")
    limit: int = Field(default=100, ge=1, le=1000, description="Entries at most.")
    since: AwareDatetime | None = Field(default=None, description="First moment, ISO 8601 with time zone.")
    until: AwareDatetime | None = Field(default=None, description="First moment after.")


@router.get("/entries", summary="Entries of the audit log", responses=errors_of(401, 403, 422, 429, 503))
async def list_entries(
    request: Request,
    caller: Admin,
    query: Annotated[EntryQuery, Query()],
) -> AuditPage:
    """Entries after a number. A page may be empty and still have a next one: each request reads a bounded stretch."""

    def is_wanted(entry: AuditEntry) -> bool:
        return caller.may_touch(entry.event.gallery) and within(entry, query.since, query.until)

    log: AuditLog = request.app.state.audit
    return await to_thread.run_sync(read_page, log, query.after, query.limit, is_wanted)


@router.get("/head", summary="Number and seal of the last entry", responses=errors_of(401, 403, 429, 503))
async def get_head(request: Request, caller: Admin) -> Anchor:  # noqa: ARG001 (the dependency is the check)
    """The end of the log now. Kept elsewhere, it shows later that nothing before it was changed or removed."""
    log: AuditLog = request.app.state.audit
    return await to_thread.run_sync(lambda: log.head)


def read_page(log: AuditLog, after: int, limit: int, is_wanted: Callable[[AuditEntry], bool]) -> AuditPage:
    """Entries after a number, from a bounded stretch of the log.

    Args:
        log: to read.
        after: number of the last entry that is known; 0 for none.
        limit: entries at most.
        is_wanted: which ones to give.

    Raises:
        ServiceError: the log cannot be read.
    """
    entries: list[AuditEntry] = []
    number, changed, scanned = after, 0, 0
    with reading(log.folder):
        for line in _stretch(log, after):
            entry = log.sealer.parse(line)
            scanned += 1
            if entry is None:
                changed += 1
            else:
                number = max(number, entry.number)
                if is_wanted(entry):
                    entries.append(entry)
            if len(entries) == limit or (scanned >= MAX_SCAN and number > after):
                return AuditPage(entries, number, changed)
    return AuditPage(entries, None, changed)


def _stretch(log: AuditLog, after: int) -> Iterator[bytes]:
    """Whole lines that do not say that their number is at most ``after``."""
    files, _ = noted(log.folder)
    begun = [i for i, (path, _) in enumerate(files) if int(path.stem.removeprefix("audit-")) <= after + 1]
    for path, size in files[begun[-1] if begun else 0 :]:
        for _, line in lines(path, size):
            said = None if line is None else _NUMBER.match(line)
            if line is not None and (said is None or int(said[1]) > after):
                yield line


def stamped(request: Request, event: AuditEvent) -> AuditEvent:
    """The event with id, route and key of a request; for work that goes on after the answer.

    Args:
        request: one that :func:`lineament.service.access.require` let through.
        event: without those.
    """
    route = request.scope.get("route")
    return replace(
        event,
        request_id=getattr(request.state, "request_id", ""),
        key_id=request.state.caller.key_id,
        route=getattr(route, "path", ""),
    )


async def record(request: Request, event: AuditEvent) -> None:
    """Write to the audit log what a request decided or changes; it is on the disk when this returns.

    A decision is recorded before it is answered. A change is recorded with outcome "asked" before it is made, so
    that nothing is changed while the log cannot be written, and with "done" or "failed" afterwards.

    Args:
        request: one that :func:`lineament.service.access.require` let through; ``app.state.audit`` holds the log.
        event: what happened; id, route and key are filled in.

    Raises:
        ServiceError: the log cannot be written; the request must fail.
    """
    log: AuditLog = request.app.state.audit
    await to_thread.run_sync(log.append, stamped(request, event))
