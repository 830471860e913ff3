"""Methods that take a mesh off: classical ones, and networks as ONNX files; what they cost and what they find."""

import contextlib
import time
from dataclasses import dataclass
from math import prod
from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray

from lineament.core.arrays import ImageArray
from lineament.core.errors import NotCalibrated
from lineament.demesh import load_remover
from lineament.demesh.base import MeshRemover
from lineament.demesh.classical import FrequencyNotch, MedianFilter, TeleaInpainting
from lineament.demesh.network import NetworkRemover
from lineament.zoo.files import sha256_of
from lineament.zoo.loading import LoadedModel
from lineament.zoo.manifest import InputSpec, Licence, Manifest, Weight, find_model
from lineament.zoo.mesh_record import load_mesh_record
from lineament.zoo.session import Runtime, open_session
from lineament.zoo.store import ensure_weights

BATCH = 32
MASK_THRESHOLD = 0.5
REPETITIONS = 30
TOUCHED_RATE = 1e-3
"""Share of clean pictures that may be touched."""
ALL_THREADS = Runtime(backend="onnxruntime")
ONE_THREAD = Runtime(backend="onnxruntime", threads=1)


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """One way to take a mesh off.

    Attributes:
        name: for tables.
        remover: what is judged.
        timed: the same on one thread of ONNX Runtime, for its speed.
        parameters: numbers of the network; 0 for a classical method.
        bytes: size of its file; 0 for a classical method.
        sha256: of its file; empty for a classical method.
        threshold: from this score on a picture counts as meshed; None where none was given.
    """

    name: str
    remover: MeshRemover
    timed: MeshRemover
    parameters: int = 0
    bytes: int = 0
    sha256: str = ""
    threshold: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Restored:
    """What a method made of pictures of one size.

    Attributes:
        pixels: (R, H, W, 3) uint8 RGB.
        scores: (R,) float64 in [0, 1].
        masks: (R, H, W) True where ink is thought to be.
    """

    pixels: ImageArray
    scores: NDArray[np.float64]
    masks: NDArray[np.bool_]


def graph_method(name: str, path: Path, threshold: float | None = None) -> Method:
    """A network from a file: RGB in [0, 1], as restorers of the zoo take it.

    Args:
        name: for tables, in the form of names of models.
        path: ONNX.
        threshold: from this score on a picture counts as meshed.

    Raises:
        ModelError: the file cannot be run, or is no restorer.
    """
    sha256, size = sha256_of(path), path.stat().st_size
    manifest = Manifest(
        schema=1,
        name=name,
        task="restore",
        factory="lineament.demesh.network:NetworkRemover",
        summary="under test",
        publisher="this file",
        weights=(Weight(file=path.name, sha256=sha256, bytes=size),),
        licence=Licence(code="", weights="", data="", commercial_use=False),
        input=InputSpec(
            colour="RGB", shape=("batch", 3, "height", "width"), mean=(0, 0, 0), std=(255, 255, 255)
        ),
    )
    judged, timed = (
        NetworkRemover(LoadedModel(manifest, {"model": open_session(path, runtime)}))
        for runtime in (ALL_THREADS, ONE_THREAD)
    )
    return Method(name, judged, timed, _parameters(path), size, sha256, threshold)


def zoo_method(name: str, threshold: float | None = None) -> Method:
    """A remover of the zoo.

    Args:
        name: model of task "restore".
        threshold: from this score on a picture counts as meshed; by default that of the model's calibration record
            for :data:`TOUCHED_RATE`, if there is one.

    Raises:
        ModelError: the model cannot be had.
    """
    judged = load_remover(name, ALL_THREADS)
    if threshold is None:
        with contextlib.suppress(NotCalibrated):
            threshold = load_mesh_record(judged.id).row(TOUCHED_RATE).threshold
    (weight,) = ensure_weights(find_model(name)).values()
    timed = load_remover(name, ONE_THREAD)
    facts = _parameters(weight.path), weight.path.stat().st_size, sha256_of(weight.path)
    return Method(name, judged, timed, *facts, threshold)


def _parameters(path: Path) -> int:
    initializers = onnx.load(str(path)).graph.initializer
    return sum(prod(i.dims) for i in initializers if i.data_type == onnx.TensorProto.FLOAT)


def classical_methods() -> tuple[Method, ...]:
    """Median, Telea's inpainting and the frequency notch."""
    return tuple(Method(r.name, r, r) for r in (MedianFilter(), TeleaInpainting(), FrequencyNotch()))


def take_off(remover: MeshRemover, pictures: ImageArray) -> Restored:
    """Everything that a remover makes of pictures of one size, a batch at a time.

    Args:
        remover: what is judged.
        pictures: (R, H, W, 3) uint8 RGB.
    """
    pixels = np.empty_like(pictures)
    scores = np.empty(len(pictures))
    masks = np.empty(pictures.shape[:3], np.bool_)
    for start in range(0, len(pictures), BATCH):
        for k, made in enumerate(remover.restore(list(pictures[start : start + BATCH])), start):
            pixels[k], scores[k] = made.pixels, made.finding.score
            masks[k] = made.finding.mask >= MASK_THRESHOLD
    return Restored(pixels, scores, masks)


def milliseconds(remover: MeshRemover, picture: ImageArray) -> float:
    """Median wall time for one picture on one thread, ms; three calls warm up."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        times = []
        for _ in range(REPETITIONS + 3):
            start = time.perf_counter()
            remover.restore([picture])
            times.append(time.perf_counter() - start)
    finally:
        cv2.setNumThreads(threads)
    return 1e3 * float(np.median(times[3:]))
