"""Galleries and templates for the tests of this folder."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from lineament.core.types import Embedding
from lineament.gallery import Gallery

SPACE = "space-a"
Drawer = Callable[[int], list[Embedding]]


@pytest.fixture
def draw() -> Drawer:
    """Draws that many embeddings of 64 values; the same ones in each test."""
    rng = np.random.default_rng(7)

    def embeddings(count: int) -> list[Embedding]:
        vectors = rng.standard_normal((count, 64)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return [Embedding(vector, SPACE) for vector in vectors]

    return embeddings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "staff.gallery"


@pytest.fixture
def gallery(path: Path) -> Iterator[Gallery]:
    with Gallery.open(path, space=SPACE, create=True) as opened:
        yield opened
