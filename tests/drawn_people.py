"""Drawn people in drawn places, and a pipeline of fakes that knows them."""

import numpy as np

from lineament.core.types import Detections, Image
from lineament.geometry import turn
from lineament.pipeline import FacePipeline
from lineament.testing import DrawnScene, FakeDetector, FakeEmbedder, Place, draw_scene
from lineament.zoo.calibration import CalibrationRecord
from made_up_calibration import made_up_record

HEIGHT, WIDTH = 300, 420


def scene(*places: tuple[int, float, float, float], background: int = 0) -> DrawnScene:
    """People (seed, x, y, size) in a picture."""
    return draw_scene(
        HEIGHT,
        WIDTH,
        [Place(seed=s, x_px=x, y_px=y, size_px=size) for s, x, y, size in places],
        background,
    )


SCENES = {
    "ada": scene((1, 150, 150, 200)),
    "ada again": scene((1, 260, 140, 150), background=3),
    "bob": scene((2, 200, 150, 180)),
    "bob and a bystander": scene((2, 140, 150, 180), (3, 350, 60, 60)),
    "ada and bob": scene((1, 110, 150, 180), (2, 310, 150, 180)),
    "ada at the border": scene((1, 10, 150, 200)),
    "ada far away": scene((1, 200, 150, 26)),
    "empty": scene(),
}


def record(space: str, n_nonmated: int = 100_000) -> CalibrationRecord:
    """Three rates with thresholds that the fake embedder's people fit."""
    return made_up_record(space, {1e-1: 0.6, 1e-2: 0.8, 1e-3: 0.9}, n_nonmated=n_nonmated)


def image(name: str, turned_deg: int = 0) -> Image:
    return Image(turn(SCENES[name].pixels, turned_deg))


def drawn_pipeline() -> FacePipeline:
    """Knows every scene; its calibration is made up."""
    embedder = FakeEmbedder()
    known = [(s.pixels, s.detections) for s in SCENES.values()]
    # What stands on its head is found too, but with less confidence, as real detectors do.
    known += [
        (turn(p, 180), Detections(d.boxes, np.full(len(d), 0.3, np.float32), d.points)) for p, d in known
    ]
    return FacePipeline(FakeDetector(known), embedder, calibration=record(embedder.space))
