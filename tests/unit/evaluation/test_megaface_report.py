"""People among distractors: rates by number of distractors, refusals, saved vectors of all kinds."""

import hashlib
import itertools
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lineament.core.arrays import FloatArray
from lineament.core.errors import DataError
from lineament.core.types import Image
from lineament.embedding.cache import Outcome
from lineament.evaluation.megaface import FARS, measure_megaface
from lineament.evaluation.megaface_probes import Probes, probes_of_folder, probes_of_vectors, read_subjects
from lineament.evaluation.megaface_report import MegafaceReport, Origin, megaface_report, plot_megaface
from lineament.evaluation.packsource import open_source
from lineament.evaluation.samples import Acquisition, decode_or_refuse
from lineament.evaluation.sets import PictureSource
from lineament.evaluation.vectors import VectorPart, blocks, embed_pictures, read_vectors
from lineament.metrics.bootstrap import Resampling
from lineament.packs import open_pack, write_pack

PLAN = Resampling(200, seed=3)


def unit(vectors: np.ndarray) -> FloatArray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def people(refused: int = 0, spread: float = 1.0) -> Probes:
    """Twenty people of four photos, the first ``refused`` photos without a vector."""
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(20), 4)
    vectors = unit(rng.normal(size=(20, 24))[subjects] + spread * rng.normal(size=(80, 24)))
    reasons = {"no_face": refused} if refused else {}
    return Probes("p", vectors[refused:], subjects[refused:], np.full(20, 4), reasons, "s@1", "00")


def crowd(count: int, seed: int = 1) -> VectorPart:
    rows = np.random.default_rng(seed).normal(size=(count, 24))
    return VectorPart(f"crowd-{seed}", rows, "s@1", "11")


def slow_cmc(probes: Probes, distractors: FloatArray, n_trials: int) -> list[float]:
    ranks = []
    for i, j in itertools.permutations(range(len(probes.vectors)), 2):
        if probes.subjects[i] == probes.subjects[j]:
            mate = probes.vectors[i] @ probes.vectors[j]
            ranks.append(1 + int(np.sum(distractors @ probes.vectors[i] >= mate)))
    return [sum(rank <= k for rank in ranks) / n_trials for k in range(1, 21)]


@pytest.mark.parametrize("refused", [0, 5])
def test_all_distractors_give_what_loops_give(refused: int) -> None:
    probes, parts = people(refused), [crowd(300), crowd(450, 2)]
    everyone = unit(np.concatenate([part.rows for part in parts]))
    sizes = measure_megaface(probes, parts, (1e-3,), PLAN)
    assert [size.n_distractors for size in sizes] == [10, 100, 750]
    assert [len(size.rank1_of_sets) for size in sizes] == [3, 3, 1]
    assert len(sizes[0].cmc) == 10
    whole = sizes[-1]
    assert whole.cmc == pytest.approx(slow_cmc(probes, everyone, 20 * 4 * 3), abs=1e-12)
    (point,) = whole.points
    scores = np.sort((probes.vectors @ everyone.T).ravel())[::-1]
    assert point.cutoffs[0] == pytest.approx(scores[point.false_accepts], abs=1e-6)
    assert point.false_accepts == int(1e-3 * whole.n_nonmated)
    mates = probes.vectors @ probes.vectors.T
    pairs = (probes.subjects[:, None] == probes.subjects) & ~np.eye(len(mates), dtype=bool)
    assert point.tar == np.sum(mates[pairs] > scores[point.false_accepts]) / (20 * 4 * 3)


def test_sets_are_nested_so_that_no_rate_rises() -> None:
    sizes = measure_megaface(people(), [crowd(2000)], FARS, PLAN)
    firsts = np.array([np.resize(size.rank1_of_sets, 3) for size in sizes])
    assert np.all(np.diff(firsts, axis=0) <= 0)
    assert firsts[0].mean() > firsts[-1].mean()
    for size in sizes:
        assert size.low < size.cmc[0] < size.high
        assert list(size.cmc) == sorted(size.cmc)
    assert "FAR 1e-06 is not given: it needs 10,000,000 comparisons" in sizes[-1].not_supported[-1]
    assert sizes == measure_megaface(people(), [crowd(2000)], FARS, PLAN)


