"""Damaged packs give errors and faults, never another exception; writing leaves a whole pack or none."""

import io
import os
import signal
import subprocess
import sys
import tarfile
import textwrap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from pack_samples import FILES, PAIRS, RECORDS, SUBJECTS, content, read, write

from lineament.core.errors import DataError
from lineament.packs import FORMATS, UNKNOWN, Fault, Format, Pairs, Record, open_pack, write_pack
from lineament.packs.rec import RecWriter

FILE_FORMATS: tuple[Format, ...] = ("zip", "rec", "tfrecord", "tar", "bin")
STEPS = {"zip": 3, "tar": 37}
"""These have long directories and empty blocks: only every third and 37th byte is tried."""


def what_is_readable(path: Path) -> list[Record]:
    """The records that come back; nothing but DataError may be raised, and it must say where."""
    found = []
    said = ""
    try:
        with open_pack(path) as pack:
            for index in range(len(pack)):
                try:
                    found.append(pack.read(index))
                except DataError as error:
                    said += "" if f"record {index} (" in str(error) else str(error)
    except DataError as error:
        said = "" if path.name in str(error) else str(error)
    assert said == ""
    return found


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("file_format", FILE_FORMATS)
def test_cut_off_at_every_byte(tmp_path: Path, file_format: Format, *, alone: bool) -> None:
    path = write(tmp_path, file_format)
    data = path.read_bytes()
    if alone:
        for other in tmp_path.iterdir():
            if other != path:
                other.unlink()
    for end in range(0, len(data), STEPS.get(file_format, 1)):
        path.write_bytes(data[:end])
        found = what_is_readable(path)
        kept = [record.image for record in found]
        assert kept == [record.image for record in RECORDS[: len(kept)]]
        if end < len(data) - 2048:  # the empty blocks that end a tar hold nothing
            with pytest.raises(DataError):
                open_pack(path, strict=True)


@pytest.mark.parametrize("file_format", FILE_FORMATS)
def test_every_byte_changed(tmp_path: Path, file_format: Format) -> None:
    path = write(tmp_path, file_format)
    data = path.read_bytes()
    rng = np.random.default_rng(5)
    for at in range(0, len(data), STEPS.get(file_format, 1)):
        wrong = bytearray(data)
        wrong[at] ^= int(rng.integers(1, 256))
        path.write_bytes(wrong)
        found = what_is_readable(path)
        if file_format in {"tfrecord", "zip"}:  # these have checksums over the pictures
            assert {record.image for record in found} <= {record.image for record in RECORDS}


def test_random_bytes_behind_the_right_beginning(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    for file_format in FILE_FORMATS:
        head = write(tmp_path, file_format).read_bytes()[:12]
        path = tmp_path / "random"
        for length in range(0, 600, 20):
            path.write_bytes(head + rng.bytes(length))
            what_is_readable(path)


def test_records_behind_the_damage_are_kept_where_the_format_allows_it(tmp_path: Path) -> None:
    path = write(tmp_path, "rec", pairs=None)
    data = bytearray(path.read_bytes())
    second = int(path.with_suffix(".idx").read_text().split()[2 * 2 + 1])
    data[second] ^= 1
    path.write_bytes(data)
    with open_pack(path) as pack:
        assert content(pack)[0] == [RECORDS[0], RECORDS[2], RECORDS[3]]
        assert pack.faults == (
            Fault(2, f"expected the magic number 0xced7230a at byte {second}, got 0xced7230b"),
        )
    path.with_suffix(".idx").unlink()
    with open_pack(path) as pack:
        assert [record.image for record in content(pack)[0]] == [RECORDS[0].image]
        assert "what follows is not read" in str(pack.faults[0])


def test_a_wrong_crc_of_a_picture_is_found_when_it_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "tfrecord")
    path.write_bytes(path.read_bytes().replace(b"ada two", b"ada 2wo"))
    with open_pack(path, strict=True) as pack:
        assert pack.read(0) == RECORDS[0]
        with pytest.raises(DataError, match=r"record 1 \(ada/ada_0002\.png\): the CRC-32C"):
            pack.read(1)


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        ({"idx": "0\t0\n1"}, "pack.idx: .*looked for without it"),
        ({"idx": "0\tx"}, "pack.idx: .*looked for without it"),
        ({"idx": "0\t0\n1\t40\n1\t40"}, "1 keys are listed twice"),
        ({"toml": "schema = 1"}, "expected the keys format, records"),
        ({"toml": "no toml"}, "pack.toml: .*correct or delete it"),
        ({"csv": "name\na\n"}, "lists 1 records, the pack holds 4"),
        ({"csv": "file\na\n"}, "expected the columns name, got file"),
        ({"csv": "name\na\na\n../b\nc\n"}, "record 1: name 'a' is taken"),
        ({"csv": "name\na\nb,c\nc\nd\n"}, "row 1: expected 1 cells, got 2"),
        ({"csv": b"name\n\xff\n"}, "records.csv: .* cannot be read"),
        ({"pairs": "file_a,file_b,label\nx,y,same\n"}, "pair 0: there is no record 'x'"),
        (
            {"pairs": "file_a,file_b,label\nloose.jpg,loose.jpg,maybe\n"},
            "expected same or different, got 'maybe'",
        ),
    ],
)
def test_lists_beside_a_pack_that_are_wrong(tmp_path: Path, lists: dict[str, str | bytes], said: str) -> None:
    path = write(tmp_path, "rec")
    names = {
        "idx": "pack.idx",
        "toml": "pack.rec.pack.toml",
        "csv": "pack.rec.records.csv",
        "pairs": "pack.rec.pairs.csv",
    }
    for kind, text in lists.items():
        (tmp_path / names[kind]).write_bytes(text if isinstance(text, bytes) else text.encode())
    with open_pack(path) as pack:
        images = [record.image for record in content(pack)[0]]
        assert set(images) <= {record.image for record in RECORDS}
    with pytest.raises(DataError, match=said):
        open_pack(path, strict=True)


