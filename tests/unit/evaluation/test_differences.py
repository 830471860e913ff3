"""What two reports, or two systems of one run, allow to say about each other."""

import dataclasses
import json

import numpy as np
import pytest

from lineament.evaluation.detection import DetectionReport, OverlapResult, SizeBucket, TurnResult
from lineament.evaluation.differences import FigureDifference, compare_systems
from lineament.evaluation.jsonfile import dump_report, load_report
from lineament.evaluation.machine import Machine
from lineament.evaluation.report_diff import compare_reports, diff_reports, match_reports
from lineament.evaluation.samples import SampleEmbeddings
from lineament.evaluation.trials import Trials, all_pairs
from lineament.evaluation.verification import (
    SystemUsed,
    VerificationReport,
    WeightsUsed,
    score_trials,
    verification_report,
)
from lineament.metrics.bootstrap import Resampling
from lineament.metrics.lfw import FoldAccuracy


def trials():
    names = [f"s{s:02d}/{k}" for s in range(30) for k in range(4)]
    every = all_pairs(names, [name.partition("/")[0] for name in names])
    folds = np.random.default_rng(0).permutation(len(every.pairs)) % 5
    return Trials("drawn pairs", every.samples, every.subjects, every.pairs, folds.astype(np.int32))


TRIALS = trials()


PLAN = Resampling(200)


def judged(name, spread, refused=(), plan=PLAN, data="d" * 64):
    """Report and scores of a system whose vectors scatter by ``spread``; the scatter is common to all systems."""
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(30, 16))
    vectors = centres[TRIALS.subject_of_sample] + rng.normal(size=(120, 16)) * spread
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    acquired = ~np.isin(np.arange(120), list(refused))
    vectors[~acquired] = 0
    reasons = {"no_face": len(refused)} if refused else {}
    samples = SampleEmbeddings(vectors, acquired, reasons, f"{name}@1", 0.5)
    scored = score_trials(TRIALS, samples)
    system = SystemUsed(name, (WeightsUsed(f"{name}.onnx", name[0] * 64),))
    return verification_report(scored, samples, system, "drawn", "vectors", plan, data), scored


GOOD, POOR, ALIKE = judged("good", 0.9), judged("poor", 1.3), judged("alike", 0.902)


def named(figures, start):
    (found,) = [f for f in figures if f.name.startswith(start)]
    return found


def test_the_better_system_is_said_to_be_better_and_a_like_one_is_not():
    found = compare_systems(POOR, GOOD)
    figure = named(found.figures, "TAR at FAR 0.01")
    assert (found.base, found.other) == ("poor", "good")
    assert figure.difference == pytest.approx(POOR[0].points[0].fnmr - GOOD[0].points[0].fnmr)
    assert figure.verdict == "differ"
    assert 0 < figure.low <= figure.difference <= figure.high
    like = compare_systems(GOOD, ALIKE).figures
    for name in ("TAR at FAR 0.01", "EER"):
        assert named(like, name).verdict in {"not shown", "same"}
    assert named(found.figures, "accuracy").difference > 0


def test_a_system_is_the_same_as_itself():
    assert {f.verdict for f in compare_systems(GOOD, GOOD).figures} == {"same"}
    diff = diff_reports(GOOD[0], GOOD[0])
    assert diff.changes == ()
    assert {f.verdict for f in diff.figures} == {"same"}


def test_stored_replicates_give_the_comparison_of_the_run():
    run = named(compare_systems(POOR, GOOD).figures, "TAR at FAR 0.01")
    kept = named(diff_reports(POOR[0], GOOD[0]).figures, "TAR at FAR 0.01")
    assert kept.basis == run.basis == "paired"
    assert (kept.low, kept.high) == pytest.approx((run.low, run.high), abs=1e-5)
    assert kept.difference == pytest.approx(run.difference)


