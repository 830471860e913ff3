"""Reports on own data from pictures to JSON, with an embedder that needs no weights."""

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest  # type: ignore[import-untyped]

from lineament.core.arrays import FloatArray
from lineament.core.errors import DataError, NotCalibrated
from lineament.core.types import Image, OperatingPoint
from lineament.embedding.cache import EmbeddingCache, Outcome
from lineament.evaluation.own import (
    Asked,
    Measured,
    OwnReport,
    measure_pack,
    measure_pairs,
    measure_people,
    measure_scores,
)
from lineament.evaluation.pairlists import PairColumns, read_pair_list
from lineament.evaluation.samples import UNREADABLE, Acquisition, decode_or_refuse
from lineament.evaluation.scorelists import read_scores
from lineament.evaluation.sets import PictureSource
from lineament.evaluation.verification import SystemUsed
from lineament.metrics.bootstrap import Resampling

ASKED = Asked((0.1, 0.01), (0.5, 0.1), Resampling(100, seed=0))


def embed(images: Sequence[Image]) -> list[Outcome]:
    """The pixels as a unit vector; a picture whose first pixel is black is refused."""
    found: list[Outcome] = []
    for image in images:
        values: FloatArray = image.pixels.astype(np.float32).ravel() - 127.5
        found.append("no_face" if not image.pixels[0, 0].any() else values / np.linalg.norm(values))
    return found


def threshold(fmr: float) -> OperatingPoint:
    if fmr < 0.05:
        raise NotCalibrated("too few comparisons")
    return OperatingPoint(fmr, 0.4, 0.3, 0.5, 1000, "record")


def measured(cache: EmbeddingCache | None = None) -> Measured:
    acquisition = Acquisition(embed, decode_or_refuse, cache)
    return Measured(SystemUsed("pixels", ()), "pixels@1", "as they are", acquisition, threshold)


def test_a_folder_gives_pairs_searches_and_groups(stored: Path, tmp_path: Path) -> None:
    groups = tmp_path / "groups.csv"
    groups.write_text("person,half\n" + "".join(f"S{i},{i % 2}\n" for i in range(12)))
    asked = Asked(ASKED.fmrs, ASKED.fpirs, ASKED.plan, (groups, "half"))
    cache = EmbeddingCache(tmp_path / "c", "pixels@1", "x")
    with PictureSource(stored) as source:
        report = measure_people(source, measured(cache), asked)
        again = measure_people(source, measured(cache), asked)
    assert (report.n_samples, report.comparisons.n_mated, report.comparisons.n_nonmated) == (36, 36, 594)
    assert [p.asked for p in report.comparisons.points] == [0.1]
    assert report.comparisons.points[0].fnmr < 0.1
    assert [c.asked for c in report.calibrated] == [0.1]
    assert any("no calibrated threshold for FMR 0.01" in words for words in report.notes)
    (search,) = report.searches
    assert (search.failures.n_people, search.n_nonmated) == (6, 18)
    assert [line.split(":")[0] for line in search.not_supported][:1] == ["FPIR 0.5 is not given"]
    assert report.groups is not None
    assert [(g.group, g.n_mated, g.n_nonmated) for g in report.groups.groups] == [
        ("0", 18, 135),
        ("1", 18, 135),
    ]
    assert OwnReport.from_json(report.to_json()) == report
    assert (report.n_from_cache, again.n_from_cache) == (0, 36)
    assert not any("as alike as one" in note for note in report.notes)
    assert again.comparisons == report.comparisons
    assert again.searches == report.searches
    for words in ("36 pictures; failure to acquire 0.0000", "calibrated threshold 0.4000", "groups by half"):
        assert words in report.text()


def test_a_wrong_file_of_groups_costs_no_embedding(stored: Path, tmp_path: Path) -> None:
    groups = tmp_path / "groups.csv"
    groups.write_text("person,half\nNobody,1\n")
    asked = Asked(ASKED.fmrs, ASKED.fpirs, ASKED.plan, (groups, "half"))

    def never(_images: Sequence[Image]) -> list[Outcome]:
        pytest.fail("a picture was embedded")

    system = Measured(SystemUsed("no", ()), "no@1", "", Acquisition(never, decode_or_refuse, None), None)
    with PictureSource(stored) as source, pytest.raises(DataError, match="none of 36 pictures is named"):
        measure_people(source, system, asked)
    listed = tmp_path / "pairs.csv"
    listed.write_text("x,y,z\nS1/S1_0001.png,S1/S1_0002.png,1\nS1/S1_0001.png,S2/S2_0001.png,0\n")
    pairs = read_pair_list(listed, PairColumns())
    with PictureSource(stored) as source, pytest.raises(DataError, match="none of 3 pictures is named"):
        measure_pairs(pairs, source, system, asked)


