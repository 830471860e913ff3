"""From pictures to decisions."""

from lineament.pipeline.choose import FaceRules, central_face, choose_face
from lineament.pipeline.pipeline import FacePipeline, compare

__all__ = ["FacePipeline", "FaceRules", "central_face", "choose_face", "compare"]
