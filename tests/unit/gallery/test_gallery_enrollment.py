"""Enrollment: receipts, refusals, ids, bulk."""

import numpy as np
import pytest

from lineament.core.errors import EmbeddingSpaceMismatch, GalleryError, InputError
from lineament.core.types import Embedding
from lineament.gallery import (
    Enrolled,
    EnrollmentRefusal,
    EnrollmentRefusalKind,
    Gallery,
    GallerySize,
    NewSample,
)


def near(embedding: Embedding, similarity: float) -> Embedding:
    """An embedding of the given cosine to ``embedding``."""
    other = np.random.default_rng(0).standard_normal(embedding.vector.size)
    v = embedding.vector.astype(np.float64)
    other -= (other @ v) * v
    other /= np.linalg.norm(other)
    mixed = similarity * v + np.sqrt(1 - similarity**2) * other
    return Embedding(mixed.astype(np.float32), embedding.space)


def test_a_receipt_names_what_was_stored(gallery, draw):
    (one,) = draw(1)
    assert gallery.enroll("ada", one, sample_id="ada-1.jpg") == Enrolled("ada", "ada-1.jpg")
    (record,) = gallery.subject("ada")
    assert (record.sample_id, record.subject_id, record.source_sha256) == ("ada-1.jpg", "ada", "")
    assert gallery.size == GallerySize(subjects=1, samples=1)


def test_the_gallery_chooses_different_sample_ids(gallery, draw):
    receipts = [gallery.enroll("ada", embedding) for embedding in draw(20)]
    assert len({receipt.sample_id for receipt in receipts}) == 20
    assert [s.samples for s in gallery.subjects()] == [20]


def test_the_same_vector_is_a_duplicate_for_any_subject(gallery, draw):
    (one,) = draw(1)
    gallery.enroll("ada", one, sample_id="a")
    for subject in ("ada", "bob"):
        refusal = gallery.enroll(subject, one, conflict_threshold=0.5)
        assert isinstance(refusal, EnrollmentRefusal)
        assert (refusal.kind, refusal.subject_id, refusal.sample_id) == (
            EnrollmentRefusalKind.DUPLICATE_SAMPLE,
            "ada",
            "a",
        )
        assert refusal.similarity == pytest.approx(1)
    assert gallery.size == GallerySize(1, 1)


def test_the_same_picture_is_a_duplicate(gallery, draw):
    one, two, three = draw(3)
    digest = "0123456789abcdef" * 4
    gallery.enroll("ada", one, sample_id="a", source_sha256=digest)
    refusal = gallery.enroll("bob", two, source_sha256=digest)
    assert isinstance(refusal, EnrollmentRefusal)
    assert refusal.kind is EnrollmentRefusalKind.DUPLICATE_SAMPLE
    assert refusal.similarity == pytest.approx(float(one.vector @ two.vector), abs=1e-6)
    assert isinstance(gallery.enroll("bob", two), Enrolled)
    assert isinstance(
        gallery.enroll("bob", three), Enrolled
    )  # two samples without a digest are no duplicates


def test_a_taken_sample_id_is_refused(gallery, draw):
    one, two = draw(2)
    gallery.enroll("ada", one, sample_id="a")
    refusal = gallery.enroll("bob", two, sample_id="a")
    assert isinstance(refusal, EnrollmentRefusal)
    assert refusal.kind is EnrollmentRefusalKind.SAMPLE_ID_TAKEN
    assert [s.subject_id for s in gallery.subjects()] == ["ada"]


@pytest.mark.parametrize(("similarity", "refused"), [(0.45, True), (0.35, False)])
def test_a_sample_that_looks_like_another_subject_is_a_conflict(gallery, draw, similarity, refused):
    one, two = draw(2)
    gallery.enroll_many([NewSample("ada", one, "a"), NewSample("carl", two, "c")])
    result = gallery.enroll("bob", near(one, similarity), sample_id="b", conflict_threshold=0.4)
    if refused:
        assert isinstance(result, EnrollmentRefusal)
        assert (result.kind, result.subject_id, result.sample_id) == ("identity_conflict", "ada", "a")
        assert result.similarity == pytest.approx(similarity, abs=1e-5)
        assert gallery.size.samples == 2
        assert isinstance(gallery.enroll("bob", near(one, similarity)), Enrolled)  # not asked to look
    else:
        assert result == Enrolled("bob", "b")


def test_the_subjects_own_samples_never_conflict(gallery, draw):
    (one,) = draw(1)
    for similarity in (0.9, 0.95, 0.99, 0.999):
        assert isinstance(gallery.enroll("ada", near(one, similarity), conflict_threshold=0.1), Enrolled)
    refusal = gallery.enroll("bob", one, conflict_threshold=0.99)
    assert isinstance(refusal, EnrollmentRefusal)
    assert refusal.similarity == pytest.approx(0.999, abs=1e-5)


