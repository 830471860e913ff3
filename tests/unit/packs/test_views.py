"""Packs made of packs: names, subjects and labels stay apart, bytes stay the same."""

from pathlib import Path

import numpy as np
import pytest

from lineament.core.errors import DataError
from lineament.packs import UNKNOWN, Fault, Origin, Record, open_pack, write_pack
from lineament.packs.checking import shared_subjects
from lineament.packs.selection import without, write_selection
from lineament.packs.views import JoinedPack, joined_origin, selected


def folder(root: Path, names: list[str]) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(f"{root.name} {name}".encode())
    return root


def test_joined_packs_keep_equal_names_apart(tmp_path: Path) -> None:
    one = open_pack(folder(tmp_path / "one", ["ada/1.jpg", "ada/2.jpg", "eve/1.jpg", "loose.jpg"]))
    two = open_pack(folder(tmp_path / "two", ["ada/1.jpg", "zoe/1.jpg"]))
    with JoinedPack([("one", one), ("two", two)]) as pack:
        assert len(pack) == 6
        assert list(pack.subjects) == ["one/ada", "one/eve", "two/ada", "two/zoe"]
        records = [pack.read(number) for number in range(6)]
        assert [r.name for r in records] == list(pack.names)
        assert [r.label for r in records] == pack.labels.tolist() == [0, 0, 1, UNKNOWN, 2, 3]
        assert records[4].name == "two/ada/1.jpg"
        assert records[4].image == b"two ada/1.jpg"
        for wrong in (-1, 6):
            with pytest.raises(IndexError, match="hold 6 records"):
                pack.read(wrong)


def test_packs_need_different_names(tmp_path: Path) -> None:
    pack = open_pack(folder(tmp_path / "one", ["ada/1.jpg"]))
    for packs in ([], [("", pack)], [("a", pack), ("a", pack)]):
        with pytest.raises(ValueError, match="different names"):
            JoinedPack(packs)


def test_selected_records_get_dense_labels_in_their_order(tmp_path: Path) -> None:
    whole = open_pack(folder(tmp_path / "one", ["ada/1.jpg", "bob/1.jpg", "eve/1.jpg", "loose.jpg"]))
    note = Fault(None, "some are left out")
    with selected(whole, [3, 2, 0], [note], tmp_path / "one", open_pack) as pack:
        assert list(pack.names) == ["loose.jpg", "eve/1.jpg", "ada/1.jpg"]
        assert list(pack.subjects) == ["ada", "eve"]
        assert pack.labels.dtype == np.int64
        assert pack.labels.tolist() == [UNKNOWN, 1, 0]
        assert pack.read(1).image == b"one eve/1.jpg"
        assert pack.faults == (note,)


def test_a_record_that_cannot_be_read_keeps_its_message(tmp_path: Path) -> None:
    whole = open_pack(folder(tmp_path / "one", ["ada/1.jpg", "bob/1.jpg"]))
    (tmp_path / "one" / "bob" / "1.jpg").unlink()
    with (
        selected(whole, [1], [], tmp_path / "one", open_pack) as pack,
        pytest.raises(DataError, match=r"bob/1\.jpg"),
    ):
        pack.read(0)


def test_what_is_left_out_is_gone_and_labels_are_dense(tmp_path: Path) -> None:
    whole = open_pack(folder(tmp_path / "one", ["a/1.jpg", "b/1.jpg", "c/1.jpg", "c/2.jpg", "z.jpg"]))
    write_selection(whole, without(whole, {1, 2}), tmp_path / "less.rec", "rec")
    with open_pack(tmp_path / "less.rec", strict=True) as less:
        assert list(less.subjects) == ["a", "c"]
        assert list(less.names) == ["a/1.jpg", "c/2.jpg", "z.jpg"]
        assert less.labels.tolist() == [0, 1, UNKNOWN]
        assert less.read(1).image == b"one c/2.jpg"
    everything = without(whole, [])
    assert (everything.records.tolist(), everything.subjects.tolist()) == ([0, 1, 2, 3, 4], [0, 1, 2])


def test_sources_and_terms_of_joined_packs_are_told_once(tmp_path: Path) -> None:
    origins = [Origin("A", "research"), Origin("B", "research"), Origin("", "")]
    packs = []
    for number, origin in enumerate(origins):
        write_pack([Record("a", 0, b"x")], tmp_path / f"{number}.rec", "rec", ["a"], origin=origin)
        packs.append(open_pack(tmp_path / f"{number}.rec"))
    assert joined_origin(packs) == Origin("A; B", "research")


def test_people_of_a_joined_pack_are_still_found_by_name(tmp_path: Path) -> None:
    one = open_pack(folder(tmp_path / "one", ["Ada_Lovelace/1.jpg", "7201/1.jpg"]))
    joined = JoinedPack([("one", one)])
    write_pack(map(joined.read, range(2)), tmp_path / "joined.rec", "rec", joined.subjects)
    (shared,) = shared_subjects([open_pack(tmp_path / "joined.rec")], {"list": ["ada lovelace", "7201"]})
    assert "one/Ada_Lovelace" in str(shared)
