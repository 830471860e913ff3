"""Training of mesh removers; needs torch (the extra ``train``)."""

from lineament.demesh.training.config import (
    LossConfig,
    MeshConfig,
    RestorationConfig,
    RestorationData,
    RestorerConfig,
)
from lineament.demesh.training.train import train_restorer

__all__ = [
    "LossConfig",
    "MeshConfig",
    "RestorationConfig",
    "RestorationData",
    "RestorerConfig",
    "train_restorer",
]
