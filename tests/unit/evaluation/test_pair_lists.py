"""Lists that users bring: columns found strictly, faults named by line, people told or inferred."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineament.core.errors import DataError
from lineament.evaluation.pairlists import PairColumns, linked_people, read_pair_list
from lineament.evaluation.samples import SampleEmbeddings
from lineament.evaluation.scorelists import read_scores
from lineament.evaluation.tables import read_table

AUTO = PairColumns()


def write(folder: Path, text: str, name: str = "list.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_columns_are_found_by_what_they_hold(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "n;first;second;Decision\n7;a.jpg;b.JPG;Yes\n\n8;a.jpg;c.png;No\n9;c.png;a.jpg;no\n10;d.jpg;a.jpg;0\n",
    )
    found = read_pair_list(path, AUTO)
    assert found.samples == ("a.jpg", "b.JPG", "c.png", "d.jpg")
    assert found.pairs.tolist() == [[0, 1], [0, 2], [3, 0]]
    assert found.mated.tolist() == [True, False, False]
    assert found.notes[0] == "1 duplicate pairs were counted once"
    assert found.subjects is not None
    assert [found.subjects[0] == s for s in found.subjects] == [True, True, False, False]
    assert "inferred" in found.notes[1]


def test_people_make_labels_needless(tmp_path: Path) -> None:
    path = write(tmp_path, "x,y,subject_a,subject_b\na.jpg,b.jpg,Ada,Ada\nc.jpg,a.jpg,Bob,Ada\n")
    found = read_pair_list(path, AUTO)
    assert found.mated.tolist() == [True, False]
    assert found.subjects == ("Ada", "Ada", "Bob")
    named = write(tmp_path, "x,y,p,q,same\na.x,b.x,Ada,Ada,1\n", "named.csv")
    found = read_pair_list(named, PairColumns("x", "y", "same", "p", "q"))
    assert found.subjects == ("Ada", "Ada")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "x,y,z\na.jpg,b.jpg,maybe\n",
            r"says same or different .* found 0 \(none\) among .*z \(like 'maybe'\)",
        ),
        ("x,y,z,w\na.jpg,b.jpg,1,0\n", r"found 2 \(z, w\)"),
        ("x,y,z,w\na.jpg,b.jpg,c.jpg,1\n", r"exactly two columns of picture files, found 3 \(x, y, z\)"),
        ("x,y,z\na,b,1\n", r"found 0 \(none\) among x \(like 'a'\)"),
        ("x,y,z\na.jpg,a.jpg,1\nb.jpg,c.jpg,0\n", r"paired with itself \(1 of 2 rows: line 2\)"),
        ("x,y,z\na.jpg,b.jpg,1\nb.jpg,a.jpg,0\n", r"same and as different \(1 of 2 rows: line 3\)"),
        ("x,y,z,subject_a,subject_b\na.jpg,b.jpg,1,A,B\n", r"contradicts the people .*line 2"),
        (
            "x,y,subject_a,subject_b\na.jpg,b.jpg,A,B\nc.jpg,a.jpg,A,B\n",
            r"two people \(1 of 2 rows: line 3\)",
        ),
        ("x,y,z\na.jpg,b.jpg\n", r"expected 3 fields as in the header"),
        ("x,x,z\na.jpg,b.jpg,1\n", r"names each column once"),
        ("x,y,z\n", r"at least one row"),
        ("x,y,z\na.jpg,b.jpg,1\na.jpg,c.jpg,0\nb.jpg,c.jpg,so so\n", r"'z' must say .* got 'so so' .*line 4"),
        ("x,y,z\na.jpg,b.jpg,1\na.jpg,c.jpg,so so\n", r"one column that says same or different"),
    ],
)
def test_faulty_lists_are_explained(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_pair_list(write(tmp_path, text), AUTO)


def test_named_columns_must_be_there_and_hold_answers(tmp_path: Path) -> None:
    path = write(tmp_path, "x,y,z\na.jpg,b.jpg,maybe\n")
    with pytest.raises(DataError, match=r"expected a column 'w', found x, y, z"):
        read_pair_list(path, PairColumns("x", "w", label="z"))
    with pytest.raises(DataError, match=r"'z' must say .* got 'maybe' \(1 of 1 rows: line 2\)"):
        read_pair_list(path, PairColumns(label="z"))
    with pytest.raises(ValueError, match="both columns"):
        PairColumns(file_a="x")
    with pytest.raises(DataError, match="expected a CSV file"):
        read_table(tmp_path / "nothing.csv")


def test_one_kind_of_pairs_is_refused_before_the_work(tmp_path: Path) -> None:
    for text, counts in (("a.jpg,b.jpg,1\nb.jpg,c.jpg,1", "got 2 and 0"), ("a.jpg,b.jpg,0", "got 0 and 1")):
        found = read_pair_list(write(tmp_path, f"x,y,z\n{text}\n"), AUTO)
        with pytest.raises(DataError, match=counts):
            found.check_kinds()
    read_pair_list(write(tmp_path, "x,y,z\na.jpg,b.jpg,1\nb.jpg,c.jpg,0\n"), AUTO).check_kinds()


def test_contradicting_answers_leave_people_unknown(tmp_path: Path) -> None:
    path = write(tmp_path, "x,y,z\na.jpg,b.jpg,1\nb.jpg,c.jpg,1\na.jpg,c.jpg,0\n")
    found = read_pair_list(path, AUTO)
    assert found.subjects is None
    assert "1 non-mated pairs join pictures" in found.notes[0]
    vectors = np.eye(3, dtype=np.float32)
    labelled = found.score(SampleEmbeddings(vectors, np.array([True, True, False]), {}, "a", 0.0))
    assert labelled.subject_a is None
    assert labelled.scores.tolist() == [0, -np.inf, -np.inf]


@given(st.integers(1, 12), st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=20))
def test_linked_people_are_connected_components(n: int, edges: list[tuple[int, int]]) -> None:
    links = [(a % n, b % n) for a, b in edges]
    groups = [{i} for i in range(n)]
    for a, b in links:
        first = next(g for g in groups if a in g)
        second = next(g for g in groups if b in g)
        if first is not second:
            groups.remove(second)
            first |= second
    pairs = np.array(links, np.int32).reshape(-1, 2)
    people, _ = linked_people(n, pairs, np.ones(len(pairs), bool))
    assert people is not None
    found = {frozenset(i for i in range(n) if people[i] == name) for name in people}
    assert found == {frozenset(g) for g in groups}


def test_the_official_list_keeps_its_people_and_folds(tmp_path: Path) -> None:
    lines = ["2 1", "Ada 1 2", "Ada 1 Bob 1", "Bob 1 2", "Bob 2 Cy 1"]
    found = read_pair_list(write(tmp_path, "\n".join(lines), "pairs.txt"), AUTO)
    assert found.folds is not None
    assert found.folds.tolist() == [0, 0, 1, 1]
    assert set(found.subjects or ()) == {"Ada", "Bob", "Cy"}


def test_scores_with_and_without_people(tmp_path: Path) -> None:
    plain = read_scores(write(tmp_path, "score,label\n0.5,same\n-1e-3,different\n"))
    assert (plain.scores.tolist(), plain.mated.tolist(), plain.subject_a) == (
        [0.5, -0.001],
        [True, False],
        None,
    )
    people = read_scores(
        write(tmp_path, "s,l,subject_a,subject_b\n1,yes,A,A\n2,no,A,B\n", "p.csv"), score="s", label="l"
    )
    assert people.subject_b is not None
    assert people.subject_b.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("score,label\n0.5,same\nnan,same\n,different\n1,no\n", r"got 'nan'; .* \(2 of 4 rows: line 3, 4\)"),
        ("score,label\ninf,same\n", r"finite numbers, got 'inf'"),
        ("score,label\n1,perhaps\n", r"must say"),
        ("score,label,subject_a\n1,same,A\n", r"or neither, found subject_a"),
        ("score,label,subject_a,subject_b\n1,same,A,B\n", r"contradicts the people"),
        ("value,label\n1,same\n", r"expected a column 'score', found value, label"),
    ],
)
def test_faulty_scores_are_named_by_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_scores(write(tmp_path, text))