def test_intervals_are_those_of_resampled_people() -> None:
    probes, part = people(), crowd(500)
    whole = measure_megaface(probes, [part], (), Resampling(4000))[-1]
    hits = np.zeros(20)
    for i, j in itertools.permutations(range(80), 2):
        if probes.subjects[i] == probes.subjects[j]:
            mate = probes.vectors[i] @ probes.vectors[j]
            hits[probes.subjects[i]] += np.all(unit(part.rows) @ probes.vectors[i] < mate)
    rng = np.random.default_rng(9)
    rates = [hits[rng.integers(0, 20, 20)].sum() / (20 * 12) for _ in range(4000)]
    assert (whole.low, whole.high) == pytest.approx(np.quantile(rates, [0.025, 0.975]), abs=0.015)


def test_perfect_rates_keep_the_doubt_of_few_people() -> None:
    size = measure_megaface(people(spread=0.01), [crowd(100)], (), PLAN)[-1]
    assert (size.cmc[0], size.high) == (1, 1)
    # nobody missed among 20 people: Clopper-Pearson
    assert size.low == pytest.approx(0.025 ** (1 / 20))


def test_planted_people_take_the_ranks_that_leaving_them_out_gives_back() -> None:
    probes = people(spread=0.3)
    twins = unit(probes.vectors[::4] + 0.01 * np.random.default_rng(4).normal(size=(20, 24)))
    noisy = VectorPart("noisy", np.concatenate([crowd(400).rows, twins]), "s@1", "22")
    clean, raw = (measure_megaface(probes, [part], (), PLAN)[-1] for part in (crowd(400), noisy))
    assert raw.cmc[0] < clean.cmc[0] - 0.2
    # one twin in the gallery: rank 2 is not lost
    assert raw.cmc[1] == pytest.approx(clean.cmc[0], abs=0.02)


def test_memory_does_not_grow_with_the_distractors(tmp_path: Path) -> None:
    path = tmp_path / "d.npy"
    rows = np.lib.format.open_memmap(path, "w+", np.float64, (200_000, 24))
    rows[:] = np.random.default_rng(1).normal(size=rows.shape)
    rows.flush()
    part, probes = read_vectors(path), people()
    tracemalloc.start()
    try:
        measure_megaface(probes, [part], (1e-5,), PLAN)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < path.stat().st_size / 2


