"""Mesh removal: meshed portraits in, restored pixels with a score and a mask out."""

from typing import TYPE_CHECKING

from lineament.demesh.base import MeshFinding, MeshRemover, Restoration
from lineament.demesh.classical import FrequencyNotch, MedianFilter, TeleaInpainting
from lineament.demesh.gate import MeshGate
from lineament.demesh.network import NetworkRemover, remover_id
from lineament.zoo.loading import build
from lineament.zoo.mesh_record import load_mesh_record

if TYPE_CHECKING:
    from lineament.zoo.session import Runtime

__all__ = [
    "FrequencyNotch",
    "MedianFilter",
    "MeshFinding",
    "MeshGate",
    "MeshRemover",
    "NetworkRemover",
    "Restoration",
    "TeleaInpainting",
    "load_mesh_gate",
    "load_remover",
    "remover_id",
]


def load_remover(name: str, runtime: "Runtime | None" = None) -> NetworkRemover:
    """A mesh remover of the zoo.

    Args:
        name: a model of task "restore".
        runtime: how to run it; the default decides for this machine.

    Raises:
        ModelNotFound: no such remover.
        ModelError: weights, licence or runtime cannot be had (:func:`lineament.zoo.loading.load_model`).
        TypeError: the model's factory makes something else than a remover.
    """
    made = build(name, "restore", runtime)
    if not isinstance(made, NetworkRemover):
        raise TypeError(f"the factory of {name!r} must make a NetworkRemover, got {type(made).__name__}")
    return made


def load_mesh_gate(name: str, rate: float, runtime: "Runtime | None" = None) -> MeshGate:
    """A mesh remover with the threshold of its calibration record.

    Args:
        name: a model of task "restore".
        rate: acceptable share of clean pictures that are touched, a fraction.
        runtime: how to run it.

    Raises:
        NotCalibrated: no record, or one that does not support the rate.
        ModelError: as :func:`load_remover`.
    """
    remover = load_remover(name, runtime)
    record = load_mesh_record(remover.id)
    row = record.row(rate)
    return MeshGate(remover, remover.id, row.threshold, row.rate, record.name)
