"""Backup while serving, and restoring without bringing back what was removed."""

import functools
import sqlite3
import subprocess
import sys
import threading

import numpy as np
import pytest

from lineament.core.errors import GalleryCorrupt, GalleryError, GalleryNotFound
from lineament.core.types import Embedding
from lineament.gallery import (
    Gallery,
    GalleryKey,
    GallerySize,
    NewSample,
    check,
    encrypt_gallery,
    restore,
    rotate_key,
)
from lineament.gallery.rows import template_label
from lineament.gallery.sealing import unwrap

SPACE = "space-a"
KEY, OTHER = GalleryKey(b"k" * 32), GalleryKey(b"o" * 32)


def fill(gallery, embeddings):
    gallery.enroll_many([NewSample(f"p{i}", e, f"s{i}") for i, e in enumerate(embeddings)])


@pytest.mark.parametrize("key", [None, KEY])
def test_a_backup_is_the_gallery(path, draw, tmp_path, key):
    embeddings = draw(30)
    backup = tmp_path / "copy.gallery"
    with Gallery.open(path, space=SPACE, create=True, key=key) as gallery:
        fill(gallery, embeddings)
        assert gallery.copies.back_up(backup) == backup
        assert sorted(p.name for p in tmp_path.iterdir() if "part" in p.name) == []
        (known,) = gallery.copies.known()
        assert (known.copy.kind, known.copy.path, known.found) == ("backup", str(backup), True)
        with Gallery.open(backup, space=SPACE, key=key) as copy:
            queries = np.stack([e.vector for e in embeddings])
            assert copy.search(queries) == gallery.search(queries)
            assert copy.info().public_key == gallery.info().public_key
            assert copy.check() == []


