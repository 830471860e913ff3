"""Review: what waits, what was decided, quarantine, and corrections that searches honour."""

import numpy as np
import pytest

from lineament.core.errors import EmbeddingSpaceMismatch, GalleryError, SubjectNotFound
from lineament.core.types import Embedding
from lineament.gallery import (
    Enrolled,
    EnrollmentRefusal,
    FindingKind,
    Gallery,
    GallerySize,
    NewSample,
    PendingSample,
    ReviewRules,
    SampleState,
)

SPACE = "space-a"
RULES = ReviewRules(near_duplicate=0.98, conflict=0.6, own=0.3, min_quality=0.4)


def near(embedding, similarity, seed=0):
    """An embedding of the given cosine to ``embedding``."""
    v = embedding.vector.astype(np.float64)
    other = np.random.default_rng(seed).standard_normal(v.size)
    other -= (other @ v) * v
    other /= np.linalg.norm(other)
    mixed = similarity * v + np.sqrt(1 - similarity**2) * other
    return Embedding(mixed.astype(np.float32), embedding.space)


def found(gallery, embedding, want=5):
    return [c.subject_id for c in gallery.search(embedding.vector[None], max_candidates=want)[0]]


@pytest.fixture
def people(gallery, draw):
    """Ada, Bob and Carl with two samples each."""
    ada, bob, carl = draw(3)
    for name, one in (("ada", ada), ("bob", bob), ("carl", carl)):
        gallery.enroll_many([NewSample(name, one, f"{name}-1"), NewSample(name, near(one, 0.8), f"{name}-2")])
    return {"ada": ada, "bob": bob, "carl": carl}


def test_a_sample_that_no_rule_minds_is_enrolled(gallery, people):
    good = NewSample("ada", near(people["ada"], 0.7, seed=3), "a3", quality=0.9)
    assert gallery.review.offer(good, RULES) == Enrolled("ada", "a3")
    assert gallery.review.waiting() == []
    assert gallery.review.offer(
        NewSample("new", Embedding(-people["ada"].vector, SPACE)), ReviewRules()
    ).subject_id


@pytest.mark.parametrize(
    ("subject", "like", "similarity", "quality", "kind", "other"),
    [
        ("ada", "ada", 0.995, 0.9, FindingKind.NEAR_DUPLICATE, "ada-1"),
        ("ada", "bob", 0.9, 0.9, FindingKind.IDENTITY_CONFLICT, "bob-1"),
        ("new", "carl", 0.9, 0.9, FindingKind.IDENTITY_CONFLICT, "carl-1"),
        ("ada", "bob", 0.5, 0.9, FindingKind.UNLIKE_SUBJECT, ""),
        ("ada", "ada", 0.7, 0.3, FindingKind.LOW_QUALITY, ""),
        ("ada", "ada", 0.7, None, FindingKind.LOW_QUALITY, ""),
    ],
)
def test_what_waits(gallery, people, subject, like, similarity, quality, kind, other):
    before = gallery.search(people[like].vector[None])
    offered = NewSample(subject, near(people[like], similarity, seed=5), "x", quality=quality)
    outcome = gallery.review.offer(offered, RULES)
    assert isinstance(outcome, PendingSample)
    (finding,) = [f for f in outcome.findings if f.kind is kind]
    assert finding.sample_id == other
    if kind in (FindingKind.NEAR_DUPLICATE, FindingKind.IDENTITY_CONFLICT):
        assert finding.value == pytest.approx(similarity, abs=1e-5)
        assert finding.value >= finding.limit
    elif finding.value is not None:
        assert finding.value < finding.limit
    assert gallery.search(people[like].vector[None]) == before
    assert gallery.size == GallerySize(3, 6)
    assert gallery.info().held == 1
    assert gallery.review.waiting() == [outcome]
    assert gallery.check() == []
    refusal = gallery.review.offer(offered, RULES)
    assert isinstance(refusal, EnrollmentRefusal)
    assert refusal.kind == "duplicate_sample"


def test_approving_and_rejecting(gallery, people, path):
    one, two = near(people["bob"], 0.9, seed=5), near(people["bob"], 0.9, seed=6)
    gallery.search(one.vector[None])
    gallery.review.offer(NewSample("eve", one, "e1", source_sha256="ab" * 32), RULES)
    gallery.review.offer(NewSample("eve", two, "e2", source_sha256="cd" * 32), RULES)
    assert [s.subject_id for s in gallery.subjects()] == ["ada", "bob", "carl"]
    assert [s.state for s in gallery.subject("eve")] == [SampleState.PENDING] * 2
    gallery.enroll("dan", Embedding(-two.vector, SPACE))
    gallery.search(one.vector[None])
    gallery.review.approve("e1", by="clerk", note="twins")
    gallery.review.reject("e2", by="clerk", note="it is Bob")
    assert found(gallery, one)[0] == "eve"
    assert found(gallery, two)[0] == "bob"
    decisions = gallery.review.decisions("e1")
    assert [d.state for d in decisions] == [SampleState.PENDING, SampleState.ACTIVE]
    assert [f.kind for f in decisions[0].findings] == [FindingKind.LOW_QUALITY, FindingKind.IDENTITY_CONFLICT]
    assert (decisions[1].by, decisions[1].note) == ("clerk", "twins")
    assert two.vector.tobytes() not in path.read_bytes()
    for again in (NewSample("zoe", two), NewSample("zoe", one, source_sha256="cd" * 32)):
        refusal = gallery.enroll("zoe", again.embedding, source_sha256=again.source_sha256)
        assert refusal.subject_id == "eve"
    assert gallery.enroll("zoe", two).kind == "rejected_before"
    with pytest.raises(GalleryError, match="is rejected, expected pending"):
        gallery.review.approve("e2")
    with pytest.raises(GalleryError, match="is active, expected pending or quarantined"):
        gallery.review.reject("e1")
    with pytest.raises(SubjectNotFound):
        gallery.review.approve("nobody")
    assert gallery.check() == []
    gallery.remove_sample("e2")
    assert gallery.info().held == 0
    assert isinstance(gallery.enroll("zoe", two), Enrolled)


