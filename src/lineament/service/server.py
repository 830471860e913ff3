"""Running the application: a socket, a server that cuts slow clients off, an end that finishes what was accepted."""

import asyncio
import logging
import socket
from asyncio import TimerHandle
from math import ceil

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from lineament.core.errors import ConfigError
from lineament.service.access import check_bind
from lineament.service.app import create_app, key_file
from lineament.service.config import LimitSettings, ServiceConfig
from lineament.service.work import Opening

HEADERS_S = 10.0
"""Time for a client to send the head of a request, and what is left of a body that was answered already."""
MAX_CONNECTIONS = 1000
"""Connections at once; further ones are told 503."""
_KEEP_ALIVE_S = 15
_BACKLOG = 256
log = logging.getLogger(__name__)


def serve(config: ServiceConfig) -> None:
    """Serve until the process is told to stop (SIGINT, SIGTERM); then finish what was accepted.

    Args:
        config: settings.

    Raises:
        ConfigError: others could reach the service and no key works, or the address cannot be listened on.
        ModelError: the networks cannot be had; the service ends when it finds out.
        ServiceError: the audit log cannot be written.
    """
    check_bind(config.server.host, key_file(config))
    app = create_app(config)
    with _listen(config.server.host, config.server.port) as listener:
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        log.info("listening", extra={"address": f"http://{shown}:{port}"})
        asyncio.run(_serve(app, listener, config.limits))
    opening: Opening = app.state.opening
    if opening.failure is not None:
        raise opening.failure


def make_server(app: FastAPI, limits: LimitSettings) -> uvicorn.Server:
    """The server of an application, not started."""

    class Protocol(HastyProtocol):
        send_s = limits.send_s

    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=ceil(limits.body_s + limits.work_s + limits.send_s),
        )
    )


async def _serve(app: FastAPI, listener: socket.socket, limits: LimitSettings) -> None:
    server = make_server(app, limits)
    watch = asyncio.create_task(_stop_when_it_cannot_work(app.state.opening, server))
    try:
        await server.serve(sockets=[listener])
    finally:
        watch.cancel()


async def _stop_when_it_cannot_work(opening: Opening, server: uvicorn.Server) -> None:
    await opening.settled.wait()
    if opening.failure is not None:
        server.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        ConfigError: it cannot be had.
    """
    try:
        family = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][
            0
        ]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host or 'every address'}, port {port}: {error.strerror}; choose another --port, or "
            "an address of this machine"
        ) from error


class HastyProtocol(H11Protocol):
    """HTTP/1.1 that cuts off clients who dawdle: with the head of a request, or with taking an answer.

    uvicorn waits for ever for both: for a head that comes byte by byte, and for an answer that nobody reads, which
    stays in memory and keeps its connection.
    """

    send_s = 20.0
    """Time for a client to take a piece of an answer."""
    _cut: TimerHandle | None = None
    _stalled: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock for a head."""
        super().connection_made(transport)
        # writing is then paused exactly while something is not taken
        transport.set_write_buffer_limits(high=0)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Stop the clock when a request has begun, and start it when bytes belong to none."""
        super().data_received(data)
        self._watch()

    def pause_writing(self) -> None:
        """Start the clock for an answer."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self.send_s, self.transport.abort)

    def resume_writing(self) -> None:
        """All was taken: stop the clock for an answer."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop both clocks."""
        super().connection_lost(exc)
        for timer in (self._cut, self._stalled):
            if timer is not None:
                timer.cancel()

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            if self._cut is not None:
                self._cut.cancel()
                self._cut = None
        elif self._cut is None:
            self._cut = self.loop.call_later(HEADERS_S, self.transport.close)
