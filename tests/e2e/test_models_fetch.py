"""The open models come through the machine's own pip settings into an empty cache, and are sound there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lineament.zoo.manifest import list_models

RUN = "import sys; from lineament.cli.app import run; sys.exit(run(sys.argv[1:]))"

pytestmark = [
    pytest.mark.weights,
    pytest.mark.skipif(bool(os.environ.get("LINEAMENT_OFFLINE")), reason="LINEAMENT_OFFLINE is set"),
]


def lineament(cache: Path, *words: str) -> subprocess.CompletedProcess[str]:
    unset = {"LINEAMENT_WEIGHTS", "LINEAMENT_ACCEPT_NONCOMMERCIAL"}
    environment = {k: v for k, v in os.environ.items() if k not in unset} | {"LINEAMENT_CACHE": str(cache)}
    return subprocess.run(
        [sys.executable, "-c", RUN, "models", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["centerface", "mtcnn"], id="small"),
        pytest.param(["dlib-resnet", "blazeface", "mediapipe-mesh-468"], id="large", marks=pytest.mark.slow),
    ],
)
def test_fetch_verify_path(tmp_path: Path, names: list[str]) -> None:
    absent = lineament(tmp_path, "path", names[0])
    assert absent.returncode == 5
    assert "offline" in absent.stderr
    fetched = lineament(tmp_path, "fetch", *names, "--json")
    assert (fetched.returncode, fetched.stderr) == (0, "")
    assert [m["name"] for m in json.loads(fetched.stdout)] == names
    verified = lineament(tmp_path, "verify", "--json")
    assert verified.returncode == 0
    found = {m["name"]: m for m in json.loads(verified.stdout)}
    bundled = {
        n for n, m in list_models().items() for w in m.weights if any(s.kind == "bundled" for s in w.sources)
    }
    assert set(found) == {*names, *bundled}
    assert all(m["sound"] for m in found.values())
    assert all(found[name]["golden"]["compared"] > 0 for name in names)
    path = lineament(tmp_path, "path", names[0])
    assert path.returncode == 0
    assert Path(path.stdout.splitlines()[0]).is_relative_to(tmp_path)
    assert list((tmp_path / "partial").glob("*")) == []