def test_folders_whose_files_are_not_those_of_the_list(tmp_path: Path) -> None:
    path = write(tmp_path, "folder")
    (path / "ada" / "ada_0001.jpg").unlink()
    (path / "bob" / "new.jpg").write_bytes(b"new")
    (path / "bob" / "bob_0001.jpg").write_bytes(b"")
    with open_pack(path) as pack:
        assert list(pack.names) == [record.name for record in RECORDS[1:]]
        assert [str(fault) for fault in pack.faults] == [
            "record 0: file 'ada/ada_0001.jpg' is not there",
            "1 pictures are not in records.csv and are left out, 'bob/new.jpg' for one; "
            "delete records.csv to read the folder as it is",
            "pair 0: there is no record 'ada/ada_0001.jpg'",
        ]
        with pytest.raises(DataError, match=r"record 1 \(bob/bob_0001\.jpg\): the file is empty"):
            pack.read(1)


def test_what_is_no_pack_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").mkdir()
    for name, said in (
        ("absent", "nothing is at that path"),
        ("text", "by its first bytes"),
        ("empty", "no picture"),
    ):
        with pytest.raises(DataError, match=said):
            open_pack(tmp_path / name)
    for name in ("a.rec", "b.rec"):
        (tmp_path / "empty" / name).touch()
    with pytest.raises(DataError, match=r"holds 2 \.rec files"):
        open_pack(tmp_path / "empty")


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("file_format", FORMATS)
def test_an_interrupted_write_leaves_nothing(tmp_path: Path, file_format: Format) -> None:
    def broken() -> Iterator[Record]:
        yield from RECORDS[:2]
        raise DataError("the source is damaged")

    with pytest.raises(DataError, match="the source is damaged"):
        write_pack(broken(), tmp_path / FILES[file_format], file_format, SUBJECTS, pairs=PAIRS)
    assert left(tmp_path) == []


@pytest.mark.parametrize("file_format", FORMATS)
def test_what_is_there_is_not_overwritten(tmp_path: Path, file_format: Format) -> None:
    path = write(tmp_path, file_format)
    before = left(tmp_path)
    with pytest.raises(DataError, match="exists; choose another name"):
        write(tmp_path, file_format)
    assert left(tmp_path) == before
    assert read(path) == (list(RECORDS), list(SUBJECTS))


