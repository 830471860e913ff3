"""Encryption: what the file tells without its key, and what a wrong key or an altered byte does."""

import itertools
import os
import sqlite3
import stat

import numpy as np
import pytest

from lineament.core.errors import GalleryCorrupt, GalleryError
from lineament.core.types import Embedding
from lineament.gallery import (
    EnrollmentRefusalKind,
    Gallery,
    GalleryKey,
    NewSample,
    encrypt_gallery,
    key_from_environment,
    new_key,
    read_key,
    rotate_key,
    stored_space,
)

SPACE = "space-a"
KEY, OTHER = GalleryKey(b"k" * 32), GalleryKey(b"o" * 32)
SUBJECTS = ["ada lovelace", "bob the builder", "王小明同学"]
CROP = b"\x89PNG crop of a face " * 20


def samples(embeddings):
    return [
        NewSample(
            SUBJECTS[i % 3],
            embedding,
            f"holiday-photo-{i}.jpg",
            source_sha256=f"{i:064x}".replace("0", "e"),
            crop=CROP + bytes([i]),
        )
        for i, embedding in enumerate(embeddings)
    ]


def on_disk(path):
    files = [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm")]
    return b"".join(file.read_bytes() for file in files if file.exists())


def secrets_in(data, embeddings):
    """Everything of the samples that the bytes show."""
    shown = []
    for sample in samples(embeddings):
        blob = sample.embedding.vector.tobytes()
        if any(blob[at : at + 16] in data for at in range(0, len(blob) - 16, 4)):
            shown.append("template")
        if sample.crop[:16] in data:
            shown.append("crop")
        texts = (sample.subject_id, sample.sample_id, sample.source_sha256)
        shown += [text for text in texts if text is not None and text.encode()[:8] in data]
    return set(shown)


@pytest.fixture
def sealed(path, draw):
    embeddings = draw(12)
    with Gallery.open(path, space=SPACE, create=True, key=KEY) as gallery:
        gallery.enroll_many(samples(embeddings))
        gallery.corrections.add(SUBJECTS[0], embeddings[1], by="clerk seven", note="a twin")
        gallery.review.quarantine("holiday-photo-3.jpg", by="clerk seven", note="blurred")
    return path, embeddings


def test_the_file_tells_nothing_without_the_key(sealed, tmp_path):
    path, embeddings = sealed
    data = on_disk(path)
    assert secrets_in(data, embeddings) == set()
    assert b"clerk" not in data
    assert KEY.secret not in data
    plain = tmp_path / "plain"
    with Gallery.open(plain, space=SPACE, create=True) as gallery:
        gallery.enroll_many(samples(embeddings))
        assert len(secrets_in(on_disk(plain), embeddings)) > 20  # the same look finds all of a plain file


def test_nor_while_it_is_open(path, draw):
    embeddings = draw(12)
    with Gallery.open(path, space=SPACE, create=True, key=KEY) as gallery:
        gallery.enroll_many(samples(embeddings))
        assert secrets_in(on_disk(path), embeddings) == set()


def test_with_the_key_all_is_as_in_a_plain_one(sealed, tmp_path):
    path, embeddings = sealed
    plain = tmp_path / "plain"
    with (
        Gallery.open(plain, space=SPACE, create=True) as one,
        Gallery.open(path, space=SPACE, key=KEY) as two,
    ):
        one.enroll_many(samples(embeddings))
        one.corrections.add(SUBJECTS[0], embeddings[1])
        one.review.quarantine("holiday-photo-3.jpg")
        queries = np.stack([e.vector for e in embeddings])
        assert one.search(queries) == two.search(queries)
        assert [s.subject_id for s in one.subjects()] == [s.subject_id for s in two.subjects()]
        assert [s.sample_id for s in two.subject("ada lovelace")] == [
            s.sample_id for s in one.subject("ada lovelace")
        ]
        assert two.subject("ada lovelace")[0].source_sha256 == f"{0:064x}".replace("0", "e")
        assert two.check() == []
        assert two.info().encrypted
        assert not one.info().encrypted
        refusal = two.enroll("bob the builder", embeddings[0])
        assert refusal.kind is EnrollmentRefusalKind.DUPLICATE_SAMPLE
        assert refusal.subject_id == "ada lovelace"


def test_no_key_and_a_wrong_key(sealed):
    path, _ = sealed
    assert stored_space(path) == SPACE
    with pytest.raises(GalleryError, match="LINEAMENT_GALLERY_KEY_FILE"):
        Gallery.open(path, space=SPACE)
    with pytest.raises(GalleryError, match="does not open"):
        Gallery.open(path, space=SPACE, key=OTHER)


def test_a_key_for_a_plain_gallery(path, draw):
    with Gallery.open(path, space=SPACE, create=True) as gallery:
        gallery.enroll_many(samples(draw(2)))
    with pytest.raises(GalleryError, match="encrypt it first"):
        Gallery.open(path, space=SPACE, key=KEY)


def test_equal_templates_and_crops_are_sealed_apart(sealed):
    path, _ = sealed
    connection = sqlite3.connect(path)
    sealed_blobs = [row[0] for row in connection.execute("SELECT picture FROM crops")]
    connection.close()
    starts = {blob[:12] for blob in sealed_blobs}
    assert len(starts) == len(sealed_blobs)
    for one, two in itertools.combinations(sealed_blobs, 2):
        assert one[12:40] != two[12:40]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE templates SET vector = (SELECT vector FROM templates WHERE sample = 2) WHERE sample = 1",
        "UPDATE templates SET vector = zeroblob(length(vector)) WHERE sample = 1",
        "UPDATE templates SET vector = x'' WHERE sample = 1",
        "UPDATE crops SET picture = (SELECT picture FROM crops WHERE sample = 2) WHERE sample = 1",
        "UPDATE subjects SET name = 'YWJj' WHERE id = 1",
        "UPDATE samples SET name = 'no base64 %%%' WHERE id = 1",
    ],
)
def test_altered_and_exchanged_bytes_are_found(sealed, statement):
    path, embeddings = sealed
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()
    with Gallery.open(path, space=SPACE, key=KEY) as gallery:
        assert gallery.check() != []
        if "crops" not in statement:
            with pytest.raises(GalleryCorrupt, match="altered"):
                gallery.search(embeddings[0].vector[None], max_candidates=3)


