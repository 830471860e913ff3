"""What reports keep for pictures and paired comparisons."""

import dataclasses
import json

import numpy as np
import pytest

from lineament.evaluation.evidence import comparisons_digest, evidence_of
from lineament.evaluation.jsonfile import dump_report, load_report
from lineament.evaluation.trials import all_pairs
from lineament.metrics.bootstrap import PairScores, Resampling, bootstrap_eer_auc, bootstrap_fnmr_at_fmr
from lineament.metrics.verification import fmr, fnmr


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(30), 4)
    a, b = np.triu_indices(len(subject), 1)
    return PairScores(rng.normal(np.where(subject[a] == subject[b], 0.6, 0.0), 0.2), subject[a], subject[b])


@pytest.fixture(scope="module")
def kept(pairs):
    drawn = bootstrap_fnmr_at_fmr(pairs, (0.01, 0.1), Resampling(100))
    separation = bootstrap_eer_auc(pairs, Resampling(100))
    scores = pairs.scores[pairs.mated], pairs.scores[~pairs.mated]
    return evidence_of(scores, ("aa", "bb"), drawn.fnmr, separation), (drawn, separation)


def test_thinned_points_are_points_of_the_full_curve(pairs, kept):
    found, _ = kept
    mated, nonmated = pairs.scores[pairs.mated], pairs.scores[~pairs.mated]
    every = np.array([(fmr(nonmated, t), fnmr(mated, t)) for t in np.append(np.unique(pairs.scores), np.inf)])
    for point in zip(found.fmr[::23], found.fnmr[::23], strict=True):
        assert np.abs(every - point).max(axis=1).min() < 1e-5
    assert len(found.fmr) <= 401
    assert list(found.fmr) == sorted(found.fmr, reverse=True)


def test_the_histogram_holds_every_comparison(pairs, kept):
    found, _ = kept
    assert (sum(found.mated_counts), sum(found.nonmated_counts)) == (pairs.mated.sum(), (~pairs.mated).sum())
    assert len(found.bin_edges) == len(found.mated_counts) + 1


def test_replicates_are_kept_by_rate_and_survive_json(kept):
    found, (drawn, separation) = kept
    np.testing.assert_allclose(found.fnmr_replicates, drawn.fnmr.T, rtol=1e-5)
    np.testing.assert_allclose(found.eer_replicates, separation.eer, rtol=1e-5)
    np.testing.assert_allclose(found.auc_replicates, separation.auc, rtol=1e-5)
    text = dump_report(found)
    assert load_report(type(found), text) == found
    # One line for each list of numbers: the document stays readable.
    assert text.count("\n") < 30


def test_only_lists_of_numbers_become_one_line():
    @dataclasses.dataclass(frozen=True)
    class Odd:
        text: str
        numbers: tuple[float, ...]
        words: tuple[str, ...]

    odd = Odd("[\n 1,\n 2\n]", (1.5, -2e-9), ("a", "b"))
    text = dump_report(odd)
    assert json.loads(text) == {"text": odd.text, "numbers": [1.5, -2e-9], "words": ["a", "b"]}
    assert '"numbers": [1.5, -2e-09]' in text


def test_the_digest_tells_comparisons_apart():
    trials = all_pairs(["a/1", "a/2", "b/1"], ["a", "a", "b"])
    made = np.ones(3, np.bool_)
    other = all_pairs(["a/1", "a/2", "b/1"], ["a", "b", "b"])
    digests = {
        comparisons_digest(trials, made),
        comparisons_digest(other, made),
        comparisons_digest(trials, np.array([True, True, False])),
        comparisons_digest(dataclasses.replace(trials, folds=np.arange(3)), made),
    }
    assert len(digests) == 4
    assert comparisons_digest(trials, made) in digests
