"""A served application of fakes in a process of its own; run with a folder, it prints its port.

Every picture shows one drawn face at one place, so that the detector need not know which pictures there are.
"""

import socket
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import uvicorn
from PIL import Image as Pillow

from lineament.core.arrays import ImageArray
from lineament.core.types import Detections
from lineament.pipeline import Engine, FacePipeline
from lineament.service import ServiceConfig, create_app
from lineament.service.config import AuditSettings, GallerySettings
from lineament.testing import DrawnScene, FakeEmbedder, Place, draw_scene
from made_up_calibration import made_up_record

SIZE_PX = 180
RATES = {1e-1: 0.6, 1e-2: 0.8, 1e-3: 0.9}


def drawn(seed: int) -> DrawnScene:
    """A person in the one place."""
    return draw_scene(SIZE_PX, SIZE_PX, [Place(seed=seed, x_px=90, y_px=90, size_px=120)])


def picture(seed: int) -> bytes:
    """A person as PNG."""
    stream = BytesIO()
    Pillow.fromarray(drawn(seed).pixels).save(stream, "PNG")
    return stream.getvalue()


class OnePlace:
    """Finds a face where every drawn one is."""

    name = "one-place"

    def __init__(self) -> None:
        self._found = drawn(0).detections

    def detect(self, images: Sequence[ImageArray]) -> list[Detections]:
        """The same for every picture of the known size."""
        return [self._found if len(i) == SIZE_PX else Detections.none() for i in images]


def served(folder: Path) -> ServiceConfig:
    """Settings that write into ``folder`` only."""
    return ServiceConfig(
        audit=AuditSettings(folder=folder / "audit"), gallery=GallerySettings(folder=folder / "galleries")
    )


def main(folder: Path) -> None:
    """Serve until the process is killed."""
    embedder = FakeEmbedder()
    pipeline = FacePipeline(OnePlace(), embedder, calibration=made_up_record(embedder.space, RATES))
    app = create_app(served(folder), Engine(pipeline, workers=2))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        sys.stdout.write(f"{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        server.run(sockets=[listening])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
