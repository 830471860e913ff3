"""Search and identification against brute force in double precision."""

from dataclasses import replace

import numpy as np
import pytest

from lineament.core.errors import BadArray, EmbeddingSpaceMismatch
from lineament.core.types import Decision, Embedding, OperatingPoint
from lineament.gallery import Gallery, NewSample, index

POINT = OperatingPoint(fmr=1e-6, threshold=0.5, low=0.48, high=0.52, n_nonmated=10**7, record="r")


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def brute_force(templates, owners, queries, want):
    """For each query the subjects with their best cosine, by sorting everything."""
    t, q = templates.astype(np.float64), queries.astype(np.float64)
    cosines = (q @ t.T) / np.outer(np.linalg.norm(q, axis=1), np.linalg.norm(t, axis=1))
    return [best_subjects(row, owners, want) for row in cosines]


def best_subjects(cosines, owners, want):
    best = {}
    for i in np.argsort(-cosines, kind="stable"):
        best.setdefault(owners[i], cosines[i])
        if len(best) == want:
            break
    return list(best.items())


def fill(gallery, templates, owners):
    samples = [
        NewSample(owner, Embedding(vector, "space-a"), f"s{i}")
        for i, (owner, vector) in enumerate(zip(owners, templates, strict=True))
    ]
    assert isinstance(gallery.enroll_many(samples), tuple)


def assert_same(found, expected):
    assert [c.subject_id for c in found] == [name for name, _ in expected]
    np.testing.assert_allclose([c.similarity for c in found], [s for _, s in expected], atol=1e-12)
    assert [c.rank for c in found] == list(range(1, len(found) + 1))


@pytest.mark.parametrize("dimension", [3, 128, 512])
@pytest.mark.parametrize("want", [1, 5, 100])
def test_small_galleries_are_searched_exactly(gallery, dimension, want):
    rng = np.random.default_rng(dimension)
    templates = unit(rng.standard_normal((300, dimension)))
    owners = [f"p{i}" for i in rng.integers(0, 60, 300)]
    fill(gallery, templates, owners)
    queries = rng.standard_normal((7, dimension)).astype(np.float32)  # any length
    for exact in (False, True):
        found = gallery.search(queries, max_candidates=want, exact=exact)
        for candidates, expected in zip(found, brute_force(templates, owners, queries, want), strict=True):
            assert_same(candidates, expected)


def test_a_subject_with_many_samples_does_not_hide_the_others(gallery):
    rng = np.random.default_rng(1)
    centre = unit(rng.standard_normal(64))
    crowd = unit(centre + 0.05 * rng.standard_normal((1500, 64)))
    others = unit(rng.standard_normal((40, 64)))
    templates = np.concatenate([crowd, others])
    owners = ["crowd"] * 1500 + [f"p{i}" for i in range(40)]
    fill(gallery, templates, owners)
    (found,) = gallery.search(centre[None], max_candidates=4)
    assert_same(found, brute_force(templates, owners, centre[None], 4)[0])


