"""Packs under meshes: every kind comes back as its kind, and the list makes the same bytes again."""

import csv
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lineament.core.errors import DataError
from lineament.curation.align import CropRefusal
from lineament.curation.mesh_records import COLUMNS, MeshRecord, mesh_row, read_mesh_records
from lineament.curation.meshing import MeshReport, MeshSettings, Part, mesh_pack, picture_pack, places_of
from lineament.imaging import decode_image, encode_jpeg, encode_png
from lineament.imaging.mesh import FAMILIES, UNSEEN_RANGES, Mesh, MeshRanges
from lineament.imaging.portrait import Issuance, IssueRanges, issue_photo
from lineament.packs import FORMATS, FilePack, Format, Pairs, Record, open_pack, write_pack
from lineament.testing import draw_face

ALL = frozenset({Part.CLEAN, Part.MASK})
NAMES = {"rec": "made.rec", "zip": "made.zip", "tfrecord": "made.tfrecord", "bin": "made.bin"}
PORTRAIT = MeshSettings(ranges=IssueRanges(families=FAMILIES, layout="portrait"), seed=7, parts=ALL)


def photos(folder: Path, file_format: Format, damaged: bool = False) -> Path:
    """Three people with two photos each, and pairs of them; one photo may be cut short."""
    images = [encode_jpeg(draw_face(112, seed).pixels, 92) for seed in range(6)]
    if damaged:
        images[3] = images[3][:200]
    records = [Record(f"p{n // 2}/{n}.jpg", n // 2, image) for n, image in enumerate(images)]
    pairs = Pairs(np.array([(0, 1), (2, 3), (4, 5)]), np.array([True, True, True]))
    path = folder / f"clean{Path(NAMES.get(file_format, 'made')).suffix}"
    write_pack(records, path, file_format, ["p0", "p1", "p2"], pairs=pairs)
    return path


def meshed(
    source: Path, out: Path, file_format: Format | None, settings: MeshSettings = PORTRAIT
) -> MeshReport:
    with open_pack(source) as pack:
        return mesh_pack(pack, out, file_format, settings)


def content(path: Path) -> list[Record]:
    with open_pack(path, strict=True) as pack:
        return [pack.read(number) for number in range(len(pack))]


def assert_drawn_again(source: FilePack, record: MeshRecord, image: bytes) -> None:
    made = issue_photo(decode_image(source.read(record.record).image).pixels, record.issuance)
    assert made.image == image
    assert hashlib.sha256(image).hexdigest() == record.sha256
    assert (made.ink, made.opacity, made.lines) == (record.ink, record.opacity, record.lines)
    assert record.coverage == pytest.approx(made.mask.mean(), abs=1e-6)


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_kind_comes_back_as_its_kind_and_its_list_draws_it_again(
    tmp_path: Path, file_format: Format
) -> None:
    source, out = photos(tmp_path, file_format), tmp_path / NAMES.get(file_format, "made")
    report = meshed(source, out, file_format)
    listed = read_mesh_records(report.listed)
    assert [record.record for record in listed] == list(range(6))
    with open_pack(source) as before, open_pack(out, strict=True) as after:
        assert list(after.names) == list(before.names) == [record.name for record in listed]
        np.testing.assert_array_equal(after.labels, before.labels)
        assert list(after.subjects) == list(before.subjects)
        np.testing.assert_array_equal(after.pairs.records, before.pairs.records)
        for number, record in enumerate(listed):
            assert_drawn_again(before, record, after.read(number).image)
            for part in ALL:
                made = issue_photo(decode_image(before.read(number).image).pixels, record.issuance)
                seen = decode_image(content(report.places[part])[number].image).pixels
                wanted = made.clean if part is Part.CLEAN else np.rint(made.mask * 255)[..., None]
                np.testing.assert_array_equal(seen, np.broadcast_to(wanted, seen.shape))
    assert sum(report.families.values()) == 6
    assert report.refusals == ()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_is_drawn_depends_on_seed_and_name_alone(tmp_path: Path) -> None:
    alone = replace(PORTRAIT, parts=frozenset())
    source = photos(tmp_path, "rec")
    meshed(source, tmp_path / "one.rec", "rec", alone)
    meshed(source, tmp_path / "two.rec", "rec", replace(alone, workers=3))
    one, two = content(tmp_path / "one.rec"), content(tmp_path / "two.rec")
    assert one == two
    meshed(source, tmp_path / "three.rec", "rec", replace(alone, seed=8))
    assert all(a.image != b.image for a, b in zip(one, content(tmp_path / "three.rec"), strict=True))
    records = content(source)
    write_pack(records[4:] + records[:2], tmp_path / "less.rec", "rec", ["p0", "p1", "p2"])
    meshed(tmp_path / "less.rec", tmp_path / "four.rec", "rec", alone)
    images = {record.name: record.image for record in one}
    assert all(images[r.name] == r.image for r in content(tmp_path / "four.rec"))


@pytest.mark.parametrize("file_format", ["rec", "bin"])
def test_photos_that_cannot_be_read_are_listed_and_left_out(tmp_path: Path, file_format: Format) -> None:
    source, out = photos(tmp_path, file_format, damaged=True), tmp_path / NAMES[file_format]
    report = meshed(source, out, file_format)
    assert [(refused.reason, "3" in refused.name) for refused in report.refusals] == [
        (CropRefusal.UNREADABLE, True)
    ]
    with report.refused.open() as stream:
        assert [row["reason"] for row in csv.DictReader(stream)] == ["unreadable"]
    kept = [record.record for record in read_mesh_records(report.listed)]
    # the other photo of its pair has no place in a pack of pairs
    assert kept == ([0, 1, 4, 5] if file_format == "bin" else [0, 1, 2, 4, 5])
    with open_pack(out, strict=True) as pack:
        assert len(pack) == len(kept)
        assert pack.pairs.records.tolist() == ([[0, 1], [2, 3]] if file_format == "bin" else [[0, 1], [3, 4]])


def test_a_photo_in_several_pairs_is_issued_once_and_listed_for_each(tmp_path: Path) -> None:
    images = [encode_jpeg(draw_face(112, seed).pixels) for seed in range(3)]
    write_pack(
        [Record(f"{n}.jpg", n, image) for n, image in enumerate(images)],
        tmp_path / "clean",
        "folder",
        ["a", "b", "c"],
        pairs=Pairs(np.array([(0, 1), (0, 2)]), np.array([False, False])),
    )
    report = meshed(tmp_path / "clean", tmp_path / "made.bin", "bin")
    assert [record.record for record in read_mesh_records(report.listed)] == [0, 1, 0, 2]
    first, _, again, _ = content(tmp_path / "made.bin")
    assert first.image == again.image


def test_one_picture(tmp_path: Path) -> None:
    (tmp_path / "ada.png").write_bytes(encode_png(draw_face(200, 1).pixels))
    with picture_pack(tmp_path / "ada.png") as pack:
        report = mesh_pack(pack, tmp_path / "out.jpg", None, PORTRAIT)
        (record,) = read_mesh_records(report.listed)
        assert_drawn_again(pack, record, (tmp_path / "out.jpg").read_bytes())
    assert report.info is None
    assert (record.name, record.subject) == ("ada.png", "")
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {
        "ada.png",
        "out.jpg",
        "out.clean.png",
        "out.mask.png",
        "out.jpg.mesh.csv",
        "out.jpg.refused.csv",
    }


def test_the_face_is_framed_where_it_is_known(tmp_path: Path) -> None:
    faces = [draw_face(200, seed) for seed in range(2)]
    rows = [Record(f"{n}.png", -1, encode_png(face.pixels)) for n, face in enumerate(faces)]
    write_pack(rows, tmp_path / "clean.zip", "zip", [])

    def finder(pixels: np.ndarray) -> np.ndarray | tuple[str, str]:
        if np.array_equal(pixels, faces[0].pixels):
            return faces[0].points
        return "no_face", "no face was found"

    with open_pack(tmp_path / "clean.zip") as pack:
        report = mesh_pack(pack, tmp_path / "made.zip", "zip", PORTRAIT, finder)
    (record,) = read_mesh_records(report.listed)
    frame = np.reshape(record.issuance.frame, (2, 3))
    eyes = faces[0].points[:2].mean(0) @ frame[:, :2].T + frame[:, 2]
    assert eyes == pytest.approx((88.5, 91.9), abs=1e-3)
    assert [(r.name, r.reason) for r in report.refusals] == [("1.png", CropRefusal.NO_FACE)]


def test_nothing_is_left_behind_when_it_is_interrupted(tmp_path: Path) -> None:
    source = photos(tmp_path, "folder")
    before = sorted(tmp_path.iterdir())

    def interrupt(done: int, total: int) -> None:
        assert total == 24
        if done > 12:
            raise KeyboardInterrupt

    with open_pack(source) as pack, pytest.raises(KeyboardInterrupt):
        mesh_pack(pack, tmp_path / "made", "folder", PORTRAIT, progress=interrupt)
    assert sorted(tmp_path.iterdir()) == before
    meshed(source, tmp_path / "made", "folder")
    assert (tmp_path / "made" / "p0" / "0.jpg").is_file()


@pytest.mark.parametrize("taken", ["made.rec", "made.clean.rec", "made.rec.mesh.csv", "made.rec.refused.csv"])
def test_nothing_that_is_there_is_replaced(tmp_path: Path, taken: str) -> None:
    source = photos(tmp_path, "rec")
    (tmp_path / taken).write_bytes(b"mine")
    with pytest.raises(DataError, match=f"{taken} exists; choose another name"):
        meshed(source, tmp_path / "made.rec", "rec")
    assert (tmp_path / taken).read_bytes() == b"mine"


def test_packs_without_a_sound_photo_and_missing_files_are_refused(tmp_path: Path) -> None:
    write_pack([Record("a.jpg", -1, b"\xff\xd8broken")], tmp_path / "bad.rec", "rec", [])
    with pytest.raises(DataError, match=r"no photo of .*bad\.rec can be issued; the first: a\.jpg"):
        meshed(tmp_path / "bad.rec", tmp_path / "made.rec", "rec")
    with pytest.raises(DataError, match="there is no such file"):
        picture_pack(tmp_path / "none.jpg")
    with pytest.raises(ValueError, match="expected a seed >= 0 and 1 to 64 workers"):
        MeshSettings(workers=0)


def test_places_beside_the_issued_photos() -> None:
    assert places_of(Path("v1.2"), "folder", ALL)[Part.MASK] == Path("v1.2.mask")
    assert places_of(Path("a/b.tar"), "tar", ALL)[Part.CLEAN] == Path("a/b.clean.tar")
    assert places_of(Path("a/b"), "tar", ALL)[Part.CLEAN] == Path("a/b.clean")
    assert list(places_of(Path("b.rec"), "rec", ())) == [Part.ISSUED]


def test_lists_that_were_changed_are_refused(tmp_path: Path) -> None:
    issuance = Issuance(mesh=Mesh(family="words", seed=3, ranges=UNSEEN_RANGES))
    record = MeshRecord(0, "a.jpg", "", issuance, (1.5, 2.0, 3.0), 0.5, {"period_px": 0.1 + 0.2}, 0.25, "00")
    path = tmp_path / "mesh.csv"

    def write(header: tuple[str, ...], row: list[str]) -> None:
        path.write_text(f"{','.join(header)}\n{','.join(row)}\n")

    write(COLUMNS, mesh_row(record))
    assert read_mesh_records(path) == [record]
    for column, value, reason in (
        ("family", "moire", "line 2: family must be one of"),
        ("ranges", "mine", "line 2: 'mine'"),
        ("frame", "1 2 3", "line 2: frame must be six numbers or none"),
        ("seed", "x", "line 2: invalid literal"),
        ("scale", "0.5", r"line 2: scale must be in 1\.\.4"),
    ):
        row = mesh_row(record)
        row[COLUMNS.index(column)] = value
        write(COLUMNS, row)
        with pytest.raises(DataError, match=reason):
            read_mesh_records(path)
    write(COLUMNS[:-1], mesh_row(record))
    with pytest.raises(DataError, match="expected the columns record, name"):
        read_mesh_records(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_mesh_records(tmp_path / "none.csv")
    own = replace(issuance, mesh=Mesh(family="sines", seed=1, ranges=MeshRanges(opacity=(0.1, 0.2))))
    with pytest.raises(ValueError, match="the list knows the ranges default, unseen"):
        mesh_row(replace(record, issuance=own))
