"""What is measured: runtimes and models that are there, and the pictures they get."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from lineament.core.arrays import ImageArray
from lineament.core.errors import LineamentError, RuntimeUnavailable
from lineament.imaging import encode_jpeg
from lineament.testing import Place, draw_scene
from lineament.zoo.licence import is_accepted
from lineament.zoo.manifest import Task, list_models
from lineament.zoo.options import FetchOptions
from lineament.zoo.session import Runtime
from lineament.zoo.verify import whereabouts

MEGAPIXEL = 1_000_000


def runtimes() -> Iterator[tuple[str, Runtime]]:
    """Every backend and precision that this machine has, the base install first."""
    from lineament.zoo.session import Backend, Precision

    choices: tuple[tuple[Backend, Precision], ...] = (
        ("onnxruntime", "f32"),
        ("openvino", "f32"),
        ("openvino", "bf16"),
    )
    for backend, precision in choices:
        try:
            yield f"{backend} {precision}", Runtime(backend, precision=precision).resolved()
        except RuntimeUnavailable:
            continue


def models(task: Task) -> list[str]:
    """Models whose weights are on this machine and whose terms are accepted."""
    options = FetchOptions.from_environment(offline=True)
    return [
        name
        for name, manifest in list_models().items()
        if manifest.task == task
        and is_accepted(manifest)
        and whereabouts(manifest, options) in {"cache", "folder"}
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture of one face, as pixels and as the JPEG that it comes from."""

    name: str
    pixels: ImageArray
    jpeg: bytes


@cache
def pictures() -> tuple[tuple[Picture, Picture], str]:
    """Two pictures of 1 MP with one face each, and what they are.

    The photographs of the demonstration where they can be had, else drawn faces, in which detectors find nothing.
    """
    from lineament.evaluation.demo import demo_subjects

    try:
        found = [(s.name, s.image.pixels) for s in demo_subjects(FetchOptions.from_environment())]
        what = "the photographs of the demonstration, scaled to 1 MP"
    except LineamentError:
        drawn = [draw_scene(1000, 1000, [Place(seed=s, x_px=500, y_px=500, size_px=500)]) for s in (1, 2)]
        found = [(f"drawn {k}", scene.pixels) for k, scene in enumerate(drawn)]
        what = "drawn faces of 1 MP: the photographs of the demonstration could not be had"
    first, second = (_megapixel(name, pixels) for name, pixels in found)
    return (first, second), what


def _megapixel(name: str, pixels: ImageArray) -> Picture:
    height, width = pixels.shape[:2]
    factor = (MEGAPIXEL / (height * width)) ** 0.5
    size = (round(width * factor), round(height * factor))
    scaled = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    return Picture(name, scaled, encode_jpeg(scaled, 90))