@pytest.mark.parametrize("dimension", [64, 128])
def test_large_galleries(path, dimension):
    # Above the limit rows are float16 and scanned by product quantisation; offsets and crowds are the hard part.
    rng = np.random.default_rng(dimension)
    count = index.EXACT_ROWS + 500
    offset = 1.5 * unit(
        rng.standard_normal(dimension)
    )  # all faces share a direction, as some networks have it
    centres = unit(rng.standard_normal((count // 5, dimension)))
    noise = unit(rng.standard_normal((count, dimension)))
    templates = unit(offset + 0.8 * np.repeat(centres, 5, axis=0) + 0.6 * noise)
    owners = np.repeat([f"p{i}" for i in range(count // 5)], 5).tolist()
    with Gallery.open(path, space="space-a", create=True) as gallery:
        fill(gallery, templates, owners)
        mates = unit(offset + 0.8 * centres[:20] + 0.6 * unit(rng.standard_normal((20, dimension))))
        strangers = unit(offset + unit(rng.standard_normal((20, dimension))))
        queries = np.concatenate([mates, strangers])
        truth = brute_force(templates, owners, queries, 3)
        for found, expected in zip(gallery.search(queries, max_candidates=3, exact=True), truth, strict=True):
            assert_same(found, expected)
        fast = gallery.search(queries, max_candidates=3)
        for found, expected in zip(fast[:20], truth[:20], strict=True):
            assert_same(found[:1], expected[:1])
        for found, ((_, nearest), *_) in zip(fast[20:], truth[20:], strict=True):
            assert nearest - 0.03 < found[0].similarity <= nearest + 1e-12

        gallery.remove_subject("p0")
        (found,) = gallery.search(mates[:1], max_candidates=3)
        left = slice(5, None)
        assert_same(found[:1], brute_force(templates[left], owners[left], mates[:1], 1)[0])
        newcomer = Embedding(unit(rng.standard_normal(dimension)), "space-a")
        gallery.enroll("newcomer", newcomer)
        (found,) = gallery.search(newcomer.vector[None], max_candidates=1)
        assert (found[0].subject_id, round(found[0].similarity, 9)) == ("newcomer", 1.0)
        crowded = gallery.search(mates[1:2], max_candidates=2000)[0]
        assert_same(crowded[:1], truth[1][:1])
        assert len({c.subject_id for c in crowded}) == 2000


@pytest.mark.parametrize("dimension", [32, 30])  # 30 values cannot be quantised by fours
def test_the_cache_follows_growth_and_wear(gallery, monkeypatch, dimension):
    # Crossing the size limit and many removals make the cache anew; no search may notice.
    monkeypatch.setattr(index, "EXACT_ROWS", 700)
    monkeypatch.setattr(index, "_MIN_WORN_ROWS", 50)
    rng = np.random.default_rng(3)
    templates = unit(rng.standard_normal((2500, dimension)))
    owners = [f"p{i // 5}" for i in range(2500)]
    alive = np.zeros(2500, bool)
    queries = unit(rng.standard_normal((5, dimension)))
    for start in range(0, 2500, 500):
        part = range(start, start + 500)
        gallery.enroll_many([NewSample(owners[i], Embedding(templates[i], "space-a")) for i in part])
        alive[start : start + 500] = True
        for subject in rng.choice(100, 25, replace=False) + start // 5:
            gallery.remove_subject(f"p{subject}")
            alive[subject * 5 : subject * 5 + 5] = False
        names = [owner for owner, here in zip(owners, alive, strict=True) if here]
        expected = brute_force(templates[alive], names, queries, 5)
        for found, best in zip(gallery.search(queries), expected, strict=True):
            assert_same(found, best)


def test_an_empty_gallery_finds_nobody(gallery, draw):
    one, two = draw(2)
    queries = np.stack([one.vector, two.vector])
    assert gallery.search(queries) == [(), ()]
    assert gallery.search(queries[:0]) == []
    gallery.enroll("ada", one)
    assert gallery.search(queries[:0]) == []
    gallery.remove_subject("ada")
    assert gallery.search(queries) == [(), ()]
    found = gallery.identify(one, point=POINT, fpir=1e-3)
    assert (found.candidates, found.nearest, found.gallery_size) == ((), None, 0)


def test_identification_keeps_what_reaches_the_threshold(gallery, draw):
    one, two, three = draw(3)
    gallery.enroll_many([NewSample("ada", one), NewSample("bob", two), NewSample("bob", three)])
    found = gallery.identify(one, point=POINT, fpir=1e-3)
    assert [c.subject_id for c in found.candidates] == ["ada"]
    assert found.best == found.nearest == found.candidates[0]
    assert (found.gallery_size, found.fpir, found.point) == (3, 1e-3, POINT)
    stranger = gallery.identify(draw(1)[0], point=POINT, fpir=1e-3, exact=True)
    assert stranger.candidates == ()
    assert stranger.nearest is not None
    assert stranger.nearest.similarity < POINT.threshold
    with pytest.raises(EmbeddingSpaceMismatch):
        gallery.identify(Embedding(one.vector, "other"), point=POINT, fpir=1e-3)
    with pytest.raises(EmbeddingSpaceMismatch, match="got elsewhere@1"):
        gallery.identify(one, point=replace(POINT, space="elsewhere@1"), fpir=1e-3)
    near = gallery.identify(one, point=replace(POINT, low=0.9, high=1.1), fpir=1e-3)
    assert (near.candidates, near.best, near.decision) == ((), None, Decision.UNDECIDED)
    assert [c.subject_id for c in near.undecided] == ["ada"]
    assert (found.decision, stranger.decision) == (Decision.MATCH, Decision.NO_MATCH)


def test_queries_are_checked(gallery, draw):
    (one,) = draw(1)
    gallery.enroll("ada", one)
    with pytest.raises(BadArray, match="float32"):
        gallery.search(one.vector)
    with pytest.raises(BadArray, match="float32"):
        gallery.search(one.vector[None].astype(np.float64))
    with pytest.raises(BadArray, match="not zero"):
        gallery.search(np.zeros((1, 64), np.float32))
    with pytest.raises(BadArray, match="finite"):
        gallery.search(np.full((1, 64), np.nan, np.float32))
    with pytest.raises(EmbeddingSpaceMismatch, match="64 values, got 65"):
        gallery.search(np.ones((1, 65), np.float32))
    with pytest.raises(ValueError, match="at least 1"):
        gallery.search(one.vector[None], max_candidates=0)