@pytest.mark.parametrize(
    ("records", "error", "said"),
    [
        ([], DataError, "there is no record to write"),
        ([Record("a", 0, b"")], DataError, r"record 0 \(a\) holds no picture"),
        ([Record("a", 3, b"x")], ValueError, "record 0: label 3 has no name"),
        ([Record("a", 0, b"x"), Record("a", 0, b"y")], ValueError, "record 1: name 'a' is that of record 0"),
    ],
)
def test_records_that_cannot_be_written(
    tmp_path: Path, records: list[Record], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        write(tmp_path, "tar", records, SUBJECTS, None)
    assert left(tmp_path) == []


def test_calls_that_make_no_sense(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a \.bin pack holds pairs"):
        write(tmp_path, "bin", pairs=None)
    with pytest.raises(ValueError, match="must be the records 2k and 2k"):
        write(tmp_path, "bin", pairs=Pairs(np.array([[1, 0]]), np.array([True])))
    with pytest.raises(ValueError, match="pairs name record 9, there are 4"):
        write(tmp_path, "rec", pairs=Pairs(np.array([[1, 9]]), np.array([True])))
    with pytest.raises(ValueError, match="format must be one of folder, zip"):
        write_pack(RECORDS, tmp_path / "x", "lmdb", SUBJECTS)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="subjects: name must be text on one line"):
        write_pack(RECORDS, tmp_path / "x", "rec", ["a\nb"])
    with pytest.raises(DataError, match="cannot be written: No such file"):
        write_pack(RECORDS, tmp_path / "absent" / "x", "rec", SUBJECTS)
    with (
        closing(RecWriter(tmp_path / "x", ["s"])) as writer,
        pytest.raises(DataError, match=r"\.rec holds labels and records up to"),
    ):
        writer.add(Record("a", 2**24 + 1, b"x"))
    for name in ("", "/a", "a/../b", "a//b", "./a", "a\nb", "\ud800"):
        with pytest.raises(ValueError, match="name must be"):
            Record(name, UNKNOWN, b"x")


WRITE = """
    import resource, sys, time
    from pathlib import Path
    from lineament.core.errors import DataError
    from lineament.packs import Record, write_pack

    path, file_format, mode = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    if mode == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    def records():
        for i in range(400):
            yield Record(f"s/{i}.jpg", 0, bytes(200) if file_format != "folder" else bytes(200 * i + 1))
            if i == 3 and mode == "wait":
                print("ready", flush=True)
                time.sleep(60)

    try:
        write_pack(records(), path, file_format, ["s"])
    except DataError as error:
        print(error)
"""


def writing(path: Path, file_format: Format, mode: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", textwrap.dedent(WRITE), str(path), file_format, mode]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("file_format", ["rec", "folder", "zip"])
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, file_format: Format) -> None:
    said, _ = writing(tmp_path / "pack", file_format, "full").communicate(timeout=60)
    assert "cannot be written: File too large; nothing was left behind" in said
    assert left(tmp_path) == []


@pytest.mark.parametrize("file_format", ["rec", "folder"])
def test_two_processes_and_one_that_is_killed(tmp_path: Path, file_format: Format) -> None:
    path = tmp_path / "pack"
    process = writing(path, file_format, "wait")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    with pytest.raises(DataError, match="another process is writing"):
        write_pack(RECORDS, path, file_format, SUBJECTS)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert not path.exists()
    assert left(tmp_path) == [".pack.part"]
    write_pack(RECORDS, path, file_format, SUBJECTS)
    assert read(path) == (list(RECORDS), list(SUBJECTS))
    assert ".pack.part" not in left(tmp_path)


def sharded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[str]]:
    """Six records in three shards, and their names."""
    monkeypatch.setattr("lineament.packs.tarshards.SHARD_BYTES", 3000)
    names = [f"ada/{letter}.jpg" for letter in "abcdef"]
    records = [Record(name, 0, b"\xff\xd8\xff" + name.encode()) for name in names]
    write_pack(records, folder / "shards", "tar", ["ada"])
    assert left(folder / "shards")[:3] == ["000000.tar", "000001.tar", "000002.tar"]
    return folder / "shards", names


@pytest.mark.parametrize("damage", ["gone", "cut", "no pack.toml"])
def test_names_stay_right_where_a_shard_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    path, names = sharded(tmp_path, monkeypatch)
    middle = path / "000001.tar"
    if damage == "cut":
        middle.write_bytes(middle.read_bytes()[:300])
    else:
        middle.unlink()
    if damage == "no pack.toml":
        (path / "pack.toml").unlink()
    with open_pack(path) as pack:
        found, _ = content(pack)
    assert [record.name for record in found] == [*names[:2], *names[4:]]
    assert all(record.image.endswith(record.name.encode()) for record in found)
    with pytest.raises(DataError, match=r"000001\.tar|records\.csv lists 6 records, the pack holds 4"):
        open_pack(path, strict=True)


def test_shards_of_somebody_else_take_no_names_from_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = sharded(tmp_path, monkeypatch)
    (path / "000001.tar").unlink()
    with tarfile.open(path / "foreign.tar", "w") as tar:
        info = tarfile.TarInfo("eve.jpg")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"eve"))
    with open_pack(path) as pack:
        assert list(pack.names) == [f"{n:08d}.jpg" for n in (0, 1, 4, 5)] + ["eve.jpg"]
        assert "1 keys are no numbers" in "".join(map(str, pack.faults))
