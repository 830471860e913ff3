import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineament.curation.hard_subjects import hard_subjects


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_the_nearest_of_every_seed_comes_first() -> None:
    rng = np.random.default_rng(1)
    groups = unit(rng.normal(size=(10, 32)))
    centres = unit(np.repeat(groups, 4, axis=0) + 0.05 * rng.normal(size=(40, 32)))
    seeds = np.random.default_rng(4).choice(40, 2, replace=False)
    assert seeds[0] // 4 != seeds[1] // 4
    found = hard_subjects(centres, wanted=8, seeds=2, same_above=0.999, rng=np.random.default_rng(4))
    assert sorted(set((found.chosen // 4).tolist())) == sorted((seeds // 4).tolist())
    assert len(found.chosen) == 8


def test_one_person_under_two_names_is_not_hard() -> None:
    rng = np.random.default_rng(2)
    centres = unit(rng.normal(size=(12, 16)))
    centres[7] = centres[3]
    found = hard_subjects(centres, wanted=12, seeds=12, same_above=0.9, rng=np.random.default_rng(0))
    assert found.same_person.tolist() == [[3, 7]]
    assert 7 not in found.chosen
    assert len(found.chosen) == 11


@given(count=st.integers(1, 30), data=st.data())
def test_as_many_as_wanted_and_none_twice(count: int, data: st.DataObject) -> None:
    wanted = data.draw(st.integers(1, count))
    seeds = data.draw(st.integers(1, wanted))
    centres = unit(np.random.default_rng(count).normal(size=(count, 8)))
    found = hard_subjects(centres, wanted, seeds, 1.1, np.random.default_rng(0))
    assert len(found.chosen) == len(set(found.chosen.tolist())) == wanted


def test_counts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="<= 3 subjects, got seeds 2, wanted 4"):
        hard_subjects(np.eye(3, dtype=np.float32), 4, 2, 0.9, np.random.default_rng(0))
