"""Processes killed at any moment lose nothing that was acknowledged and leave nothing half done."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lineament.gallery import Gallery

SAMPLES = 200
DIMENSION = 512
SPACE = "kill-test"

COMMON = """
import os, sys
import numpy as np
from lineament.core.types import Embedding
from lineament.gallery import Enrolled, EnrollmentRefusalKind, Gallery, NewSample

def vector(number):
    v = np.random.default_rng(number).standard_normal(512).astype(np.float32)
    return v / np.linalg.norm(v)

def new(number):
    return NewSample(f"subject {number // 5}", Embedding(vector(number), "kill-test"), f"sample {number}")

def say(text):
    os.write(1, f"{text}\\n".encode())
"""

ENROLL_ONE_BY_ONE = """
with Gallery.open(sys.argv[1], space="kill-test", create=True) as gallery:
    for number in map(int, sys.argv[2].split(",")):
        s = new(number)
        result = gallery.enroll(s.subject_id, s.embedding, sample_id=s.sample_id, conflict_threshold=0.9)
        there = not isinstance(result, Enrolled) and result.kind is EnrollmentRefusalKind.DUPLICATE_SAMPLE
        assert isinstance(result, Enrolled) or there, result
        say(number)
"""

ENROLL_IN_TENS = """
with Gallery.open(sys.argv[1], space="kill-test", create=True) as gallery:
    for first in range(0, 10_000, 10):
        gallery.enroll_many([new(number) for number in range(first, first + 10)])
        say(first)
"""

MAKE_GALLERIES = """
for number in range(10_000):
    Gallery.open(f"{sys.argv[1]}/{number}", space="kill-test", create=True).close()
    say(number)
"""

REMOVE_AND_MERGE = """
with Gallery.open(sys.argv[1], space="kill-test") as gallery:
    for number in range(0, 40, 2):
        gallery.merge(f"subject {number}", f"subject {number + 1}")
        say(f"merged {number}")
        gallery.remove_subject(f"subject {number}")
        say(f"removed {number}")
"""


def vector(number: int) -> np.ndarray:
    v = np.random.default_rng(number).standard_normal(DIMENSION).astype(np.float32)
    return v / np.linalg.norm(v)


def start(script: str, said: Path, *arguments: str) -> subprocess.Popen[bytes]:
    with said.open("ab") as out:
        return subprocess.Popen([sys.executable, "-c", COMMON + script, *arguments], stdout=out)


def heard(said: Path) -> list[str]:
    return said.read_text().splitlines() if said.exists() else []


def wait_until_said(said: Path, count: int, workers: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + 60
    while len(heard(said)) < count and any(worker.poll() is None for worker in workers):
        assert time.monotonic() < deadline, "the workers do not get on"
        time.sleep(0.0005)


def kill(workers: list[subprocess.Popen[bytes]], draw: random.Random) -> None:
    for worker in workers:
        time.sleep(draw.random() * 0.01)
        worker.kill()
    assert {worker.wait() for worker in workers} <= {0, -signal.SIGKILL}


def stored(path: Path) -> dict[int, tuple[str, bytes]]:
    connection = sqlite3.connect(path)
    found = connection.execute(
        "SELECT s.name, u.name, t.vector FROM samples s JOIN subjects u ON u.id = s.subject "
        "JOIN templates t ON t.sample = s.id"
    ).fetchall()
    connection.close()
    return {int(sample.removeprefix("sample ")): (subject, blob) for sample, subject, blob in found}


@pytest.mark.parametrize("seed", [1, 2])
def test_two_processes_killed_while_they_enroll(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    path, said = tmp_path / "gallery", tmp_path / "said"
    kills = 0
    while missing := sorted(set(range(SAMPLES)) - {int(line) for line in heard(said)}):
        before = len(heard(said))
        shares = [missing[::2], missing[1::2]]
        workers = [
            start(ENROLL_ONE_BY_ONE, said, str(path), ",".join(map(str, share))) for share in shares if share
        ]
        wait_until_said(said, before + draw.randint(1, 70), workers)
        kill(workers, draw)
        kills += sum(worker.returncode == -signal.SIGKILL for worker in workers)
        acknowledged = {int(line) for line in heard(said)}
        with Gallery.open(path, space=SPACE) as gallery:
            assert gallery.check() == []
        held = stored(path)
        assert acknowledged <= held.keys()
        for number, (subject, blob) in held.items():
            assert subject == f"subject {number // 5}"
            assert blob == vector(number).tobytes()
    assert kills >= 2
    with Gallery.open(path, space=SPACE) as gallery:
        assert gallery.size.samples == SAMPLES
        found = gallery.search(np.stack([vector(number) for number in range(SAMPLES)]), max_candidates=1)
    assert [candidates[0].sample_id for candidates in found] == [f"sample {n}" for n in range(SAMPLES)]


def test_bulk_enrollment_is_all_or_nothing(tmp_path: Path) -> None:
    draw = random.Random(3)
    path, said = tmp_path / "gallery", tmp_path / "said"
    worker = start(ENROLL_IN_TENS, said, str(path))
    wait_until_said(said, 12, [worker])
    kill([worker], draw)
    with Gallery.open(path, space=SPACE) as gallery:
        assert gallery.check() == []
    held = stored(path)
    tens = [len([n for n in held if n // 10 == ten]) for ten in range(max(held) // 10 + 1)]
    assert set(tens) == {10}
    assert len(tens) >= len(heard(said)) >= 12


def test_removals_and_merges_are_all_or_nothing(tmp_path: Path) -> None:
    draw = random.Random(4)
    path, said = tmp_path / "gallery", tmp_path / "said"
    worker = start(ENROLL_ONE_BY_ONE, said, str(path), ",".join(map(str, range(SAMPLES))))
    assert worker.wait(timeout=60) == 0
    told = tmp_path / "told"
    worker = start(REMOVE_AND_MERGE, told, str(path))
    wait_until_said(told, 11, [worker])
    kill([worker], draw)
    with Gallery.open(path, space=SPACE) as gallery:
        assert gallery.check() == []
        counts = {s.subject_id: s.samples for s in gallery.subjects()}
    done = heard(told)
    for number in range(0, 40, 2):
        pair = (counts.get(f"subject {number}", 0), counts.get(f"subject {number + 1}", 0))
        assert pair in {(5, 5), (10, 0), (0, 0)}
        if f"removed {number}" in done:
            assert pair == (0, 0)
        elif f"merged {number}" in done:
            assert pair != (5, 5)


def test_killed_while_making_galleries(tmp_path: Path) -> None:
    draw = random.Random(5)
    folder, said = tmp_path / "galleries", tmp_path / "said"
    folder.mkdir()
    worker = start(MAKE_GALLERIES, said, str(folder))
    wait_until_said(said, 5, [worker])
    kill([worker], draw)
    paths = sorted(p for p in folder.iterdir() if p.name.isdigit())
    assert len(paths) >= 5
    for path in paths:
        with Gallery.open(path, space=SPACE, create=True) as gallery:
            assert gallery.check() == []
