import numpy as np
import pytest

from lineament.core.errors import DataError
from lineament.evaluation.trials import Trials, all_pairs, read_pairs

VIEW_2 = """2\t2
Ann_A\t1\t3
Bob\t2\t1
Ann_A\t1\tBob\t2
Cyd\t1\tAnn_A\t3

Cyd 1 4
Ann_A 1 2
Bob  1   Cyd 4
Cyd\t4\tBob\t2
"""


def write(tmp_path, text):
    path = tmp_path / "pairs.txt"
    path.write_text(text)
    return path


def test_view_2_is_read_with_its_folds(tmp_path):
    trials = read_pairs(write(tmp_path, VIEW_2))
    assert trials.samples[0] == "Ann_A/Ann_A_0001.jpg"
    assert len(trials.samples) == 7
    named = [tuple(trials.samples[i].split("/")[1] for i in pair) for pair in trials.pairs]
    assert named[0] == ("Ann_A_0001.jpg", "Ann_A_0003.jpg")
    assert named[3] == ("Cyd_0001.jpg", "Ann_A_0003.jpg")
    assert named[7] == ("Cyd_0004.jpg", "Bob_0002.jpg")
    assert trials.mated.tolist() == [True, True, False, False] * 2
    assert trials.folds.tolist() == [0] * 4 + [1] * 4


def test_view_1_is_cut_into_ten_balanced_folds(tmp_path):
    mated = "".join(f"P{i} 1 2\n" for i in range(25))
    nonmated = "".join(f"P{i} 1 Q{i} 1\n" for i in range(25))
    trials = read_pairs(write(tmp_path, "25\n" + mated + nonmated))
    assert trials.mated.sum() == 25
    for kind in (trials.mated, ~trials.mated):
        sizes = np.bincount(trials.folds[kind])
        assert len(sizes) == 10
        assert set(sizes.tolist()) <= {2, 3}
        assert np.all(np.diff(trials.folds[kind]) >= 0)
    assert trials.protocol.endswith("ten folds in file order")


@pytest.mark.parametrize("count", [1, 5, 9])
def test_a_short_view_1_has_as_many_folds_as_pairs(tmp_path, count):
    mated = "".join(f"P{i} 1 2\n" for i in range(count))
    nonmated = "".join(f"P{i} 1 Q{i} 1\n" for i in range(count))
    trials = read_pairs(write(tmp_path, f"{count}\n" + mated + nonmated))
    assert trials.folds.tolist() == [*range(count)] * 2
    assert trials.protocol.endswith(f"{count} folds in file order")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("2\t2\n", "", r"line 1: expected the number of pairs"),
        ("2\t2\n", "2 x\n", r"line 1: expected the number of pairs"),
        ("Bob\t2\t1", "Bob\t2", r"line 3: expected 'name i j', got 'Bob 2'"),
        ("Bob\t2\t1", "Bob\t2\t0", r"line 3: expected 'name i j'"),
        ("Bob\t2\t1", "Bob\t2\t2", r"line 3: a picture paired with itself"),
        ("Ann_A\t1\tBob\t2", "Ann_A\t1\tAnn_A\t2", r"line 4: a non-mated pair of one person"),
        ("Cyd 1 4\n", "", r"expected 8 pairs after the header, got 7"),
    ],
)
def test_faults_are_named_with_their_line(tmp_path, old, new, fault):
    with pytest.raises(DataError, match=fault):
        read_pairs(write(tmp_path, VIEW_2.replace(old, new)))


def test_all_faults_are_listed(tmp_path):
    text = VIEW_2.replace("Bob\t2\t1", "Bob").replace("Ann_A 1 2", "Ann_A 1 one")
    with pytest.raises(DataError, match=r"2 faults: line 3: .*; line 8: "):
        read_pairs(write(tmp_path, text))


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", None])
def test_a_file_that_is_no_text_or_not_there(tmp_path, data):
    path = tmp_path / "pairs.txt"
    if data:
        path.write_bytes(data)
    with pytest.raises(DataError, match="cannot be read"):
        read_pairs(path)


def test_every_pair_comes_once():
    trials = all_pairs(["a", "b", "c", "d"], ["x", "y", "x", "z"])
    assert {tuple(p) for p in trials.pairs.tolist()} == {(i, j) for i in range(4) for j in range(i + 1, 4)}
    assert trials.mated.tolist() == [p == [0, 2] for p in trials.pairs.tolist()]
    assert not trials.folds.any()
    with pytest.raises(ValueError, match="once only"):
        all_pairs(["a", "a"], ["x", "y"])


@pytest.mark.parametrize(
    ("pairs", "folds", "fault"), [([[0, 2]], [0], "indices"), ([[0, 1]], [0, 1], r"pairs must be \(2, 2\)")]
)
def test_trials_are_checked(pairs, folds, fault):
    with pytest.raises(ValueError, match=fault):
        Trials("p", ("a", "b"), ("x", "y"), np.array(pairs), np.array(folds))


@pytest.mark.shared
def test_the_official_lists(shared):
    folder = shared / "data" / "lfw_protocols"
    view_2 = read_pairs(folder / "pairs.txt")
    assert (len(view_2.samples), len(view_2.pairs)) == (7701, 6000)
    assert np.bincount(view_2.folds[view_2.mated]).tolist() == [300] * 10
    for name, pairs in (("pairsDevTest.txt", 1000), ("pairsDevTrain.txt", 2200)):
        view_1 = read_pairs(folder / name)
        assert (len(view_1.pairs), int(view_1.mated.sum())) == (pairs, pairs // 2)