def test_reports_are_compared_with_the_first_that_they_can_be_paired_with():
    lone = without_evidence(ALIKE[0])
    found = compare_reports([POOR[0], detection("finder", 0.5), lone, GOOD[0], ALIKE[0]])
    assert [(d.base, d.other) for d in found] == [("poor", "good"), ("poor", "alike")]
    run = compare_systems(POOR, GOOD)
    assert (found[0].n_mated, found[0].n_nonmated) == (run.n_mated, run.n_nonmated)
    assert [f.difference for f in found[0].figures] == pytest.approx([f.difference for f in run.figures])


def test_systems_with_other_refusals_are_compared_on_what_both_could():
    base, other = judged("base", 1.0, refused=(3,)), judged("other", 1.0, refused=(9, 10))
    found = compare_systems(base, other)
    lost = np.isin(TRIALS.pairs, (3, 9, 10)).any(axis=1)
    assert found.n_mated + found.n_nonmated == (~lost).sum()
    # The vectors are the same, so only end to end, where refusals count, may they differ.
    assert named(found.figures, "TAR at FAR 0.01").verdict == "same"
    diff = diff_reports(base[0], other[0])
    assert "comparisons made are not the same" in diff.notes[0]
    assert named(diff.figures, "TAR at FAR 0.01").basis == "separate"


def test_systems_without_a_common_mated_comparison_have_no_rates_to_compare():
    base, other = judged("base", 1.0, refused=range(60)), judged("other", 1.0, refused=range(60, 120))
    found = compare_systems(base, other)
    assert (found.n_mated, found.n_nonmated) == (0, 0)
    assert [figure.name for figure in found.figures] == ["accuracy, all pairs"]


def without_evidence(report):
    return dataclasses.replace(report, evidence=None)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (without_evidence(POOR[0]), "keeps no replicates"),
        (judged("poor", 1.3, data="e" * 64)[0], "not known to be the same"),
        (judged("poor", 1.3, data="")[0], "not known to be the same"),
        (judged("poor", 1.3, plan=Resampling(200, seed=1))[0], "bootstraps differ"),
        (dataclasses.replace(POOR[0], machine=Machine("x", 1, "y", {"numpy": "0"})), "versions of NumPy"),
    ],
)
def test_reports_that_cannot_be_paired_say_why_and_compare_their_intervals(other, why):
    found = diff_reports(GOOD[0], other)
    assert why in found.notes[0]
    figure = named(found.figures, "TAR at FAR 0.01")
    point, also = GOOD[0].points[0], other.points[0]
    assert figure.basis == "separate"
    # The conservative interval leaves zero out exactly when the two intervals do not overlap.
    apart = also.fnmr_low > point.fnmr_high or also.fnmr_high < point.fnmr_low
    assert (figure.verdict == "differ") == apart
    paired = named(diff_reports(GOOD[0], POOR[0]).figures, "TAR at FAR 0.01")
    assert figure.high - figure.low > paired.high - paired.low


def test_figures_without_an_interval_allow_no_statement():
    other = judged("poor", 1.3, refused=(0,))[0]
    figure = named(diff_reports(GOOD[0], other).figures, "failure to acquire")
    assert (figure.low, figure.verdict, figure.says()) == (None, "no interval", "no interval: no statement")


@pytest.mark.parametrize("name", ["EER", "AUC"])
def test_eer_and_auc_are_compared_with_intervals(name):
    run = named(compare_systems(POOR, GOOD).figures, name)
    kept = named(diff_reports(POOR[0], GOOD[0]).figures, name)
    assert (run.basis, kept.basis, run.verdict, kept.verdict) == ("paired", "paired", "differ", "differ")
    assert (kept.low, kept.high) == pytest.approx((run.low, run.high), abs=1e-5)
    assert kept.difference == run.difference
    assert run.low <= run.difference <= run.high
    apart = named(diff_reports(POOR[0], without_evidence(GOOD[0])).figures, name)
    assert apart.basis == "separate"
    assert apart.high - apart.low > kept.high - kept.low


