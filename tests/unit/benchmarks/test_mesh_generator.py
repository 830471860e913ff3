"""The speed of meshes is measured for every family and kind of work."""

import json
import sys
from pathlib import Path

import cv2
import pytest

from lineament.imaging.mesh import FAMILIES

ROOT = Path(__file__).resolve().parents[3]


def test_every_family_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import mesh_generator

    monkeypatch.setattr(cv2, "setNumThreads", lambda _threads: None)
    monkeypatch.setattr(sys, "argv", ["mesh_generator", "--json", str(tmp_path / "a.json"), "--faces", "1"])
    mesh_generator.main()
    report = json.loads((tmp_path / "a.json").read_text())
    rows = {(speed["family"], speed["ranges"], speed["work"]) for speed in report["speeds"]}
    works = ("mesh", "issue", "portrait")
    assert rows == {(f, r, w) for f in FAMILIES for r in ("default", "unseen") for w in works}
    assert all(speed["per_second"] >= speed["slowest"] > 0 for speed in report["speeds"])
    assert capsys.readouterr().out.count("\n") == 1 + len(report["speeds"])
