"""Dense facial points: pictures and detections in, points with a named order out."""

from typing import TYPE_CHECKING

from lineament.landmarks.base import LandmarkModel
from lineament.zoo.loading import build

if TYPE_CHECKING:
    from lineament.zoo.session import Runtime

__all__ = ["LandmarkModel", "load_landmarks"]


def load_landmarks(name: str, runtime: "Runtime | None" = None) -> LandmarkModel:
    """A landmark model of the zoo.

    Args:
        name: a landmark model's name.
        runtime: how to run it; the default decides for this machine.

    Raises:
        ModelNotFound: no such landmark model.
        LicenceNotAccepted: non-commercial weights without acceptance.
        WeightsMissing: no source has the file.
        WeightsCorrupt: a digest or golden vector does not agree.
        RuntimeUnavailable: the runtime cannot be had here.
        TypeError: the model's factory makes something else than a landmark model.
    """
    made = build(name, "landmarks", runtime)
    if not isinstance(made, LandmarkModel):
        raise TypeError(f"the factory of {name!r} must make a LandmarkModel, got {type(made).__name__}")
    return made
