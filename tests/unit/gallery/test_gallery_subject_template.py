"""The robust template of a subject: bounded influence, against the plain mean and a slow oracle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineament.core.errors import SubjectNotFound
from lineament.core.types import Embedding
from lineament.gallery import NewSample, fuse


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def person(rng, count, cosine=0.6, dimension=512):
    """Samples of one person: two of them have about the given cosine."""
    centre = unit(rng.standard_normal(dimension))
    noise = unit(rng.standard_normal((count, dimension)))
    return centre, unit(np.sqrt(cosine) * centre + np.sqrt(1 - cosine) * noise).astype(np.float32)


def names(vectors):
    return [f"s{i}" for i in range(len(vectors))]


def test_like_samples_give_their_mean():
    _, samples = person(np.random.default_rng(0), 10)
    template = fuse(names(samples), samples)
    mean = unit(samples.astype(np.float64).sum(0))
    assert template.vector @ mean > 0.999
    assert np.linalg.norm(template.vector) == pytest.approx(1, abs=1e-6)
    assert template.shares.sum() == pytest.approx(1)
    assert template.sample_ids == tuple(names(samples))
    single = fuse(["a"], samples[:1])
    assert single.vector @ samples[0] == pytest.approx(1, abs=1e-6)
    assert (single.shares.tolist(), single.agreement.tolist()) == ([1.0], [1.0])


def test_it_is_where_hubers_loss_is_least():
    """Against a direct minimisation of the loss, whose threshold is the median distance at the solution."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(1)
    _, samples = person(rng, 7, dimension=8)
    samples[0] = unit(rng.standard_normal(8))
    template = fuse(names(samples), samples)
    points = samples.astype(np.float64)
    centre = template.shares @ points
    reach = np.median(np.linalg.norm(points - centre, axis=1))

    def loss(at):
        distance = np.linalg.norm(points - at, axis=1)
        return np.where(distance <= reach, distance**2 / 2, reach * (distance - reach / 2)).sum()

    best = minimize(
        loss, points.mean(0), method="Nelder-Mead", options={"maxiter": 20000, "fatol": 1e-12, "xatol": 1e-9}
    )
    assert centre == pytest.approx(best.x, abs=1e-4)


def test_one_wrong_picture_in_twenty_adds_little():
    """The figures of docs/gallery-data.md: how far a stranger's picture moves a template of 20."""
    rng = np.random.default_rng(2)
    robust, plain = [], []
    for _ in range(50):
        centre, samples = person(rng, 20)
        stranger = unit(rng.standard_normal(512)).astype(np.float32)
        poisoned = np.concatenate([samples[:19], stranger[None]])
        template = fuse(names(poisoned), poisoned)
        robust.append([template.vector @ centre, template.vector @ stranger, template.shares[-1]])
        mean = unit(poisoned.sum(0))
        plain.append([mean @ centre, mean @ stranger])
    (to_centre, to_stranger, share), (_, plain_stranger) = np.mean(robust, 0), np.mean(plain, 0)
    assert to_centre > 0.98
    assert share < 1 / 20
    assert to_stranger < plain_stranger < 0.08


def test_many_wrong_pictures_of_one_stranger():
    rng = np.random.default_rng(3)
    centre, samples = person(rng, 12)
    other, wrong = person(rng, 5)
    template = fuse(names([*samples, *wrong]), np.concatenate([samples, wrong]))
    assert template.vector @ centre > 0.9
    assert template.vector @ centre > 2 * (template.vector @ other)
    assert template.agreement[12:].max() < template.agreement[:12].min()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(3, 30), data=st.data())
def test_no_sample_adds_more_than_its_bound(seed, count, data):
    """A sample's share is at most that of one at the median distance with the highest weight."""
    rng = np.random.default_rng(seed)
    _, samples = person(rng, count, dimension=32)
    samples[0] = unit(rng.standard_normal(32))
    qualities = data.draw(st.none() | st.lists(st.none() | st.floats(0, 1e6), min_size=count, max_size=count))
    template = fuse(names(samples), samples, qualities)
    assert np.isfinite(template.vector).all()
    assert template.shares.sum() == pytest.approx(1)
    assert (template.shares >= 0).all()
    # Half of the samples keep their whole weight of at least a half; no weight is above two.
    assert template.shares.max() <= 2.0 / (2.0 + 0.5 * (count // 2)) + 1e-9
    order = rng.permutation(count)
    shuffled = fuse(names(samples), samples[order], qualities and [qualities[i] for i in order])
    assert shuffled.vector == pytest.approx(template.vector, abs=1e-4)


def test_better_pictures_weigh_more_within_limits():
    rng = np.random.default_rng(4)
    _, samples = person(rng, 4)
    equal = fuse(names(samples), samples)
    better = fuse(names(samples), samples, [10.0, 1.0, 1.0, None])
    assert better.shares[0] > equal.shares[0]
    assert better.shares[0] <= 2.0 / 5.0 + 0.02
    assert fuse(names(samples), samples, [None] * 4).shares == pytest.approx(equal.shares)


def test_a_gallery_gives_the_template_of_what_it_searches(gallery):
    rng = np.random.default_rng(5)
    centre, samples = person(rng, 6, dimension=64)
    gallery.enroll_many([NewSample("ada", Embedding(v, "space-a"), f"s{i}") for i, v in enumerate(samples)])
    gallery.review.quarantine("s5")
    template = gallery.template("ada")
    assert template.sample_ids == ("s0", "s1", "s2", "s3", "s4")
    assert template.vector == pytest.approx(fuse(names(samples[:5]), samples[:5]).vector)
    assert template.vector @ centre > 0.85
    with pytest.raises(SubjectNotFound):
        gallery.template("bob")
    for i in range(5):
        gallery.review.quarantine(f"s{i}")
    with pytest.raises(SubjectNotFound, match="searched"):
        gallery.template("ada")
