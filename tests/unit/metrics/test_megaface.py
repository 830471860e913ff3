import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineament.metrics import megaface as m


def grid_vectors(rng, n, d=3):
    """Small integers as float32: their products are exact, so that ties are real ties."""
    return rng.integers(-2, 3, (n, d)).astype(np.float32)


def blocks_of(values, size):
    return [values[i : i + size] for i in range(0, len(values), size)]


def slow_ranks(probes, subjects, distractors):
    """Rank of the mate in every trial, and the similarities of all same-person pairs, as the protocol words it."""
    ranks, scores = [], []
    for i in range(len(probes)):
        for j in range(len(probes)):
            if i != j and subjects[i] == subjects[j]:
                mate = float(probes[i] @ probes[j])
                ranks.append(1 + sum(float(probes[i] @ d) >= mate for d in distractors))
                scores.append(mate)
    return ranks, scores


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 7), st.integers(1, 9))
def test_streamed_run_equals_a_triple_loop(seed, n_distractors, size, max_rank):
    rng = np.random.default_rng(seed)
    probes, subjects = grid_vectors(rng, 7), np.array([3, 1, 3, 1, 3, 8, 1])
    distractors = grid_vectors(rng, n_distractors)
    run = m.megaface_run(probes, subjects, blocks_of(distractors, size), max_rank, tail=1000)
    ranks, scores = slow_ranks(probes, subjects, distractors)
    assert sorted(run.mate_scores.tolist()) == sorted(scores)
    assert sorted(run.mate_ranks.tolist()) == sorted(min(r, max_rank + 1) for r in ranks)
    for k in range(1, max_rank + 1):
        assert m.megaface_rank_rate(run, k) == sum(r <= k for r in ranks) / len(ranks)
    nonmated = (probes @ distractors.T).ravel()
    assert (run.n_nonmated, run.n_distractors) == (len(nonmated), n_distractors)
    assert run.tail.tolist() == sorted(nonmated.tolist(), reverse=True)
    for far in (1 / len(nonmated), 0.1, 0.5, 1.0):
        if far * len(nonmated) < 1:
            continue
        observed = [*scores, *nonmated, np.inf]
        threshold = min(t for t in observed if np.mean(nonmated >= t) <= far)
        assert m.megaface_tar_at_far(run, far) == np.mean(np.array(scores) >= threshold)


@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_only_the_tail_is_kept_and_it_is_exact(seed, tail):
    rng = np.random.default_rng(seed)
    probes, distractors = grid_vectors(rng, 4), grid_vectors(rng, 40)
    run = m.megaface_run(probes, np.array([0, 0, 1, 1]), blocks_of(distractors, 3), 2, tail)
    assert run.tail.tolist() == sorted((probes @ distractors.T).ravel().tolist(), reverse=True)[:tail]


def test_rates_fall_as_nested_distractor_sets_grow():
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(20, 16))
    probes = (np.repeat(centres, 4, axis=0) + rng.normal(size=(80, 16))).astype(np.float32)
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    distractors = rng.normal(size=(3000, 16)).astype(np.float32)
    distractors /= np.linalg.norm(distractors, axis=1, keepdims=True)
    subjects = np.repeat(np.arange(20), 4)
    rates = [
        m.megaface_rank_rate(m.megaface_run(probes, subjects, blocks_of(distractors[:n], 500)), 1)
        for n in (10, 100, 1000, 3000)
    ]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > rates[-1]


def test_people_with_more_photos_weigh_more():
    probes = np.eye(5, dtype=np.float32)
    run = m.megaface_run(probes, np.array([0, 0, 0, 1, 2]), [np.ones((1, 5), np.float32)])
    assert len(run.mate_scores) == 3 * 2
    assert m.megaface_rank_rate(run, 1) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"subjects": np.arange(4)}, "two photos of one person"),
        ({"subjects": np.zeros(3, np.int64)}, r"subjects must be \(4,\)"),
        ({"distractors": []}, "at least one distractor"),
        ({"distractors": [np.zeros((0, 3), np.float32)]}, "at least one distractor"),
        ({"distractors": [np.zeros((2, 4), np.float32)]}, r"distractors must be \(N, 3\)"),
        ({"max_rank": 0}, "at least 1"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    good = {"probes": np.eye(4, 3, dtype=np.float32), "subjects": np.zeros(4, np.int64)}
    with pytest.raises(ValueError, match=message):
        m.megaface_run(**({**good, "distractors": [np.eye(3, dtype=np.float32)]} | arguments))


def test_rates_that_the_run_cannot_give_are_refused():
    probes = np.eye(4, 3, dtype=np.float32)
    run = m.megaface_run(probes, np.zeros(4, np.int64), [np.eye(3, dtype=np.float32)], tail=2)
    with pytest.raises(ValueError, match="larger max_rank"):
        m.megaface_rank_rate(run, 11)
    with pytest.raises(ValueError, match="not measurable with 12"):
        m.megaface_tar_at_far(run, 0.01)
    with pytest.raises(ValueError, match="larger tail"):
        m.megaface_tar_at_far(run, 0.5)
