"""Another model for a gallery: embed the crops anew, compare, switch, go back, drop."""

import math
import sqlite3

import numpy as np
import pytest

from lineament.core.errors import EmbeddingSpaceMismatch, GalleryError
from lineament.core.types import Embedding
from lineament.gallery import Gallery, GalleryKey, NewSample, drift
from lineament.gallery.drift import SpaceTemplates

OLD, NEW = "space-a", "space-n"


def crop(number):
    return f"crop {number}".encode()


def vector_of(picture, dimension=32):
    """The new model: a fixed vector for each crop, near for crops of one person (number modulo four)."""
    number = int(picture.split()[1])
    centre = np.random.default_rng(number % 4).standard_normal(dimension)
    noise = np.random.default_rng(1000 + number).standard_normal(dimension)
    mixed = centre + 0.3 * noise
    return (mixed / np.linalg.norm(mixed)).astype(np.float32)


def embed(pictures):
    return np.stack([vector_of(picture) for picture in pictures])


@pytest.fixture(params=[None, GalleryKey(b"k" * 32)], ids=["plain", "sealed"])
def key(request):
    return request.param


@pytest.fixture
def filled(path, draw, key):
    with Gallery.open(path, space=OLD, create=True, key=key) as gallery:
        gallery.enroll_many(
            [NewSample(f"p{i % 4}", e, f"s{i}", crop=crop(i)) for i, e in enumerate(draw(20))]
        )
        gallery.set_calibration("old record")
        gallery.review.quarantine("s19")
        yield gallery


def test_vectors_of_a_dropped_space_are_not_kept(filled):
    upgrade = filled.upgrade

    def dropped(pictures):
        upgrade.drop()
        upgrade.begin("space-third")
        return embed(pictures)

    upgrade.begin(NEW)
    with pytest.raises(GalleryError, match=f"the upgrade to {NEW} was dropped .* space-third now"):
        upgrade.step(dropped)
    assert upgrade.progress().done == 0


def test_the_check_reads_the_templates_beside_the_present_ones(filled, path, key):
    filled.upgrade.begin(NEW)
    filled.upgrade.step(embed)
    assert filled.check() == []
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE other_templates SET vector = zeroblob(128) WHERE sample = 3")
    connection.close()
    fault = "does not open with the gallery's key" if key else "has norm 0.0000, expected 1"
    assert filled.check() == [f"template in {NEW} of 's2' {fault}"]


def test_from_one_space_to_the_other(filled, path, key, draw):
    upgrade = filled.upgrade
    upgrade.begin(NEW)
    upgrade.begin(NEW)  # again after an interruption
    assert upgrade.progress().left == 20
    assert upgrade.step(embed, 7) == 7
    (late,) = draw(1)
    filled.enroll("p0", late, sample_id="s20", crop=crop(20))
    assert filled.search(late.vector[None])[0][0].sample_id == "s20"  # the old space serves meanwhile
    while upgrade.step(embed, 7):
        pass
    progress = upgrade.progress()
    assert (progress.space, progress.done, progress.left, progress.without_crop) == (NEW, 21, 0, ())
    report = upgrade.report()
    assert (report.samples, report.subjects) == (20, 4)  # without the quarantined one
    assert report.new.first == 1.0
    assert report.new.mated_mean > report.old.mated_mean + 0.5
    filled.upgrade.switch()
    with pytest.raises(GalleryError, match="open it again"):
        filled.search(late.vector[None])
    with pytest.raises(EmbeddingSpaceMismatch):
        Gallery.open(path, space=OLD, key=key)
    with Gallery.open(path, space=NEW, key=key) as gallery:
        assert gallery.info().dimension == 32
        assert gallery.info().other_space == OLD
        assert gallery.calibration == ""
        for number in range(19):
            (best, *_) = gallery.search(vector_of(crop(number))[None])[0]
            assert (best.sample_id, best.similarity) == (f"s{number}", pytest.approx(1, abs=1e-6))
        assert gallery.enroll("x", Embedding(vector_of(crop(3)), NEW)).kind == "duplicate_sample"
        assert gallery.check() == []
        gallery.review.release("s19")
        assert gallery.search(vector_of(crop(19))[None])[0][0].sample_id == "s19"
        gallery.upgrade.switch()
    with Gallery.open(path, space=OLD, key=key) as gallery:
        assert gallery.search(late.vector[None])[0][0].sample_id == "s20"
        assert gallery.check() == []
        gallery.upgrade.switch()
    with Gallery.open(path, space=NEW, key=key) as gallery:
        assert gallery.upgrade.drop() == 21
        assert gallery.upgrade.progress().space == ""
        assert late.vector.tobytes() not in path.read_bytes()
        gallery.remove_subject("p1")
        assert gallery.check() == []


