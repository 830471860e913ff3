"""A service killed at any moment of a bulk enrollment settles every picture that it has acknowledged."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import requests
from drawn_service import picture

from lineament.gallery import Gallery
from lineament.service.audit_check import verify_audit
from lineament.testing import FakeEmbedder

HERE = Path(__file__).parent
PER_UPLOAD = 3
UPLOADS = 4


@contextmanager
def started(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A serving process and its address; killed at the end, if it still lives."""
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    process = subprocess.Popen(
        [sys.executable, str(HERE / "drawn_service.py"), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    try:
        address = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        until = time.monotonic() + 120
        while True:
            try:
                if requests.get(f"{address}/readyz", timeout=60).status_code == 200:
                    break
            except requests.ConnectionError:
                assert process.poll() is None
            assert time.monotonic() < until, "the service does not get ready"
            time.sleep(0.01)
        yield process, f"{address}/v1/galleries"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def archive(seeds: range) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as opened:
        for seed in seeds:
            opened.writestr(f"subject {seed}/{seed}.png", picture(seed))
    return stream.getvalue()


def send_until_killed(process: subprocess.Popen[str], address: str, first: int, after_s: float) -> set[int]:
    """Pictures that were acknowledged before the process was killed."""
    acknowledged: set[int] = set()
    killer = threading.Timer(after_s, process.send_signal, [signal.SIGKILL])
    uploads = [range(first + n, first + n + PER_UPLOAD) for n in range(0, PER_UPLOAD * UPLOADS, PER_UPLOAD)]
    bodies = [archive(seeds) for seeds in uploads]
    killer.start()
    try:
        for seeds, body in zip(uploads, bodies, strict=True):
            answer = requests.post(f"{address}/pictures", files={"archive": body}, timeout=60)
            assert answer.status_code == 200, answer.text
            acknowledged |= set(seeds)
    except requests.RequestException:
        pass  # killed before it answered, or within its answer
    killer.join()
    process.wait()
    return acknowledged


def settled_job(address: str) -> dict[str, Any]:
    """A job once nothing of it waits."""
    until = time.monotonic() + 120
    while (state := requests.get(address, timeout=60).json())["waiting"]:
        assert time.monotonic() < until, state
        time.sleep(0.05)
    found: dict[str, Any] = state
    return found


@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_nothing_acknowledged_is_lost(tmp_path: Path, kills: int) -> None:
    draw = random.Random(kills)
    with started(tmp_path) as (_, address):
        assert requests.post(address, json={"name": "staff"}, timeout=60).status_code == 201
        made = requests.post(f"{address}/staff/jobs", json={"conflict": "ignore"}, timeout=60)
        job = made.json()["job"]
    acknowledged: set[int] = set()
    for kill in range(kills):
        with started(tmp_path) as (process, address):
            first = kill * PER_UPLOAD * UPLOADS
            acknowledged |= send_until_killed(
                process, f"{address}/staff/jobs/{job}", first, draw.uniform(0, 0.6)
            )
            assert process.returncode == -signal.SIGKILL
    assert acknowledged
    with started(tmp_path) as (_, address):
        state = settled_job(f"{address}/staff/jobs/{job}")
        assert set(state["outcomes"]) <= {"enrolled", "already_there"}
        subjects = []
        after = None
        while True:
            page = requests.get(f"{address}/staff/subjects", params={"limit": 50, "after": after}, timeout=60)
            subjects += page.json()["subjects"]
            after = page.json()["next"]
            if after is None:
                break
    held = {int(s["subject"].removeprefix("subject ")): s["samples"] for s in subjects}
    assert acknowledged <= held.keys()
    assert len(held) == state["total"]
    assert set(held.values()) == {1}
    with Gallery.open(tmp_path / "galleries" / "staff.gallery", space=FakeEmbedder().space) as gallery:
        assert gallery.check() == []
    assert verify_audit(tmp_path / "audit").faults == ()
