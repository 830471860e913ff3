"""Made-up trees in the published layouts: what is read, and what is said about deviations."""

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lineament.core.errors import ConfigError, DataError
from lineament.packs.base import Record
from lineament.packs.datasets import (
    READERS,
    read_casia_webface,
    read_celeba,
    read_glint,
    read_indexed,
    read_lfw,
    read_ms1m,
    read_vggface2,
    refuse_lfw,
)
from lineament.packs.evaluation_only import refuse_evaluation_sets
from lineament.packs.filepack import FilePack
from lineament.packs.writing import write_pack


def files(root: Path, names: Sequence[str]) -> None:
    """Files whose content is their name."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def content(pack: FilePack) -> list[tuple[str, str, bytes]]:
    """Name, subject and bytes of each record, each read once more from a pickled copy."""
    with pack, pickle.loads(pickle.dumps(pack)) as copy:  # noqa: S301 - made here
        records = [pack.read(number) for number in range(len(pack))]
        assert [copy.read(number) for number in range(len(pack))] == records
        return [(r.name, pack.subjects[r.label], r.image) for r in records]


def reasons(pack: FilePack) -> str:
    return "\n".join(fault.reason for fault in pack.faults)


def test_vggface2_reads_train_and_compares_lists_and_counts(tmp_path: Path) -> None:
    names = ["n000002/0001_01.jpg", "n000002/0002_01.jpg", "n000003/0001_01.jpg", "n000004/0001_02.jpg"]
    files(tmp_path / "train", names)
    files(tmp_path / "test", ["n000001/0001_01.jpg"])
    (tmp_path / "train" / "thumbs").mkdir()
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "identity_meta.csv").write_text(
        'Class_ID, Name, Sample_Num, Flag, Gender\nn000001, "Ada_L",1,0, f,\nn000002, "B. \'Bo\' C",2,1, m,\n'
        'n000003, "D",2,1, f\nn000004, "E",1,1, m,\n',
        encoding="utf-8",
    )
    (tmp_path / "train_list.txt").write_text("\n".join([*names[:3], "n000003/0009_01.jpg"]) + "\n")
    pack = read_vggface2(tmp_path)
    assert content(pack) == [(name, name[:7], name.encode()) for name in names]
    assert pack.labels.tolist() == [0, 0, 1, 2]
    said = reasons(pack)
    assert "1 folders are no subjects by their name: thumbs" in said
    assert "1 pictures of train_list.txt are not there: n000003/0009_01.jpg" in said
    assert "1 pictures are not in train_list.txt: n000004/0001_02.jpg" in said
    assert "1 subjects have not the number of pictures of identity_meta.csv: n000003" in said
    assert "8,631 subjects, 3,141,890 pictures (train)" in said
    assert "here are 3 subjects, 4 pictures" in said
    assert content(read_vggface2(tmp_path / "test")) == [
        ("n000001/0001_01.jpg", "n000001", b"n000001/0001_01.jpg")
    ]


def test_casia_webface_takes_folders_of_seven_digits(tmp_path: Path) -> None:
    files(
        tmp_path, ["0000045/001.jpg", "0000045/002.jpg", "0000099/001.jpg", "0000099/notes.txt", "readme.txt"]
    )
    (tmp_path / "0000100").mkdir()
    pack = read_casia_webface(tmp_path)
    assert [name for name, _, _ in content(pack)] == ["0000045/001.jpg", "0000045/002.jpg", "0000099/001.jpg"]
    assert list(pack.subjects) == ["0000045", "0000099"]
    assert "the folder 0000100 holds no picture" in reasons(pack)
    assert "10,575 subjects, 494,414 pictures (folders)" in reasons(pack)


def test_counts_of_an_edition_are_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files(tmp_path, ["0000045/001.jpg", "0000099/001.jpg"])
    monkeypatch.setattr("lineament.packs.datasets.CASIA_WEBFACE", {2: ("small", 2)})
    assert read_casia_webface(tmp_path).faults == ()


def written_rec(path: Path, labels: Sequence[int]) -> None:
    records = [Record(f"{n}", label, b"\xff\xd8" + bytes([n])) for n, label in enumerate(labels)]
    write_pack(records, path, "rec", [str(label) for label in range(max(labels) + 1)])


@pytest.mark.parametrize("name", ["casia-webface", "ms1m", "glint"])
def test_the_packed_forms_are_read_with_their_counts(tmp_path: Path, name: str) -> None:
    written_rec(tmp_path / "train.rec", [0, 0, 1, 1, 2])
    for path in (tmp_path, tmp_path / "train.rec"):
        pack = READERS[name](path)
        assert [image for _, _, image in content(pack)] == [b"\xff\xd8" + bytes([n]) for n in range(5)]
        assert pack.labels.tolist() == [0, 0, 1, 1, 2]
        assert "here are 3 subjects, 5 pictures" in reasons(pack)


def test_celeba_prefers_the_pictures_in_the_wild(tmp_path: Path) -> None:
    files(tmp_path / "Img" / "img_align_celeba", ["000001.jpg", "000002.jpg"])
    (tmp_path / "Anno").mkdir()
    (tmp_path / "Anno" / "identity_CelebA.txt").write_text(
        "000001.jpg 2880\n000002.jpg 2937\n000003.jpg 2880\n"
    )
    pack = read_celeba(tmp_path)
    assert content(pack) == [
        ("2880/000001.jpg", "2880", b"000001.jpg"),
        ("2937/000002.jpg", "2937", b"000002.jpg"),
    ]
    assert "1 pictures of identity_CelebA.txt are not there: 000003.jpg" in reasons(pack)
    assert "10,177 subjects, 202,599 pictures" in reasons(pack)
    files(tmp_path / "Img" / "img_celeba", ["000003.jpg"])
    assert [name for name, _, _ in content(read_celeba(tmp_path))] == ["2880/000003.jpg"]


def test_celeba_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "img_celeba").mkdir()
    with pytest.raises(DataError, match="found no list"):
        read_celeba(tmp_path)
    (tmp_path / "identity_CelebA.txt").write_text("")
    (tmp_path / "img_celeba").rmdir()
    with pytest.raises(DataError, match="found no pictures"):
        read_celeba(tmp_path)


def test_a_cleaned_list_says_whose_picture_each_is(tmp_path: Path) -> None:
    files(tmp_path, ["m.0107_f/2.jpg", "m.0107_f/3.jpg", "m.02/1.jpg", "m.02/not_listed.jpg"])
    lines = ["m.02/1.jpg 7", "m.0107_f/2.jpg 0", "", "m.0107_f/3.jpg 0", "m.0107_f/2.jpg 7", "m.03/1.jpg 8"]
    (tmp_path / "MS-Celeb-1M_clean_list.txt").write_text("\n".join(lines))
    pack = read_ms1m(tmp_path / "MS-Celeb-1M_clean_list.txt")
    assert [(name, subject) for name, subject, _ in content(pack)] == [
        ("m.02/1.jpg", "7"),
        ("m.0107_f/2.jpg", "0"),
        ("m.0107_f/3.jpg", "0"),
    ]
    assert "line 5: m.0107_f/2.jpg was listed before" in reasons(pack)
    assert "1 pictures of MS-Celeb-1M_clean_list.txt are not there: m.03/1.jpg" in reasons(pack)


def test_a_list_of_glint_holds_points_too(tmp_path: Path) -> None:
    files(tmp_path, ["celeb/a/1.jpg"])
    points = " 1.5" * 10
    (tmp_path / "celeb_lmk").write_text(f"celeb/a/1.jpg 12{points}\n")
    assert [(name, subject) for name, subject, _ in content(read_glint(tmp_path / "celeb_lmk"))] == [
        ("celeb/a/1.jpg", "12")
    ]
    (tmp_path / "test_lmk").write_text(f"celeb/a/1.jpg{points}\n")
    with pytest.raises(DataError, match="line 1: expected 2 or 12 columns, got 11"):
        read_glint(tmp_path / "test_lmk")


@pytest.mark.parametrize("line", ["../x.jpg 1", "/etc/x.jpg 1", "a.jpg one"])
def test_a_list_of_other_things_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "list.txt").write_text(line)
    with pytest.raises(DataError, match="line 1: expected 'file label'"):
        read_ms1m(tmp_path / "list.txt")


def test_an_index_leaves_out_who_is_in_lfw(tmp_path: Path) -> None:
    files(tmp_path, ["ada/1.jpg", "ada/2.jpg", "eve/1.jpg"])
    (tmp_path / "index.csv").write_text(
        "identity,file,in_lfw\neve,1.jpg,1\nada,2.jpg,0\nada,1.jpg,\nada,9.jpg,0\n"
    )
    pack = read_indexed(tmp_path)
    assert content(pack) == [("ada/2.jpg", "ada", b"ada/2.jpg"), ("ada/1.jpg", "ada", b"ada/1.jpg")]
    assert "1 pictures of people in LFW are left out" in reasons(pack)
    assert "1 pictures of index.csv are not there: ada/9.jpg" in reasons(pack)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("who,file\na,1.jpg\n", "expected the columns identity and file, got who,file"),
        ("identity,file\na\n", "line 2: expected 2 cells"),
        ("identity,file\nnobody,1.jpg\n", "none of the pictures"),
        ("", "expected the columns"),
    ],
)
def test_another_index_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    files(tmp_path, ["ada/1.jpg"])
    (tmp_path / "index.csv").write_text(text)
    with pytest.raises(DataError, match=reason):
        read_indexed(tmp_path)


@pytest.mark.parametrize("name", sorted(READERS))
def test_an_empty_folder_and_a_missing_one_are_no_data_set(tmp_path: Path, name: str) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(DataError):
            READERS[name](path)


def test_a_file_that_vanished_is_said_when_it_is_read(tmp_path: Path) -> None:
    files(tmp_path, ["0000045/001.jpg", "0000045/002.jpg"])
    pack = read_casia_webface(tmp_path)
    (tmp_path / "0000045" / "002.jpg").unlink()
    with pytest.raises(DataError, match=r"record 1 \(0000045/002.jpg\): .* cannot be read"):
        pack.read(1)


def test_lfw_is_refused_by_name_and_by_its_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="LFW is for evaluation only"):
        read_lfw(tmp_path)
    lfw = [f"Aaron_Eckhart/Aaron_Eckhart_{n:04d}.jpg" for n in range(1, 4)]
    with pytest.raises(DataError, match="LFW is for evaluation only"):
        refuse_lfw(lfw, tmp_path)
    refuse_lfw([lfw[0], "a/1.jpg", "a/2.jpg"], tmp_path)
    refuse_lfw(["n000001/0001_01.jpg", "Barack_Obama/0.jpg"], tmp_path)
    refuse_lfw([], tmp_path)


@pytest.mark.parametrize(
    "name", ["lfw.rec", "LFW", "lfw/train.rec", "lfw_aligned112.zip", "lfw-funneled/a.rec"]
)
def test_packs_that_are_called_lfw_are_not_trained_on(name: str) -> None:
    with pytest.raises(ConfigError, match="evaluation only"):
        refuse_evaluation_sets(Path("/data") / name)


def test_a_name_that_only_begins_like_lfw_is_no_evaluation_set() -> None:
    refuse_evaluation_sets(Path("/home/lfwang/train.rec"))


@pytest.mark.shared
def test_the_small_training_sets_are_read_whole(shared: Path) -> None:
    data = shared / "data"
    counts = {"train_celeba112": (4543, 233), "train_glint6": (720, 6), "train_bollywood64": (5625, 95)}
    for name, (records, subjects) in counts.items():
        with read_indexed(data / name) as pack:
            assert (len(pack), len(pack.subjects)) == (records, subjects)
            assert np.bincount(pack.labels).min() > 0
            assert pack.read(len(pack) - 1).image[:2] == b"\xff\xd8"
