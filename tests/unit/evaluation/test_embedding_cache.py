"""The cache of embeddings: equal answers, nothing lost that was stored, nothing mixed up."""

import io
import sqlite3
import stat
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from lineament.core.arrays import FloatArray, ImageArray
from lineament.core.errors import DataError, DecodeError
from lineament.core.types import Image
from lineament.embedding.cache import EmbeddingCache, Outcome
from lineament.evaluation.samples import (
    UNREADABLE,
    Acquisition,
    acquire_samples,
    decode_or_refuse,
    embed_crops,
)
from lineament.evaluation.sets import PictureSource

UNIT = np.eye(3, dtype=np.float32)


class MeanEmbedder:
    """Unit vector of the mean colour; counts the crops that it saw and fails when told to."""

    name = "mean"
    space = "mean@1"

    def __init__(self, fail_after: int = 10**9) -> None:
        self.seen = 0
        self._fail_after = fail_after

    def embed(self, crops: ImageArray) -> FloatArray:
        if self.seen >= self._fail_after:
            raise KeyboardInterrupt
        self.seen += len(crops)
        means = crops.reshape(len(crops), -1, 3).mean(axis=1) + 1.0
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    out = io.BytesIO()
    PIL.Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(150):
        (folder / f"{i:03d}.png").write_bytes(png(i))
    return folder


def test_what_was_stored_is_found_by_space_and_extraction_only(tmp_path: Path) -> None:
    EmbeddingCache(tmp_path, "a@1", "crop").store({"11": UNIT[0], "22": "no_face"})
    cache = EmbeddingCache(tmp_path, "a@1", "crop")
    cache.store({"11": UNIT[2]})
    found = cache.find(["11", "22", "33"])
    assert stat.S_IMODE(cache.path.stat().st_mode) == 0o600
    assert found.keys() == {"11", "22"}
    assert np.array_equal(found["11"], UNIT[0])
    assert found["22"] == "no_face"
    for space, how in (("a@1", "whole pictures"), ("b@1", "crop")):
        assert EmbeddingCache(tmp_path, space, how).find(["11", "22"]) == {}


def test_an_interrupted_run_goes_on_where_it_stopped(pictures: Path, tmp_path: Path) -> None:
    names = [p.name for p in sorted(pictures.iterdir())]
    cache = EmbeddingCache(tmp_path / "c", "mean@1", "crop")
    with PictureSource(pictures) as source:
        with pytest.raises(KeyboardInterrupt):
            embed_crops(names, source, MeanEmbedder(fail_after=128), 8, cache=cache)
        resumed, alone = MeanEmbedder(), MeanEmbedder()
        found = embed_crops(names, source, resumed, 8, cache=cache)
        expected = embed_crops(names, source, alone, 8)
    assert (resumed.seen, alone.seen) == (22, 150)
    assert np.array_equal(found.vectors, expected.vectors)


def test_refusals_are_kept_and_counted(pictures: Path, tmp_path: Path) -> None:
    (pictures / "000.png").write_bytes(b"not a picture")
    (pictures / "001.png").write_bytes((pictures / "002.png").read_bytes())
    names = [p.name for p in sorted(pictures.iterdir())][:6]
    seen: list[int] = []

    def embed(images: Sequence[Image]) -> list[Outcome]:
        seen.append(len(images))
        return ["no_face" if i == 1 else UNIT[0] for i in range(len(images))]

    acquisition = Acquisition(embed, decode_or_refuse, EmbeddingCache(tmp_path / "c", "a@1", "x"))
    with PictureSource(pictures) as source:
        first = acquire_samples(names, source, acquisition, "a@1")
        second = acquire_samples(names, source, acquisition, "a@1")
        with pytest.raises(DecodeError):
            acquire_samples(names, source, Acquisition(embed), "a@1")
    assert seen == [4]  # one unreadable, one a copy of its neighbour
    for found in (first, second):
        assert found.acquired.tolist() == [False, True, True, False, True, True]
        assert found.refusals == {"no_face": 1, UNREADABLE: 1}


def test_a_damaged_cache_is_named(tmp_path: Path) -> None:
    path = EmbeddingCache(tmp_path, "a@1", "x").path
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(DataError, match="delete the file"):
        EmbeddingCache(tmp_path, "a@1", "x")
    path.unlink()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE outcomes (something)")
    with pytest.raises(DataError, match="cannot be used"):
        EmbeddingCache(tmp_path, "a@1", "x").find(["11"])
