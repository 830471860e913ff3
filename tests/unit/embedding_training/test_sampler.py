from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineament.core.errors import ConfigError
from lineament.engine.sampler import BalancedSampler, ShuffledSampler, share


@given(count=st.integers(1, 60), batch=st.integers(1, 90), seed=st.integers(0, 5))
def test_every_picture_once_an_epoch(count: int, batch: int, seed: int) -> None:
    sampler = ShuffledSampler(count, batch, seed)
    steps = -(-3 * count // batch)
    stream = np.concatenate([sampler.indices(step) for step in range(steps)])
    for epoch in range(3):
        assert sorted(stream[epoch * count : (epoch + 1) * count]) == list(range(count))


@given(st.lists(st.integers(0, 40), min_size=1, max_size=20))
def test_a_step_depends_on_nothing_but_its_number(steps: list[int]) -> None:
    sampler = ShuffledSampler(23, 7, seed=1)
    for step in steps:
        assert np.array_equal(sampler.indices(step), ShuffledSampler(23, 7, seed=1).indices(step))


def test_another_seed_is_another_order() -> None:
    assert not np.array_equal(ShuffledSampler(100, 50, 0).indices(0), ShuffledSampler(100, 50, 1).indices(0))


@given(step=st.integers(0, 50), subjects=st.integers(2, 6), pictures=st.integers(2, 5))
def test_balanced_batches_hold_the_pictures_of_their_subjects(
    step: int, subjects: int, pictures: int
) -> None:
    labels = np.repeat(np.arange(8), [1, 2, 3, 4, 5, 6, 7, 8])
    sampler = BalancedSampler(labels, subjects, pictures, seed=0)
    chosen = sampler.indices(step)
    assert len(chosen) == sampler.batch == subjects * pictures
    runs = labels[chosen].reshape(subjects, pictures)
    assert (runs == runs[:, :1]).all()
    assert 0 not in runs  # a single picture has no positive
    for run in chosen.reshape(subjects, pictures):
        if np.sum(labels == labels[run[0]]) >= pictures:
            assert len(set(run.tolist())) == pictures


def test_balanced_sampler_uses_all_subjects_equally() -> None:
    labels = np.repeat(np.arange(6), 4)
    sampler = BalancedSampler(labels, 3, 2, seed=4)
    seen = Counter(int(labels[i]) for step in range(20) for i in sampler.indices(step))
    assert set(seen.values()) == {20}


def test_too_few_subjects_is_said() -> None:
    with pytest.raises(ValueError, match="the set has 2; lower"):
        BalancedSampler(np.array([0, 0, 1, 1, 2]), 3, 2, seed=0)


def test_ranks_share_a_batch_without_gap_or_overlap() -> None:
    assert [place for rank in range(4) for place in share(12, rank, 4)] == list(range(12))
    for batch, ranks in ((8, 3), (2, 4)):
        with pytest.raises(ConfigError, match=f"multiple of the {ranks} ranks, got {batch}"):
            share(batch, 0, ranks)
