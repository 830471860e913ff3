"""Changes of galleries: in the audit log before they are made and after."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from anyio import to_thread
from fastapi import Request

from lineament.service.audit import record
from lineament.service.audit_entries import AuditEvent

T = TypeVar("T")


async def change(
    request: Request,
    event: dict[str, Any],
    make: Callable[[], T],
    outcome_of: Callable[[T], str] = lambda _: "done",
) -> T:
    """Make a change in a thread; nothing is changed while the log cannot be written.

    Args:
        request: one that :func:`lineament.service.access.require` let through.
        event: fields of the :class:`~lineament.service.audit_entries.AuditEvent`, without the outcome.
        make: makes the change.
        outcome_of: how the log calls what ``make`` returned.

    Raises:
        ServiceError: the log cannot be written.
        Exception: what ``make`` raises; the log says "failed".
    """
    asked = AuditEvent(outcome="asked", **event)
    await record(request, asked)
    try:
        made = await to_thread.run_sync(make)
    except BaseException:
        await record(request, replace(asked, outcome="failed"))
        raise
    await record(request, replace(asked, outcome=outcome_of(made)))
    return made