def test_bulk_is_all_or_nothing(gallery, draw):
    embeddings = draw(10)
    gallery.enroll("ada", embeddings[7], sample_id="a")
    offered = [NewSample(f"p{i}", embedding, f"s{i}") for i, embedding in enumerate(embeddings)]
    refusal = gallery.enroll_many(offered)
    assert isinstance(refusal, EnrollmentRefusal)
    assert (refusal.position, refusal.sample_id) == (7, "a")
    assert gallery.size == GallerySize(1, 1)
    del offered[7]
    assert gallery.enroll_many(offered) == tuple(Enrolled(s.subject_id, s.sample_id) for s in offered)
    assert gallery.size == GallerySize(10, 10)
    assert gallery.enroll_many([]) == ()


def test_bulk_finds_conflicts_within_itself(gallery, draw):
    one, two = draw(2)
    twin = near(one, 0.8)
    offered = [NewSample("ada", one, "a"), NewSample("carl", two, "c"), NewSample("bob", twin, "b")]
    refusal = gallery.enroll_many(offered, conflict_threshold=0.7)
    assert isinstance(refusal, EnrollmentRefusal)
    assert (refusal.kind, refusal.sample_id, refusal.position) == ("identity_conflict", "a", 2)
    assert refusal.similarity == pytest.approx(0.8, abs=1e-5)
    assert gallery.size.samples == 0
    same = [NewSample("ada", one, "a"), NewSample("carl", two, "c"), NewSample("ada", twin, "b")]
    assert isinstance(gallery.enroll_many(same, conflict_threshold=0.7), tuple)


def test_refused_bulk_does_not_linger_in_searches(gallery, draw):
    one, two, three = draw(3)
    gallery.enroll("ada", one)
    gallery.search(one.vector[None])
    gallery.enroll_many(
        [NewSample("bob", two), NewSample("carl", three), NewSample("dan", one)], conflict_threshold=0.9
    )
    assert [c.subject_id for c in gallery.search(two.vector[None])[0]] == ["ada"]
    gallery.enroll("eve", two)
    assert [c.subject_id for c in gallery.search(two.vector[None])[0]] == ["eve", "ada"]


@pytest.mark.parametrize("text", ["", "  ", "a" * 201, "a\nb", "a\x00b", "\u2028", "\ud800", "\x7f"])
def test_ids_that_cannot_be_stored(gallery, draw, text):
    (one,) = draw(1)
    with pytest.raises(InputError, match="subject id must"):
        gallery.enroll(text, one)
    with pytest.raises(InputError, match="sample id must"):
        gallery.enroll("ada", one, sample_id=text)
    assert gallery.size.samples == 0


@pytest.mark.parametrize(
    "text", ["Zoë 王小明", "o'Brien; DROP TABLE samples", "a" * 200, "👩‍🔬", "../../x", "%_*"]
)
def test_free_text_ids_come_back_verbatim(gallery, draw, text):
    (one,) = draw(1)
    assert gallery.enroll(text, one, sample_id=text) == Enrolled(text, text)
    assert gallery.search(one.vector[None])[0][0].subject_id == text
    assert gallery.subject(text)[0].sample_id == text


def test_a_digest_must_be_one(gallery, draw):
    with pytest.raises(InputError, match="64 lower-case hex"):
        gallery.enroll("ada", draw(1)[0], source_sha256="ABC")


def test_other_spaces_and_lengths_are_refused(gallery, draw):
    one, two = draw(2)
    with pytest.raises(EmbeddingSpaceMismatch, match="space-a, got space-b"):
        gallery.enroll("ada", Embedding(one.vector, "space-b"))
    gallery.enroll("ada", one)
    short = Embedding(np.array([1, 0, 0], np.float32), "space-a")
    with pytest.raises(EmbeddingSpaceMismatch, match="64 values, got 3"):
        gallery.enroll("ada", short)
    with pytest.raises(EmbeddingSpaceMismatch, match="one length"):
        gallery.enroll_many([NewSample("ada", two), NewSample("ada", short)])
    assert gallery.size.samples == 1


def test_enrollment_survives_closing(path, draw):
    (one,) = draw(1)
    with Gallery.open(path, space="space-a", create=True) as first:
        first.enroll("ada", one)
    with pytest.raises(GalleryError, match="closed"):
        first.enroll("ada", one)
    first.close()
    with Gallery.open(path, space="space-a") as second:
        (found,) = second.search(one.vector[None])
    assert found[0].similarity == pytest.approx(1)
