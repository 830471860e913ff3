import numpy as np
import pytest

from lineament.core.errors import DataError
from lineament.evaluation import fddb as f
from lineament.metrics.fddb import fddb_rate_at


@pytest.fixture
def folder(tmp_path):
    for fold in range(1, 11):
        name = f"2002/big/img_{fold}"
        (tmp_path / f"FDDB-fold-{fold:02d}.txt").write_text(name + "\n")
        text = f"{name}\n1\n50.0 40.0 1.570796 {100 + fold} 90.0  1\n"
        (tmp_path / f"FDDB-fold-{fold:02d}-ellipseList.txt").write_text(text)
        (tmp_path / f"out-{fold}.txt").write_text(f"{name}\n1\n{60 + fold} 40 80 100 0.{fold % 10}\n")
    return tmp_path


def test_annotations_and_detections_meet(folder):
    labels = f.read_fddb_labels(folder)
    assert [label.fold for label in labels] == list(range(1, 11))
    assert labels[2].ellipses[0].tolist() == pytest.approx([50, 40, np.pi / 2, 103, 90], abs=1e-5)
    found = f.read_fddb_detections([folder / f"out-{fold}.txt" for fold in range(1, 11)])
    roc = f.fddb_curves(labels, found, {label.name: (300, 200) for label in labels})
    assert roc.discrete[-1] == 1
    assert roc.false_positives.tolist() == [0] * len(roc.thresholds)
    assert roc.continuous[-1] == pytest.approx(np.pi / 4, abs=0.01)
    with pytest.raises(DataError, match="1 of 10 pictures have no detections"):
        f.fddb_curves(labels, found, {label.name: (300, 200) for label in labels[1:]})


def test_broken_lists_are_refused(folder):
    with pytest.raises(DataError, match="occurs twice"):
        f.read_fddb_detections([folder / "out-1.txt", folder / "out-1.txt"])
    (folder / "FDDB-fold-04.txt").write_text("another\n")
    with pytest.raises(DataError, match="1 pictures of the fold in their order"):
        f.read_fddb_labels(folder)
    (folder / "FDDB-fold-03.txt").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        f.read_fddb_labels(folder)


@pytest.mark.shared
def test_published_example(shared):
    """The curves that the published tool made of an MTCNN's detections."""
    folder = shared / "data" / "eval_gt" / "fddb"
    labels = f.read_fddb_labels(folder)
    assert (len(labels), sum(len(label.ellipses) for label in labels)) == (2845, 5171)
    example = folder / "example_mtcnn"
    found = f.read_fddb_detections(sorted(example.glob("fold-*-out.txt")))
    # The pictures are not at hand. None is longer than 450 px, so faces cut off at a shorter right or lower edge
    # overlap a little less here than on the real picture: two faces of 5,171 at the end of the curve.
    roc = f.fddb_curves(labels, found, {label.name: (450, 450) for label in labels})
    discrete = np.loadtxt(example / "MTCNNDiscROC.txt")[-2::-1]
    continuous = np.loadtxt(example / "MTCNNContROC.txt")[-2::-1]
    assert roc.thresholds == pytest.approx(discrete[:, 2], rel=1e-5)
    assert np.abs(roc.discrete - discrete[:, 0]).max() < 4 / 5171
    assert np.abs(roc.false_positives - discrete[:, 1]).max() <= 4
    assert np.abs(roc.continuous - continuous[:, 0]).max() < 0.001
    assert roc.discrete[-1] == pytest.approx(0.896345, abs=3 / 5171)
    assert roc.false_positives[-1] == pytest.approx(249, abs=3)
    assert fddb_rate_at(roc.discrete, roc, 100) == pytest.approx(
        discrete[discrete[:, 1] <= 100, 0].max(), abs=0.001
    )
