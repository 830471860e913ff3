"""A service of fakes over drawn people, called in this process."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partialmethod
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from PIL import Image as Pillow

from drawn_people import SCENES, drawn_pipeline
from lineament.core.arrays import ImageArray
from lineament.pipeline import Engine
from lineament.service import ServiceConfig, create_app
from lineament.service.config import AuditSettings, GallerySettings

HERE = "http://localhost:8000"


class Client:
    """Calls a started application; :meth:`run` and :meth:`ask` make several calls at once."""

    def __init__(self, app: FastAPI, runner: asyncio.Runner, address: str = HERE) -> None:
        self.app = app
        self._runner = runner
        self._address = address

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._runner.run(self.ask(method, path, **options))

    get = partialmethod(request, "GET")
    post = partialmethod(request, "POST")
    put = partialmethod(request, "PUT")
    patch = partialmethod(request, "PATCH")
    delete = partialmethod(request, "DELETE")
    options = partialmethod(request, "OPTIONS")

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=self._address) as client:
            answer = await client.request(method, path, **options)
        self._check_declared(answer)
        return answer

    def _check_declared(self, answer: httpx.Response) -> None:
        """Every answer of every test is one that the OpenAPI document knows."""
        method, path = answer.request.method.lower(), answer.request.url.path
        for template, operations in self.app.openapi()["paths"].items():
            if method in operations and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
                declared = operations[method]["responses"]
                assert str(answer.status_code) in declared, f"{method} {template}: {answer.text}"
                assert not answer.is_error or set(answer.json()) == {"error", "request_id"}

    def run(self, work: Any) -> Any:
        """The result of a coroutine in the loop of the application."""
        return self._runner.run(work)


def png(name: str) -> bytes:
    """A drawn scene, encoded without loss."""
    return encoded(SCENES[name].pixels)


def encoded(pixels: ImageArray, **options: Any) -> bytes:
    stream = BytesIO()
    Pillow.fromarray(pixels).save(stream, "PNG", **options)
    return stream.getvalue()


def settings(folder: Path, **sections: Any) -> ServiceConfig:
    """Settings that write into ``folder`` only."""
    own = {
        "audit": AuditSettings(folder=folder / "audit"),
        "gallery": GallerySettings(folder=folder / "galleries"),
    }
    return ServiceConfig(**(own | sections))


@contextmanager
def serving(config: ServiceConfig, engine: Engine | None = None) -> Iterator[Client]:
    """A started service that is ready."""
    app = create_app(config, engine or Engine(drawn_pipeline(), workers=2))
    with asyncio.Runner() as runner:
        lifespan = app.router.lifespan_context(app)
        runner.run(lifespan.__aenter__())
        try:
            client = Client(app, runner)
            while client.get("/readyz").status_code != 200:
                runner.run(asyncio.sleep(0.001))
            yield client
        finally:
            runner.run(lifespan.__aexit__(None, None, None))
