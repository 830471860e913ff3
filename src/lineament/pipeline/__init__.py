"""From pictures to decisions."""

from lineament.pipeline.choose import FaceRules, central_face, choose_face
from lineament.pipeline.crops import crop_embedder
from lineament.pipeline.engine import Engine, EngineLoad
from lineament.pipeline.pipeline import FacePipeline, compare

__all__ = [
    "Engine",
    "EngineLoad",
    "FacePipeline",
    "FaceRules",
    "central_face",
    "choose_face",
    "compare",
    "crop_embedder",
]
