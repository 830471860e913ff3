"""The fuzzer of the picture decoder: what it starts from, what it counts, and that it runs."""

import time
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.fuzz_images import fuzz, seeds
from benchmarks.fuzz_target import MAX_PIXELS, PNG, Target, sound_checksums

from lineament.core.types import Image
from lineament.imaging import decode_image
from lineament.imaging.formats import picture_format


def test_every_seed_is_a_picture_and_every_format_has_one() -> None:
    made = seeds()
    for name, data in made.items():
        assert decode_image(data, name=name).pixels.shape[2] == 3
    assert {picture_format(data) for data in made.values()} >= {
        *("JPEG", "PNG", "WebP", "AVIF", "TIFF", "BMP", "GIF", "PPM")
    }


def test_checksums_are_made_right_and_nothing_else_is_changed() -> None:
    sound = seeds()["png"]
    assert sound_checksums(sound) == sound
    position = sound.index(b"IDAT") + 8
    changed = sound[:position] + bytes([sound[position] ^ 1]) + sound[position + 1 :]
    repaired = sound_checksums(changed)
    assert repaired != changed
    start = repaired.index(b"IDAT") - 4
    end = start + 8 + int.from_bytes(repaired[start : start + 4], "big")
    assert repaired[end : end + 4] == zlib.crc32(repaired[start + 4 : end]).to_bytes(4, "big")
    assert repaired[:end] == changed[:end]
    for other in (b"", PNG, PNG + b"\xff" * 12, PNG + bytes(11), seeds()["jpeg"]):
        assert sound_checksums(other) == other


def test_what_is_no_answer_is_counted_and_kept(tmp_path: Path) -> None:
    target = Target(tmp_path, until_s=time.monotonic() + 1e6)
    target(seeds()["png"])
    target(b"hello")
    assert target.outcomes == {"picture": 1, "DecodeError": 1}

    def broken(data: bytes, **_: Any) -> Image:
        if data == b"huge":
            return Image(np.zeros((MAX_PIXELS + 1, 1, 3), np.uint8))
        raise KeyError(data)

    target._decode = broken
    for data in (b"one", b"two", b"huge"):
        target(data)
    assert target.outcomes["unexpected"] == 3
    first, second = target.unexpected.values()
    assert first["kind"].startswith("KeyError in test_fuzz_images.py, line ")
    assert (first["count"], second["count"]) == (2, 1)
    assert (tmp_path / first["input"]).read_bytes() == b"one"
    assert (tmp_path / second["input"]).read_bytes() == b"huge"


@pytest.mark.slow
@pytest.mark.skipif(find_spec("atheris") is None, reason="no fuzzer here: pip install atheris")
def test_a_short_run_finds_new_paths_and_no_fault(tmp_path: Path) -> None:
    found = fuzz(5.0, tmp_path)
    assert found["crashes"] == found["unexpected"] == []
    assert set(found["outcomes"]) <= {"picture", "DecodeError", "ImageTooLarge"}
    assert found["inputs"] > len(found["seeds"])
    assert found["corpus"] > len(found["seeds"])
    assert found["resident_mb_peak"] > 0
