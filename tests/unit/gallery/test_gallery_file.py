"""The file: what opens, what does not, and what a fault leaves behind."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from lineament.core.errors import EmbeddingSpaceMismatch, GalleryCorrupt, GalleryError, GalleryNotFound
from lineament.core.types import Embedding
from lineament.gallery import Enrolled, Gallery, GalleryKey, GallerySize, NewSample

SPACE = "space-a"


def filled(path, embeddings):
    with Gallery.open(path, space=SPACE, create=True) as gallery:
        gallery.enroll_many([NewSample(f"p{i}", e, f"s{i}") for i, e in enumerate(embeddings)])


def test_nothing_there(path):
    with pytest.raises(GalleryNotFound, match="create=True"):
        Gallery.open(path, space=SPACE)
    assert not path.exists()
    with pytest.raises(GalleryNotFound, match="folder"):
        Gallery.open(path / "deeper", space=SPACE, create=True)


def test_another_space(path, draw):
    filled(path, draw(1))
    with pytest.raises(EmbeddingSpaceMismatch, match="space-a, this pipeline makes space-b"):
        Gallery.open(path, space="space-b", create=True)


def test_any_file_name(tmp_path, draw):
    path = tmp_path / "a b#c?d%20é.gallery"
    filled(path, draw(2))
    with Gallery.open(str(path), space=SPACE) as gallery:
        assert gallery.size.samples == 2
        assert gallery.space == SPACE
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_arguments_are_checked(path):
    with pytest.raises(ValueError, match="space"):
        Gallery.open(path, space="", create=True)
    with pytest.raises(ValueError, match="threads"):
        Gallery.open(path, space=SPACE, create=True, threads=0)
    assert not path.exists()


@pytest.mark.parametrize("create", [False, True])
def test_things_that_are_no_gallery(path, tmp_path, create):
    with pytest.raises(GalleryError, match="is a folder"):
        Gallery.open(tmp_path, space=SPACE, create=create)
    path.write_text("subject,photo\n" * 1000)
    before = path.read_bytes()
    with pytest.raises(GalleryCorrupt, match="not a sound gallery"):
        Gallery.open(path, space=SPACE, create=create)
    assert path.read_bytes() == before
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE notes (text)")
    connection.close()
    before = other.read_bytes()
    with pytest.raises(GalleryCorrupt, match="another program"):
        Gallery.open(other, space=SPACE, create=create)
    assert other.read_bytes() == before


def test_an_empty_file_becomes_a_gallery_only_when_asked(path):
    path.touch()
    with pytest.raises(GalleryCorrupt, match="is empty"):
        Gallery.open(path, space=SPACE)
    assert path.stat().st_size == 0
    with Gallery.open(path, space=SPACE, create=True) as gallery:
        assert gallery.size == GallerySize(0, 0)


def test_a_newer_layout(path, draw):
    filled(path, draw(1))
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=3")
    connection.close()
    with pytest.raises(GalleryError, match="layout 3, this program knows layout 2"):
        Gallery.open(path, space=SPACE)


def test_a_gallery_without_its_record(path, draw):
    filled(path, draw(1))
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE gallery")
    connection.close()
    with pytest.raises(GalleryCorrupt, match="own record"):
        Gallery.open(path, space=SPACE)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_a_truncated_file(path, draw, part):
    filled(path, draw(300))
    os.truncate(path, int(path.stat().st_size * part))
    with pytest.raises(GalleryCorrupt):
        Gallery.open(path, space=SPACE)


def test_overwritten_pages_are_found_by_the_check(path, draw):
    filled(path, draw(300))
    with path.open("r+b") as file:
        file.seek(5 * 16384)
        file.write(b"\xa5" * 3 * 16384)
    with Gallery.open(path, space=SPACE) as gallery:
        assert gallery.check() != []


def altered(path, *statements):
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    with Gallery.open(path, space=SPACE) as gallery:
        return gallery.check()


def test_the_check_names_each_fault(path, draw):
    filled(path, draw(6))
    assert altered(path) == []
    assert altered(path, "DELETE FROM templates WHERE sample = 1") == ["sample 's0' has no template"]
    faults = altered(path, "DELETE FROM samples WHERE id = 2")
    assert faults[1:] == ["template 2 has no sample", "subject 'p1' has no sample"]
    faults = altered(path, "DELETE FROM subjects WHERE name = 'p2'")
    assert "sample 's2' has no subject" in faults
    faults = altered(path, "UPDATE templates SET vector = substr(vector, 1, 100) WHERE sample = 4")
    assert "template of 's3' has 100 bytes, expected 64 float32 values" in faults
    faults = altered(path, "UPDATE templates SET vector = zeroblob(256) WHERE sample = 5")
    assert "template of 's4' has norm 0.0000, expected 1" in faults
    assert "template of 's4' is not what was enrolled: its digest differs" in faults
    with Gallery.open(path, space=SPACE) as gallery, pytest.raises(GalleryCorrupt, match="64 float32 values"):
        gallery.search(np.ones((1, 64), np.float32))


@pytest.mark.parametrize("key", [None, GalleryKey(b"k" * 32)], ids=["plain", "sealed"])
def test_the_check_reads_corrections_decisions_and_copies(path, draw, tmp_path, key):
    one, two = draw(2)
    with Gallery.open(path, space=SPACE, create=True, key=key) as gallery:
        gallery.enroll("ada", one, sample_id="a", source_sha256="0" * 64)
        gallery.corrections.add("ada", two)
        gallery.review.quarantine("a")
        gallery.copies.back_up(tmp_path / "b")
        assert gallery.check() == []
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE corrections SET vector = zeroblob(256)")
            if key:
                connection.execute("UPDATE decisions SET details = x'00'")
                connection.execute("UPDATE corrections SET details = x'00'")
                connection.execute("UPDATE samples SET source_sha256 = 'AAAA'")
                connection.execute("UPDATE copies SET path = 'AAAA'")
        connection.close()
        sealed = "does not open with the gallery's key"
        assert gallery.check() == (
            [
                "a source with an altered id",
                "a path with an altered id",
                f"correction 1 {sealed}",
                f"correction 1 has a note that {sealed}",
                f"decision 1 {sealed}",
            ]
            if key
            else ["correction 1 has norm 0.0000, expected 1"]
        )


def test_a_locked_gallery(path, draw):
    one, two = draw(2)
    filled(path, [one])
    other = sqlite3.connect(path, isolation_level=None)
    with Gallery.open(path, space=SPACE, busy_timeout_s=0.05) as gallery:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(GalleryError, match="locked by another process"):
            gallery.enroll("bob", two)
        assert gallery.search(one.vector[None])[0][0].subject_id == "p0"  # readers need no lock
        other.execute("ROLLBACK")
        assert isinstance(gallery.enroll("bob", two), Enrolled)
    other.close()


def test_a_full_disk(path):
    """The size limit of a process stands for a disk without space."""
    script = """