def test_encrypting_a_gallery_that_is_there(path, draw):
    embeddings = draw(12)
    with Gallery.open(path, space=SPACE, create=True) as gallery:
        gallery.enroll_many(samples(embeddings))
        gallery.corrections.add(SUBJECTS[1], embeddings[0], note="not him")
        gallery.review.quarantine("holiday-photo-4.jpg")
        gallery.review.reject("holiday-photo-4.jpg", by="clerk seven")
        public = gallery.info().public_key
        before = gallery.search(embeddings[0].vector[None])
        encrypt_gallery(path, KEY)
        with pytest.raises(GalleryError, match="open it again"):
            gallery.search(embeddings[0].vector[None])
    assert secrets_in(on_disk(path), embeddings) == set()
    with Gallery.open(path, space=SPACE, key=KEY) as gallery:
        assert gallery.search(embeddings[0].vector[None]) == before
        assert gallery.info().public_key == public
        assert [c.note for c in gallery.corrections.of(SUBJECTS[1])] == ["not him"]
        assert gallery.review.decisions("holiday-photo-4.jpg")[-1].by == "clerk seven"
        assert gallery.enroll("x", embeddings[4]).kind is EnrollmentRefusalKind.REJECTED_BEFORE
        assert gallery.check() == []
    with pytest.raises(GalleryError, match="encrypted already"):
        encrypt_gallery_with_environment(path)


