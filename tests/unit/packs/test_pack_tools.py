"""Counting, drawing pairs, splitting, shuffling and checking packs, against plain loops and lists of LFW."""

import hashlib
import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pack_samples import PAIRS, RECORDS, SUBJECTS, content, write

from lineament.core.errors import DataError
from lineament.evaluation.trials import read_pairs
from lineament.packs import UNKNOWN, FilePack, Pairs, Record, open_pack
from lineament.packs.checking import check_packs, plain_name, read_names, shared_subjects
from lineament.packs.filepack import Index
from lineament.packs.lfwpairs import csv_text, draw_pairs, lfw_text
from lineament.packs.selection import (
    Selection,
    every_record,
    readable_records,
    shuffled,
    split_by_subject,
    write_selection,
)
from lineament.packs.stats import QUANTILES, pack_stats


def drawn_pack(counts: list[int], unknown: int = 0) -> FilePack:
    """A pack in memory: subject k has ``counts[k]`` pictures, named as LFW names them, in a mixed order."""
    records = [
        Record(f"p{k}/p{k}_{i + 1:04d}.jpg", k, b"%d/%d" % (k, i))
        for k, n in enumerate(counts)
        for i in range(n)
    ]
    records += [Record(f"loose{i}.jpg", UNKNOWN, b"loose") for i in range(unknown)]
    records = [records[i] for i in np.random.default_rng(0).permutation(len(records))]
    index = Index(
        [r.name for r in records], np.array([r.label for r in records]), [f"p{k}" for k in range(len(counts))]
    )
    return FilePack(Path("drawn"), index, lambda i: records[i].image, lambda: None, open_pack)


def test_stats_agree_with_plain_counts(shared: Path) -> None:
    with open_pack(shared / "data" / "train_glint6" / "train_glint6.zip") as pack:
        found = pack_stats(pack)
        records, _ = content(pack)
    assert (found.records, found.subjects, found.unknown, found.empty_subjects) == (720, 6, 0, 0)
    assert found.image_bytes == sum(len(r.image) for r in records)
    assert found.kinds == {".jpg": 720}
    assert found.sizes_px == {(112, 112): 720}
    assert found.per_subject == dict.fromkeys(QUANTILES, 120.0)
    assert found.bytes_quantiles[0.5] == np.median([len(r.image) for r in records])


@given(st.lists(st.integers(0, 40), max_size=30), st.integers(0, 3))
@settings(max_examples=50, deadline=None)
def test_histogram_counts_subjects_by_powers_of_two(counts: list[int], unknown: int) -> None:
    found = pack_stats(drawn_pack(counts, unknown))
    assert found.unknown == unknown
    assert found.empty_subjects == counts.count(0)
    assert {least: n for least, n in found.histogram.items() if n} == Counter(
        1 << (n.bit_length() - 1) for n in counts if n
    )


@given(
    counts=st.lists(st.integers(1, 9), min_size=4, max_size=40),
    n_folds=st.integers(1, 4),
    wanted=st.integers(1, 30),
    seed=st.integers(0, 3),
)
@settings(max_examples=150, deadline=None)
def test_drawn_pairs_keep_the_rules(counts: list[int], n_folds: int, wanted: int, seed: int) -> None:
    pack = drawn_pack(counts, unknown=2)
    try:
        drawn = draw_pairs(pack, n_folds, wanted, seed)
    except DataError as error:
        assert f"{wanted} are wanted" in str(error)  # noqa: PT017 - too few people is what many examples have
        return
    labels = pack.labels[drawn.records]
    assert np.all(labels != UNKNOWN)
    assert np.array_equal(labels[:, 0] == labels[:, 1], drawn.mated)
    assert len({frozenset(pair) for pair in drawn.records.tolist()}) == len(drawn.records)
    assert np.all(drawn.records[:, 0] != drawn.records[:, 1])
    people = [set(part.ravel().tolist()) for part in np.split(labels, n_folds)]
    assert not any(a & b for a, b in itertools.combinations(people, 2))
    assert np.array_equal(drawn.records, draw_pairs(pack, n_folds, wanted, seed).records)


