"""Files of layout 1, as the first release wrote them."""

import gzip
import shutil
import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest

from lineament.core.errors import GalleryError
from lineament.core.types import Embedding
from lineament.gallery import Enrolled, Gallery, GallerySize, NewSample, migrate, schema, stored_space

FILE = Path(__file__).parents[2] / "golden" / "gallery-layout-1.gallery.gz"
SPACE = "space-v1"


def vectors():
    drawn = np.random.default_rng(20).standard_normal((5, 16)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.fixture
def old(path):
    path.write_bytes(gzip.decompress(FILE.read_bytes()))
    return path


def layout(path):
    connection = sqlite3.connect(path)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    connection.close()
    return version, tables


def test_all_of_an_old_gallery_is_there(old):
    assert layout(old)[0] == 1
    with Gallery.open(old, space=SPACE) as gallery:
        assert gallery.info().schema_version == 2
        assert gallery.calibration == "record-1"
        assert gallery.size == GallerySize(3, 4)
        assert [(s.subject_id, s.samples) for s in gallery.subjects()] == [("ada", 2), ("bob", 1), ("王", 1)]
        assert gallery.subject("ada")[1].source_sha256 == f"{1:064x}"
        for vector, name in zip(vectors(), ["s0", "s1", "s2", "s3"], strict=False):
            (best, *_) = gallery.search(vector[None])[0]
            assert (best.sample_id, best.similarity) == (name, pytest.approx(1, abs=1e-6))
        assert gallery.check() == []
        assert isinstance(gallery.enroll("ada", Embedding(vectors()[4], SPACE)), Enrolled)
        assert gallery.remove_subject("王").receipt is not None
        assert gallery.check() == []


def test_an_old_file_becomes_what_a_new_one_is(old, tmp_path):
    Gallery.open(old, space=SPACE).close()
    new = tmp_path / "new"
    Gallery.open(new, space=SPACE, create=True).close()
    assert layout(old) == layout(new)


def test_asking_for_the_space_changes_nothing(old):
    before = old.read_bytes()
    assert stored_space(old) == SPACE
    assert old.read_bytes() == before


def test_a_failed_migration_leaves_the_old_layout(old, monkeypatch):
    before = old.read_bytes()

    def half(connection):
        for statement in migrate.LAYOUT_2.split(";\n")[:9]:
            connection.execute(statement)
        raise sqlite3.DatabaseError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(schema, "to_layout_2", half)
        with pytest.raises(GalleryError, match="stopped"):
            Gallery.open(old, space=SPACE)
    assert layout(old)[0] == 1
    with Gallery.open(old, space=SPACE) as gallery:
        assert gallery.size.samples == 4
    assert before != old.read_bytes()


def test_several_at_once_migrate_it_once(old):
    faults = []

    def work():
        try:
            with Gallery.open(old, space=SPACE) as gallery:
                assert gallery.size.samples == 4
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def test_copies_of_an_old_file_know_the_same_samples(old, tmp_path):
    twin = tmp_path / "twin"
    shutil.copy(old, twin)
    with Gallery.open(old, space=SPACE) as gallery:
        receipt = gallery.remove_subject("ada").receipt
    with Gallery.open(twin, space=SPACE) as gallery:
        assert gallery.copies.verify(receipt).in_gallery == 2
        gallery.enroll_many([NewSample("ada", Embedding(vectors()[4], SPACE))])
        assert gallery.copies.verify(receipt).in_gallery == 2
