"""Loaded models whose network is a given function."""

from collections.abc import Callable, Mapping

import numpy as np

from lineament.zoo.loading import LoadedModel
from lineament.zoo.manifest import find_model
from lineament.zoo.session import Runtime

Run = Callable[[np.ndarray], dict[str, np.ndarray]]


class FunctionSession:
    """A network with one input that is a NumPy function."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.runtime = Runtime("onnxruntime", threads=1)
        self.inputs = ("image",)
        self.outputs: tuple[str, ...] = ()
        self.shapes: list[tuple[int, ...]] = []

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.shapes.append(feeds["image"].shape)
        return self._run(feeds["image"])


def model_of(name: str, **sessions: FunctionSession) -> LoadedModel:
    """The manifest called ``name`` with other networks."""
    return LoadedModel(find_model(name), sessions)