def test_all_pairs_that_there_are_can_be_drawn_and_are_spread_over_the_people() -> None:
    pack = drawn_pack([3, 4, 1])
    drawn = draw_pairs(pack, 1, 9, seed=1)
    assert len({frozenset(pair) for pair in drawn.records[:9].tolist()}) == 3 + 6
    with pytest.raises(DataError, match="3 subjects with 9 mated pairs, 10 are wanted"):
        draw_pairs(pack, 1, 10, seed=1)
    many = drawn_pack([2] * 5 + [60])
    mated = draw_pairs(many, 1, 12, seed=2).records[:12]
    assert Counter(many.labels[mated[:, 0]].tolist()) == {0: 1, 1: 1, 2: 1, 3: 1, 4: 1, 5: 7}
    with pytest.raises(DataError, match="fold 0 has 1 subjects with 0 non-mated pairs"):
        draw_pairs(drawn_pack([9]), 1, 3, seed=0)
    with pytest.raises(ValueError, match="at least one fold"):
        draw_pairs(pack, 0, 3, seed=0)


def test_lists_keep_the_grammar_of_lfw(shared: Path, tmp_path: Path) -> None:
    with open_pack(shared / "data" / "lfw_aligned112" / "lfw_aligned112.zip") as pack:
        drawn = draw_pairs(pack, 10, 300, seed=4)
        (tmp_path / "pairs.txt").write_text(lfw_text(pack, drawn, view=2))
        trials = read_pairs(tmp_path / "pairs.txt")
        assert set(trials.samples) <= set(pack.names)
        assert [tuple(trials.samples[i] for i in pair) for pair in trials.pairs.tolist()] == [
            tuple(pack.names[i] for i in pair) for pair in drawn.records.tolist()
        ]
        assert trials.mated.tolist() == drawn.mated.tolist()
        assert trials.folds.tolist() == np.repeat(np.arange(10), 600).tolist()
        one = draw_pairs(pack, 1, 500, seed=4)
        (tmp_path / "pairsDev.txt").write_text(lfw_text(pack, one, view=1))
        assert (tmp_path / "pairsDev.txt").read_text().startswith("500\n")
        assert len(read_pairs(tmp_path / "pairsDev.txt").pairs) == 1000
        with pytest.raises(ValueError, match="1 with one fold, got 1 with 10"):
            lfw_text(pack, drawn, view=1)


def test_other_names_go_into_a_csv_only(tmp_path: Path) -> None:
    records = [
        Record(f"{who}/{i}.jpg", k, b"x%d" % i) for k, who in enumerate(("a b", "c")) for i in range(2)
    ]
    with open_pack(write(tmp_path, "folder", records, ["a b", "c"], None)) as pack:
        drawn = draw_pairs(pack, 1, 2, seed=0)
        with pytest.raises(
            DataError, match=r"named like ada/ada_0001\.jpg, got 'a b/0\.jpg' .* write a \.csv"
        ):
            lfw_text(pack, drawn, view=2)
        lines = csv_text(pack, drawn).splitlines()
    assert lines[0] == "file_a,file_b,label,subject_a,subject_b"
    assert sorted(lines[1:3]) == ["a b/0.jpg,a b/1.jpg,same,a b,a b", "c/0.jpg,c/1.jpg,same,c,c"]


