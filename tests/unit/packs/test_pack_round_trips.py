"""What is written in one format is read again, and goes through all others, byte for byte."""

import pickle
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pack_samples import FILES, PAIRS, RECORDS, SUBJECTS, content, read, write

from lineament.packs import FORMATS, UNKNOWN, Format, Origin, Pack, Pairs, Record, open_pack, write_pack
from lineament.packs.base import name_fault
from lineament.packs.pictures import SUFFIXES, picture_size, suffix_of
from lineament.packs.recordio import MAGIC_BYTES
from lineament.packs.selection import every_record, write_selection


@pytest.mark.parametrize("file_format", FORMATS)
def test_names_labels_subjects_and_pairs_come_back(tmp_path: Path, file_format: Format) -> None:
    path = write(tmp_path, file_format)
    with open_pack(path, strict=True) as pack:
        assert content(pack) == (list(RECORDS), list(SUBJECTS))
        assert [r.name for r in RECORDS] == list(pack.names)
        assert pack.labels.tolist() == [0, 0, 1, UNKNOWN]
        assert pack.labels.dtype == np.int64
        assert pack.pairs is not None
        assert pack.pairs.records.tolist() == PAIRS.records.tolist()
        assert pack.pairs.mated.tolist() == PAIRS.mated.tolist()
        assert pack.info is not None
        assert pack.info.format == file_format
        used: Pack = pack  # the protocol that training and curation read
        assert len(used) == 4


def test_the_digest_does_not_depend_on_the_format(tmp_path: Path) -> None:
    origin = Origin("https://example.org\t„drawn“ \\ \x7f", "CC0")
    infos = [
        write_pack(RECORDS, tmp_path / FILES[f], f, SUBJECTS, pairs=PAIRS, origin=origin) for f in FORMATS
    ]
    assert len({info.sha256 for info in infos}) == 1
    for name, info in zip(FILES.values(), infos, strict=True):
        with open_pack(tmp_path / name) as pack:
            assert pack.info == info
            assert pack.info.origin == origin


names = (
    st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=3)
    .map("/".join)
    .filter(lambda name: name_fault(name) is None)
)
images = st.one_of(
    st.binary(min_size=1, max_size=40),
    # pictures that hold the magic of RecordIO, at multiples of four bytes and elsewhere
    st.lists(st.sampled_from([MAGIC_BYTES, b"\0", b"abcd", b"\xff\xd8"]), min_size=1, max_size=9).map(
        b"".join
    ),
)
text = st.text(max_size=8).filter(lambda name: name_fault(name or "x") is None and "\n" not in name)


@st.composite
def drawn_packs(draw: Callable) -> tuple[list[Record], list[str], Pairs]:
    subjects = draw(st.lists(text, max_size=4))
    label = st.integers(UNKNOWN, len(subjects) - 1)
    wanted = 2 * draw(st.integers(1, 3))
    called = draw(st.lists(names, min_size=wanted, max_size=wanted, unique=True))
    records = [Record(name, draw(label), draw(images)) for name in called]
    mated = draw(st.lists(st.booleans(), min_size=wanted // 2, max_size=wanted // 2))
    return records, subjects, Pairs(np.arange(wanted).reshape(-1, 2), np.array(mated))


@pytest.mark.parametrize("file_format", FORMATS)
@settings(max_examples=15, deadline=None)
@given(drawn=drawn_packs())
def test_any_records_come_back(file_format: Format, drawn: tuple[list[Record], list[str], Pairs]) -> None:
    records, subjects, pairs = drawn
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), file_format, records, subjects, pairs)
        assert read(path) == (records, subjects)


def test_a_real_verification_pack_goes_through_every_format_and_comes_back(
    shared: Path, tmp_path: Path
) -> None:
    path = shared / "data" / "eval_gt" / "insightface_bin" / "small_lfw.bin"
    found = pickle.loads(path.read_bytes(), encoding="bytes")  # noqa: S301 - the oracle; the file is known
    pictures, answers = [array.tobytes() for array in found[0]], list(found[1])
    digests = set()
    chain: tuple[Format, ...] = ("bin", "folder", "rec", "tfrecord", "tar", "zip", "bin")
    for step, file_format in enumerate(chain):
        target = tmp_path / f"{step}-{FILES[file_format]}"
        with open_pack(path, strict=True) as pack:
            info = write_selection(pack, every_record(pack, file_format), target, file_format)
        path = target
        digests.add(info.sha256)
        with open_pack(path, strict=True) as pack:
            assert [pack.read(i).image for i in range(len(pack))] == pictures
            assert pack.pairs is not None
            assert pack.pairs.mated.tolist() == answers
            assert pack.pairs.records.ravel().tolist() == list(range(len(pictures)))
    assert len(digests) == 1
    assert path.read_bytes() == (tmp_path / "0-pack.bin").read_bytes()
    assert (tmp_path / "1-pack" / "pairs.csv").read_text().startswith("file_a,file_b,label\n00000000.jpg,")


def test_pairs_that_share_pictures_become_a_bin(tmp_path: Path) -> None:
    pairs = Pairs(np.array([[0, 1], [0, 2], [2, 1]]), np.array([True, False, False]))
    path = write(tmp_path, "folder", RECORDS, SUBJECTS, pairs)
    with open_pack(path) as pack:
        write_selection(pack, every_record(pack, "bin"), tmp_path / "p.bin", "bin")
    with open_pack(tmp_path / "p.bin", strict=True) as pack:
        assert [pack.read(i).image for i in range(6)] == [RECORDS[i].image for i in (0, 1, 0, 2, 2, 1)]
        assert pack.labels.tolist() == [0, 0, 0, 1, 1, 0]


@pytest.mark.parametrize("file_format", FORMATS)
def test_several_threads_and_a_pickled_copy_read_the_same(tmp_path: Path, file_format: Format) -> None:
    rng = np.random.default_rng(3)
    records = [Record(f"s/{i}.jpg", 0, rng.bytes(int(rng.integers(1, 9000)))) for i in range(200)]
    pairs = Pairs(np.arange(200).reshape(-1, 2), np.ones(100, bool))
    path = write(tmp_path, file_format, records, ["s"], pairs)
    order = rng.permutation(np.repeat(np.arange(200), 5)).tolist()
    with open_pack(path) as pack, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(pack.read, order)) == [records[i] for i in order]
        with pickle.loads(pickle.dumps(pack)) as copy:  # noqa: S301
            assert copy.read(7) == records[7]


def test_reading_goes_no_further_than_the_pack(tmp_path: Path) -> None:
    pack = open_pack(write(tmp_path, "rec"))
    for index in (-1, 4):
        with pytest.raises(IndexError, match=f"holds 4 records, asked for number {index}"):
            pack.read(index)
    with pack:
        pass
    with pytest.raises(ValueError, match="closed"):
        pack.read(0)


def test_large_tars_are_cut_into_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lineament.packs.tarshards.SHARD_BYTES", 3000)
    write_pack(RECORDS, tmp_path / "shards", "tar", SUBJECTS)
    assert len(list((tmp_path / "shards").glob("*.tar"))) == 2
    assert read(tmp_path / "shards") == (list(RECORDS), list(SUBJECTS))


def test_pictures_are_known_by_content(shared: Path) -> None:
    from lineament.imaging import formats

    assert formats.SUFFIXES == SUFFIXES
    with open_pack(shared / "data" / "train_glint6" / "train_glint6.zip") as pack:
        image = pack.read(0).image
    assert suffix_of(image) == ".jpg"
    assert picture_size(image) == (112, 112)
    assert picture_size(b"nothing") is None