def encrypt_gallery_with_environment(path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LINEAMENT_GALLERY_KEY", KEY.secret.hex())
        encrypt_gallery(path, OTHER)


@pytest.mark.parametrize("reencrypt", [False, True])
def test_rotating_the_key(sealed, reencrypt):
    path, embeddings = sealed
    connection = sqlite3.connect(path)
    wrapped = connection.execute("SELECT wrapped_key FROM gallery").fetchone()[0]
    templates = [row[0] for row in connection.execute("SELECT vector FROM templates")]
    connection.close()
    with Gallery.open(path, space=SPACE, key=KEY) as gallery:
        before = gallery.search(np.stack([e.vector for e in embeddings]))
    rotate_key(path, KEY, OTHER, reencrypt=reencrypt)
    data = on_disk(path)
    assert wrapped not in data
    assert any(blob in data for blob in templates) is not reencrypt
    with pytest.raises(GalleryError, match="does not open"):
        Gallery.open(path, space=SPACE, key=KEY)
    with Gallery.open(path, space=SPACE, key=OTHER) as gallery:
        assert gallery.search(np.stack([e.vector for e in embeddings])) == before
        assert gallery.check() == []
    with pytest.raises(GalleryError, match="does not open"):
        rotate_key(path, KEY, OTHER)


def test_a_plain_gallery_has_no_key_to_rotate(path):
    Gallery.open(path, space=SPACE, create=True).close()
    with pytest.raises(GalleryError, match="not encrypted"):
        rotate_key(path, KEY, OTHER)


def test_removed_bytes_leave_a_sealed_file_too(sealed):
    path, _ = sealed
    connection = sqlite3.connect(path)
    blobs = [
        row[0] for row in connection.execute("SELECT vector FROM templates UNION SELECT picture FROM crops")
    ]
    names = [
        row[0].encode()
        for row in connection.execute("SELECT name FROM subjects UNION SELECT name FROM samples")
    ]
    connection.close()
    with Gallery.open(path, space=SPACE, key=KEY) as gallery:
        for subject in SUBJECTS:
            assert gallery.remove_subject(subject).purged
    data = on_disk(path)
    assert not any(blob[:32] in data for blob in blobs)
    assert not any(name in data for name in names)


def test_key_files(tmp_path, monkeypatch):
    file = tmp_path / "key"
    key = new_key(file)
    assert read_key(file) == key
    assert key.secret.hex() not in repr(key)
    with pytest.raises(GalleryError, match="could not be made"):
        new_key(file)
    monkeypatch.setenv("LINEAMENT_GALLERY_KEY_FILE", str(file))
    assert key_from_environment() == key
    monkeypatch.setenv("LINEAMENT_GALLERY_KEY", "ab" * 32)
    assert key_from_environment() == GalleryKey(b"\xab" * 32)
    monkeypatch.setenv("LINEAMENT_GALLERY_KEY", "secret")
    with pytest.raises(GalleryError, match="64 hex digits, got 6"):
        key_from_environment()
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        file.chmod(0o644)
        with pytest.raises(GalleryError, match="chmod 600"):
            read_key(file)
    with pytest.raises(GalleryError, match="cannot be read"):
        read_key(tmp_path / "nothing")
    with pytest.raises(ValueError, match="32 bytes"):
        GalleryKey(b"short")


def test_the_environment_makes_encrypted_galleries(path, draw, monkeypatch):
    monkeypatch.setenv("LINEAMENT_GALLERY_KEY", KEY.secret.hex())
    with Gallery.open(path, space=SPACE, create=True) as gallery:
        gallery.enroll("ada", Embedding(draw(1)[0].vector, SPACE))
        assert gallery.info().encrypted
    monkeypatch.delenv("LINEAMENT_GALLERY_KEY")
    with pytest.raises(GalleryError, match="is encrypted"):
        Gallery.open(path, space=SPACE)