@given(st.lists(st.integers(0, 5), min_size=2, max_size=20), st.integers(0, 5), st.data())
@settings(max_examples=80, deadline=None)
def test_nobody_is_in_both_parts_of_a_split(counts: list[int], seed: int, data: st.DataObject) -> None:
    pack = drawn_pack(counts)
    there = sum(n > 0 for n in counts)
    n_held = data.draw(st.integers(1, max(there - 1, 1)))
    if there < 2:
        with pytest.raises(ValueError, match="the held part must have"):
            split_by_subject(pack, n_held, seed)
        return
    rest, held = split_by_subject(pack, n_held, seed)
    assert len(held.subjects) == n_held
    assert not set(rest.subjects.tolist()) & set(held.subjects.tolist())
    for part in (rest, held):
        assert set(pack.labels[part.records].tolist()) == set(part.subjects.tolist())
    assert sorted([*rest.records.tolist(), *held.records.tolist()]) == list(range(len(pack)))


def test_a_split_counts_labels_anew_and_keeps_whole_pairs(tmp_path: Path) -> None:
    pairs = Pairs(np.array([[0, 1], [0, 2]]), np.array([True, False]))
    with open_pack(write(tmp_path, "rec", RECORDS[:3], SUBJECTS, pairs)) as pack:
        for part, name in zip(split_by_subject(pack, 1, seed=0), ("rest", "held"), strict=True):
            write_selection(pack, part, tmp_path / name, "folder")
    parts = {}
    for name in ("rest", "held"):
        with open_pack(tmp_path / name, strict=True) as part:
            parts[part.subjects[0]] = content(part)[0], part.pairs and part.pairs.records.tolist()
    assert parts["ada"] == (list(RECORDS[:2]), [[0, 1]])
    assert parts["bob"] == ([Record(RECORDS[2].name, 0, RECORDS[2].image)], [])
    with (
        open_pack(write(tmp_path, "tar")) as pack,
        pytest.raises(DataError, match="subject of 1 records is unknown"),
    ):
        split_by_subject(pack, 1, seed=0)


def test_a_shuffle_is_seeded_and_keeps_records_and_pairs(tmp_path: Path) -> None:
    with open_pack(write(tmp_path, "zip")) as pack:
        chosen = shuffled(pack, "tfrecord", seed=3)
        assert chosen.records.tolist() == shuffled(pack, "tfrecord", seed=3).records.tolist()
        assert chosen.records.tolist() != list(range(4))
        write_selection(pack, chosen, tmp_path / "s.tfrecord", "tfrecord")
        write_selection(pack, shuffled(pack, "bin", seed=1), tmp_path / "s.bin", "bin")
    for name in ("s.tfrecord", "s.bin"):
        with open_pack(tmp_path / name, strict=True) as pack:
            assert sorted(content(pack)[0], key=lambda r: r.name) == sorted(RECORDS, key=lambda r: r.name)
            assert pack.pairs is not None
            assert {
                (pack.names[a], pack.names[b], m)
                for (a, b), m in zip(pack.pairs.records.tolist(), pack.pairs.mated.tolist(), strict=True)
            } == {
                (RECORDS[a].name, RECORDS[b].name, m)
                for (a, b), m in zip(PAIRS.records.tolist(), PAIRS.mated.tolist(), strict=True)
            }
    with (
        open_pack(write(tmp_path, "rec", pairs=None)) as pack,
        pytest.raises(DataError, match="has no pairs"),
    ):
        shuffled(pack, "bin", seed=1)


def test_what_is_readable_can_be_taken_alone(tmp_path: Path) -> None:
    path = write(tmp_path, "tfrecord")
    path.write_bytes(path.read_bytes().replace(b"ada two", b"ada 2wo"))
    with open_pack(path) as pack:
        with pytest.raises(DataError, match="record 1 "):
            write_selection(pack, every_record(pack, "rec"), tmp_path / "all.rec", "rec")
        sound, faults = readable_records(pack)
        assert (sound.tolist(), [f.record for f in faults]) == ([0, 2, 3], [1])
        chosen: Selection = every_record(pack, "rec", sound)
        write_selection(pack, chosen, tmp_path / "sound.rec", "rec")
    assert not (tmp_path / "all.rec").exists()
    with open_pack(tmp_path / "sound.rec", strict=True) as pack:
        assert content(pack)[0] == [RECORDS[0], *RECORDS[2:]]
        assert pack.pairs is not None
        assert pack.pairs.records.tolist() == [[1, 2]]


