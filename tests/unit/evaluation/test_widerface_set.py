import sys

import numpy as np
import pytest
from scipy.io import savemat

from lineament.core.errors import ConfigError, DataError
from lineament.core.types import Detections
from lineament.evaluation import widerface as w
from lineament.evaluation.boxlists import ScoredBoxes, read_box_list, to_scored_boxes


def cells(values):
    """A column of MATLAB cells."""
    column = np.empty((len(values), 1), object)
    for i, value in enumerate(values):
        column[i, 0] = value
    return column


@pytest.fixture
def folder(tmp_path):
    boxes = [cells([np.array([[10, 10, 40, 40], [100, 10, 40, 40], [200, 10, 8, 8]]), np.zeros((0, 4))])]
    whole = {
        "event_list": cells(["0--Parade"]),
        "file_list": cells([cells(["first", "second"])]),
        "face_bbx_list": cells(boxes),
    }
    savemat(tmp_path / "wider_face_val.mat", whole)
    for subset, numbers in (("easy", [[1]]), ("medium", [[1], [2]]), ("hard", [[1], [2], [3]])):
        listed = cells([cells([np.array(numbers, np.uint8), np.zeros((0, 1), np.uint8)])])
        savemat(tmp_path / f"wider_{subset}_val.mat", {"gt_list": listed})
    return tmp_path


def perfect(labels):
    return {x.name: ScoredBoxes(x.boxes, np.ones(len(x.boxes), np.float32)) for x in labels}


def test_labels_of_all_subsets_are_read(folder):
    first, second = w.read_wider_labels(folder)
    assert first.name == "0--Parade/first"
    assert first.boxes[1].tolist() == [100, 10, 140, 50]
    assert first.easy.tolist() == [True, False, False]
    assert first.medium.tolist() == [True, True, False]
    assert first.hard.all()
    assert second.boxes.shape == (0, 4)
    result = w.wider_result((first, second), perfect((first, second)))
    assert (result.easy, result.medium, result.hard, result.n_faces) == (1, 1, 1, (1, 2, 3))


def test_handed_in_detections_are_read(folder):
    labels = w.read_wider_labels(folder)
    (folder / "0--Parade").mkdir()
    (folder / "0--Parade" / "first.txt").write_text("first.jpg\n2\n10 10 40 40 0.9\n300 300 9 9 1\n")
    (folder / "0--Parade" / "second.txt").write_text("second.jpg\n0\n")
    found = w.read_wider_detections(folder, [x.name for x in labels])
    assert found["0--Parade/first"].boxes[0].tolist() == [10, 10, 50, 50]
    result = w.wider_result(labels, found)
    # The best score is a false detection: precision 1/2 when the one easy face of one, two, three is found.
    assert (result.easy, result.medium, result.hard) == (1 / 2, 1 / 4, 1 / 6)


def test_broken_input_is_refused(folder, monkeypatch):
    labels = w.read_wider_labels(folder)
    with pytest.raises(DataError, match="1 of 2 pictures have no entry"):
        w.wider_result(labels, perfect(labels[:1]))
    with pytest.raises(DataError, match="cannot be read"):
        w.read_wider_detections(folder, ["0--Parade/first"])
    path = folder / "list.txt"
    for text in ("name\n2\n1 2 3 4 5\n", "name\n", "name\nmany\n", "name\n1\n1 2 3\n", "name\n-3\n"):
        path.write_text(text)
        with pytest.raises(DataError, match="line 1: expected a name, a count"):
            list(read_box_list(path))
    path.write_text("a\n0\nb\n0\n")
    with pytest.raises(DataError, match="boxes of one picture, got 2"):
        w.read_wider_detections(folder, ["list"])
    savemat(folder / "wider_easy_val.mat", {"other": 1})
    with pytest.raises(DataError, match="gt_list"):
        w.read_wider_labels(folder)
    (folder / "wider_face_val.mat").write_bytes(b"no MATLAB file " * 20)
    with pytest.raises(DataError, match="cannot be read"):
        w.read_wider_labels(folder)
    (folder / "wider_face_val.mat").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        w.read_wider_labels(folder)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(ConfigError, match=r"lineament\[eval\]"):
        w.read_wider_labels(folder)


def test_detections_move_to_the_frame_of_lists():
    box = np.array([[-0.5, -0.5, 9.5, 19.5]], np.float32)
    found = Detections(box, np.ones(1, np.float32), np.full((1, 5, 2), np.nan, np.float32))
    assert to_scored_boxes(found).boxes.tolist() == [[0, 0, 10, 20]]


@pytest.mark.shared
def test_published_annotations(shared):
    labels = w.read_wider_labels(shared / "data" / "eval_gt" / "widerface_val")
    assert len(labels) == 3226
    assert sum(len(x.boxes) for x in labels) == 39_708
    result = w.wider_result(labels, perfect(labels))
    assert result.n_faces == (7211, 13_319, 31_958)
    # Two faces of the hard list cannot be found: one repeats another's box, so that its detection is a second one of
    # that face and false; the box of the other has a negative width, overlaps nothing and is false in every list.
    hits, proposals, faces = 31_956, 31_958, 31_958
    expected = (7211 / 7212, 13_319 / 13_320, hits / proposals * hits / faces)
    assert (result.easy, result.medium, result.hard) == pytest.approx(expected, abs=1e-12)
