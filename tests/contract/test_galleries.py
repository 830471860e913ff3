"""What every gallery promises: the embedded one and the one on PostgreSQL, which answer alike."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lineament.core.errors import (
    BadArray,
    EmbeddingSpaceMismatch,
    GalleryError,
    GalleryNotFound,
    InputError,
    SubjectNotFound,
)
from lineament.core.types import Candidate, Decision, Embedding, OperatingPoint
from lineament.gallery import (
    Enrolled,
    EnrollmentRefusal,
    EnrollmentRefusalKind,
    Gallery,
    GallerySize,
    GalleryStore,
    NewSample,
)
from lineament.gallery.postgres import PostgresGallery

SPACE, OTHER_SPACE = "space-a", "space-b"
DIMENSION = 64
DIGEST = "0123456789abcdef" * 4
POINT = OperatingPoint(1e-4, 0.5, 0.4, 0.6, 1000, "made up", SPACE)
Opener = Callable[..., GalleryStore]
KINDS = ("embedded", "postgres")


def opener(kind: str, path: Path, name: str, request: pytest.FixtureRequest) -> Opener:
    """Opens the same gallery each time it is called."""

    def opened(space: str = SPACE, create: bool = True) -> GalleryStore:
        if kind == "embedded":
            gallery: GalleryStore = Gallery.open(path, space=space, create=create)
        else:
            dsn = request.getfixturevalue("postgres").get_uri()
            gallery = PostgresGallery.open(dsn, space=space, name=name, create=create)
        request.addfinalizer(gallery.close)
        return gallery

    return opened


@pytest.fixture(params=KINDS)
def open_(request: pytest.FixtureRequest, tmp_path: Path, name: str) -> Opener:
    return opener(request.param, tmp_path / "staff.gallery", name, request)


@pytest.fixture
def gallery(open_: Opener) -> GalleryStore:
    return open_()


@pytest.fixture
def both(request: pytest.FixtureRequest, tmp_path: Path, name: str) -> Iterator[tuple[GalleryStore, ...]]:
    return tuple(opener(kind, tmp_path / "twin.gallery", name, request)() for kind in KINDS)


def vectors(count: int, seed: int = 7) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def embeddings(count: int, seed: int = 7) -> list[Embedding]:
    return [Embedding(vector, SPACE) for vector in vectors(count, seed)]


def near(vector: np.ndarray, cosine: float, seed: int = 0) -> np.ndarray:
    other = np.random.default_rng(1000 + seed).standard_normal(vector.size)
    other -= (other @ vector) * vector
    mixed = cosine * vector + np.sqrt(1 - cosine**2) * other / np.linalg.norm(other)
    return mixed.astype(np.float32)


def ranking(stored: np.ndarray, owners: list[str], query: np.ndarray, want: int) -> list[tuple[str, float]]:
    """The obvious search: every cosine in double precision, the best of each subject."""
    a, b = stored.astype(np.float64), query.astype(np.float64)
    cosines = a @ b / np.linalg.norm(a, axis=1) / np.linalg.norm(b)
    best: dict[str, float] = {}
    for owner, cosine in zip(owners, cosines, strict=True):
        best[owner] = max(cosine, best.get(owner, -2))
    return sorted(best.items(), key=lambda entry: -entry[1])[:want]


def test_an_empty_gallery_answers(gallery: GalleryStore) -> None:
    assert gallery.space == SPACE
    assert gallery.size == GallerySize(0, 0)
    assert gallery.search(vectors(2)) == [(), ()]
    assert gallery.subjects() == []
    assert gallery.check() == []
    found = gallery.identify(embeddings(1)[0], point=POINT, fpir=1e-3)
    assert (found.decision, found.nearest, found.gallery_size) == (Decision.NO_MATCH, None, 0)
    assert gallery.info().dimension is None


def test_what_was_enrolled_can_be_read(gallery: GalleryStore) -> None:
    one, two = embeddings(2)
    assert gallery.enroll("ada", one, sample_id="ada-1.jpg", source_sha256=DIGEST) == Enrolled(
        "ada", "ada-1.jpg"
    )
    (receipt,) = gallery.enroll_many([NewSample("ada", two, quality=0.25)])
    first, second = gallery.subject("ada")
    assert (first.sample_id, first.subject_id, first.source_sha256) == ("ada-1.jpg", "ada", DIGEST)
    assert (second.sample_id, second.quality) == (receipt.sample_id, 0.25)
    assert first.created_s <= second.created_s
    (summary,) = gallery.subjects()
    assert (summary.subject_id, summary.samples, summary.created_s) == ("ada", 2, first.created_s)
    info = gallery.info()
    assert (info.space, info.dimension, info.size) == (SPACE, DIMENSION, GallerySize(1, 2))
    assert info.bytes_on_disk > 0
    assert gallery.check() == []


def test_subjects_come_in_the_order_of_their_ids(gallery: GalleryStore) -> None:
    ids = ["王", "ada", "Zoë", "o'Brien", "%s", "ada ", "a\u0301da", "{s}", "Ada"]
    gallery.enroll_many([NewSample(i, e) for i, e in zip(ids, embeddings(len(ids)), strict=True)])
    assert [s.subject_id for s in gallery.subjects()] == sorted(ids)


@pytest.mark.parametrize(
    ("repeated", "kind"),
    [
        ({"vector": True}, EnrollmentRefusalKind.DUPLICATE_SAMPLE),
        ({"source": True}, EnrollmentRefusalKind.DUPLICATE_SAMPLE),
        ({"name": True}, EnrollmentRefusalKind.SAMPLE_ID_TAKEN),
    ],
)
@pytest.mark.parametrize("together", [False, True])
def test_what_is_there_is_refused(gallery: GalleryStore, repeated: dict, kind: str, together: bool) -> None:
    first, second, third = embeddings(3)
    old = NewSample("ada", first, "a", DIGEST)
    new = NewSample(
        "bob",
        first if "vector" in repeated else second,
        "a" if "name" in repeated else "b",
        DIGEST if "source" in repeated else "",
    )
    if together:
        refusal = gallery.enroll_many([NewSample("cy", third), old, new])
    else:
        gallery.enroll_many([old])
        refusal = gallery.enroll_many([NewSample("cy", third), NewSample("cy", embeddings(1, 8)[0]), new])
    assert isinstance(refusal, EnrollmentRefusal)
    assert (refusal.kind, refusal.subject_id, refusal.sample_id, refusal.position) == (kind, "ada", "a", 2)
    assert refusal.similarity == pytest.approx(float(new.embedding.vector @ first.vector), abs=1e-6)
    assert gallery.size == (GallerySize(0, 0) if together else GallerySize(1, 1))
    assert gallery.check() == []


@pytest.mark.parametrize(("cosine", "refused"), [(0.45, True), (0.35, False)])
def test_somebody_elses_face_is_refused(gallery: GalleryStore, cosine: float, refused: bool) -> None:
    one, two = vectors(2)
    gallery.enroll_many(
        [NewSample("ada", Embedding(one, SPACE), "a"), NewSample("bob", Embedding(two, SPACE), "b")]
    )
    probe = Embedding(near(one, cosine), SPACE)
    result = gallery.enroll("cy", probe, conflict_threshold=0.4)
    if refused:
        assert isinstance(result, EnrollmentRefusal)
        assert (result.kind, result.subject_id, result.sample_id) == ("identity_conflict", "ada", "a")
        assert result.similarity == pytest.approx(cosine, abs=1e-5)
        assert isinstance(gallery.enroll("ada", probe, conflict_threshold=0.4), Enrolled)
    else:
        assert isinstance(result, Enrolled)


def test_a_batch_is_compared_with_itself(gallery: GalleryStore) -> None:
    (one,) = vectors(1)
    batch = [
        NewSample("ada", Embedding(one, SPACE), "a"),
        NewSample("bob", Embedding(near(one, 0.8), SPACE), "b"),
    ]
    refusal = gallery.enroll_many(batch, conflict_threshold=0.5)
    assert isinstance(refusal, EnrollmentRefusal)
    assert (refusal.subject_id, refusal.position) == ("ada", 1)
    assert gallery.size == GallerySize(0, 0)
    assert isinstance(gallery.enroll_many(batch), tuple)


@pytest.mark.parametrize("bad", ["", "  ", "a\nb", "a\x00b", "\ud800", "x" * 201])
def test_ids_that_cannot_be_kept(gallery: GalleryStore, bad: str) -> None:
    (one,) = embeddings(1)
    for ids in ({"subject_id": bad}, {"subject_id": "ada", "sample_id": bad}):
        with pytest.raises(InputError):
            gallery.enroll(embedding=one, **ids)
    gallery.enroll("ada", one)
    with pytest.raises(InputError):
        gallery.rename("ada", bad)


def test_other_spaces_and_lengths_are_no_matter_of_chance(gallery: GalleryStore) -> None:
    (one,) = embeddings(1)
    other = Embedding(one.vector, OTHER_SPACE)
    short = Embedding(np.eye(1, 32, dtype=np.float32)[0], SPACE)
    gallery.enroll("ada", one)
    for call in (
        lambda: gallery.enroll("ada", other),
        lambda: gallery.enroll("ada", short),
        lambda: gallery.enroll_many([NewSample("ada", embeddings(2)[1]), NewSample("ada", short)]),
        lambda: gallery.identify(other, point=POINT, fpir=0.1),
        lambda: gallery.identify(one, point=OperatingPoint(0.1, 0, 0, 0, 1, "", OTHER_SPACE), fpir=0.1),
        lambda: gallery.search(short.vector[None]),
    ):
        with pytest.raises(EmbeddingSpaceMismatch):
            call()
    for wrong in (one.vector, one.vector[None].astype(np.float64), np.zeros((1, DIMENSION), np.float32)):
        with pytest.raises(BadArray):
            gallery.search(wrong)
    with pytest.raises(ValueError, match="max_candidates"):
        gallery.search(one.vector[None], max_candidates=0)


@pytest.mark.parametrize("exact", [False, True])
def test_search_is_the_obvious_one(gallery: GalleryStore, exact: bool) -> None:
    stored = vectors(900)
    # One subject has so many samples that the nearest few hundred are all its own.
    crowd = np.stack([near(stored[0], 0.9, seed) for seed in range(700)])
    owners = [f"p{i // 3}" for i in range(900)] + ["crowd"] * 700
    everything = np.concatenate([stored, crowd])
    gallery.enroll_many([NewSample(o, Embedding(v, SPACE)) for o, v in zip(owners, everything, strict=True)])
    queries = np.concatenate([stored[:1], vectors(5, seed=8), 3.5 * vectors(2, seed=9)])
    for want in (1, 4, 400):
        found = gallery.search(queries, max_candidates=want, exact=exact)
        for query, candidates in zip(queries, found, strict=True):
            expected = ranking(everything, owners, query, want)
            assert [c.rank for c in candidates] == list(range(1, len(expected) + 1))
            assert [c.subject_id for c in candidates] == [subject for subject, _ in expected]
            np.testing.assert_allclose(
                [c.similarity for c in candidates], [s for _, s in expected], atol=1e-12
            )


def test_similarities_that_half_precision_cannot_tell_apart(gallery: GalleryStore) -> None:
    (query,) = vectors(1)
    cosines = 0.5 + 1e-6 * np.arange(40)
    samples = [NewSample(f"p{i:02}", Embedding(near(query, c, i), SPACE)) for i, c in enumerate(cosines)]
    gallery.enroll_many(samples)
    (found,) = gallery.search(query[None], max_candidates=3)
    stored = np.stack([sample.embedding.vector for sample in samples])
    expected = ranking(stored, [sample.subject_id for sample in samples], query, 3)
    assert [c.subject_id for c in found] == [subject for subject, _ in expected]


def test_identify_says_who_matches_and_who_might(gallery: GalleryStore) -> None:
    probe, other = vectors(2)
    for who, cosine in (("ada", 0.9), ("bob", 0.55), ("cy", 0.2)):
        gallery.enroll(who, Embedding(near(probe, cosine, ord(who[0])), SPACE))
    found = gallery.identify(Embedding(probe, SPACE), point=POINT, fpir=1e-3)
    assert [c.subject_id for c in found.candidates] == ["ada"]
    assert [c.subject_id for c in found.undecided] == ["bob"]
    assert (found.fpir, found.point, found.gallery_size) == (1e-3, POINT, 3)
    assert gallery.identify(Embedding(-probe, SPACE), point=POINT, fpir=1e-3).decision is Decision.NO_MATCH
    (alone,) = gallery.search(other[None], max_candidates=1)
    assert isinstance(alone[0], Candidate)


def test_what_was_removed_is_found_no_more(gallery: GalleryStore) -> None:
    stored = vectors(6)
    samples = [
        NewSample("ada" if i < 4 else "bob", Embedding(v, SPACE), f"s{i}") for i, v in enumerate(stored)
    ]
    gallery.enroll_many(samples)
    removal = gallery.remove_sample("s0")
    assert (removal.samples, gallery.size) == (1, GallerySize(2, 5))
    assert gallery.search(stored[:1])[0][0].sample_id != "s0"
    assert gallery.remove_subject("ada").samples == 3
    assert gallery.size == GallerySize(1, 2)
    assert {c.subject_id for c in gallery.search(stored[:1])[0]} == {"bob"}
    for gone in (
        lambda: gallery.remove_subject("ada"),
        lambda: gallery.remove_sample("s0"),
        lambda: gallery.subject("ada"),
    ):
        with pytest.raises(SubjectNotFound):
            gone()
    assert gallery.remove_sample("s4").samples == 1
    assert gallery.remove_sample("s5").samples == 1
    assert gallery.subjects() == []
    assert gallery.size == GallerySize(0, 0)
    assert gallery.check() == []
    assert isinstance(gallery.enroll_many(samples), tuple)


def test_a_removal_has_a_signed_receipt(gallery: GalleryStore) -> None:
    one, two = embeddings(2)
    gallery.enroll_many([NewSample("ada", one, "a1"), NewSample("ada", two, "a2")])
    receipt = gallery.remove_subject("ada").receipt
    assert receipt is not None
    assert (receipt.subject_id, receipt.sample_ids) == ("ada", ("a1", "a2"))
    assert len(set(receipt.uids)) == 2
    assert receipt.is_signed_by(gallery.info().public_key)
    assert not receipt.is_signed_by("00" * 32)


def test_merge_and_rename(gallery: GalleryStore) -> None:
    one, two, three = embeddings(3)
    gallery.enroll_many([NewSample("ada", one), NewSample("lovelace", two), NewSample("bob", three)])
    assert gallery.merge("ada", "lovelace") == 1
    gallery.rename("ada", "Ada")
    assert [(s.subject_id, s.samples) for s in gallery.subjects()] == [("Ada", 2), ("bob", 1)]
    assert gallery.search(two.vector[None])[0][0].subject_id == "Ada"
    assert gallery.size == GallerySize(2, 3)
    for missing in (lambda: gallery.merge("Ada", "ada"), lambda: gallery.rename("ada", "x")):
        with pytest.raises(SubjectNotFound):
            missing()
    for taken in (lambda: gallery.merge("Ada", "Ada"), lambda: gallery.rename("Ada", "bob")):
        with pytest.raises(GalleryError):
            taken()
    assert gallery.check() == []


def test_everything_is_there_after_opening_again(open_: Opener) -> None:
    with pytest.raises(GalleryNotFound):
        open_(create=False)
    first = open_()
    stored = vectors(20)
    first.enroll_many([NewSample(f"p{i}", Embedding(v, SPACE)) for i, v in enumerate(stored)])
    first.set_calibration("record")
    found = first.search(stored)
    first.close()
    first.close()
    with pytest.raises(GalleryError):
        first.size  # noqa: B018  the property asks the store
    with pytest.raises(EmbeddingSpaceMismatch):
        open_(space=OTHER_SPACE)
    again = open_(create=False)
    assert again.calibration == again.info().calibration == "record"
    assert again.search(stored) == found
    again.set_calibration("")
    assert again.calibration == ""


def test_each_sees_at_once_what_the_other_did(open_: Opener) -> None:
    first, second = open_(), open_()
    one, two = vectors(2)
    first.enroll("ada", Embedding(one, SPACE), sample_id="a")
    assert second.search(one[None])[0][0].subject_id == "ada"
    second.enroll("bob", Embedding(two, SPACE))
    assert first.search(two[None])[0][0].subject_id == "bob"
    first.rename("ada", "eve")
    assert second.search(one[None])[0][0].subject_id == "eve"
    first.remove_subject("eve")
    assert [c.subject_id for c in second.search(one[None])[0]] == ["bob"]


def test_of_many_that_enroll_one_sample_one_succeeds(open_: Opener) -> None:
    galleries = [open_() for _ in range(3)]
    own, shared = embeddings(24), embeddings(4, seed=8)

    def work(i: int) -> list[object]:
        mine = galleries[i % 3].enroll(f"own {i}", own[i])
        return [
            mine,
            *(galleries[i % 3].enroll(f"p{i}", e, sample_id=f"{i} {n}") for n, e in enumerate(shared)),
        ]

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(work, range(24)))
    assert all(isinstance(result[0], Enrolled) for result in results)
    for n in range(4):
        assert sum(isinstance(result[n + 1], Enrolled) for result in results) == 1
    assert {gallery.size.samples for gallery in galleries} == {28}
    assert galleries[0].check() == []


def test_threads_may_share_a_gallery(gallery: GalleryStore) -> None:
    stored = vectors(60)
    gallery.enroll_many([NewSample(f"p{i}", Embedding(v, SPACE)) for i, v in enumerate(stored)])
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda v: gallery.search(v[None])[0][0].subject_id, stored))
    assert found == [f"p{i}" for i in range(60)]


def test_both_galleries_live_the_same_life(both: tuple[GalleryStore, GalleryStore]) -> None:
    """Random calls with collisions of every kind: the results and what is left are the same."""
    rng = np.random.default_rng(5)
    drawn, subjects = vectors(40, seed=11), ["ada", "bob", "Zoë", "王"]
    for step in range(150):
        kind, who, whom = rng.choice(10), rng.choice(subjects), rng.choice(subjects)
        threshold = rng.choice([None, 0.2, 0.3])
        sources = ["", *(f"{n:064x}" for n in range(20))]
        batch = [
            NewSample(
                str(rng.choice(subjects)),
                Embedding(drawn[rng.choice(40)], SPACE),
                f"s{rng.choice(60)}" if rng.random() < 0.3 else f"{step}-{i}",
                str(rng.choice(sources)),
            )
            for i in range(rng.integers(1, 4))
        ]
        outcomes = []
        for gallery in both:
            try:
                if kind < 6:
                    outcome: object = gallery.enroll_many(batch, conflict_threshold=threshold)
                elif kind == 6:
                    outcome = gallery.remove_subject(str(who)).samples
                elif kind == 7:
                    outcome = gallery.remove_sample(batch[0].sample_id or "").samples
                elif kind == 8:
                    outcome = gallery.merge(str(who), str(whom))
                else:
                    outcome = gallery.rename(str(who), str(whom))
            except GalleryError as error:
                outcome = type(error)
            if isinstance(outcome, EnrollmentRefusal):
                kept = (outcome.kind, outcome.subject_id, outcome.sample_id, outcome.position)
                outcome = (*kept, round(outcome.similarity, 5))
            outcomes.append(outcome)
        assert outcomes[0] == outcomes[1]
    left = [[(s.subject_id, s.samples) for s in gallery.subjects()] for gallery in both]
    assert left[0] == left[1]
    assert both[0].size == both[1].size
    found = [gallery.search(drawn, max_candidates=4, exact=True) for gallery in both]
    assert [[(c.subject_id, c.sample_id) for c in f] for f in found[0]] == [
        [(c.subject_id, c.sample_id) for c in f] for f in found[1]
    ]
    assert [gallery.check() for gallery in both] == [[], []]
