"""``lineament serve`` as a real process with real networks and photographs."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lineament.core.types import Comparison
from lineament.imaging import read_image
from lineament.pipeline import FacePipeline

pytestmark = [pytest.mark.shared, pytest.mark.weights]
CODE = "import typer; from lineament.cli.serve import serve; typer.run(serve)"


@pytest.fixture
def service(calibration_folder: Path, tmp_path: Path) -> "Iterator[tuple[subprocess.Popen[bytes], str]]":
    """A process that is ready, and its address; its log goes to ``tmp_path / "log"``."""
    settings = tmp_path / "lineament.toml"
    settings.write_text('[server]\nport = 0\n[engine]\nbackend = "onnxruntime"\nworkers = 2\n')
    words = [sys.executable, "-c", CODE, "--config", str(settings)]
    with (tmp_path / "log").open("wb") as log:
        environment = os.environ | {"LINEAMENT_CALIBRATION": str(calibration_folder)}
        process = subprocess.Popen(words, stderr=log, cwd=tmp_path, env=environment)
    try:
        yield process, ready(process, tmp_path / "log")
    finally:
        process.kill()
        process.wait()


def ready(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """The address of the service, once it is ready."""
    until_s = time.monotonic() + 120
    while time.monotonic() < until_s and process.poll() is None:
        said = re.search(r'"address": "([^"]+)"', log.read_text())
        try:
            if said and httpx.get(f"{said[1]}/readyz").status_code == 200:
                return said[1]
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_real_photographs_over_http_as_in_the_library(
    service: "tuple[subprocess.Popen[bytes], str]",
    johns: dict[str, list[Path]],
    open_profile: FacePipeline,
    tmp_path: Path,
) -> None:
    process, address = service
    first, second = list(johns.values())[:2]
    decisions = []
    with httpx.Client(base_url=address, timeout=60) as client:
        for reference, probe in ((first[0], first[1]), (first[0], second[0])):
            files = {"reference": reference.read_bytes(), "probe": probe.read_bytes()}
            answer = client.post("/v1/verify", files=files, data={"fmr": "0.01"})
            assert answer.status_code == 200, answer.text
            expected = open_profile.verify(read_image(reference), read_image(probe), 0.01)
            assert isinstance(expected, Comparison)
            assert answer.json()["similarity"] == pytest.approx(expected.similarity, abs=1e-4)
            decisions.append(answer.json()["decision"])
    assert decisions == ["match", "no_match"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == -signal.SIGTERM
    log = (tmp_path / "log").read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    assert sum(line.get("route") == "/v1/verify" for line in lines) == 2
    assert not [name for name in johns if name in log]