def test_backups_while_others_read_and_write(path, tmp_path):
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((600, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    faults = []

    def write(gallery):
        try:
            for number in range(200, 600):
                gallery.enroll(f"p{number}", Embedding(vectors[number], SPACE), sample_id=f"s{number}")
                gallery.search(vectors[number][None])
        except Exception as error:
            faults.append(error)

    with Gallery.open(path, space=SPACE, create=True) as gallery, Gallery.open(path, space=SPACE) as writer:
        fill(gallery, [Embedding(v, SPACE) for v in vectors[:200]])
        thread = threading.Thread(target=write, args=(writer,))
        thread.start()
        sizes = []
        for number in range(5):
            backup = tmp_path / f"b{number}"
            gallery.copies.back_up(backup)
            with Gallery.open(backup, space=SPACE) as copy:
                assert copy.check() == []
                sizes.append(copy.size.samples)
                assert copy.subjects()[0].subject_id == "p0"
        thread.join()
        assert faults == []
        assert sizes == sorted(sizes)
        assert gallery.size.samples == 600


def test_where_a_backup_cannot_go(gallery, draw, tmp_path):
    fill(gallery, draw(2))
    (tmp_path / "there").write_text("mine")
    with pytest.raises(GalleryError, match="exists"):
        gallery.copies.back_up(tmp_path / "there")
    with pytest.raises(GalleryError, match="does not exist"):
        gallery.copies.back_up(tmp_path / "no" / "folder")
    with pytest.raises(GalleryError, match="is no text"):
        gallery.copies.back_up(tmp_path / "b\udcff")
    assert (tmp_path / "there").read_text() == "mine"
    assert gallery.copies.known() == []


def test_forgetting_a_copy(gallery, draw, tmp_path):
    fill(gallery, draw(2))
    backup = tmp_path / "b"
    gallery.copies.back_up(backup)
    with pytest.raises(GalleryError, match="still there"):
        gallery.copies.forget(backup)
    backup.unlink()
    assert [copy.found for copy in gallery.copies.known()] == [False]
    gallery.copies.forget(backup)
    assert gallery.copies.known() == []
    with pytest.raises(GalleryError, match="not on the list"):
        gallery.copies.forget(backup)


@pytest.mark.parametrize("key", [None, KEY])
def test_restoring_goes_back_but_brings_nobody_back(path, draw, tmp_path, key):
    embeddings = draw(12)
    backup = tmp_path / "b"
    with Gallery.open(path, space=SPACE, create=True, key=key) as gallery:
        fill(gallery, embeddings[:10])
        gallery.copies.back_up(backup)
        receipt = gallery.remove_subject("p3").receipt
        gallery.rename("p4", "renamed")
        gallery.review.quarantine("s5")
        gallery.review.release("s5")  # its number in the file is another one now
        gallery.remove_sample("s5")
        gallery.enroll("late", embeddings[10])
        gallery.copies.back_up(tmp_path / "later")
        assert gallery.search(embeddings[10].vector[None])[0][0].subject_id == "late"
        done = restore(backup, path, key=key)
        assert (done.samples, done.removed_again) == (8, 2)
        with pytest.raises(GalleryError, match="open it again"):
            gallery.search(embeddings[0].vector[None])
    with Gallery.open(path, space=SPACE, key=key) as gallery:
        assert gallery.check() == []
        assert [s.subject_id for s in gallery.subjects()] == ["p0", "p1", "p2", "p4", "p6", "p7", "p8", "p9"]
        assert gallery.copies.verify(receipt).in_gallery == 0
        assert [c.copy.path for c in gallery.copies.known()] == [str(backup), str(tmp_path / "later")]
    assert [p.name for p in tmp_path.iterdir() if "restore" in p.name or "part" in p.name] == []


def test_restoring_where_nothing_is(path, draw, tmp_path):
    with Gallery.open(path, space=SPACE, create=True) as gallery:
        fill(gallery, draw(5))
        gallery.copies.back_up(tmp_path / "b")
    path.unlink()
    assert restore(tmp_path / "b", path).samples == 5
    with Gallery.open(path, space=SPACE) as gallery:
        assert gallery.size == GallerySize(5, 5)
        assert gallery.check() == []


def test_a_log_that_was_left_is_not_played_into_what_is_restored(path, draw, tmp_path):
    embeddings = draw(5)
    with Gallery.open(path, space=SPACE, create=True) as gallery:
        fill(gallery, embeddings)
        gallery.copies.back_up(tmp_path / "b")
        gallery.enroll("late", draw(1)[0])
        log = (tmp_path / "staff.gallery-wal").read_bytes()
    path.unlink()
    (tmp_path / "staff.gallery-wal").write_bytes(log)  # as after a power cut
    with pytest.raises(
        GalleryError, match=r"staff\.gallery-wal in .* belong to a file that is no longer there"
    ):
        restore(tmp_path / "b", path)
    assert not path.exists()
    (tmp_path / "staff.gallery-wal").unlink()
    restore(tmp_path / "b", path)
    with Gallery.open(path, space=SPACE) as gallery:
        assert gallery.size.samples == 5


def test_what_is_removed_during_a_restoration_stays_removed(path, draw, tmp_path, monkeypatch):
    with Gallery.open(path, space=SPACE, create=True) as gallery:
        fill(gallery, draw(5))
        gallery.copies.back_up(tmp_path / "b")
    find_faults = check.find_faults

    def meanwhile(store):
        with Gallery.open(path, space=SPACE) as other:
            other.remove_subject("p2")
        monkeypatch.undo()
        return find_faults(store)

    monkeypatch.setattr(sys.modules["lineament.gallery.restore"], "find_faults", meanwhile)
    with pytest.raises(GalleryError, match="meanwhile; nothing was changed, restore again"):
        restore(tmp_path / "b", path)
    with Gallery.open(path, space=SPACE) as gallery:
        assert gallery.size.samples == 4
        assert gallery.check() == []
    assert restore(tmp_path / "b", path).removed_again == 1


def test_a_backup_is_one_snapshot(path, draw, tmp_path, monkeypatch):
    """Otherwise every write of somebody else would begin a large copy anew."""

    class WrittenMeanwhile(sqlite3.Connection):
        def backup(self, target, **how):
            with Gallery.open(path, space=SPACE) as other:
                other.enroll("late", late)
            super().backup(target, **how)

    *embeddings, late = draw(6)
    with Gallery.open(path, space=SPACE, create=True) as gallery:
        fill(gallery, embeddings)
        with monkeypatch.context() as patched:
            patched.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=WrittenMeanwhile))
            gallery.copies.back_up(tmp_path / "b")
        assert gallery.size.samples == 6
    with Gallery.open(tmp_path / "b", space=SPACE) as copy:
        assert copy.size.samples == 5