import resource, sys
import numpy as np
from lineament.core.errors import GalleryError
from lineament.core.types import Embedding
from lineament.gallery import Gallery
rng = np.random.default_rng(0)
with Gallery.open(sys.argv[1], space="space-a", create=True) as gallery:
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
    for number in range(1000):
        vector = rng.standard_normal(64).astype(np.float32)
        try:
            gallery.enroll("ada", Embedding(vector / np.linalg.norm(vector), "space-a"), sample_id=f"s{number}")
        except GalleryError as error:
            print(number, error, sep="|")
            break
    assert gallery.size.samples == number
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    gallery.enroll("bob", Embedding(vector / np.linalg.norm(vector), "space-a"))
"""
    pytest.importorskip("resource")
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    number, message = done.stdout.strip().split("|")
    assert "free space" in message
    with Gallery.open(path, space=SPACE) as gallery:
        assert gallery.check() == []
        assert [s.sample_id for s in gallery.subject("ada")] == [f"s{i}" for i in range(int(number))]
        assert gallery.size.subjects == 2


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_read_only_places(draw):
    one, two = draw(2)
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "g"
        filled(path, [one])
        path.chmod(0o444)
        folder.chmod(0o777)
        if root:
            os.seteuid(65534)  # permissions do not bind root
        try:
            with Gallery.open(path, space=SPACE) as gallery:
                assert gallery.search(one.vector[None])[0][0].subject_id == "p0"
                with pytest.raises(GalleryError, match="cannot be written"):
                    gallery.enroll("bob", two)
                assert gallery.size.samples == 1
        finally:
            if root:
                os.seteuid(0)
        folder.chmod(0o555)
        if root:
            os.seteuid(65534)
        try:
            with pytest.raises(GalleryError, match="folder"):
                Gallery.open(folder / "new", space=SPACE, create=True)
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o777)


def test_info(gallery, draw, path):
    info = gallery.info()
    assert (info.space, info.schema_version, info.dimension, info.size) == (SPACE, 2, None, GallerySize(0, 0))
    gallery.enroll_many([NewSample("ada", e) for e in draw(50)])
    gallery.set_calibration("lfw-2024")
    info = gallery.info()
    assert (info.dimension, info.size, info.calibration) == (64, GallerySize(1, 50), "lfw-2024")
    files = [path, path.with_name(path.name + "-wal")]
    assert info.bytes_on_disk == sum(f.stat().st_size for f in files)
    assert 0 < info.created_s <= gallery.subjects()[0].created_s


def test_calibration_is_kept(path):
    with Gallery.open(path, space=SPACE, create=True) as gallery:
        assert gallery.calibration == ""
        gallery.set_calibration("lfw-2024")
    with Gallery.open(path, space=SPACE) as gallery:
        assert gallery.calibration == "lfw-2024"


def test_templates_are_stored_bit_for_bit(path):
    vector = np.random.default_rng(0).standard_normal(512).astype(np.float32)
    vector /= np.linalg.norm(vector) * np.float32(1.0005)  # as it came, not normalised anew
    filled(path, [Embedding(vector, SPACE)])
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT vector FROM templates").fetchone()[0] == vector.tobytes()
    connection.close()
