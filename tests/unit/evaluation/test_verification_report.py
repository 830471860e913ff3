import dataclasses
import json
import math

import numpy as np
import pytest

from lineament.core.errors import DataError
from lineament.core.types import Detection, Embedding, Face, Refusal, RefusalReason
from lineament.evaluation.samples import (
    Acquisition,
    SampleEmbeddings,
    acquire_samples,
    all_pair_scores,
    embed_crops,
    outcomes_of,
    pair_similarities,
)
from lineament.evaluation.sets import PictureSource
from lineament.evaluation.trials import Trials, all_pairs
from lineament.evaluation.verification import (
    SystemUsed,
    VerificationReport,
    WeightsUsed,
    score_trials,
    verification_report,
)
from lineament.metrics.bootstrap import Resampling
from lineament.metrics.lfw import fold_accuracy
from lineament.metrics.verification import eer, tar_at_far_protocol

SYSTEM = SystemUsed("drawn", (WeightsUsed("drawn.onnx", "ab" * 32),))


class PixelEmbedder:
    """The centred pixels themselves, as a unit vector."""

    name, space = "pixels", "pixels@1"

    def embed(self, crops):
        flat = crops.reshape(len(crops), -1).astype(np.float32) - 128
        return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def trials_of(pictures):
    names = sorted(pictures)
    every = all_pairs(names, [name.partition("/")[0] for name in names])
    rng = np.random.default_rng(0)
    return Trials(
        "drawn pairs", every.samples, every.subjects, every.pairs, rng.permutation(len(every.pairs)) % 5
    )


