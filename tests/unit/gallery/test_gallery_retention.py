"""Retention: what is due, against a plain loop, and what is removed."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lineament.gallery import Gallery, NewSample, RetentionRule

SPACE = "space-a"
DAY_S = 86_400.0


def set_times(gallery, created, seen):
    """Give samples and subjects the times that a test needs."""
    connection = gallery._store.connection
    for sample_id, at in created.items():
        connection.execute("UPDATE samples SET created_s = ? WHERE name = ?", (at, sample_id))
    for subject_id, at in seen.items():
        connection.execute("UPDATE subjects SET seen_s = ? WHERE name = ?", (at, subject_id))


LIMITS = st.none() | st.floats(0.5, 40).map(lambda days: days * DAY_S)
TIMES = st.floats(0, 50).map(lambda days: days * DAY_S)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    created=st.lists(TIMES, min_size=6, max_size=6),
    seen=st.lists(st.none() | TIMES, min_size=3, max_size=3),
    limits=st.tuples(LIMITS, LIMITS).filter(any),
    now=st.floats(0, 80).map(lambda days: days * DAY_S),
)
def test_due_is_what_a_loop_finds(tmp_path_factory, draw, created, seen, limits, now):
    path = tmp_path_factory.mktemp("due") / "g"
    with Gallery.open(path, space=SPACE, create=True) as gallery:
        gallery.enroll_many([NewSample(f"p{i // 2}", e, f"s{i}") for i, e in enumerate(draw(6))])
        set_times(
            gallery, {f"s{i}": at for i, at in enumerate(created)}, {f"p{i}": at for i, at in enumerate(seen)}
        )
        rule = RetentionRule(*limits)
        expected = []
        for i, at in enumerate(created):
            last = max(*created[i // 2 * 2 : i // 2 * 2 + 2], seen[i // 2] or 0.0)
            old = rule.max_age_s is not None and at < now - rule.max_age_s
            if old or (rule.unseen_s is not None and last < now - rule.unseen_s):
                expected.append(f"s{i}")
        due = gallery.retention.due(rule, now)
        assert sorted(sample.sample_id for sample in due) == expected
        assert gallery.size.samples == 6
        done = gallery.retention.apply(rule, now)
        assert done.samples == len(expected)
        assert sorted(name for receipt in done.receipts for name in receipt.sample_ids) == expected
        assert all(gallery.copies.verify(receipt).gone for receipt in done.receipts)
        assert gallery.retention.due(rule, now) == []
        assert gallery.check() == []


def test_seeing_somebody(gallery, draw):
    gallery.enroll_many([NewSample(f"p{i}", e) for i, e in enumerate(draw(3))])
    assert gallery.retention.mark_seen(["p0", "p1", "nobody"], 1000.0) == 2
    assert gallery.retention.mark_seen(["p0"], 500.0) == 1  # a clock that went back
    assert [s.seen_s for s in gallery.subjects()] == [1000.0, 1000.0, None]
    gallery.retention.mark_seen(["p2"])
    assert gallery.subjects()[2].seen_s == pytest.approx(time.time(), abs=60)
    gallery.merge("p1", "p2")
    assert gallery.subjects()[1].seen_s == pytest.approx(time.time(), abs=60)


def test_a_clock_that_went_back_removes_nothing(gallery, draw):
    gallery.enroll_many([NewSample(f"p{i}", e) for i, e in enumerate(draw(3))])
    rule = RetentionRule(max_age_s=DAY_S, unseen_s=DAY_S)
    assert gallery.retention.due(rule, time.time() - 365 * DAY_S) == []
    assert gallery.retention.apply(rule, 0.0).samples == 0
    assert len(gallery.retention.due(rule, time.time() + 2 * DAY_S)) == 3


def test_held_samples_expire_too(gallery, draw):
    gallery.enroll_many([NewSample("ada", e, f"s{i}") for i, e in enumerate(draw(2))])
    gallery.review.quarantine("s0")
    gallery.review.reject("s0")
    assert gallery.retention.apply(RetentionRule(max_age_s=1.0), time.time() + 60).samples == 2
    assert gallery.info().held == 0


@pytest.mark.parametrize(
    "limits", [(None, None), (0.0, None), (None, -1.0), (float("nan"), None), (float("inf"), 1)]
)
def test_rules_need_a_limit(limits):
    with pytest.raises(ValueError, match="limit above 0"):
        RetentionRule(*limits)