def test_quarantine_and_release(gallery, people, path):
    with Gallery.open(path, space=SPACE) as other:
        probe = people["ada"]
        assert other.search(probe.vector[None])[0][0].sample_id == "ada-1"
        gallery.review.quarantine("ada-1", by="clerk")
        for one in (gallery, other):
            assert one.search(probe.vector[None])[0][0].sample_id == "ada-2"
        gallery.review.quarantine("ada-2")
        assert "ada" not in found(other, probe)
        assert "ada" not in [s.subject_id for s in other.subjects()]
        assert other.size == GallerySize(2, 4)
        assert [s.sample_id for s in gallery.review.held(SampleState.QUARANTINED)] == ["ada-1", "ada-2"]
        gallery.enroll("dan", Embedding(-probe.vector, SPACE))
        other.review.release("ada-1")
        for one in (gallery, other):
            assert one.search(probe.vector[None])[0][0].sample_id == "ada-1"
        with pytest.raises(GalleryError, match="expected quarantined"):
            gallery.review.release("ada-1")
        assert gallery.check() == []
        removal = gallery.remove_subject("ada")
        assert removal.samples == 2
        assert gallery.info().held == 0


def test_a_gallery_of_held_samples_only(gallery, draw):
    (one,) = draw(1)
    assert isinstance(gallery.review.offer(NewSample("ada", one, "a"), RULES), PendingSample)
    assert gallery.size == GallerySize(0, 0)
    assert gallery.search(one.vector[None]) == [()]
    gallery.review.approve("a")
    assert found(gallery, one) == ["ada"]


def test_a_probe_that_is_not_this_person(gallery, people):
    double = near(people["ada"], 0.9, seed=9)
    assert found(gallery, double)[0] == "ada"
    correction = gallery.corrections.add("ada", double, by="clerk", note="her sister")
    assert gallery.corrections.of("ada") == [correction]
    assert "ada" not in found(gallery, double)
    assert "ada" not in found(gallery, near(double, 0.98))
    assert len(found(gallery, double, want=2)) == 2  # others take the place
    assert found(gallery, people["ada"])[0] == "ada"  # she is still found
    assert found(gallery, people["bob"])[0] == "bob"
    gallery.rename("ada", "ada l.")
    assert "ada l." not in found(gallery, double)
    gallery.merge("carl", "ada l.")
    assert "carl" not in found(gallery, double)
    gallery.corrections.withdraw(correction.number)
    assert found(gallery, double)[0] == "carl"
    with pytest.raises(SubjectNotFound, match="no correction"):
        gallery.corrections.withdraw(correction.number)
    with pytest.raises(SubjectNotFound):
        gallery.corrections.add("nobody", double)
    with pytest.raises(EmbeddingSpaceMismatch):
        gallery.corrections.add("carl", Embedding(double.vector, "space-b"))


def test_corrections_go_with_their_subject(gallery, people, path):
    double = near(people["ada"], 0.9, seed=9)
    gallery.corrections.add("ada", double)
    gallery.remove_subject("ada")
    assert double.vector.tobytes() not in path.read_bytes()
    gallery.enroll("ada", people["ada"])
    assert found(gallery, double)[0] == "ada"
    assert gallery.check() == []


def test_many_corrections_leave_the_best_of_the_rest(gallery, draw):
    embeddings = draw(40)
    gallery.enroll_many([NewSample(f"p{i}", e) for i, e in enumerate(embeddings)])
    (probe,) = draw(1)
    ranking = found(gallery, probe, want=40)
    for subject in ranking[:12]:
        gallery.corrections.add(subject, probe)
    assert found(gallery, probe, want=3) == ranking[12:15]
    assert found(gallery, probe, want=40) == ranking[12:]


def test_a_sample_unlike_the_others_is_named(gallery, people):
    centre = people["ada"]
    gallery.enroll_many(
        [NewSample("dan", near(Embedding(-centre.vector, SPACE), 0.8, seed=s)) for s in range(6)]
    )
    gallery.merge("dan", "bob")
    named = [finding.sample_id for finding in gallery.review.unlike("dan", 0.3)]
    assert named
    assert set(named) <= {"bob-1", "bob-2"}
    assert gallery.review.unlike("carl", 0.3) == []
