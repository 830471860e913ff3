"""The stages from a file to a decision, each on its own, and two files to a decision end to end."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.figures import Effort, Figure, measure
from benchmarks.nets import Network, iresnet50, mobilefacenet
from benchmarks.systems import models, pictures, runtimes
from lineament.core.errors import LineamentError
from lineament.core.types import Face, OperatingPoint
from lineament.detection import load_detector
from lineament.detection.preprocess import resize
from lineament.embedding import load_embedder
from lineament.geometry import TEMPLATES, align
from lineament.imaging import decode_image
from lineament.pipeline import FacePipeline, compare
from lineament.zoo.graph import prepare
from lineament.zoo.profiles import list_profiles
from lineament.zoo.session import open_session

SIDE_PX = 640
BATCHES = (1, 32)
NET_BARS = {
    ("IR-50", "onnxruntime f32", 1): 50.0,
    ("IR-50", "openvino bf16", 1): 12.0,
    ("IR-50", "openvino bf16", 32): 32 / 140 * 1e3,
    ("MobileFaceNet", "onnxruntime f32", 1): 3.0,
    ("MobileFaceNet", "openvino bf16", 1): 1.5,
    ("MobileFaceNet", "openvino bf16", 32): 32 / 900 * 1e3,
}
"""Largest median, ms, for a network, a runtime and a batch."""
VERIFY_BAR_MS = 80.0
DETECT_BAR_MS = 12.0


def decode(effort: Effort) -> Iterator[Figure]:
    """A JPEG of 1 MP to upright pixels."""
    picture = pictures()[0][0]
    note = f"{picture.pixels.shape[1]} x {picture.pixels.shape[0]} px, {len(picture.jpeg) // 1000} kB"
    yield measure(lambda: decode_image(picture.jpeg), "decode JPEG 1 MP", "pillow", effort, note=note)


def detect(effort: Effort) -> Iterator[Figure]:
    """One picture whose longest side has 640 px through each detector."""
    whole = pictures()[0][0].pixels
    factor = SIDE_PX / max(whole.shape[:2])
    pixels = resize(whole, round(whole.shape[0] * factor), round(whole.shape[1] * factor))
    for name in models("detection"):
        for label, runtime in runtimes():
            detector = load_detector(name, runtime)
            faces = len(detector.detect([pixels])[0])
            yield measure(
                lambda detector=detector: detector.detect([pixels]),  # type: ignore[misc]
                f"detect {SIDE_PX} px, {name}",
                label,
                effort,
                is_baseline=label == "onnxruntime f32",
                bar=DETECT_BAR_MS if label.startswith("openvino") else None,
                note=f"{faces} found",
            )


def crop(effort: Effort) -> Iterator[Figure]:
    """One face of a 1 MP picture onto each template."""
    pixels = pictures()[0][0].pixels
    for template in TEMPLATES.values():
        points = template.points * 2.2 + 150
        yield measure(
            lambda points=points, template=template: align(pixels, points, template),  # type: ignore[misc]
            f"align to {template.name}",
            "opencv",
            effort,
        )


def embed(effort: Effort) -> Iterator[Figure]:
    """Crops through each embedder of the zoo, normalisation included."""
    for name in models("embedding"):
        for label, runtime in runtimes():
            embedder = load_embedder(name, runtime)
            side = TEMPLATES[embedder.template].size_px
            for batch in BATCHES:
                crops = np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), np.uint8)
                yield measure(
                    lambda embedder=embedder, crops=crops: embedder.embed(crops),  # type: ignore[misc]
                    f"embed {name}, batch {batch}",
                    label,
                    effort,
                    items=batch,
                    is_baseline=label == "onnxruntime f32",
                )


def nets(effort: Effort) -> Iterator[Figure]:
    """Networks alone, random weights; the baseline is ONNX Runtime with the graph as exporters write it."""
    for network in (mobilefacenet(), iresnet50()):
        with tempfile.TemporaryDirectory() as folder:
            yield from _net(network, Path(folder), effort)


def _net(network: Network, folder: Path, effort: Effort) -> Iterator[Figure]:
    plain, prepared = folder / "plain.onnx", folder / "prepared.onnx"
    plain.write_bytes(network.data)
    prepared.write_bytes(prepare(network.data))
    note = f"timing only: random weights, {network.gmac:.2f} GMAC"
    for label, runtime in runtimes():
        ways = (
            [(label, prepared)]
            if label != "onnxruntime f32"
            else [
                (f"{label}, PReLU as exported", plain),
                (label, prepared),
            ]
        )
        for system, path in ways:
            session = open_session(plain, runtime, path)
            for batch in BATCHES:
                crops = np.random.default_rng(0).standard_normal((batch, 3, 112, 112)).astype(np.float32)
                feeds = {session.inputs[0]: crops}
                yield measure(
                    lambda session=session, feeds=feeds: session.run(feeds),  # type: ignore[misc]
                    f"network {network.name}, batch {batch}",
                    system,
                    effort,
                    items=batch,
                    is_baseline=path == plain,
                    bar=NET_BARS.get((network.name, system, batch)),
                    note=note,
                )


def verify(effort: Effort) -> Iterator[Figure]:
    """Two JPEG files of 1 MP to a decision, everything loaded; each profile that can run here."""
    (first, second), what = pictures()
    point = OperatingPoint(1e-3, 0.5, 0.5, 0.5, 0, "timing only")
    for name in list_profiles():
        for label, runtime in runtimes():
            if label.endswith("bf16"):
                continue
            try:
                pipeline = FacePipeline.from_profile(name, runtime)
            except LineamentError:
                break

            def work(pipeline: FacePipeline = pipeline) -> None:
                faces = pipeline.extract_many([decode_image(p.jpeg) for p in (first, second)])
                known = [f for f in faces if isinstance(f, Face)]
                if len(known) == len(faces):
                    compare(known[0], known[1], point)

            faces = pipeline.extract_many([decode_image(p.jpeg) for p in (first, second)])
            found = sum(isinstance(f, Face) for f in faces)
            yield measure(
                work,
                f"verify two 1 MP JPEG, profile {name}",
                label,
                effort,
                is_baseline=label == "onnxruntime f32",
                bar=VERIFY_BAR_MS,
                note=f"{found} of 2 faces found; {what}",
            )