def test_groups_at_rates_beyond_the_counts_are_explained(stored: Path, tmp_path: Path) -> None:
    groups = tmp_path / "groups.csv"
    groups.write_text("person,half\n" + "".join(f"S{i},{i % 2}\n" for i in range(12)))
    asked = Asked((1e-4,), ASKED.fpirs, ASKED.plan, (groups, "half"))
    with PictureSource(stored) as source:
        report = measure_people(source, measured(), asked)
    assert report.groups is None
    assert any(note.startswith("rates by half are not given") for note in report.notes)
    assert report.searches


def test_refusals_stay_in_the_counts(pictures: dict[str, bytes], tmp_path: Path) -> None:
    folder = tmp_path / "people"
    for name, data in pictures.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "S3" / "S3_0001.png").write_bytes(b"broken")
    with PictureSource(folder) as source:
        report = measure_people(source, measured(), ASKED)
    assert report.refusals == {UNREADABLE: 1}
    assert report.fta_rate == pytest.approx(1 / 36)
    assert (report.comparisons.n_mated, report.comparisons.n_mated_compared) == (36, 34)
    (point,) = report.comparisons.points
    assert point.frr >= 2 / 36


def test_people_with_one_picture_each_have_no_rates(pictures: dict[str, bytes], tmp_path: Path) -> None:
    for name in ("S1/S1_0001.png", "S2/S2_0001.png"):
        (tmp_path / "p" / name).parent.mkdir(parents=True)
        (tmp_path / "p" / name).write_bytes(pictures[name])
    with (
        PictureSource(tmp_path / "p") as source,
        pytest.raises(DataError, match="got 0 and 1; people with one picture"),
    ):
        measure_people(source, measured(), ASKED)


def test_one_person_under_two_names_is_noted(pictures: dict[str, bytes], tmp_path: Path) -> None:
    for name, data in pictures.items():
        person = "alias" if name in ("S3/S3_0001.png", "S3/S3_0003.png") else name.partition("/")[0]
        (tmp_path / "p" / person).mkdir(parents=True, exist_ok=True)
        (tmp_path / "p" / person / Path(name).name).write_bytes(data)
    with PictureSource(tmp_path / "p") as source:
        report = measure_people(source, measured(), ASKED)
    assert any(note.startswith("1 times two people are as alike as one") for note in report.notes)


def test_two_people_make_a_gallery_of_one(pictures: dict[str, bytes], tmp_path: Path) -> None:
    for k in (1, 2, 3):
        name = f"S1/S1_{k:04d}.png"
        (tmp_path / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "p" / name).write_bytes(pictures[name])
    (tmp_path / "p" / "S2").mkdir()
    (tmp_path / "p" / "S2" / "1.png").write_bytes(pictures["S2/S2_0001.png"])
    with PictureSource(tmp_path / "p") as source:
        report = measure_people(source, measured(), ASKED)
    (search,) = report.searches
    assert search.failures.n_people == 1
    assert search.ranks == ()


def test_missing_pictures_of_a_list_are_named(stored: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text(
        "x,y,z\nS0/S0_0001.png,S0/S0_0002.png,1\nS1/S1_0001.png,gone.png,0\nlost.png,S1/S1_0002.png,0\n"
    )
    pairs = read_pair_list(listed, PairColumns())
    with (
        PictureSource(stored) as source,
        pytest.raises(DataError, match=r"2 of 6 pictures are not in .*: gone.png, lost.png"),
    ):
        measure_pairs(pairs, source, measured(), ASKED)


def test_a_pack_is_the_list_of_its_pairs(pictures: dict[str, bytes], tmp_path: Path) -> None:
    names = [(f"S{i}/S{i}_0001.png", f"S{i}/S{i}_0002.png") for i in range(10)]
    names += [(f"S{i}/S{i}_0001.png", f"S{(i + 1) % 10}/S{(i + 1) % 10}_0003.png") for i in range(10)]
    order = [pair for both in zip(names[:10], names[10:], strict=True) for pair in both]
    answers = [k % 2 == 0 for k in range(20)]
    path = tmp_path / "p.bin"
    path.write_bytes(pickle.dumps(([pictures[n] for pair in order for n in pair], answers), 3))
    report = measure_pack(path, measured(), ASKED)
    assert (report.n_samples, report.comparisons.n_mated, report.comparisons.n_nonmated) == (30, 10, 10)
    assert report.comparisons.folds is not None
    assert len(report.comparisons.folds.fold_accuracies) == 10
    assert report.comparisons.auc > 0.95
    assert "people were inferred" in report.notes[0]


def test_scores_without_people_have_binomial_intervals(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{v},same" for v in rng.normal(2, 1, 50)] + [f"{v},different" for v in rng.normal(0, 1, 200)]
    path = tmp_path / "scores.csv"
    path.write_text("score,label\n" + "\n".join(rows) + "\n")
    report = measure_scores(read_scores(path), path, ASKED)
    (point,) = report.comparisons.points
    ends = binomtest(round(point.fnmr * 50), 50).proportion_ci(0.95, method="exact")
    assert (point.fnmr_low, point.fnmr_high) == pytest.approx((ends.low, ends.high))
    assert report.text().startswith("scores on scores.csv: 250 scores as listed\n1:1: 50 mated")
    assert OwnReport.from_json(report.to_json()) == report
