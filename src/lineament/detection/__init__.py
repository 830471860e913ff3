"""Face detectors: pictures in, boxes with five points out."""

from typing import TYPE_CHECKING

from lineament.detection.base import AdjustableDetector, DetectionSettings, Detector
from lineament.detection.scales import JointScales
from lineament.detection.upright import Upright, find_upright, find_upright_many
from lineament.zoo.loading import build

if TYPE_CHECKING:
    from lineament.zoo.session import Runtime

__all__ = [
    "AdjustableDetector",
    "DetectionSettings",
    "Detector",
    "JointScales",
    "Upright",
    "find_upright",
    "find_upright_many",
    "load_detector",
]


def load_detector(
    name: str, runtime: "Runtime | None" = None, settings: DetectionSettings | None = None
) -> Detector:
    """A detector of the zoo.

    Args:
        name: a detection model's name.
        runtime: how to run it; the default decides for this machine.
        settings: which faces count; the default takes the manifest's numbers.

    Raises:
        ModelNotFound: no such detector.
        LicenceNotAccepted: non-commercial weights without acceptance.
        WeightsMissing: no source has the file.
        WeightsCorrupt: a digest or golden vector does not agree.
        RuntimeUnavailable: the runtime cannot be had here.
        TypeError: the model's factory makes something else than a detector, or one whose settings are fixed.
    """
    made = build(name, "detection", runtime)
    if not isinstance(made, Detector):
        raise TypeError(f"the factory of {name!r} must make a Detector, got {type(made).__name__}")
    if settings is None:
        return made
    if not isinstance(made, AdjustableDetector):
        raise TypeError(f"the settings of {name!r} are fixed; load it without settings")
    return made.with_settings(settings)
