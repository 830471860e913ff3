"""Processes killed while they rewrite a whole gallery leave the old state or the new one."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lineament.core.errors import GalleryError
from lineament.core.types import Embedding
from lineament.gallery import Gallery, GalleryKey, NewSample, SampleState, rotate_key

SPACE, OTHER_SPACE = "kill-test", "kill-test-2"
KEYS = (GalleryKey(b"a" * 32), GalleryKey(b"b" * 32))
SAMPLES = 150

ROTATE = """
import sys
from lineament.gallery import GalleryKey, rotate_key
a, b = GalleryKey(b"a" * 32), GalleryKey(b"b" * 32)
for _ in range(1000):
    rotate_key(sys.argv[1], a, b, reencrypt=True)
    rotate_key(sys.argv[1], b, a, reencrypt=True)
    print("turn", flush=True)
"""
BACK_UP_AND_RESTORE = """
import os, sys
from lineament.gallery import Gallery, GalleryKey, restore
a = GalleryKey(b"a" * 32)
for turn in range(1000):
    with Gallery.open(sys.argv[1], space="kill-test", key=a) as gallery:
        gallery.copies.back_up(f"{sys.argv[1]}.{os.getpid()}.{turn}")
    restore(f"{sys.argv[1]}.{os.getpid()}.{turn}", sys.argv[1], key=a)
    print("turn", flush=True)
"""
SWITCH = """
import sys
from pathlib import Path
from lineament.gallery import Gallery, GalleryKey, stored_space
a = GalleryKey(b"a" * 32)
for _ in range(1000):
    with Gallery.open(sys.argv[1], space=stored_space(Path(sys.argv[1])), key=a) as gallery:
        gallery.upgrade.switch()
    print("turn", flush=True)
"""
REVIEW = """
import sys
from lineament.gallery import Gallery, GalleryKey
a = GalleryKey(b"a" * 32)
with Gallery.open(sys.argv[1], space="kill-test", key=a) as gallery:
    for _ in range(1000):
        for number in range(20):
            gallery.review.quarantine(f"s{number}")
        for number in range(20):
            gallery.review.release(f"s{number}")
        print("turn", flush=True)
"""


def vectors() -> np.ndarray:
    drawn = np.random.default_rng(1).standard_normal((SAMPLES, 64)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def fill(path: Path) -> None:
    with Gallery.open(path, space=SPACE, create=True, key=KEYS[0]) as gallery:
        gallery.enroll_many(
            [
                NewSample(f"p{i // 3}", Embedding(v, SPACE), f"s{i}", crop=b"%d" % i)
                for i, v in enumerate(vectors())
            ]
        )
        gallery.upgrade.begin(OTHER_SPACE)
        gallery.upgrade.step(lambda crops: vectors()[[int(crop) for crop in crops]][:, ::-1].copy(), SAMPLES)


def reopened(path: Path) -> Gallery:
    for key in KEYS:
        for space in (SPACE, OTHER_SPACE):
            try:
                return Gallery.open(path, space=space, key=key)
            except GalleryError as error:
                assert "does not open" in str(error) or "this pipeline makes" in str(error)  # noqa: PT017
    raise AssertionError("no key opens the gallery")


@pytest.mark.parametrize(
    "script", [ROTATE, BACK_UP_AND_RESTORE, SWITCH, REVIEW], ids=["key", "restore", "switch", "review"]
)
def test_killed_while_rewriting(tmp_path: Path, script: str) -> None:
    draw = random.Random(len(script))
    path = tmp_path / "gallery"
    fill(path)
    for _ in range(3):
        worker = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)
        assert worker.stdout is not None
        worker.stdout.readline()
        time.sleep(draw.random() * 0.1)
        worker.kill()
        worker.stdout.close()
        assert worker.wait() == -signal.SIGKILL
        with reopened(path) as gallery:
            assert gallery.check() == []
            held = gallery.info().held
            assert gallery.size.samples + held == SAMPLES
            assert held <= 20 if script == REVIEW else held == 0
            for sample in gallery.review.held(SampleState.QUARANTINED):
                gallery.review.release(sample.sample_id)
            queries = vectors() if gallery.space == SPACE else vectors()[:, ::-1].copy()
            found = gallery.search(queries, max_candidates=1)
            assert [c[0].sample_id for c in found] == [f"s{i}" for i in range(SAMPLES)]
            keep = gallery.space == SPACE
        if not keep:  # the workers begin in the first space
            with Gallery.open(path, space=OTHER_SPACE, key=KEYS[0]) as gallery:
                gallery.upgrade.switch()
        make_first_key(path)


def make_first_key(path: Path) -> None:
    try:
        Gallery.open(path, space=SPACE, key=KEYS[0]).close()
    except GalleryError:
        rotate_key(path, KEYS[1], KEYS[0])
