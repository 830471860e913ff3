"""Removing, merging, renaming: nothing stays that should be gone."""

import sqlite3

import numpy as np
import pytest

from lineament.core.errors import GalleryError, SubjectNotFound
from lineament.core.types import Embedding
from lineament.gallery import Gallery, GallerySize, NewSample, Removal


def on_disk(path):
    files = [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm", "-journal")]
    return b"".join(file.read_bytes() for file in files if file.exists())


def traces(vector, data):
    """True when any 32 consecutive bytes of the template are there."""
    blob = vector.tobytes()
    return any(blob[at : at + 32] in data for at in range(0, len(blob) - 32, 32))


def test_a_removed_subject_is_gone(gallery, draw):
    one, two, three = draw(3)
    gallery.enroll_many([NewSample("ada", one), NewSample("ada", two), NewSample("bob", three)])
    gallery.search(one.vector[None])
    assert gallery.remove_subject("ada") == Removal(samples=2, purged=True)
    assert gallery.size == GallerySize(1, 1)
    assert [c.subject_id for c in gallery.search(one.vector[None])[0]] == ["bob"]
    with pytest.raises(SubjectNotFound, match="'ada'"):
        gallery.subject("ada")
    with pytest.raises(SubjectNotFound, match="'ada'"):
        gallery.remove_subject("ada")
    gallery.enroll("ada", one)  # no duplicate of what is gone
    assert gallery.search(one.vector[None])[0][0].subject_id == "ada"
    assert gallery.check() == []


def test_a_removed_sample_is_gone_and_the_last_takes_its_subject(gallery, draw):
    one, two = draw(2)
    gallery.enroll_many([NewSample("ada", one, "a1"), NewSample("ada", two, "a2")])
    gallery.search(one.vector[None])
    assert gallery.remove_sample("a1") == Removal(samples=1, purged=True)
    assert [s.sample_id for s in gallery.subject("ada")] == ["a2"]
    assert gallery.search(one.vector[None])[0][0].sample_id == "a2"
    with pytest.raises(SubjectNotFound, match="'a1'"):
        gallery.remove_sample("a1")
    gallery.remove_sample("a2")
    assert gallery.subjects() == []
    assert gallery.check() == []


def test_removed_bytes_leave_the_disk(path):
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((400, 512)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    samples = [
        NewSample(f"subject-{i % 100:02d}", Embedding(v, "space-a"), f"photo-{i:03d}")
        for i, v in enumerate(vectors)
    ]
    subjects = rng.permutation(np.arange(10, 100))[:15]
    photos = [i for i in rng.permutation(400) if i % 100 >= 10 and i % 100 not in subjects][:8]
    gone = [i for i in range(400) if i % 100 in subjects] + photos
    with Gallery.open(path, space="space-a", create=True) as gallery:
        gallery.enroll_many(samples)
        gallery.rename("subject-01", "plain-01")
        gallery.merge("subject-03", "subject-05")
        for i in subjects:
            assert gallery.remove_subject(f"subject-{i:02d}") == Removal(samples=4, purged=True)
        for i in photos:
            assert gallery.remove_sample(f"photo-{i:03d}").purged
        data = on_disk(path)
        assert [i for i in gone if traces(vectors[i], data)] == []
        assert [i for i in range(400) if i not in gone and not traces(vectors[i], data)] == []
        names = [f"subject-{i:02d}" for i in [1, 5, *subjects]] + [f"photo-{i:03d}" for i in gone]
        assert [name for name in names if name.encode() in data] == []
        assert b"subject-03" in data
        assert gallery.check() == []


def test_a_removal_says_when_a_reader_keeps_the_old_bytes(path, draw):
    one, two = draw(2)
    with Gallery.open(path, space="space-a", create=True, busy_timeout_s=0.05) as gallery:
        gallery.enroll_many([NewSample("ada", one), NewSample("bob", two)])
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM samples").fetchone()
        assert gallery.remove_subject("ada") == Removal(samples=1, purged=False)
        assert [c.subject_id for c in gallery.search(one.vector[None])[0]] == ["bob"]
        reader.close()
        assert gallery.remove_subject("bob").purged
        assert not traces(one.vector, on_disk(path))


def test_merging_moves_the_samples(gallery, draw):
    one, two, three = draw(3)
    gallery.enroll_many(
        [NewSample("ada", one, "a"), NewSample("ada 2", two, "b"), NewSample("bob", three, "c")]
    )
    gallery.search(two.vector[None])
    assert gallery.merge("ada", "ada 2") == 1
    assert [s.sample_id for s in gallery.subject("ada")] == ["a", "b"]
    (best, other) = gallery.search(two.vector[None])[0]
    assert (best.subject_id, best.sample_id, other.subject_id) == ("ada", "b", "bob")
    for into, source in (("ada", "ada 2"), ("nobody", "ada")):
        with pytest.raises(SubjectNotFound):
            gallery.merge(into, source)
    with pytest.raises(GalleryError, match="into itself"):
        gallery.merge("ada", "ada")
    assert gallery.check() == []


def test_renaming(gallery, draw):
    one, two = draw(2)
    gallery.enroll_many([NewSample("ada", one), NewSample("bob", two)])
    gallery.search(one.vector[None])
    gallery.rename("ada", "Ada Lovelace")
    assert gallery.search(one.vector[None])[0][0].subject_id == "Ada Lovelace"
    with pytest.raises(GalleryError, match="merge"):
        gallery.rename("bob", "Ada Lovelace")
    with pytest.raises(SubjectNotFound):
        gallery.rename("ada", "x")
    assert [s.subject_id for s in gallery.subjects()] == ["Ada Lovelace", "bob"]
