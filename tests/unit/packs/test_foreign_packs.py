"""Packs that other programs write are read, and other programs read ours."""

import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from pack_samples import RECORDS, SUBJECTS, content, write
from tfrecord import TFRecordWriter, tfrecord_loader

from lineament.core.errors import DataError
from lineament.packs import UNKNOWN, FilePack, Record, open_pack, read_pair_pack
from lineament.packs.recordio import MAGIC_BYTES, framed

JPEG = b"\xff\xd8\xff"


def image_record(key: int, labels: tuple[float, ...], image: bytes, flag: int | None = None) -> bytes:
    """A record as InsightFace packs it, unframed: one label in the header, or several behind it."""
    n = (0 if len(labels) == 1 else len(labels)) if flag is None else flag
    head = struct.pack("<IfQQ", n, labels[0] if n == 0 else 0.0, key, 0)
    return head + (struct.pack(f"<{n}f", *labels) if n else b"") + image


def plainly_framed(data: bytes) -> bytes:
    """RecordIO as its description says it, byte by byte, in quadratic time: what :func:`framed` must equal."""
    parts, start = [], 0
    for at in range(0, len(data) - 3, 4):
        if data[at : at + 4] == MAGIC_BYTES and at >= start:
            parts.append(data[start:at])
            start = at + 4
    parts.append(data[start:])
    made = b""
    for i, part in enumerate(parts):
        cflag = 0 if len(parts) == 1 else 1 if i == 0 else 3 if i == len(parts) - 1 else 2
        made += MAGIC_BYTES + struct.pack("<I", cflag << 29 | len(part)) + part + bytes(-len(part) % 4)
    return made


def write_rec(path: Path, records: list[bytes], *, idx: bool = True) -> Path:
    """A .rec of framed records, keys counted from 0."""
    lines, data = "", b""
    for key, record in enumerate(records):
        lines += f"{key}\t{len(data)}\n"
        data += plainly_framed(record)
    path.write_bytes(data)
    if idx:
        path.with_suffix(".idx").write_text(lines)
    return path


def images_of(pack: FilePack) -> list[bytes]:
    return [record.image for record in content(pack)[0]]


def test_vectors_of_the_format_notes() -> None:
    image = framed(image_record(1, (7.0,), JPEG))
    assert image.hex() == "0a23d7ce1b000000000000000000e04001000000000000000000000000000000ffd8ff00"
    head = struct.pack("<IfQQ", 2, 0.0, 0, 1) + struct.pack("<2f", 3, 5)
    assert framed(head).hex() == (
        "0a23d7ce20000000020000000000000000000000000000000100000000000000" + "000040400000a040"
    )


@pytest.mark.parametrize("at", range(9))
def test_data_that_hold_the_magic_are_cut_as_described(at: int) -> None:
    data = bytes(at) + MAGIC_BYTES + b"xy" + MAGIC_BYTES + MAGIC_BYTES + b"end"
    assert framed(data) == plainly_framed(data)
    assert framed(MAGIC_BYTES * at) == plainly_framed(MAGIC_BYTES * at)


@pytest.mark.parametrize("idx", [True, False])
def test_rec_of_insightface_with_ranges_of_subjects(tmp_path: Path, *, idx: bool) -> None:
    pictures = [JPEG + bytes([k]) * k + MAGIC_BYTES * (k % 2) for k in range(1, 6)]
    labels = [(0.0,), (0.0, 1.0), (1.0,), (1.0, 0.0, 3.0), (1.0,)]
    records = [image_record(0, (6.0, 8.0), b"")]
    records += [image_record(k + 1, labels[k], pictures[k]) for k in range(5)]
    records += [image_record(6, (1.0, 3.0), b""), image_record(7, (3.0, 6.0), b"")]
    path = write_rec(tmp_path / "train.rec", records, idx=idx)
    (tmp_path / "property").write_text("3,112,112")
    for named in (path, tmp_path):
        with open_pack(named, strict=True) as pack:
            assert images_of(pack) == pictures
            assert pack.labels.tolist() == [0, 0, 1, 1, 1]
            assert list(pack.subjects) == ["0", "1", "2"]
            assert list(pack.names) == [f"{k // 2 - k // 4}/{k:08d}.jpg" for k in range(5)]
            assert pack.names[1:3] == ["0/00000001.jpg", "1/00000002.jpg"]