def test_a_report_says_what_it_rests_on(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    report = megaface_report(
        people(2), [crowd(150), VectorPart("v", crowd(50, 3).rows, "", "33")], Origin(None, "saved"), FARS, PLAN,
        lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert MegafaceReport.from_json(report.to_json()) == report
    assert (report.n_trials, report.n_trials_made, report.n_by_part) == (240, 230, (150, 50))
    assert told[-1] == (530, 530)
    for words in (
        "no_face 2",
        "240 trials, 10 of them",
        "vectors of v are of is not known",
        "150 of crowd-1",
    ):
        assert words in report.text()
    plot_megaface(tmp_path / "x.png", report)
    assert (tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"


def test_vectors_that_do_not_fit_are_refused() -> None:
    probes = people()
    wrong = VectorPart("w", np.ones((3, 7)), "", "")
    with pytest.raises(DataError, match="distractors w: expected vectors of 24 numbers"):
        measure_megaface(probes, [wrong], (), PLAN)
    with pytest.raises(DataError, match="at least one distractor"):
        measure_megaface(probes, [], (), PLAN)
    with pytest.raises(DataError, match="different embedding spaces"):
        megaface_report(probes, [VectorPart("o", crowd(9).rows, "t@1", "")], Origin(None, ""), (), PLAN)
    alone = Probes("alone", probes.vectors[::4], np.arange(20), np.ones(20, np.int64), {}, "", "")
    with pytest.raises(DataError, match="two photos of one person"):
        measure_megaface(alone, [crowd(9)], (), PLAN)
    with pytest.raises(ValueError, match=r"at most 0\.001"):
        measure_megaface(probes, [crowd(9)], (0.1,), PLAN)
    with pytest.raises(ValueError, match="at least the vectors"):
        Probes("p", probes.vectors, probes.subjects, np.ones(20, np.int64), {}, "", "")


def test_rows_of_several_parts_are_taken_in_order() -> None:
    parts = [crowd(5000), crowd(3, 2), crowd(9000, 3)]
    whole = np.concatenate(list(blocks(parts)))
    assert np.allclose(whole, unit(np.concatenate([part.rows for part in parts])))
    rows = np.sort(np.random.default_rng(0).choice(14_003, 6000, replace=False))
    assert np.array_equal(np.concatenate(list(blocks(parts, rows))), whole[rows])


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_rows_without_direction_are_named(bad: float) -> None:
    rows = np.ones((5, 3))
    rows[3] = bad
    with pytest.raises(DataError, match="embeddings x, row 3: expected finite numbers"):
        list(blocks([VectorPart("x", rows, "", "")], np.array([1, 3])))


def test_damaged_files_of_vectors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "v.npy"
    np.save(path, np.ones((100, 4), np.float32))
    whole = path.read_bytes()
    for data in (b"", b"junk" * 9, whole[: len(whole) // 2]):
        path.write_bytes(data)
        with pytest.raises(DataError, match="cannot be read"):
            read_vectors(path)
    for array in (np.ones(4), np.ones((0, 4)), np.ones((2, 2), int), np.array([[None]])):
        np.save(path, array, allow_pickle=True)
        with pytest.raises(DataError, match="embeddings"):
            read_vectors(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_vectors(tmp_path / "none.npy")
    np.savez(tmp_path / "v.npz", vectors=np.ones((2, 4), np.float32))
    with pytest.raises(DataError, match="lineament embed"):
        read_vectors(tmp_path / "v.npz")
    facts = {"paths": np.array(["a/1", "a/2"]), "space": np.array("s@1")}
    np.savez_compressed(tmp_path / "v.npz", vectors=np.ones((2, 4), np.float32), **facts)
    data = bytearray((tmp_path / "v.npz").read_bytes())
    start = data.index(b"paths.npy") + len(b"paths.npy")
    data[start + 30 : start + 60] = b"\xff" * 30
    (tmp_path / "v.npz").write_bytes(data)
    with pytest.raises(DataError, match="lineament embed"):
        read_vectors(tmp_path / "v.npz")


def test_people_of_saved_vectors(tmp_path: Path) -> None:
    path = tmp_path / "v.npz"
    names = np.array(["in/ada/1.jpg", "in/ada/2.jpg", "in/cy/1.jpg"])
    refused = np.array(["in/bob/1.jpg", "in/ada/3.jpg", "in/bob/2.jpg"])
    reasons = np.array(["no_face", "unreadable", "no_face"])
    extra = {"space": np.array("s@1"), "paths": names, "refused_paths": refused, "refused_reasons": reasons}
    np.savez(path, vectors=np.eye(3, 4, dtype=np.float32), **extra)
    found = probes_of_vectors(read_vectors(path), ())
    assert (found.space, found.subjects.tolist(), found.photos.tolist()) == ("s@1", [0, 0, 2], [3, 2, 1])
    assert found.refusals == {"no_face": 2, "unreadable": 1}
    assert found.notes == ("1 of 3 people have one photo only and so no trial",)
    told = probes_of_vectors(read_vectors(path), ("a", "a", "b"))
    assert told.photos.tolist() == [2, 1]
    assert any("3 refused photos of v.npz are in no trial" in words for words in told.notes)
    np.savez(path, vectors=np.eye(3, 4, dtype=np.float32), **(extra | {"refused_paths": refused[:1]}))
    with pytest.raises(DataError, match="a path for each of 3 refusals, got 1"):
        read_vectors(path)
    bare = VectorPart("bare", np.eye(3), "", "")
    with pytest.raises(DataError, match="--subjects"):
        probes_of_vectors(bare, ())
    with pytest.raises(DataError, match="each of 3 rows, got 2"):
        probes_of_vectors(bare, ("a", "b"))
    listed = tmp_path / "who.txt"
    listed.write_text("ada\nada\nbob\n")
    assert probes_of_vectors(bare, read_subjects(listed)).subjects.tolist() == [0, 0, 1]
    listed.write_text("ada\n\nbob\n")
    with pytest.raises(DataError, match="line 2 is empty"):
        read_subjects(listed)
    with pytest.raises(DataError, match="cannot be read"):
        read_subjects(tmp_path / "none.txt")


def test_refused_photos_of_saved_vectors_are_misses(tmp_path: Path) -> None:
    probes = people(refused=5)
    paths = [f"{subject:02}/{k}.jpg" for k, subject in enumerate(np.repeat(np.arange(20), 4))]
    facts = {"space": np.array("s@1"), "refused_reasons": np.array(["no_face"] * 5)}
    named = {"paths": np.array(paths[5:]), "refused_paths": np.array(paths[:5])}
    np.savez(tmp_path / "p.npz", vectors=probes.vectors, **facts, **named)
    found = probes_of_vectors(read_vectors(tmp_path / "p.npz"), ())
    report = megaface_report(found, [crowd(150)], Origin(None, "saved"), FARS, PLAN)
    assert (report.n_people, report.n_photos, report.n_trials, report.n_trials_made) == (20, 80, 240, 222)
    expected = measure_megaface(probes, [crowd(150)], FARS, PLAN)
    assert [(size.cmc, size.low) for size in report.sizes] == [(size.cmc, size.low) for size in expected]


def look(images: Sequence[Image]) -> list[Outcome]:
    """The pixels as a unit vector; a picture whose first pixel is black is refused."""
    return [
        unit(image.pixels.astype(np.float32).reshape(1, -1) - 127.5)[0]
        if image.pixels[0, 0].any()
        else "no_face"
        for image in images
    ]


def test_pictures_of_probes_do_not_compete(stored: Path, pictures: dict[str, bytes], tmp_path: Path) -> None:
    acquisition = Acquisition(look, decode_or_refuse)
    with PictureSource(stored) as source:
        probes, used = probes_of_folder(source, acquisition, "pixels@1")
    assert used == {hashlib.sha256(data).hexdigest() for data in pictures.values()}
    assert (len(probes.vectors), probes.photos.tolist(), len(used)) == (36, [3] * 12, 36)
    others = tmp_path / "others"
    (others / "deep" / "er").mkdir(parents=True)
    copies = dict(itertools.islice(pictures.items(), 3))
    for number, data in enumerate(copies.values()):
        (others / "deep" / f"{number}.png").write_bytes(data)
    with PictureSource(others) as source, pytest.raises(DataError, match="none of 3 pictures"):
        embed_pictures(source, acquisition, "pixels@1", tmp_path / "a", used)
    (others / "deep" / "er" / "broken.png").write_bytes(b"no picture")
    (others / "notes.txt").write_text("text")
    with PictureSource(others) as source:
        part = embed_pictures(source, acquisition, "pixels@1", tmp_path / "b")
        assert (len(part), part.n_copies, part.refusals) == (3, 0, (("unreadable", 1),))
        assert np.allclose(next(blocks([part])), probes.vectors[:3], atol=1e-6)
    with PictureSource(others) as source, pytest.raises(DataError, match="make room"):
        embed_pictures(source, acquisition, "pixels@1", tmp_path / "none" / "d")


def test_pictures_of_probes_are_read_to_compare_and_to_embed_only(stored: Path) -> None:
    reads: Counter[str] = Counter()

    class Counted(PictureSource):
        def read(self, name: str) -> bytes:
            reads[name] += 1
            return super().read(name)

    with Counted(stored) as source:
        probes_of_folder(source, Acquisition(look, decode_or_refuse), "pixels@1")
    assert set(reads.values()) == {2}


def test_packs_give_what_their_folder_gives(stored: Path, pictures: dict[str, bytes], tmp_path: Path) -> None:
    packed = tmp_path / "set.tfrecord"
    with open_pack(stored) as pack:
        write_pack((pack.read(k) for k in range(len(pack))), packed, "tfrecord", pack.subjects)
    acquisition = Acquisition(look, decode_or_refuse)
    with open_source(stored) as folder, open_source(packed) as source:
        assert {folder.read(name) for name in folder.names()} == {
            source.read(name) for name in source.names()
        }
        plain, _ = probes_of_folder(folder, acquisition, "pixels@1")
        probes, used = probes_of_folder(source, acquisition, "pixels@1")
        assert probes.photos.tolist() == plain.photos.tolist()
        assert len(used) == len(pictures)
        with pytest.raises(DataError, match="no such record"):
            source.read("S0/none.jpg")
    (tmp_path / "junk.dat").write_bytes(b"junk" * 100)
    with pytest.raises(DataError, match="by its first bytes"):
        open_source(tmp_path / "junk.dat")