def test_rows_for_people_show_five_digits_of_an_area_only():
    assert FigureDifference("AUC", 0.99904, 0.99913, 0.00001, 0.0002, "paired").cells()[1:4] == (
        "0.99904", "0.99913", "+0.00009 [+0.00001, +0.00020]",
    )  # fmt: skip
    assert FigureDifference("EER", 0.0123, 0.02, None, None, "none").cells()[1:4] == (
        "0.0123", "0.0200", "+0.0077",
    )  # fmt: skip


def test_reports_of_older_versions_say_nothing_of_eer_and_auc():
    document = json.loads(dump_report(GOOD[0]))
    for key in ("eer_low", "eer_high", "auc_low", "auc_high", "n_from_cache", "kind"):
        del document[key]
    for key in ("eer_replicates", "auc_replicates"):
        del document["evidence"][key]
    old = load_report(VerificationReport, json.dumps(document))
    assert (old.eer, old.eer_low, old.evidence.eer_replicates) == (GOOD[0].eer, None, ())
    found = diff_reports(old, POOR[0])
    assert named(found.figures, "EER").verdict == "no interval"
    assert named(found.figures, "TAR at FAR 0.01").basis == "paired"
    assert "EER" in old.text()


def test_changes_are_listed_by_name():
    report = GOOD[0]
    machine = dataclasses.replace(report.machine, versions={**report.machine.versions, "numpy": "9.9"})
    other = dataclasses.replace(POOR[0], machine=machine, dataset="other", protocol="another")
    found = diff_reports(report, other)
    assert {"system", "weights", "embedding space", "data", "protocol", "version of numpy"} == {
        change.what for change in found.changes
    }
    assert "The data differ" in found.notes[0]
    document = found.document()
    assert document["figures"][0]["verdict"] in {"differ", "not shown"}
    assert document["figures"][0]["difference"] == found.figures[0].difference


def test_folds_that_are_not_paired_compare_their_own_intervals():
    folds = FoldAccuracy(0.9, 0.001, (0.9,) * 10, (0.1,) * 10)
    base = without_evidence(dataclasses.replace(GOOD[0], folds=folds))
    other = without_evidence(dataclasses.replace(GOOD[0], folds=dataclasses.replace(folds, accuracy=0.905)))
    figure = diff_reports(base, other).figures[0]
    assert figure.name == "accuracy"
    # 2.262 standard errors on each side: 0.005 - 2 * 0.002262
    assert figure.low == pytest.approx(0.005 - 2 * 0.002262, abs=1e-5)
    assert figure.verdict == "differ"


def detection(name, recall):
    result = OverlapResult(0.5, 0.9, recall, 0.1, (SizeBucket(0, 24, 10, 9),))
    turned = (TurnResult(0, (result,), 1.0),)
    return DetectionReport(SystemUsed(name, ()), "drawn", 5, 10, turned, Machine("x", 1, "y", {}))


def test_detectors_have_no_intervals_and_so_no_statement():
    found = diff_reports(detection("one", 0.8), detection("two", 0.9))
    figure = named(found.figures, "recall")
    assert (figure.difference, figure.verdict) == (pytest.approx(0.1), "no interval")
    assert named(found.figures, "AP").verdict == "same"
    with pytest.raises(TypeError, match="of one kind"):
        diff_reports(detection("one", 0.8), GOOD[0])


def test_reports_find_their_partner_by_name_unless_they_are_alone():
    assert match_reports([GOOD[0]], [POOR[0]]) == ([(GOOD[0], POOR[0])], [])
    pairs, alone = match_reports([GOOD[0], POOR[0]], [ALIKE[0], GOOD[0]])
    assert pairs == [(GOOD[0], GOOD[0])]
    assert [report.system.name for report in alone] == ["poor", "alike"]
    assert match_reports([GOOD[0]], [detection("good", 0.5)])[0] == []


def test_other_trials_are_refused():
    report, scored = GOOD
    fewer = dataclasses.replace(TRIALS, pairs=TRIALS.pairs[1:], folds=TRIALS.folds[1:])
    with pytest.raises(ValueError, match="the same trials only"):
        compare_systems(GOOD, (report, dataclasses.replace(scored, trials=fewer, scores=scored.scores[1:])))
