"""Work of requests on the engine: when there is one, in time, and only as long as somebody waits."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request

from lineament.core.errors import EngineBusy, LineamentError, ModelError, NotCalibrated
from lineament.pipeline import Engine, FacePipeline
from lineament.service.config import EngineSettings, ServiceConfig
from lineament.service.errors import ClientGone, NotReady, TookTooLong
from lineament.service.schemas import MadeWith, weights_of
from lineament.zoo.profiles import find_profile
from lineament.zoo.session import Runtime

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Desk:
    """What resources work with.

    Attributes:
        engine: warm.
        made_with: what every result of it was made with.
    """

    engine: Engine
    made_with: MadeWith

    @property
    def is_calibrated(self) -> bool:
        """Whether rates can be asked for."""
        try:
            return self.engine.pipeline.calibration.space == self.made_with.space
        except NotCalibrated:
            return False


class Opening:
    """The engine while it is loaded, when it is there, or why it cannot be had; at ``app.state.opening``.

    Attributes:
        desk: what resources work with; None until it is warm, and after it was closed.
        failure: why it never will be; None otherwise.
        settled: set when one of the two is known.
    """

    def __init__(self, settings: EngineSettings, engine: Engine | None = None) -> None:
        """Nothing is loaded yet.

        Args:
            settings: what to load.
            engine: one that is there already, to be used instead.
        """
        self.desk: Desk | None = None
        self.failure: LineamentError | None = None
        self.settled = asyncio.Event()
        self._settings = settings
        self._engine = engine

    async def open(self) -> None:
        """Load and warm up the engine; a failure is kept, not raised."""
        try:
            await self._open()
        finally:
            self.settled.set()

    async def _open(self) -> None:
        try:
            engine = self._engine if self._engine is not None else await asyncio.to_thread(self._load)
            await asyncio.to_thread(engine.warm_up)
            pipeline = engine.pipeline
            weights = weights_of(*pipeline.model_names)
            made_with = MadeWith(
                profile=self._settings.profile, space=pipeline.embedding_space, weights=weights
            )
        except LineamentError as error:
            self.failure = error
            log.exception("engine_failed", extra={"reason": str(error)})
            return
        except Exception:  # whatever it is, nobody may wait for networks that never come
            self.failure = ModelError("the networks could not be loaded; the log says where")
            log.exception("engine_failed")
            return
        self._engine, self.desk = engine, Desk(engine, made_with)
        log.info("ready", extra={"space": made_with.space, "workers": engine.workers})

    async def close(self) -> None:
        """Finish what was accepted."""
        desk, self.desk = self.desk, None
        if desk is not None:
            await asyncio.to_thread(desk.engine.drain)

    def _load(self) -> Engine:
        s = self._settings
        profile = find_profile(s.profile)
        return Engine.from_profile(profile, Runtime(s.backend), workers=s.workers, queue=s.queue)


async def ready_desk(request: Request) -> Desk:
    """A dependency that refuses at once, before the body is read, what could not be worked on.

    Raises:
        NotReady: the engine is not warm.
        EngineBusy: its queue is full.
    """
    opening: Opening = request.app.state.opening
    if opening.desk is None:
        raise NotReady("the networks are being loaded; try again in a few seconds")
    if opening.desk.engine.load.is_full:
        raise EngineBusy("as many requests as fit are being worked on or wait already; try again in a moment")
    return opening.desk


async def run(request: Request, engine: Engine, work: Callable[[FacePipeline], T]) -> T:
    """What ``work`` returns; dropped from the queue when the client goes away or the time is up.

    Args:
        request: its body was read.
        engine: does the work.
        work: as for :meth:`lineament.pipeline.Engine.submit`.

    Raises:
        EngineBusy: the queue is full.
        ClientGone: the client has gone.
        TookTooLong: no answer within ``limits.work_s``.
        Exception: what ``work`` raises.
    """
    config: ServiceConfig = request.app.state.config
    future = asyncio.wrap_future(engine.submit(work))
    gone = asyncio.create_task(_client_left(request))
    try:
        either: set[asyncio.Future[Any]] = {future, gone}
        await asyncio.wait(either, timeout=config.limits.work_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        has_gone = gone.done()
        gone.cancel()
        if not future.done():
            future.cancel()
    if not future.cancelled():
        return future.result()
    if has_gone:
        raise ClientGone("the client went away before its answer was ready")
    raise TookTooLong(
        f"there was no answer within {config.limits.work_s:g} s; try again when there is less to do"
    )


async def _client_left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