def test_a_backup_of_an_older_key(path, draw, tmp_path):
    with Gallery.open(path, space=SPACE, create=True, key=KEY) as gallery:
        fill(gallery, draw(5))
        gallery.copies.back_up(tmp_path / "b")
    rotate_key(path, KEY, OTHER, reencrypt=True)
    with pytest.raises(GalleryError, match="does not open"):
        restore(tmp_path / "b", path, key=OTHER)
    restore(tmp_path / "b", path, key=OTHER, backup_key=KEY)
    with Gallery.open(path, space=SPACE, key=OTHER) as gallery:
        assert gallery.size.samples == 5
        assert gallery.check() == []
    with sqlite3.connect(tmp_path / "b") as backup, sqlite3.connect(path) as restored:
        (wrapped,) = backup.execute("SELECT wrapped_key FROM gallery").fetchone()
        uid, stored = restored.execute(
            "SELECT s.uid, t.vector FROM samples s JOIN templates t ON t.sample = s.id"
        ).fetchone()
    backup.close()
    restored.close()
    with pytest.raises(GalleryCorrupt):  # whoever had the old key must not be able to read the file
        unwrap(wrapped, KEY).open(stored, template_label(SPACE, uid))


def test_backups_that_cannot_be_restored(path, draw, tmp_path):
    embeddings = draw(300)
    backup = tmp_path / "b"
    with Gallery.open(path, space=SPACE, create=True) as gallery:
        fill(gallery, embeddings)
        gallery.copies.back_up(backup)
    with Gallery.open(tmp_path / "other", space=SPACE, create=True) as gallery:
        fill(gallery, embeddings[:1])
    before = path.read_bytes()
    with pytest.raises(GalleryNotFound):
        restore(tmp_path / "nothing", path)
    with pytest.raises(GalleryError, match="not a backup of"):
        restore(tmp_path / "other", path)
    whole = backup.read_bytes()
    with sqlite3.connect(backup) as connection:
        connection.execute("UPDATE templates SET vector = zeroblob(256) WHERE sample = 5")
    connection.close()
    with pytest.raises(GalleryCorrupt, match="not sound: template of 's4'"):
        restore(backup, path)
    backup.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(GalleryError):
        restore(backup, path)
    backup.write_bytes(b"something else" * 2000)
    with pytest.raises(GalleryCorrupt):
        restore(backup, path)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b", "other", "staff.gallery"]


def test_a_disk_too_full_for_a_backup(path, draw, tmp_path):
    pytest.importorskip("resource")
    with Gallery.open(path, space=SPACE, create=True) as gallery:
        fill(gallery, draw(2000))
    script = """
import resource, sys
from lineament.core.errors import GalleryError
from lineament.gallery import Gallery
with Gallery.open(sys.argv[1], space="space-a") as gallery:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    try:
        gallery.copies.back_up(sys.argv[2])
    except GalleryError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert gallery.copies.known() == []
    assert gallery.check() == []
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(path), str(tmp_path / "b")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "free space" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_copy_that_fails_changes_nothing(gallery, draw, tmp_path, monkeypatch):
    fill(gallery, draw(4))
    before = (tmp_path / "staff.gallery-wal").read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    for write in (gallery.copies.back_up, gallery.export):
        with pytest.raises(GalleryError, match=r"copy could not be written \(No space left"):
            write(tmp_path / "copy")
    monkeypatch.undo()
    assert (tmp_path / "staff.gallery-wal").read_bytes() == before
    assert gallery.copies.known() == []
    assert not [file for file in tmp_path.iterdir() if "copy" in file.name]


def test_a_plain_backup_does_not_undo_the_encryption(path, draw, tmp_path):
    embeddings = draw(6)
    with Gallery.open(path, space=SPACE, create=True) as gallery:
        fill(gallery, embeddings)
        gallery.copies.back_up(tmp_path / "plain")
    encrypt_gallery(path, KEY)
    with Gallery.open(path, space=SPACE, key=KEY) as gallery:
        gallery.remove_subject("p0")
    assert restore(tmp_path / "plain", path, key=KEY).removed_again == 1
    data = path.read_bytes()
    assert not any(e.vector.tobytes() in data for e in embeddings)
    with Gallery.open(path, space=SPACE, key=KEY) as gallery:
        assert gallery.check() == []
        assert [s.subject_id for s in gallery.subjects()] == [f"p{i}" for i in range(1, 6)]
        (candidates,) = gallery.search(embeddings[3].vector[None], max_candidates=1)
        assert candidates[0].subject_id == "p3"
        assert [c.copy.path for c in gallery.copies.known()] == [str(tmp_path / "plain")]
