"""Open-set search: the split, failures inside the rates, and rates against a slow count."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineament.core.errors import DataError
from lineament.evaluation.search import (
    FPIRS,
    Templates,
    nested_galleries,
    open_set_reports,
    run_searches,
    search_report,
    split_open_set,
)
from lineament.metrics.bootstrap import Resampling

PLAN = Resampling(200, seed=3)


def people(n_people: int, per_person: int, spread: float, seed: int, refused: float = 0.0) -> Templates:
    """Noisy copies of random directions; some samples could not be made."""
    rng = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(n_people), per_person)
    vectors = rng.standard_normal((n_people, 16))[subjects] + spread * rng.standard_normal(
        (len(subjects), 16)
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    made = rng.random(len(subjects)) >= refused
    vectors[~made] = 0
    return Templates(vectors.astype(np.float32), made, subjects)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=15), st.integers(0, 1000))
def test_the_split_is_sound(counts: list[int], seed: int) -> None:
    subjects = np.repeat(np.arange(len(counts)), counts)
    split = split_open_set(subjects, seed)
    several = [n for n in counts if n > 1]
    if not several or len(counts) < 2:
        assert split is None
        return
    assert split is not None
    assert sorted([*split.enrolled, *split.probes]) == list(range(len(subjects)))
    enrolled, templates = np.unique(subjects[split.enrolled], return_counts=True)
    assert len(enrolled) == min(max(1, len(counts) // 2), len(several))
    assert templates.max() <= 3
    assert set(enrolled) <= set(subjects[split.probes])  # each has a mated search
    assert len(set(subjects[split.probes]) - set(enrolled)) == len(counts) - len(enrolled)
    again = split_open_set(subjects, seed)
    assert again is not None
    assert np.array_equal(split.enrolled, again.enrolled)


def slow_rates(gallery: Templates, probes: Templates, fpir: float) -> tuple[float, float, float]:
    """Rank-1 rate, FNIR and threshold by loops over searches; a search that fails returns nobody."""
    listed = set(gallery.subjects.tolist())
    searched = []
    for vector, made, subject in zip(probes.vectors, probes.made, probes.subjects.tolist(), strict=True):
        best: dict[int, float] = {}
        for row, kept, owner in zip(gallery.vectors, gallery.made, gallery.subjects.tolist(), strict=True):
            if made and kept:
                best[owner] = max(best.get(owner, -9.0), float(vector @ row))
        searched.append((subject, best))
    tops = [max(best.values(), default=-9.0) for subject, best in searched if subject not in listed]
    mates = [(subject, best) for subject, best in searched if subject in listed]
    observed = [*sorted(set(tops) | {best.get(subject, -9.0) for subject, best in mates}), math.inf]
    threshold = next(t for t in observed if t > -9 and sum(top >= t for top in tops) <= fpir * len(tops))
    first = [s in b and sum(v >= b[s] for v in b.values()) == 1 for s, b in mates]
    found = [f and b[s] >= threshold for f, (s, b) in zip(first, mates, strict=True)]
    return sum(first) / len(mates), 1 - sum(found) / len(mates), threshold


@pytest.mark.parametrize("refused", [0.0, 0.2])
def test_rates_equal_a_slow_count(refused: float) -> None:
    whole = people(60, 5, 0.7, seed=1, refused=refused)
    split = split_open_set(whole.subjects, 0)
    assert split is not None
    gallery, probes = whole.take(split.enrolled), whole.take(split.probes)
    report = search_report(run_searches(gallery, probes), FPIRS, PLAN)
    rank1, fnir, threshold = slow_rates(gallery, probes, 0.1)
    assert [p.asked for p in report.points] == [0.1]
    (point,) = report.points
    assert (report.ranks[0].rate, point.fnir) == pytest.approx((rank1, fnir))
    assert point.threshold == pytest.approx(threshold, abs=1e-6)
    assert report.cmc[0] == report.ranks[0].rate
    assert report.ranks[0].low <= rank1 <= report.ranks[0].high
    assert point.low <= point.fnir <= point.high
    assert (report.n_mated + report.n_nonmated) == len(split.probes)
    enrolled = set(gallery.subjects[gallery.made].tolist())
    assert report.failures.fte_rate == pytest.approx(1 - len(enrolled) / 30)
    if refused:
        assert report.failures.mated_fta_rate > 0
        assert report.failures.nonmated_fta_rate > 0
    assert any("FPIR 0.001 is not given: it needs 10,000" in line for line in report.not_supported)


def test_a_person_who_was_not_enrolled_is_missed_and_never_a_stranger() -> None:
    whole = people(40, 4, 0.1, seed=2)
    made = whole.made.copy()
    split = split_open_set(whole.subjects, 0)
    assert split is not None
    victim = whole.subjects[split.enrolled[0]]
    made[split.enrolled[whole.subjects[split.enrolled] == victim]] = False
    broken = Templates(whole.vectors, made, whole.subjects)
    searches = run_searches(broken.take(split.enrolled), broken.take(split.probes))
    report = search_report(searches, (0.1, 0.25), PLAN)
    missed = np.count_nonzero(searches.mated_subjects == victim)
    assert report.failures.fte_rate == pytest.approx(1 / 20)
    assert victim not in searches.nonmated_subjects
    assert report.ranks[0].rate == pytest.approx(1 - missed / report.n_mated)
    assert report.cmc[-1] == report.ranks[0].rate  # beyond every rank


def test_intervals_cover_and_widen_without_errors() -> None:
    easy = search_report_of(people(60, 4, 0.01, seed=4))
    assert easy.ranks[0].rate == 1
    assert easy.ranks[0].low == pytest.approx(0.025 ** (1 / 30))  # nobody of thirty people was missed
    assert easy.ranks[0].high == 1
    hard = search_report_of(people(60, 4, 1.2, seed=4))
    assert hard.ranks[0].low < hard.ranks[0].rate < hard.ranks[0].high


def search_report_of(whole: Templates):  # type: ignore[no-untyped-def]
    return open_set_reports(whole, FPIRS, PLAN)[-1]


def test_galleries_grow_and_strangers_stay_the_same() -> None:
    whole = people(250, 4, 0.9, seed=5)
    sizes = [len(np.unique(g.subjects)) for g in nested_galleries(whole)]
    assert sizes == [10, 100, 250]
    reports = open_set_reports(whole, FPIRS, PLAN)
    assert [r.failures.n_people for r in reports] == [10, 100, 125]
    assert len({r.n_nonmated for r in reports}) == 1
    assert "rank 10 is not given: the gallery holds 10 people" in reports[0].text()
    assert "1:N in a gallery of 125 people" in reports[-1].text()


def test_impossible_searches_are_refused() -> None:
    one_each = people(10, 1, 0.1, seed=6)
    assert open_set_reports(one_each, FPIRS, PLAN) == ()
    whole = people(6, 3, 0.1, seed=7, refused=1.0)
    with pytest.raises(DataError, match="needs an enrolled person"):
        open_set_reports(whole, FPIRS, PLAN)