def drawn_samples(trials, refused=(), seed=0, spread=0.35):
    """Random unit vectors around one centre a subject; the refused samples have none."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(set(trials.subjects)), 8))
    vectors = centres[trials.subject_of_sample] + rng.normal(size=(len(trials.samples), 8)) * spread * 2
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    acquired = ~np.isin(np.arange(len(trials.samples)), list(refused))
    vectors[~acquired] = 0
    return SampleEmbeddings(vectors, acquired, {"no_face": len(refused)} if refused else {}, "drawn@1", 0.5)


def report_of(trials, samples):
    scored = score_trials(trials, samples)
    return scored, verification_report(scored, samples, SYSTEM, "squares", "whole pictures", Resampling(100))


def test_crops_are_embedded_in_order_and_progress_is_told(stored, pictures):
    names, told = sorted(pictures), []
    with PictureSource(stored) as source:
        samples = embed_crops(
            names, source, PixelEmbedder(), 16, lambda done, total: told.append((done, total))
        )
        again = embed_crops(names[::-1], source, PixelEmbedder(), 16)
        with pytest.raises(DataError, match="expected a crop of 112 x 112 px, got 16 x 16"):
            embed_crops(names, source, PixelEmbedder(), 112)
    np.testing.assert_array_equal(samples.vectors, again.vectors[::-1])
    assert told == [(36, 36)]
    assert samples.acquired.all()
    assert (samples.fta_rate, samples.space) == (0.0, "pixels@1")


def face(vector, space="s@1"):
    found = Detection(np.array([0, 0, 9, 9], np.float32), 0.9, np.zeros((5, 2), np.float32))
    return Face(found, Embedding(vector, space), np.zeros((16, 16, 3), np.uint8))


def test_refusals_stay_in_the_list_and_are_counted_by_reason(stored, pictures):
    names = sorted(pictures)

    def extract(images):
        vectors = PixelEmbedder().embed(np.stack([image.pixels for image in images]))
        found = [face(vector) for vector in vectors]
        found[4] = Refusal(RefusalReason.NO_FACE, "none")
        found[9] = found[30] = Refusal(RefusalReason.FACE_CUT_OFF, "cut off")
        return outcomes_of(found)

    with PictureSource(stored) as source:
        samples = acquire_samples(names, source, Acquisition(extract), "s@1")
        whole = embed_crops(names, source, PixelEmbedder(), 16)
    assert np.flatnonzero(~samples.acquired).tolist() == [4, 9, 30]
    assert samples.refusals == {"face_cut_off": 2, "no_face": 1}
    assert samples.fta_rate == pytest.approx(3 / 36)
    np.testing.assert_array_equal(samples.vectors[samples.acquired], whole.vectors[samples.acquired])


def test_no_face_at_all_is_refused(stored, pictures):
    refusals = outcomes_of([Refusal(RefusalReason.NO_FACE, "")] * 2)
    with PictureSource(stored) as source, pytest.raises(DataError, match="none of 2 pictures"):
        acquire_samples(sorted(pictures)[:2], source, Acquisition(lambda _: refusals), "s@1")


def test_similarities_equal_plain_products(pictures):
    trials = trials_of(pictures)
    samples = drawn_samples(trials)
    expected = [float(samples.vectors[a] @ samples.vectors[b]) for a, b in trials.pairs]
    np.testing.assert_allclose(pair_similarities(samples.vectors, trials.pairs), expected, atol=1e-6)
    every = all_pair_scores(samples.vectors, trials.subject_of_sample)
    np.testing.assert_allclose(every.scores, expected, atol=1e-6)
    np.testing.assert_array_equal(every.mated, trials.mated)


def test_the_report_repeats_the_metrics(pictures):
    trials = trials_of(pictures)
    scored, report = report_of(trials, drawn_samples(trials))
    mated, nonmated = scored.scores[trials.mated], scored.scores[~trials.mated]
    assert (report.n_mated, report.n_nonmated, report.n_subjects, report.n_samples) == (36, 594, 12, 36)
    assert report.folds == fold_accuracy(scored.scores, trials.mated, trials.folds)
    assert report.folds_end_to_end == report.folds
    assert report.eer == eer(mated, nonmated)
    expected = tar_at_far_protocol(mated, nonmated, 0.01)
    (point,) = report.points
    assert (point.threshold, point.fnmr, point.false_matches) == (expected.threshold, expected.fnmr, 5)
    assert (point.far, point.frr) == (pytest.approx(point.fmr), pytest.approx(point.fnmr))
    assert point.fnmr_low <= point.fnmr <= point.fnmr_high
    assert not point.well_supported
    assert report.not_measurable == (0.001,)


def test_a_refused_picture_is_a_non_match_end_to_end(pictures):
    trials = trials_of(pictures)
    scored, report = report_of(trials, drawn_samples(trials, refused=(0, 7, 20)))
    lost = np.isin(trials.pairs, (0, 7, 20)).any(axis=1)
    assert np.array_equal(scored.compared, ~lost)
    assert report.fta_rate == pytest.approx(3 / 36)
    assert report.n_mated_compared == 36 - int((lost & trials.mated).sum())
    (point,) = report.points
    rejected = sum(s < point.threshold for s in scored.scores[trials.mated])
    assert point.frr == pytest.approx(rejected / 36)
    assert point.frr > point.fnmr
    assert point.far == pytest.approx(point.false_matches / 594)
    right = [
        (s >= report.folds.fold_thresholds[k]) == m
        for s, m, k in zip(scored.scores, trials.mated, trials.folds, strict=True)
    ]
    per_fold = [np.mean([r for r, f in zip(right, trials.folds, strict=True) if f == k]) for k in range(5)]
    assert report.folds_end_to_end.fold_accuracies == pytest.approx(per_fold)


def test_without_folds_there_is_no_accuracy(pictures):
    names = sorted(pictures)
    trials = all_pairs(names, [name.partition("/")[0] for name in names])
    _, report = report_of(trials, drawn_samples(trials))
    assert report.folds is None
    assert "accuracy" not in report.text()


@pytest.mark.parametrize("lost", [1, 4])
def test_a_fold_without_comparisons_leaves_no_accuracy(pictures, lost):
    names = sorted(pictures)
    every = all_pairs(names, [name.partition("/")[0] for name in names])
    refused = (0, 1, 2)
    hit = np.isin(every.pairs, refused).any(axis=1)
    folds = np.where(hit, lost, np.setdiff1d(np.arange(5), lost)[np.arange(len(hit)) % 4])
    trials = Trials("drawn pairs", every.samples, every.subjects, every.pairs, folds)
    _, report = report_of(trials, drawn_samples(trials, refused))
    assert (report.folds, report.folds_end_to_end) == (None, None)
    assert "accuracy" not in report.text()
    _, whole = report_of(trials, drawn_samples(trials))
    assert len(whole.folds.fold_accuracies) == 5


def test_no_error_among_few_people_is_no_proof(pictures):
    trials = trials_of(pictures)
    _, report = report_of(trials, drawn_samples(trials, spread=0.01))
    (point,) = report.points
    assert (point.fnmr, point.fnmr_low) == (0, 0)
    # no error among 12 people: Clopper-Pearson
    assert point.fnmr_high == pytest.approx(1 - 0.025 ** (1 / 12))


def test_the_report_survives_json_and_says_its_names(pictures):
    trials = trials_of(pictures)
    _, report = report_of(trials, drawn_samples(trials, refused=(3,)))
    assert VerificationReport.from_json(report.to_json()) == report
    text = report.text()
    for part in ("FMR (FAR) 0.01", "TAR", "EER", "AUC", "fewer than 10 false matches", "no_face 1",
                 "accuracy end to end",
                 "FMR (FAR) 0.001: below one false match", "95 % intervals: 100 replicates"):  # fmt: skip
        assert part in text


def test_a_report_of_a_version_that_kept_no_evidence_still_loads(pictures):
    trials = trials_of(pictures)
    _, report = report_of(trials, drawn_samples(trials))
    document = json.loads(report.to_json())
    assert document.pop("evidence")["comparisons_sha256"]
    assert VerificationReport.from_json(json.dumps(document)) == dataclasses.replace(report, evidence=None)


def test_an_infinite_threshold_survives_json(pictures):
    trials = trials_of(pictures)
    _, report = report_of(trials, drawn_samples(trials))
    odd = dataclasses.replace(report, eer_threshold=math.inf)
    assert VerificationReport.from_json(odd.to_json()) == odd
    assert "Infinity" in odd.to_json()


@pytest.mark.parametrize(("text", "fault"), [("{", "as JSON"), ('{"system": 3}', "faults: system")])
def test_what_is_no_report_is_refused(text, fault):
    with pytest.raises(DataError, match=fault):
        VerificationReport.from_json(text)


def test_no_comparison_of_a_kind_is_an_error(pictures):
    trials = trials_of(pictures)
    with pytest.raises(DataError, match="0 and 0 could be made of 630 pairs"):
        report_of(trials, drawn_samples(trials, refused=range(36)))
