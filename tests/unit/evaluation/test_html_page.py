"""The page: nothing leaves it, nothing breaks out of its text, and everything of the reports is on it."""

import base64
import dataclasses
import io
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from lineament.core.errors import DataError
from lineament.evaluation.detection import DetectionReport, OverlapResult, SizeBucket, TurnResult
from lineament.evaluation.differences import FigureDifference, SystemDifference
from lineament.evaluation.html import reports_page
from lineament.evaluation.html_parts import Markup, safe
from lineament.evaluation.jsonfile import dump_report, dump_reports
from lineament.evaluation.machine import Machine
from lineament.evaluation.reading import read_reports, same_kind
from lineament.evaluation.samples import SampleEmbeddings
from lineament.evaluation.trials import all_pairs
from lineament.evaluation.verification import SystemUsed, WeightsUsed, score_trials, verification_report
from lineament.evaluation.worst import worst_errors, worst_places
from lineament.imaging.encode import encode_png
from lineament.metrics.bootstrap import Resampling

HOSTILE = "\"><script>alert(1)</script><img src=x onerror='alert(2)'>&amp; $\\frac$"
VOID = {"meta", "img", "br"}


class Reader(HTMLParser):
    """Every element with its attributes, all text, and a check that elements close in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self.open = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def judged(name="drawn", dataset="squares", refused=(4,), weights="w.onnx"):
    names = [f"S{s}/{k}.png" for s in range(12) for k in range(3)]
    trials = all_pairs(names, [n.partition("/")[0] for n in names])
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(12, 8))[trials.subject_of_sample] + rng.normal(size=(36, 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    acquired = ~np.isin(np.arange(36), list(refused))
    vectors[~acquired] = 0
    samples = SampleEmbeddings(vectors, acquired, {"no_face": len(refused)}, "drawn@1", 0.5)
    scored = score_trials(trials, samples)
    system = SystemUsed(name, (WeightsUsed(weights, "ab" * 32),))
    report = verification_report(scored, samples, system, dataset, "vectors", Resampling(100), "cd" * 32)
    return report, scored


@pytest.fixture(scope="module")
def report():
    return judged()[0]


@pytest.fixture(scope="module")
def detection():
    result = OverlapResult(0.5, 0.9321, 0.8765, 0.125, (SizeBucket(0, float("inf"), 10, 9),))
    system = SystemUsed("finder", ())
    return DetectionReport(
        system, "boxes", 5, 10, (TurnResult(90, (result,), 1.0),), Machine("x", 1, "y", {})
    )


def test_figures_digests_and_machine_are_on_the_page(report):
    page = Reader(reports_page([report]))
    (point,) = report.points
    for words in (
        "ab" * 32, "cd" * 32, "drawn@1", "squares", f"{100 * report.eer:.2f} [{100 * report.eer_low:.2f},",
        f"{point.threshold:.4f}",
        f"[{report.auc_low:.5f}, {report.auc_high:.5f}]",
        f"{1 - point.fnmr:.4f} [{1 - point.fnmr_high:.4f}, {1 - point.fnmr_low:.4f}]", "no_face", "seed 0",
        "100 replicates", report.machine.processor, f"numpy {report.machine.versions['numpy']}", "not measurable",
    ):  # fmt: skip
        assert words in page.text


def test_nothing_is_requested_from_anywhere(report, detection):
    page = Reader(reports_page([report, detection]))
    assert {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object", "form", "base"} == set()
    sources = [value for _, attributes in page.elements for key, value in attributes.items() if key == "src"]
    assert all(source.startswith("data:image/") for source in sources)
    assert all(a["href"].startswith("#") for a in page.all("a"))
    assert "url(" not in reports_page([report])
    assert "@import" not in reports_page([report])
    (policy,) = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")


def test_the_pictures_are_pictures_and_say_what_they_show(report):
    page = Reader(reports_page([report]))
    images = page.all("img")
    assert len(images) == 3
    for image in images:
        data = base64.b64decode(image["src"].partition(",")[2])
        assert Image.open(io.BytesIO(data)).size == (960, 780)
        assert "drawn" in image["alt"]


def test_tables_have_captions_and_headings_and_links_lead_somewhere(report, detection):
    page = Reader(reports_page([report, detection]))
    assert len(page.all("table")) == len(page.all("caption")) >= 6
    assert {a["scope"] for a in page.all("th")} == {"col", "row"}
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {a["href"][1:] for a in page.all("a")} <= ids
    assert page.all("html") == [{"lang": "en"}]


def test_hostile_names_stay_text():
    report, _ = judged(name=HOSTILE, dataset=HOSTILE, weights=HOSTILE)
    machine = dataclasses.replace(report.machine, processor=HOSTILE, versions={HOSTILE: HOSTILE})
    odd = dataclasses.replace(report, space=HOSTILE, protocol=HOSTILE, machine=machine, refusals={HOSTILE: 1})
    figure = FigureDifference(HOSTILE, 0.5, 0.6, 0.05, 0.2, "paired")
    page = Reader(reports_page([odd], [SystemDifference(HOSTILE, HOSTILE, 1, 2, (figure,))]))
    assert page.all("script") == []
    assert all(set(image) == {"src", "alt"} for image in page.all("img"))
    assert page.text.count("<script>alert(1)</script>") >= 10


def test_only_markup_is_left_alone():
    assert safe("<b>&") == "&lt;b&gt;&amp;"
    assert safe(Markup("<b>")) == "<b>"


def test_reports_of_older_versions_say_that_they_have_no_curves(report):
    page = Reader(reports_page([dataclasses.replace(report, evidence=None)]))
    assert page.all("img") == []
    assert "No curves for drawn" in page.text


def test_systems_of_one_protocol_share_a_table_and_other_data_do_not(report):
    beside, elsewhere = judged("second")[0], judged("third", dataset="circles")[0]
    groups = same_kind([report, elsewhere, beside])
    assert [[r.system.name for r in group] for group in groups] == [["drawn", "second"], ["third"]]
    page = Reader(reports_page([report, elsewhere, beside]))
    assert len([a for a in page.all("img") if a["alt"].startswith("ROC")]) == 2


def test_detectors_and_differences_have_tables(report, detection):
    figure = FigureDifference("TAR at FAR 0.01", 0.5, 0.6, 0.05, 0.2, "paired")
    page = Reader(reports_page([report, detection], [SystemDifference("one", "two", 30, 600, (figure,))]))
    for words in ("0.9321", "0.8765", "90°", "two minus one", "+0.1000 [+0.0500, +0.2000]", "they differ"):
        assert words in page.text


def stored_pictures(folder, scored):
    for k, name in enumerate(scored.trials.samples):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(encode_png(np.full((300, 200, 3), 7 * k, np.uint8)))


def test_worst_errors_are_the_worst(tmp_path):
    report, scored = judged()
    threshold = report.eer_threshold
    matched, missed = worst_places(scored, threshold, 3)
    mated = scored.trials.mated
    false_matches = sorted(
        (s for s, m in zip(scored.scores, mated, strict=True) if not m and s >= threshold), reverse=True
    )
    false_nonmatches = sorted(
        s for s, m in zip(scored.scores, mated, strict=True) if m and np.isfinite(s) and s < threshold
    )
    assert scored.scores[matched].tolist() == false_matches[:3]
    assert scored.scores[missed].tolist() == false_nonmatches[:3]
    stored_pictures(tmp_path, scored)
    found = worst_errors(scored, tmp_path, "drawn", threshold, 2)
    first = found.false_matches[0]
    assert (first.pair, first.similarity) == (matched[0] + 1, pytest.approx(false_matches[0]))
    sizes = {Image.open(io.BytesIO(data)).size for data in first.pictures}
    assert sizes == {(75, 112)}
    grey = np.asarray(Image.open(io.BytesIO(first.pictures[1])))[0, 0, 0]
    assert abs(int(grey) - 7 * int(scored.trials.pairs[matched[0]][1])) <= 2
    page = Reader(reports_page([report], worst=[found]))
    assert len([a for a in page.all("img") if a["src"].startswith("data:image/jpeg")]) == 8
    # Names of people and files stay out of the page.
    assert "S0/" not in page.text
    assert "pictures of people" in page.text


def test_report_files_hold_one_report_or_several_of_both_kinds(tmp_path, report, detection):
    one, several = tmp_path / "one.json", tmp_path / "several.json"
    one.write_text(dump_report(report))
    several.write_text(dump_reports([report, detection]))
    assert read_reports(one) == [report]
    assert read_reports(several) == [report, detection]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "the list is empty"),
        ("[3]", "report 1 of .* got another document"),
        ('[{"rows": 1}]', "got another document"),
        ('{"eer": 0.1}', "report 1 of .* expected a VerificationReport"),
        ('{"kind": "own data"}', "report 1 of .* expected a OwnReport"),
        ('{"kind": "weather", "eer": 0.1}', "got kind 'weather'"),
    ],
)
def test_other_files_are_refused(tmp_path, text, fault):
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(DataError, match=fault):
        read_reports(path)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.json cannot be read"):
        read_reports(tmp_path / "none.json")


def test_a_missing_picture_stops_the_thumbnails(tmp_path):
    report, scored = judged()
    with pytest.raises(DataError, match="cannot be read"):
        worst_errors(scored, tmp_path, "drawn", report.eer_threshold, 1)
