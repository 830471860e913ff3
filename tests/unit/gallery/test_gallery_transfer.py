"""The portable file: lossless, checked, all or nothing."""

import io
import json
import re
import zipfile

import numpy as np
import pytest

from lineament.core.errors import EmbeddingSpaceMismatch, GalleryCorrupt, GalleryError, GalleryNotFound
from lineament.core.types import Embedding
from lineament.gallery import EnrollmentRefusal, Gallery, GallerySize, Imported, NewSample

SPACE = "space-a"
NAMES = ("manifest.json", "samples.jsonl", "templates.npy")


@pytest.fixture
def exported(path, draw, tmp_path):
    """An exported gallery of 3 subjects with 9 samples; returns (file, templates)."""
    embeddings = draw(9)
    with Gallery.open(path, space=SPACE, create=True) as gallery:
        for i, embedding in enumerate(embeddings):
            source = f"{i:064x}" if i % 2 else ""
            gallery.enroll(f"Zoë {i % 3}", embedding, sample_id=f"s{i}", source_sha256=source)
        gallery.set_calibration("lfw-2024")
        file = tmp_path / "staff.zip"
        assert gallery.export(file) == GallerySize(3, 9)
    return file, np.stack([embedding.vector for embedding in embeddings])


def rewritten(file, **members):
    """A copy with some members replaced."""
    copy = file.with_name("altered.zip")
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(copy, "w") as new:
        for name in NAMES:
            new.writestr(name, members.get(name.split(".")[0], old.read(name)))
    return copy


def member(file, name):
    with zipfile.ZipFile(file) as archive:
        return archive.read(name)


def contents(gallery):
    return (
        gallery.subjects(),
        [gallery.subject(s.subject_id) for s in gallery.subjects()],
        gallery.calibration,
    )


def test_a_round_trip_loses_nothing(exported, path, tmp_path):
    file, templates = exported
    with (
        Gallery.open(tmp_path / "copy", space=SPACE, create=True) as copy,
        Gallery.open(path, space=SPACE) as old,
    ):
        assert copy.import_(file) == Imported(subjects=3, samples=9)
        assert contents(copy) == contents(old)
        assert copy.search(templates) == old.search(templates)
        assert copy.check() == []
        copy.export(tmp_path / "again.zip")
    for name in NAMES[1:]:
        assert member(tmp_path / "again.zip", name) == member(file, name)


def test_the_file_is_readable_without_this_program(exported):
    file, templates = exported
    assert np.array_equal(np.load(io.BytesIO(member(file, "templates.npy")), allow_pickle=False), templates)
    lines = [json.loads(line) for line in member(file, "samples.jsonl").decode().splitlines()]
    assert [line["sample_id"] for line in lines] == [f"s{i}" for i in range(9)]
    assert [line["subject_id"] for line in lines] == [f"Zoë {i % 3}" for i in range(9)]
    manifest = json.loads(member(file, "manifest.json"))
    assert manifest.items() >= {"space": SPACE, "dimension": 64, "samples": 9, "version": 1}.items()


def test_an_empty_gallery_travels_too(gallery, tmp_path):
    assert gallery.export(tmp_path / "empty.zip") == GallerySize(0, 0)
    with Gallery.open(tmp_path / "copy", space=SPACE, create=True) as copy:
        assert copy.import_(tmp_path / "empty.zip") == Imported(0, 0)
        assert copy.info().dimension is None


def test_import_adds_to_what_is_there(exported, tmp_path, draw):
    file, _ = exported
    with Gallery.open(tmp_path / "other", space=SPACE, create=True) as other:
        other.enroll("Zoë 1", Embedding(-draw(1)[0].vector, SPACE), sample_id="mine")
        other.set_calibration("own")
        assert other.import_(file) == Imported(subjects=2, samples=9)
        assert [s.sample_id for s in other.subject("Zoë 1")] == ["mine", "s1", "s4", "s7"]
        assert other.calibration == "own"


def test_import_is_all_or_nothing_for_duplicates(exported, tmp_path):
    file, templates = exported
    with Gallery.open(tmp_path / "other", space=SPACE, create=True) as other:
        other.enroll("somebody", Embedding(templates[6], SPACE), sample_id="mine")
        refusal = other.import_(file)
        assert isinstance(refusal, EnrollmentRefusal)
        assert (refusal.kind, refusal.sample_id, refusal.position) == ("duplicate_sample", "mine", 6)
        assert (other.size, other.calibration) == (GallerySize(1, 1), "")


