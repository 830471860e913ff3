"""Bounds on bodies: their size, how long they take to arrive, and the memory that all of them take together."""

import asyncio
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lineament.core.errors import EngineBusy, ServiceError
from lineament.service.config import LimitSettings
from lineament.service.errors import BodyTooLarge, TooSlow, error_response


@dataclass(slots=True)
class Budget:
    """Memory that bodies may take together; used in the event loop alone.

    Attributes:
        total_bytes: all of it.
        used_bytes: what bodies that are being read or worked on may take.
    """

    total_bytes: int
    used_bytes: int = 0


@dataclass(slots=True)
class _Body:
    """The body of one request on its way in."""

    limits: LimitSettings
    budget: Budget
    stated_bytes: int | None
    taken_bytes: int = 0
    read_bytes: int = 0
    deadline_s: float | None = None
    is_whole: bool = False
    fault: ServiceError | None = None

    def begin(self) -> None:
        """Reserve memory and start the clock; done when the application first asks, so strangers cost nothing."""
        if self.stated_bytes is not None and self.stated_bytes > self.limits.body_bytes:
            raise self._too_large()
        needed = self.limits.body_bytes if self.stated_bytes is None else self.stated_bytes
        if self.budget.used_bytes + needed > self.budget.total_bytes:
            raise EngineBusy("as much as fits into memory is being received already; try again in a moment")
        self.budget.used_bytes += needed
        self.taken_bytes = needed
        self.deadline_s = asyncio.get_running_loop().time() + self.limits.body_s

    async def next(self, receive: Receive) -> Message:
        """The next message, in time and not too large."""
        if self.is_whole:
            return await receive()
        if self.deadline_s is None:
            self.begin()
        try:
            async with asyncio.timeout_at(self.deadline_s):
                message = await receive()
        except TimeoutError as error:
            raise TooSlow(f"the body must arrive within {self.limits.body_s:g} s") from error
        self.read_bytes += len(message.get("body", b""))
        if self.read_bytes > self.limits.body_bytes:
            raise self._too_large()
        self.is_whole = not message.get("more_body", False)
        return message

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"a body may have {self.limits.body_bytes} bytes; make the pictures smaller")


class BodyLimits:
    """ASGI middleware that keeps :class:`~lineament.service.config.LimitSettings` of bodies.

    A body that says that it is too large is refused before it is read, and one that does not say so as soon as it
    is. The refusal is the answer whatever the application makes of the interrupted body.
    """

    def __init__(self, app: ASGIApp, limits: LimitSettings) -> None:
        self.app = app
        self.limits = limits
        self.budget = Budget(limits.pending_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(self.limits, self.budget, _stated_bytes(scope))
        has_started = False

        async def bounded_receive() -> Message:
            try:
                return await body.next(receive)
            except ServiceError as error:
                body.fault = error
                raise

        async def watched_send(message: Message) -> None:
            nonlocal has_started
            if body.fault is not None and not has_started:
                return  # the application's words for an interrupted body
            has_started = True
            await send(message)

        try:
            await self.app(scope, bounded_receive, watched_send)
        except ServiceError as error:
            if error is not body.fault:
                raise
        finally:
            self.budget.used_bytes -= body.taken_bytes
        if body.fault is not None and not has_started:
            answer = error_response(scope["state"]["request_id"], body.fault)
            await answer(scope, receive, send)


def _stated_bytes(scope: Scope) -> int | None:
    """Content-Length, 0 for no body, None for a body of unknown length."""
    headers: dict[bytes, Any] = dict(scope["headers"])
    if b"content-length" in headers:
        stated = headers[b"content-length"]
        return int(stated) if stated.isdigit() else None
    return None if b"transfer-encoding" in headers else 0