def test_rec_without_a_header_record(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "a.rec", [image_record(k, (float(k // 2),), JPEG + b"x") for k in range(4)])
    with open_pack(path, strict=True) as pack:
        assert pack.labels.tolist() == [0, 0, 1, 1]
        assert len(pack.subjects) == 2


def test_rec_with_labels_that_contradict_it(tmp_path: Path) -> None:
    records = [image_record(0, (4.0, 5.0), b"")]
    records += [image_record(k, (label,), JPEG) for k, label in ((1, 0.0), (2, 1.5), (3, float("nan")))]
    path = write_rec(tmp_path / "a.rec", [*records, image_record(4, (1.0, 4.0), b"")])
    (tmp_path / "property").write_text("many")
    with open_pack(path) as pack:
        assert pack.labels.tolist() == [0, UNKNOWN, UNKNOWN]
        assert [str(fault) for fault in pack.faults] == [
            "record 2: expected a whole number as label, got 1.5",
            "record 3: expected a whole number as label, got nan",
            "record 4: the pictures 1 to 3 of a subject have several labels",
            "property: expected subjects,height,width, got 'many'",
        ]
    with pytest.raises(DataError, match=r"a\.rec: record 2: expected a whole number .*; 1 more"):
        open_pack(path, strict=True)


def test_our_rec_is_laid_out_as_insightface_reads_it(tmp_path: Path) -> None:
    records = [Record(f"{k}", k // 2, JPEG + bytes([k])) for k in range(6)]
    path = write(tmp_path, "rec", records, SUBJECTS, None)
    places = dict(line.split("\t") for line in path.with_suffix(".idx").read_text().splitlines())
    data = path.read_bytes()

    def labels(key: int) -> tuple[float, ...]:
        at = int(places[str(key)]) + 8
        (flag,) = struct.unpack_from("<I", data, at)
        return (
            struct.unpack_from(f"<{flag}f", data, at + 24) if flag else struct.unpack_from("<f", data, at + 4)
        )

    assert [labels(k) for k in range(10)] == [
        (7.0, 10.0),
        *[(0.0,), (0.0,), (1.0,), (1.0,), (2.0,), (2.0,)],
        *[(1.0, 3.0), (3.0, 5.0), (5.0, 7.0)],
    ]
    assert (tmp_path / "property").read_text() == "3,0,0\n"


def test_tfrecord_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "other.tfrecord"
    pictures = [JPEG + bytes(n) for n in (0, 900, 5000)]
    writer = TFRecordWriter(str(path))
    writer.write({"image_raw": (pictures[0], "byte"), "label": (5, "int")})
    writer.write(
        {"height": (112, "int"), "image/encoded": (pictures[1], "byte"), "image/class/label": (-1, "int")}
    )
    writer.write(
        {"name": (b"ada/3.jpg", "byte"), "image_raw": (pictures[2], "byte"), "scores": ([0.5] * 300, "float")}
    )
    writer.close()
    with open_pack(path, strict=True) as pack:
        assert images_of(pack) == pictures
        assert pack.labels.tolist() == [5, UNKNOWN, UNKNOWN]
        assert list(pack.names) == ["5/00000000.jpg", "00000001.jpg", "ada/3.jpg"]
        assert len(pack.subjects) == 6


def test_another_program_reads_our_tfrecord(tmp_path: Path) -> None:
    path = write(tmp_path, "tfrecord", pairs=None)
    kinds = {"image_raw": "byte", "label": "int", "name": "byte"}
    found = list(tfrecord_loader(str(path), None, kinds))
    assert [bytes(row["image_raw"]) for row in found] == [r.image for r in RECORDS]
    assert [int(row["label"][0]) for row in found] == [r.label for r in RECORDS]
    assert [bytes(row["name"]).decode() for row in found] == [r.name for r in RECORDS]


def test_vector_of_the_tfrecord_notes(tmp_path: Path) -> None:
    path = tmp_path / "v.tfrecord"
    example = "0a250a130a09696d6167655f72617712060a040a02ffd80a0e0a056c6162656c12051a030a0105"
    path.write_bytes(bytes.fromhex(f"2700000000000000bbe1b146{example}833bfd44"))
    with open_pack(path, strict=True) as pack:
        assert pack.read(0) == Record("5/00000000.jpg", 5, b"\xff\xd8")


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_shards_of_another_program(tmp_path: Path, layout: int) -> None:
    long = "deep/" + "x" * (80 if layout == tarfile.USTAR_FORMAT else 180)
    for shard in range(2):
        with tarfile.open(tmp_path / f"train-{shard:03d}.tar", "w", format=layout) as tar:
            add(tar, f"{shard}-a.jpg", JPEG + b"a")
            add(tar, f"{shard}-a.cls", b"7\n")
            add(tar, f"{shard}-a.json", json.dumps({"height": 1}).encode())
            add(tar, f"{long}{shard}.cls", str(shard).encode())
            add(tar, f"{long}{shard}.PNG", b"\x89PNG")
            add(tar, "notes.txt", b"no picture")
    (tmp_path / "elsewhere").mkdir()
    for path in (tmp_path, tmp_path / "train-*.tar", tmp_path / "train-{000..001}.tar"):
        with open_pack(path, strict=True) as pack:
            assert images_of(pack) == [JPEG + b"a", b"\x89PNG"] * 2
            assert pack.labels.tolist() == [7, 0, 7, 1]
            assert list(pack.names) == ["0-a.jpg", f"{long}0.png", "1-a.jpg", f"{long}1.png"]
    with pytest.raises(DataError, match=r"there is no .*train-002\.tar"):
        open_pack(tmp_path / "train-{000..002}.tar")
    with pytest.raises(DataError, match="nothing is at that path"):
        open_pack(tmp_path / "test-*.tar")


def test_python_reads_our_tar(tmp_path: Path) -> None:
    with tarfile.open(write(tmp_path, "tar", pairs=None)) as tar:
        found = {name: tar.extractfile(name).read() for name in tar.getnames()}
    assert found == {
        "00000000.jpg": RECORDS[0].image,
        "00000000.cls": b"0",
        "00000001.png": RECORDS[1].image,
        "00000001.cls": b"0",
        "00000002.jpg": RECORDS[2].image,
        "00000002.cls": b"1",
        "00000003.jpg": RECORDS[3].image,
    }


def as_folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def as_zip(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as made:
        for name, data in files.items():
            made.writestr(name, data)
    return path


@pytest.mark.parametrize("made", [as_folder, as_zip])
def test_plain_folders_of_people(tmp_path: Path, made: Callable[[Path, dict[str, bytes]], Path]) -> None:
    files = {
        "bob/1.JPG": b"b1",
        "Ada Ł/x/2.png": b"a2" * 500,
        "Ada Ł/1.jpg": b"a1",
        "loose.webp": b"l",
        "bob/notes.txt": b"no picture",
        ".hidden/1.jpg": b"h",
        "bob/.1.jpg": b"h",
        "__MACOSX/bob/1.jpg": b"h",
    }
    with open_pack(made(tmp_path / "people", files), strict=True) as pack:
        assert content(pack) == (
            [
                Record("Ada Ł/1.jpg", 0, b"a1"),
                Record("Ada Ł/x/2.png", 0, b"a2" * 500),
                Record("bob/1.JPG", 1, b"b1"),
                Record("loose.webp", UNKNOWN, b"l"),
            ],
            ["Ada Ł", "bob"],
        )
        assert pack.info is None
        assert pack.pairs is None


def test_our_folder_can_be_used_without_us(tmp_path: Path) -> None:
    records = [Record("x", 0, JPEG), Record("y/z/x", 0, b"\x89PNG\r\n\x1a\n"), Record("bob/b.jpg", 1, JPEG)]
    path = write(tmp_path, "folder", records, ["ada/1", "bob"], None)
    files = sorted(p.relative_to(path).as_posix() for p in path.rglob("*.*") if p.parent != path)
    assert files == ["ada_1/x.jpg", "ada_1/y_z_x.png", "bob/b.jpg"]


def test_the_real_pack_is_read_as_before(shared: Path) -> None:
    path = shared / "data" / "eval_gt" / "insightface_bin" / "small_lfw.bin"
    pictures, mated = read_pair_pack(path)
    with open_pack(path, strict=True) as pack:
        assert tuple(images_of(pack)) == pictures
        assert pack.pairs is not None
        assert pack.pairs.mated.tolist() == mated.tolist()
        assert set(pack.labels.tolist()) == {UNKNOWN}
        assert pack.names[3] == "00000003.jpg"