def test_other_spaces_lengths_and_missing_files(exported, tmp_path):
    file, _ = exported
    with Gallery.open(tmp_path / "other", space="space-b", create=True) as other:
        with pytest.raises(EmbeddingSpaceMismatch, match="space-a, the gallery those of space-b"):
            other.import_(file)
        with pytest.raises(GalleryNotFound):
            other.import_(tmp_path / "nothing.zip")
    with Gallery.open(tmp_path / "short", space=SPACE, create=True) as short:
        short.enroll("ada", Embedding(np.array([1, 0], np.float32), SPACE))
        with pytest.raises(EmbeddingSpaceMismatch, match="2 values, got 64"):
            short.import_(file)
        assert short.size.samples == 1


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def damages(file, templates):
    manifest = json.loads(member(file, "manifest.json"))
    lines = member(file, "samples.jsonl")
    no_id = lines.replace(b'"s8"', b'""')
    yield "manifest", {"manifest": b"{"}
    yield "format", {"manifest": json.dumps(manifest | {"format": "other"})}
    yield "version", {"manifest": json.dumps(manifest | {"version": 2})}
    yield "fields", {"manifest": json.dumps({"format": "lineament-gallery", "version": 1})}
    yield "dimension", {"manifest": json.dumps(manifest | {"dimension": 63})}
    yield "fewer lines", {"samples": lines[: len(lines) // 2]}
    yield "more lines", {"samples": lines + b"{}\n"}
    yield "bad id", {"samples": no_id}
    yield "nested", {"samples": b"[" * 16000 + b"\n" + lines}
    yield "time", {"samples": re.sub(rb'"created_s": [0-9.]+', b'"created_s": NaN', lines)}
    yield "no text", {"samples": b"\xff" + lines}
    yield "float64", {"templates": npy(templates.astype(np.float64))}
    yield "fewer rows", {"templates": npy(templates[:8])}
    yield "cut rows", {"templates": npy(templates)[:-1]}
    yield "longer rows", {"templates": npy(templates) + b"x"}
    yield "norm", {"templates": npy(templates * 2)}
    yield "nan", {"templates": npy(templates * np.float32("nan"))}
    yield "pickle", {"templates": npy(np.array([{}] * 9, object))}


def test_damaged_files_change_nothing(exported, tmp_path):
    file, templates = exported
    with Gallery.open(tmp_path / "other", space=SPACE, create=True) as other:
        for name, members in damages(file, templates):
            with pytest.raises(GalleryCorrupt, match="nothing was imported"):
                other.import_(rewritten(file, **members))
            assert other.size == GallerySize(0, 0), name
            assert (other.calibration, other.info().dimension) == ("", None), name
        assert other.import_(rewritten(file)) == Imported(3, 9)


def test_every_flipped_or_missing_byte_is_noticed_or_harmless(exported, tmp_path):
    file, templates = exported
    data = file.read_bytes()
    broken = tmp_path / "broken.zip"
    rng = np.random.default_rng(0)
    with Gallery.open(tmp_path / "other", space=SPACE, create=True) as other:
        for at in rng.integers(0, len(data), 60):
            flipped = bytearray(data)
            flipped[at] ^= 1 << rng.integers(8)
            for bad in (bytes(flipped), data[:at]):
                broken.write_bytes(bad)
                try:
                    other.import_(broken)
                except GalleryError:
                    assert other.size.samples == 0
                else:  # a byte that carries nothing, the time of a member for example
                    assert [c[0].similarity for c in other.search(templates)] == pytest.approx([1] * 9)
                    for subject in other.subjects():
                        other.remove_subject(subject.subject_id)


def test_compressed_members_are_refused(exported, tmp_path):
    file, _ = exported
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in NAMES:
            archive.writestr(name, member(file, name))
    with (
        Gallery.open(tmp_path / "other", space=SPACE, create=True) as other,
        pytest.raises(GalleryCorrupt, match="compressed"),
    ):
        other.import_(bomb)


def test_export_never_overwrites_and_leaves_no_parts(exported, path, tmp_path):
    file, _ = exported
    before = file.read_bytes()
    with Gallery.open(path, space=SPACE) as gallery:
        with pytest.raises(GalleryError, match="exists"):
            gallery.export(file)
        with pytest.raises(GalleryError, match="folder"):
            gallery.export(tmp_path / "nowhere" / "x.zip")
    assert file.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".part")] == []


def test_an_import_of_many_samples(tmp_path):
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((3000, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with Gallery.open(tmp_path / "a", space=SPACE, create=True) as a:
        a.enroll_many([NewSample(f"p{i // 3}", Embedding(v, SPACE)) for i, v in enumerate(vectors)])
        a.export(tmp_path / "a.zip")
        with Gallery.open(tmp_path / "b", space=SPACE, create=True) as b:
            assert b.import_(tmp_path / "a.zip") == Imported(1000, 3000)
            assert b.search(vectors[::100]) == a.search(vectors[::100])
