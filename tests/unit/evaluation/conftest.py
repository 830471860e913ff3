"""A small evaluation set of coloured squares in a zip and in a folder."""

import zipfile

import numpy as np
import pytest

from lineament.imaging.encode import encode_png

SIDE = 16


def square(subject: int, sample: int) -> np.ndarray:
    """A noisy square whose layout of colours tells the subject."""
    layout = np.random.default_rng(subject).integers(0, 256, (4, 4, 3))
    noise = np.random.default_rng([subject, sample]).integers(-60, 61, (SIDE, SIDE, 3))
    return np.clip(np.kron(layout, np.ones((4, 4, 1))) + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def pictures():
    return {f"S{s}/S{s}_{k:04d}.png": encode_png(square(s, k)) for s in range(12) for k in range(1, 4)}


@pytest.fixture(params=["zip", "folder"])
def stored(request, pictures, tmp_path):
    """Path of the set."""
    if request.param == "zip":
        path = tmp_path / "set.zip"
        with zipfile.ZipFile(path, "w") as file:
            for name, data in pictures.items():
                file.writestr(name, data)
        return path
    for name, data in pictures.items():
        target = tmp_path / "set" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return tmp_path / "set"
