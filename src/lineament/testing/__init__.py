"""Public fakes and drawn test faces."""

from lineament.testing.faces import DrawnFace, DrawnScene, Place, draw_face, draw_scene
from lineament.testing.fakes import FakeDetector, FakeEmbedder

__all__ = ["DrawnFace", "DrawnScene", "FakeDetector", "FakeEmbedder", "Place", "draw_face", "draw_scene"]
