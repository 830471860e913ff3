"""The check of the detection rules finds faces that no detector can find, and agrees with the published tools."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from lineament.evaluation.widerface import WiderLabels, wider_result

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def protocols(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import detection_protocols

    return detection_protocols


def labels_of(*boxes: tuple[float, float, float, float]) -> WiderLabels:
    every = np.ones(len(boxes), np.bool_)
    return WiderLabels("event/picture", np.array(boxes, np.float32).reshape(-1, 4), every, every, every)


def test_faces_that_their_own_box_does_not_find(protocols: ModuleType) -> None:
    label = labels_of((0, 0, 9, 9), (20, 0, 29, 9), (0, 0, 9, 9), (50, 50, 48, 60))
    bad = protocols.impossible_faces(label)
    assert bad == {2: "the box of face 0 once more", 3: "no pixel inside: overlaps nothing"}
    assert protocols.impossible_faces(labels_of()) == {}
    raw = wider_result([label], protocols.as_detections([label]))
    # two of four faces found, by two of four proposals
    assert raw.hard == pytest.approx(0.25)
    clean = protocols.without(label, bad)
    assert wider_result([clean], protocols.as_detections([clean])).hard == 1


@pytest.mark.slow
@pytest.mark.shared
def test_published_results_are_reproduced(protocols: ModuleType, shared: Path) -> None:
    wider = protocols.wider(shared / "data" / "eval_gt" / "widerface_val")
    assert wider["official_counts"]
    assert wider["exactly_one_without_them"]
    assert [face["face"] for face in wider["impossible"]] == [103, 7]
    fddb = protocols.fddb(shared / "data" / "eval_gt" / "fddb")
    assert (fddb["faces"], fddb["same_thresholds"], fddb["reproduced"]) == (5171, True, True)