def test_duplicates_agree_with_a_plain_count(shared: Path) -> None:
    with open_pack(shared / "data" / "train_bollywood64" / "train_bollywood64.zip") as pack:
        found = check_packs([pack], {"LFW": read_names(shared / "data" / "lfw_protocols" / "lfw-names.txt")})
        records, subjects = content(pack)
    owners: dict[str, set[str]] = {}
    counts = Counter(hashlib.sha256(r.image).hexdigest() for r in records)
    for record in records:
        owners.setdefault(hashlib.sha256(record.image).hexdigest(), set()).add(subjects[record.label])
    twice = {digest for digest, n in counts.items() if n > 1}
    assert {d.sha256 for d in found.duplicates} == twice
    assert {d.sha256 for d in found.duplicates if d.of_two_subjects} == {
        d for d in twice if len(owners[d]) > 1
    }
    flags = dict(
        line.split(",")[::2]
        for line in (shared / "data" / "train_bollywood64" / "index.csv").read_text().splitlines()[1:]
    )
    assert {s.spellings["pack 0"] for s in found.shared} == {
        who for who, flag in flags.items() if flag == "1"
    }
    assert not found.is_clean


def test_duplicates_across_packs_and_altered_pictures(tmp_path: Path) -> None:
    folder = write(tmp_path, "folder")
    other = write(
        tmp_path, "tfrecord", [Record("x", 0, RECORDS[0].image), Record("y", 0, b"new")], ["Ada"], None
    )
    with open_pack(folder) as a, open_pack(other) as b:
        found = check_packs([a, b])
        (duplicate,) = found.duplicates
        assert duplicate.in_two_packs
        assert not duplicate.of_two_subjects
        assert [(p.pack, p.record, p.name, p.subject) for p in duplicate.places] == [
            (0, 0, "ada/ada_0001.jpg", "ada"),
            (1, 0, "x", "Ada"),
        ]
        assert [(s.name, dict(s.spellings)) for s in found.shared] == [
            ("ada", {"pack 0": "ada", "pack 1": "Ada"})
        ]
        assert found.faults == ()
    (folder / "bob" / "bob_0001.jpg").write_bytes(b"changed")
    with open_pack(folder) as pack:
        ((number, fault),) = check_packs([pack]).faults
        assert number == 0
        assert "not those that pack.toml was made of" in fault.reason


@pytest.mark.parametrize(
    "other", ["ada_lovelace", "Ada Lovelace", "ADA-LOVELACE", "Áda  Lovelace ", "ada.lovelace"]
)
def test_spellings_of_one_name(other: str) -> None:
    assert plain_name(other) == "ada lovelace"


def test_numbers_are_no_names() -> None:
    packs = [drawn_pack([1]), drawn_pack([1])]
    assert [s.name for s in shared_subjects(packs, {})] == ["p0"]
    for pack in packs:
        pack._index = Index(pack.names, pack.labels, ["0 7"])
    assert shared_subjects(packs, {}) == ()


def test_lists_of_names(shared: Path, tmp_path: Path) -> None:
    protocols = shared / "data" / "lfw_protocols"
    assert len(read_names(protocols / "lfw-names.txt")) == 5749
    assert set(read_names(protocols / "pairs.txt")) < set(read_names(protocols / "lfw-names.txt"))
    assert set(read_names(protocols / "people.txt")) == set(read_names(protocols / "lfw-names.txt"))
    (tmp_path / "none.txt").write_text("10\n\n")
    with pytest.raises(DataError, match="holds no name"):
        read_names(tmp_path / "none.txt")
    with pytest.raises(DataError, match="cannot be read"):
        read_names(tmp_path / "absent.txt")