def test_samples_without_a_crop_hold_it_up(filled, draw):
    filled.enroll("p0", draw(1)[0], sample_id="bare")
    filled.upgrade.begin(NEW)
    while filled.upgrade.step(embed):
        pass
    assert filled.upgrade.progress().without_crop == ("bare",)
    with pytest.raises(GalleryError, match="samples without a template"):
        filled.upgrade.switch()
    assert filled.calibration == "old record"
    filled.remove_sample("bare")
    filled.upgrade.switch()


def test_what_cannot_be_begun(filled):
    with pytest.raises(GalleryError, match="begin the upgrade"):
        filled.upgrade.step(embed)
    with pytest.raises(GalleryError, match="no other space"):
        filled.upgrade.switch()
    with pytest.raises(GalleryError, match="already"):
        filled.upgrade.begin(OLD)
    filled.upgrade.begin(NEW)
    with pytest.raises(GalleryError, match="drop them first"):
        filled.upgrade.begin("third")
    with pytest.raises(GalleryError, match="embed the crops"):
        filled.upgrade.report()
    filled.upgrade.step(embed, 3)
    with pytest.raises(EmbeddingSpaceMismatch, match="32 values, got 16"):
        filled.upgrade.step(lambda pictures: np.stack([vector_of(p, 16) for p in pictures]))
    with pytest.raises(ValueError, match="unit length"):
        filled.upgrade.step(lambda pictures: 2 * embed(pictures))


def test_removed_while_they_are_embedded(filled):
    filled.upgrade.begin(NEW)

    def slow(pictures):
        filled.remove_subject("p2")
        filled.review.release("s19")
        return embed(pictures)

    assert filled.upgrade.step(slow) == 14
    assert filled.upgrade.step(embed) == 1
    assert filled.upgrade.progress().left == 0
    filled.upgrade.switch()


def test_corrections_wait_in_their_space(filled, path, key, draw):
    (probe,) = draw(1)
    filled.corrections.add("p0", probe)
    filled.upgrade.begin(NEW)
    filled.upgrade.step(embed)
    filled.upgrade.switch()
    with Gallery.open(path, space=NEW, key=key) as gallery:
        assert len(gallery.corrections.of("p0")) == 1
        assert gallery.search(vector_of(crop(0))[None])[0][0].subject_id == "p0"


def test_the_drift_report_against_plain_loops():
    rng = np.random.default_rng(0)
    old, new = (rng.standard_normal((30, d)).astype(np.float32) for d in (8, 16))
    subjects = [f"p{i}" for i in rng.integers(0, 9, 30)]
    samples = [f"s{i}" for i in range(30)]
    report = drift.drift(samples, subjects, SpaceTemplates("a", old), SpaceTemplates("b", new))
    nearest = {}
    for figures, vectors in ((report.old, old), (report.new, new)):
        mated, others, right, mates = [], [], 0, 0
        for i in range(30):
            cosines = []
            for j in range(30):
                cosine = float(
                    vectors[i] @ vectors[j] / np.linalg.norm(vectors[i]) / np.linalg.norm(vectors[j])
                )
                cosines.append(-2.0 if i == j else cosine)
                if j > i:
                    (mated if subjects[i] == subjects[j] else others).append(cosine)
            best = subjects[int(np.argmax(cosines))]
            nearest[figures.space, i] = best
            if subjects.count(subjects[i]) > 1:
                mates += 1
                right += best == subjects[i]
        assert figures.mated_mean == pytest.approx(np.mean(mated), abs=1e-6)
        assert figures.mated_low == pytest.approx(np.percentile(mated, 5), abs=1e-6)
        assert figures.other_mean == pytest.approx(np.mean(others), abs=1e-6)
        assert figures.other_high == pytest.approx(np.percentile(others, 99.9), abs=1e-6)
        assert figures.first == pytest.approx(right / mates)
    moved = [
        (f"s{i}", nearest["a", i], nearest["b", i]) for i in range(30) if nearest["a", i] != nearest["b", i]
    ]
    assert list(report.changed) == moved
    assert report.changes == len(moved)


def test_drift_of_too_few():
    one = SpaceTemplates("a", np.ones((1, 4), np.float32))
    report = drift.drift(["s"], ["p"], one, one)
    assert math.isnan(report.old.mated_mean)
    assert math.isnan(report.old.first)
    assert report.changes == 0
