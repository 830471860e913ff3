"""Blockwise products against loops over all pairs."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineament.core.errors import ConfigError
from lineament.curation import similar
from lineament.curation.similar import (
    nearest_other,
    pairs_between,
    pairs_within,
    similarity_to_own,
    subject_centres,
)


def unit_vectors(count: int, seed: int, dimension: int = 8) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(params=[3, 4096], ids=["small blocks", "one block"])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(similar, "BLOCK", request.param)
    return int(request.param)


def test_pairs_are_those_of_a_loop(block: int) -> None:
    a, b = unit_vectors(20, block), unit_vectors(13, 1)
    a[4] = 0
    within = {(i, j) for i, j in combinations(range(20), 2) if a[i] @ a[j] >= 0.4}
    between = {(i, j) for i, j in product(range(20), range(13)) if a[i] @ b[j] >= 0.4}
    for found, expected, other in ((pairs_within(a, 0.4), within, a), (pairs_between(a, b, 0.4), between, b)):
        pairs = list(zip(found.first.tolist(), found.second.tolist(), strict=True))
        assert len(pairs) == len(set(pairs)) > 3
        assert set(pairs) == expected
        assert np.all(np.diff(found.similarity) <= 0)
        for (i, j), value in zip(pairs, found.similarity, strict=True):
            assert value == pytest.approx(float(a[i] @ other[j]), abs=1e-6)


def test_no_pair_is_no_error() -> None:
    assert len(pairs_within(np.eye(3, dtype=np.float32), 0.5)) == 0
    assert len(pairs_within(np.zeros((0, 3), np.float32), 0.5)) == 0


def test_too_many_pairs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similar, "MAX_PAIRS", 10)
    same = np.repeat(unit_vectors(1, 0), 6, axis=0)
    with pytest.raises(ConfigError, match=r"more than 10 pairs .* raise the threshold"):
        pairs_within(same, 0.9)


@pytest.mark.parametrize("above", [0.0, -0.5, 1.5])
def test_a_threshold_that_is_none_is_refused(above: float) -> None:
    with pytest.raises(ValueError, match=r"cosine in \(0, 1\]"):
        pairs_within(unit_vectors(3, 0), above)


@given(st.lists(st.integers(-1, 4), min_size=1, max_size=25), st.integers(0, 99))
def test_leave_one_out_is_the_mean_of_the_others(labels: list[int], seed: int) -> None:
    vectors, found = unit_vectors(len(labels), seed), np.array(labels, np.int64)
    got = similarity_to_own(vectors, found, 5)
    for i, label in enumerate(labels):
        others = [vectors[j] for j, other in enumerate(labels) if other == label and j != i]
        if label < 0 or not others:
            assert np.isnan(got[i])
            continue
        centre = np.mean(others, axis=0)
        assert got[i] == pytest.approx(float(vectors[i] @ centre / np.linalg.norm(centre)), abs=1e-4)


@pytest.mark.usefixtures("block")
def test_centres_are_unit_means_and_nobody_has_none() -> None:
    vectors, labels = unit_vectors(10, 3), np.array([0, 0, 2, 2, 2, -1, 0, 2, -1, 0])
    centres = subject_centres(vectors, labels, 3)
    for label in (0, 2):
        mean = vectors[labels == label].mean(axis=0)
        assert centres[label] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
    assert not centres[1].any()


@pytest.mark.usefixtures("block")
def test_the_nearest_other_subject_is_that_of_a_loop() -> None:
    vectors, centres = unit_vectors(11, 5), unit_vectors(7, 6)
    centres[3] = 0
    labels = np.array([0, 1, 2, 3, 4, 5, 6, -1, 0, 1, 2])
    subject, similarity = nearest_other(vectors, labels, centres)
    for i, own in enumerate(labels):
        values = {c: float(vectors[i] @ centres[c]) for c in range(7) if c not in {own, 3}}
        assert subject[i] == max(values, key=values.__getitem__)
        assert similarity[i] == pytest.approx(max(values.values()), abs=1e-6)


def test_an_only_subject_has_no_other() -> None:
    subject, similarity = nearest_other(unit_vectors(2, 0), np.array([0, 0]), unit_vectors(1, 1))
    assert subject.tolist() == [-1, -1]
    assert similarity.tolist() == [-1, -1]
