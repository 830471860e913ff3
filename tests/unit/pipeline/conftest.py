"""A pipeline of fakes over drawn people."""

import numpy as np
import pytest
from drawn_people import SCENES, record

from lineament.core.types import Detections
from lineament.geometry import turn
from lineament.pipeline import FacePipeline
from lineament.testing import FakeDetector, FakeEmbedder


@pytest.fixture(scope="session")
def pipeline() -> FacePipeline:
    embedder = FakeEmbedder()
    known = [(s.pixels, s.detections) for s in SCENES.values()]
    # What stands on its head is found too, but with less confidence, as real detectors do.
    known += [
        (turn(p, 180), Detections(d.boxes, np.full(len(d), 0.3, np.float32), d.points)) for p, d in known
    ]
    return FacePipeline(FakeDetector(known), embedder, calibration=record(embedder.space))
