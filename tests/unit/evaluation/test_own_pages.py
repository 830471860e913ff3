"""Reports on own data on a page and beside each other: everything that they hold is there, from old files too."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from test_html_page import HOSTILE, Reader

from lineament.core.arrays import FloatArray
from lineament.core.types import Image, OperatingPoint
from lineament.embedding.cache import Outcome
from lineament.evaluation.html import reports_page
from lineament.evaluation.jsonfile import dump_report, dump_reports
from lineament.evaluation.own import Asked, Measured, OwnReport, measure_people, measure_scores
from lineament.evaluation.plots import plot_group_rates
from lineament.evaluation.reading import ms_a_picture, name_of, read_reports, same_kind
from lineament.evaluation.report_diff import compare_reports, diff_reports, match_reports
from lineament.evaluation.samples import Acquisition, decode_or_refuse
from lineament.evaluation.scorelists import read_scores
from lineament.evaluation.sets import PictureSource
from lineament.evaluation.verification import SystemUsed, WeightsUsed
from lineament.metrics.bootstrap import PairScores, Resampling
from lineament.metrics.paired import paired_eer_auc

PLAN = Resampling(100, seed=0)


def system(name: str, noise: float) -> Measured:
    """Pixels as a unit vector, some of them lost in noise."""

    def embed(images: Sequence[Image]) -> list[Outcome]:
        found: list[Outcome] = []
        for image in images:
            values: FloatArray = image.pixels.astype(np.float32).ravel() - 127.5
            values += noise * np.random.default_rng(int(image.pixels.sum())).normal(size=len(values))
            found.append(values / np.linalg.norm(values))
        return found

    return Measured(
        SystemUsed(name, (WeightsUsed(f"{name}.onnx", "ab" * 32),)),
        f"{name}@1",
        "as they are",
        Acquisition(embed, decode_or_refuse),
        lambda fmr: OperatingPoint(fmr, 0.2, 0.1, 0.3, 1000, "the record"),
    )


@pytest.fixture(scope="module")
def reports(
    pictures: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> tuple[OwnReport, OwnReport]:
    """A good and a poor system on one folder, with groups; one picture is broken."""
    folder = tmp_path_factory.mktemp("own")
    for name, data in pictures.items():
        (folder / "people" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "people" / name).write_bytes(b"broken" if name.startswith("S5/S5_0001") else data)
    (folder / "groups.csv").write_text("person,half\n" + "".join(f"S{i},h{i % 2}\n" for i in range(12)))
    asked = Asked((0.1, 0.02), (0.5, 0.1), PLAN, (folder / "groups.csv", "half"))
    with PictureSource(folder / "people") as source:
        good, poor = (
            measure_people(source, system(name, noise), asked)
            for name, noise in (("good", 60.0), ("poor", 240.0))
        )
    return good, poor


def test_everything_of_a_folder_is_on_the_page(reports: tuple[OwnReport, OwnReport]) -> None:
    good, _ = reports
    page = Reader(reports_page([good]))
    (search,) = good.searches
    assert good.groups is not None
    found = good.comparisons
    assert found.eer_low is not None
    assert found.eer_high is not None
    for words in (
        "Own data: people", "every pair of 36 pictures once", "unreadable", good.data_sha256, "good@1", "the record",
        f"{100 * found.eer:.2f} [{100 * found.eer_low:.2f}, {100 * found.eer_high:.2f}] %",
        f"{found.points[1].fnmr:.4f} [{found.points[1].fnmr_low:.4f}, {found.points[1].fnmr_high:.4f}]",
        f"{search.failures.n_people:,} people, {search.failures.n_templates:,} templates",
        f"{search.ranks[0].rate:.4f} [{search.ranks[0].low:.4f}, {search.ranks[0].high:.4f}]",
        "FPIR 0.1 is not given: it needs 100", "Groups by half: good", "h0", "h1", "largest FMR over geometric mean",
    ):  # fmt: skip
        assert words in page.text
    described = [image["alt"].partition(" ")[0] for image in page.all("img")]
    assert described == ["ROC", "DET", "Histogram", "CMC.", "FNMR", "FMR"]
    assert all(image["src"].startswith("data:image/png") for image in page.all("img"))
    assert {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object", "form", "base"} == set()


def test_systems_on_one_folder_stand_side_by_side(reports: tuple[OwnReport, OwnReport]) -> None:
    good, poor = reports
    assert len(same_kind([good, poor])) == 1
    page = Reader(reports_page([good, poor], compare_reports([good, poor])))
    assert "poor minus good" in page.text
    assert len([i for i in page.all("img") if i["alt"].startswith("ROC")]) == 1
    assert len([i for i in page.all("img") if i["alt"].startswith("Histogram")]) == 2


def test_names_and_notes_stay_text(reports: tuple[OwnReport, OwnReport]) -> None:
    good, _ = reports
    assert good.groups is not None
    groups = dataclasses.replace(
        good.groups,
        column=HOSTILE,
        groups=tuple(dataclasses.replace(g, group=HOSTILE) for g in good.groups.groups),
    )
    odd = dataclasses.replace(
        good, system=SystemUsed(HOSTILE, ()), dataset=HOSTILE, notes=(HOSTILE,), groups=groups
    )
    page = Reader(reports_page([odd]))
    assert page.all("script") == []
    assert all(set(image) == {"src", "alt"} for image in page.all("img"))


def test_two_systems_on_one_folder_are_compared_in_pairs(reports: tuple[OwnReport, OwnReport]) -> None:
    good, poor = reports
    found = diff_reports(poor, good)
    figures = {figure.name: figure for figure in found.figures}
    assert figures["EER"].basis == figures["AUC"].basis == "paired"
    assert (figures["EER"].verdict, figures["AUC"].verdict) == ("differ", "differ")
    assert figures["TAR at FAR 0.1 (1 - FNMR at FMR)"].basis == "paired"
    gallery = f"gallery of {good.searches[0].failures.n_people}"
    assert figures[f"rank 1 rate, {gallery}"].basis == "separate"
    assert figures["FNMR of half h0, overall FMR 0.1"].difference == pytest.approx(
        (good.groups.groups[0].fnmr or 0) - (poor.groups.groups[0].fnmr or 0)
        if good.groups and poor.groups
        else None
    )
    assert {"system", "weights", "embedding space"} == {change.what for change in found.changes}
    assert diff_reports(good, good).changes == ()
    with pytest.raises(TypeError, match="of one kind"):
        diff_reports(good, object())  # type: ignore[arg-type]


def test_reports_survive_a_file_and_old_ones_are_read(
    reports: tuple[OwnReport, OwnReport], tmp_path: Path
) -> None:
    good, poor = reports
    path = tmp_path / "r.json"
    path.write_text(dump_reports(reports))
    assert read_reports(path) == [good, poor]
    assert match_reports([good, poor], [poor]) == ([(poor, poor)], [good])
    document = json.loads(dump_report(good))
    del document["kind"], document["n_from_cache"]
    for key in ("evidence", "eer_low", "eer_high", "auc_low", "auc_high"):
        del document["comparisons"][key]
    path.write_text(json.dumps(document))
    (old,) = read_reports(path)
    assert isinstance(old, OwnReport)
    assert "No curves for good" in Reader(reports_page([old])).text
    eer = next(figure for figure in diff_reports(old, poor).figures if figure.name == "EER")
    assert eer.verdict == "no interval"


def test_two_columns_of_one_score_file_are_compared_in_pairs(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(20), 3)
    a, b = np.triu_indices(60, 1)
    mated = people[a] == people[b]
    shared = rng.normal(size=len(a)) + 2 * mated
    columns = [np.round(shared + noise * rng.normal(size=len(a)), 6) for noise in (0.2, 1.0)]
    rows = [
        f"{first},{second},{int(m)},p{i},p{j}"
        for first, second, m, i, j in zip(*columns, mated, people[a], people[b], strict=True)
    ]
    path = tmp_path / "s.csv"
    path.write_text("sharp,blurred,label,subject_a,subject_b\n" + "\n".join(rows) + "\n")
    asked = Asked((0.1,), (), PLAN)
    sharp, blurred = (
        measure_scores(read_scores(path, name), path, asked, name) for name in ("sharp", "blurred")
    )
    assert (name_of(sharp), ms_a_picture(sharp)) == ("sharp", "")
    (found,) = compare_reports([sharp, blurred])
    labelled = [read_scores(path, name) for name in ("blurred", "sharp")]
    pairs = [PairScores(one.scores, one.subject_a, one.subject_b) for one in labelled]  # type: ignore[arg-type]
    expected = paired_eer_auc(pairs[0], pairs[1], PLAN)
    for name, difference in zip(("EER", "AUC"), expected, strict=True):
        figure = next(f for f in found.figures if f.name == name)
        assert (figure.low, figure.high) == pytest.approx((difference.low, difference.high), abs=2e-6)
        assert figure.difference == pytest.approx(difference.value)
    assert "Refusals" not in Reader(reports_page([sharp, blurred])).text


def test_scores_without_people_have_no_interval_of_eer(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = [f"{v},1" for v in rng.normal(2, 1, 50)] + [f"{v},0" for v in rng.normal(0, 1, 200)]
    path = tmp_path / "s.csv"
    path.write_text("score,label\n" + "\n".join(rows) + "\n")
    report = measure_scores(read_scores(path), path, Asked((0.1,), (), PLAN))
    assert (report.comparisons.eer_low, report.comparisons.auc_high) == (None, None)
    assert "EER and AUC have none" in report.text()
    verdicts = {figure.name: figure.verdict for figure in diff_reports(report, report).figures}
    assert (verdicts["EER"], verdicts["AUC"]) == ("same", "same")
    assert len(Reader(reports_page([report])).all("img")) == 3


def test_groups_without_comparisons_leave_a_gap(tmp_path: Path) -> None:
    groups = {"a": (0.1, 0.05, 0.2), "none": (None, None, None), "$b$": (0.2, 0.1, 0.3)}
    plot_group_rates(tmp_path / "g.png", groups, "FMR")
    plot_group_rates(tmp_path / "n.png", {"none": (None, None, None)}, "FMR")
    assert (tmp_path / "g.png").read_bytes() != (tmp_path / "n.png").read_bytes()
