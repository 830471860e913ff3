"""Several connections, processes and threads on one gallery."""

import multiprocessing
import os
import threading

import numpy as np
import pytest

from lineament.core.errors import GalleryError
from lineament.core.types import Embedding
from lineament.gallery import Enrolled, EnrollmentRefusal, Gallery, NewSample, index

SPACE = "space-a"


def best(gallery, embedding):
    return [c.subject_id for c in gallery.search(embedding.vector[None], max_candidates=2)[0]]


@pytest.mark.parametrize("exact_rows", [20_000, 20])
def test_each_connection_sees_what_the_other_did(path, draw, monkeypatch, exact_rows):
    monkeypatch.setattr(index, "EXACT_ROWS", exact_rows)
    start = draw(60)
    one, two, three = draw(3)
    with Gallery.open(path, space=SPACE, create=True) as a, Gallery.open(path, space=SPACE) as b:
        a.enroll_many([NewSample(f"p{i}", e) for i, e in enumerate(start)])
        assert best(b, start[5])[0] == best(a, start[5])[0] == "p5"
        b.enroll("ada", one, sample_id="a1")
        a.enroll("bob", two, sample_id="b1")
        assert best(a, one)[0] == best(b, one)[0] == "ada"
        assert best(b, two)[0] == best(a, two)[0] == "bob"
        a.enroll("carl", three)
        b.merge("ada", "carl")
        assert best(a, three)[0] == "ada"
        b.rename("ada", "ada l.")
        assert best(a, three)[0] == "ada l."
        b.remove_sample("b1")
        b.enroll("dan", two)
        assert best(a, two)[0] == "dan"
        a.remove_subject("ada l.")
        assert "ada l." not in best(b, one) + best(b, three)
        refusal = b.enroll("eve", start[7])
        assert isinstance(refusal, EnrollmentRefusal)


def test_a_fresh_cache_is_not_read_again(path, draw, monkeypatch):
    embeddings = draw(30)
    read = []
    append = index.TemplateCache._append

    def counting(self, numbers, blobs):
        read.append(len(blobs))
        append(self, numbers, blobs)

    monkeypatch.setattr(index.TemplateCache, "_append", counting)
    with Gallery.open(path, space=SPACE, create=True) as a, Gallery.open(path, space=SPACE) as b:
        a.enroll_many([NewSample(f"p{i}", e) for i, e in enumerate(embeddings[:20])])
        for e in embeddings[20:]:
            best(b, e)
            a.enroll("late", e)
        best(b, e)
        best(b, e)
    assert read == [20] + [1] * 10


def test_threads_may_share_a_gallery(gallery, draw):
    embeddings = draw(120)
    faults = []

    def work(first):
        try:
            for number in range(first, 120, 4):
                assert isinstance(gallery.enroll(f"p{number}", embeddings[number]), Enrolled)
                assert best(gallery, embeddings[number])[0] == f"p{number}"
                if number % 3 == 0:
                    gallery.remove_subject(f"p{number}")
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert gallery.size.samples == 80
    assert gallery.check() == []


def enroll_share(path, first, report):
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((60, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with Gallery.open(path, space=SPACE, create=True) as gallery:
        for number in range(60):  # all processes want all samples; each may be enrolled once
            at = (number + first) % 60
            result = gallery.enroll(f"p{at}", Embedding(vectors[at], SPACE), conflict_threshold=0.9)
            report.put((at, isinstance(result, Enrolled)))


def test_two_processes_never_enroll_the_same_sample_twice(path):
    context = multiprocessing.get_context("spawn")
    report = context.Queue()
    workers = [context.Process(target=enroll_share, args=(path, first, report)) for first in (0, 2)]
    for worker in workers:
        worker.start()
    results = [report.get(timeout=60) for _ in range(120)]
    for worker in workers:
        worker.join()
    assert sorted(at for at, enrolled in results if enrolled) == list(range(60))
    with Gallery.open(path, space=SPACE) as gallery:
        assert gallery.size.samples == 60
        assert gallery.check() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_gallery_does_not_cross_a_fork(gallery):
    child = os.fork()
    if child == 0:
        try:
            gallery.size  # noqa: B018
        except GalleryError as error:
            os._exit(0 if "fork" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert gallery.size.samples == 0
