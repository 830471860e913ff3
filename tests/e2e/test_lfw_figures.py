"""LFW with published weights: the figures that stand beside the weights must come out again."""

import pytest

from lineament.embedding import load_embedder
from lineament.evaluation import (
    PictureSource,
    SystemUsed,
    embed_crops,
    read_pairs,
    score_trials,
    verification_report,
)


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.weights
@pytest.mark.parametrize(("name", "published"), [("mobilefacenet", 0.9930), ("mobilefacenet+flip", 0.9937)])
def test_view_2_accuracy_is_within_a_tenth_of_a_point(shared, monkeypatch, name, published):
    monkeypatch.setenv("LINEAMENT_WEIGHTS", str(shared / "weights"))
    folder = shared / "data" / "lfw_aligned112"
    trials = read_pairs(folder / "pairs.txt")
    with PictureSource(folder / "lfw_aligned112.zip") as source:
        samples = embed_crops(trials.samples, source, load_embedder(name), 112)
    scored = score_trials(trials, samples)
    report = verification_report(scored, samples, SystemUsed(name, ()), "lfw_aligned112", "aligned crops")
    assert report.folds is not None
    assert abs(report.folds.accuracy - published) <= 0.001
    assert report.fta_rate == 0
