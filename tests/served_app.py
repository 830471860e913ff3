"""A service of fakes on a real socket, in a thread of this process."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from drawn_people import drawn_pipeline
from lineament.pipeline import Engine, FacePipeline
from lineament.service import ServiceConfig, create_app
from lineament.service.config import AuditSettings, GallerySettings


@contextmanager
def served(config: ServiceConfig, pipeline: FacePipeline | None = None) -> Iterator[str]:
    """Address of a service on a real socket."""
    app = create_app(config, Engine(pipeline or drawn_pipeline(), workers=2))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def settings(folder: Path, **sections: object) -> ServiceConfig:
    """Settings that write into ``folder`` only."""
    return ServiceConfig(
        audit=AuditSettings(folder=folder / "audit"),
        gallery=GallerySettings(folder=folder / "galleries"),
        **sections,  # type: ignore[arg-type]
    )
