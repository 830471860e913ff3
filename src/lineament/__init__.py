"""Face recognition at an error rate that you asked for and that was measured.

>>> from lineament import FacePipeline, Refusal, read_image
>>> pipeline = FacePipeline.from_profile("open")                                        # doctest: +SKIP
>>> result = pipeline.verify(read_image("passport.jpg"), read_image("selfie.jpg"), fmr=1e-3)  # doctest: +SKIP

The names below are imported when they are first used, so that ``import lineament`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lineament.core.errors import LineamentError
    from lineament.core.types import (
        Comparison,
        Decision,
        Detection,
        Detections,
        Embedding,
        Face,
        Identification,
        Image,
        Refusal,
        RefusalReason,
        Role,
    )
    from lineament.detection import load_detector
    from lineament.embedding import load_embedder
    from lineament.gallery import Gallery
    from lineament.imaging import decode_image, read_image
    from lineament.pipeline import Engine, FacePipeline
    from lineament.zoo.session import Runtime

__version__ = "0.1.0"

_HOMES = {
    "Comparison": "core.types",
    "Decision": "core.types",
    "Detection": "core.types",
    "Detections": "core.types",
    "Embedding": "core.types",
    "Engine": "pipeline",
    "Face": "core.types",
    "FacePipeline": "pipeline",
    "Gallery": "gallery",
    "Identification": "core.types",
    "Image": "core.types",
    "LineamentError": "core.errors",
    "Refusal": "core.types",
    "RefusalReason": "core.types",
    "Role": "core.types",
    "Runtime": "zoo.session",
    "decode_image": "imaging",
    "load_detector": "detection",
    "load_embedder": "embedding",
    "read_image": "imaging",
}

__all__ = [
    "Comparison",
    "Decision",
    "Detection",
    "Detections",
    "Embedding",
    "Engine",
    "Face",
    "FacePipeline",
    "Gallery",
    "Identification",
    "Image",
    "LineamentError",
    "Refusal",
    "RefusalReason",
    "Role",
    "Runtime",
    "decode_image",
    "load_detector",
    "load_embedder",
    "read_image",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'lineament' has no attribute {name!r}")
    return getattr(import_module(f"lineament.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
