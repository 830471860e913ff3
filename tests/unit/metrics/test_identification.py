import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineament.metrics import identification as m

MATED = np.array([0.9, 0.7, 0.6, 0.4])
RANKS = np.array([1, 1, 2, 1])
TOPS = np.array([0.65, 0.5, 0.3, 0.2, 0.1])
OUTCOMES = m.SearchOutcomes(MATED, RANKS, TOPS, 10)

few_scores = st.lists(st.integers(0, 6), min_size=1, max_size=12).map(lambda v: np.array(v) / 4)


def test_open_set_rates_of_a_toy():
    low, high = m.fnir_at_fpir(OUTCOMES, 0.2, 1), m.fnir_at_fpir(OUTCOMES, 0.4, 1)
    assert (low.threshold, low.tpir, low.fpir) == (0.6, 0.5, 0.2)
    assert (high.threshold, high.tpir, high.fpir) == (0.4, 0.75, 0.4)
    assert (low.n_mated, low.n_nonmated, low.n_subjects) == (4, 5, 10)
    assert m.dir_at_far(OUTCOMES, 0.2) == 0.5
    assert m.dir_at_far(OUTCOMES, 0.4) == 0.75
    assert m.fnir_at_fpir(OUTCOMES, 0.2, 2).tpir == 0.75
    assert m.fnir_at_fpir(OUTCOMES, 1.0, 20).fnir == 0


def test_closed_set_rates_of_a_toy():
    assert m.rank_rate(RANKS, 1) == 0.75
    assert m.cmc(RANKS, 3).tolist() == [0.75, 1.0, 1.0]


def slow_searches(similarities, probe_subjects, gallery_subjects):
    """Mated (score, rank) and non-mated tops, subject by subject."""
    mated, tops = [], []
    for row, subject in zip(similarities, probe_subjects, strict=True):
        best = {}
        for value, owner in zip(row, gallery_subjects, strict=True):
            best[owner] = max(best.get(owner, -9.0), value)
        if subject in best:
            own = best[subject]
            mated.append((own, 1 + sum(v >= own for o, v in best.items() if o != subject)))
        else:
            tops.append(max(best.values()))
    return mated, tops


@given(st.integers(1, 8), st.integers(1, 10), st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_streamed_searches_equal_a_triple_loop(n_probes, n_gallery, n_subjects, rows, seed):
    rng = np.random.default_rng(seed)
    similarities = rng.integers(-3, 4, (n_probes, n_gallery)) / np.float32(4)  # many ties
    probe_subjects = rng.integers(-1, n_subjects + 2, n_probes)
    gallery_subjects = rng.integers(0, n_subjects, n_gallery)
    blocks = (similarities[i : i + rows] for i in range(0, n_probes, rows))
    outcomes = m.search_outcomes(blocks, probe_subjects, gallery_subjects)
    mated, tops = slow_searches(similarities, probe_subjects, gallery_subjects)
    got = list(zip(outcomes.mated_scores, outcomes.mated_ranks, strict=True))
    assert got == mated
    assert outcomes.nonmated_tops.tolist() == tops
    assert outcomes.n_subjects == len(set(gallery_subjects.tolist()))


@given(few_scores, few_scores, st.integers(0, 99), st.sampled_from([0.1, 0.25, 1 / 3, 0.5, 1.0]))
def test_operating_point_is_the_best_of_all_observed_thresholds(mated, tops, seed, rate):
    ranks = np.random.default_rng(seed).integers(1, 4, len(mated))
    outcomes = m.SearchOutcomes(mated, ranks, tops, 3)
    if 1 / len(tops) > rate:
        with pytest.raises(ValueError, match="not measurable"):
            m.fnir_at_fpir(outcomes, rate, 1)
        return
    admitted = [t for t in [*mated, *tops, np.inf] if sum(s >= t for s in tops) / len(tops) <= rate + 1e-12]
    point = m.fnir_at_fpir(outcomes, rate, 2)
    t = min(admitted)
    assert point.threshold == t
    assert point.fpir == sum(s >= t for s in tops) / len(tops) == m.fpir(tops, t)
    found = sum(s >= t and r <= 2 for s, r in zip(mated, ranks, strict=True))
    assert point.fnir == pytest.approx(1 - found / len(mated))
    assert m.tpir(mated, ranks, t, 2) == pytest.approx(found / len(mated))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20).map(np.array), st.integers(1, 12))
def test_cmc_is_the_rate_at_each_rank(ranks, max_rank):
    curve = m.cmc(ranks, max_rank)
    assert curve.tolist() == [m.rank_rate(ranks, k + 1) for k in range(max_rank)]
    assert curve.tolist() == [sum(r <= k + 1 for r in ranks) / len(ranks) for k in range(max_rank)]


def test_a_tie_with_another_subject_counts_against_the_mate():
    outcomes = m.search_outcomes([np.array([[0.5, 0.5, 0.1]])], np.array([7]), np.array([7, 8, 9]))
    assert outcomes.mated_ranks.tolist() == [2]


def test_the_fpir_of_one_gallery_grows_with_its_size():
    rng = np.random.default_rng(5)
    similarities = rng.normal(size=(4000, 64))
    probes = np.full(4000, -1)
    for size in (1, 4, 16, 64):
        tops = m.search_outcomes([similarities[:, :size]], probes, np.arange(size)).nonmated_tops
        expected = 1 - (1 - 0.00621) ** size  # 1 - Phi(2.5) for each comparison
        assert m.fpir(tops, 2.5) == pytest.approx(expected, abs=4 * np.sqrt(expected / 4000))


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([np.zeros((1, 2))], "blocks hold 1 rows"),
        ([np.zeros((3, 2))], "at most 2 rows left"),
        ([np.zeros((2, 3))], r"must be \(B, 2\)"),
        ([np.full((2, 2), np.nan)], "must be finite"),
    ],
)
def test_blocks_must_fit_the_probes(blocks, message):
    with pytest.raises(ValueError, match=message):
        m.search_outcomes(blocks, np.array([1, 2]), np.array([1, 2]))


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="at least one gallery template"):
        m.search_outcomes([], np.array([1]), np.zeros(0, np.int64))
    with pytest.raises(ValueError, match="rank is 1 or more"):
        m.rank_rate(RANKS, 0)
    with pytest.raises(ValueError, match="got a rank of 0"):
        m.rank_rate(np.array([0, 1]), 1)
    with pytest.raises(ValueError, match="integers"):
        m.cmc(np.array([1.0]), 1)
    with pytest.raises(ValueError, match="a score and a rank"):
        m.fnir(MATED, RANKS[:2], 0.5, 1)
    with pytest.raises(ValueError, match="a score and a rank"):
        m.SearchOutcomes(MATED, RANKS[:2], TOPS, 1)
