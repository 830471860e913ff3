"""Drawn distractors are those of the model that the report names, and the check of tails measures what it says."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import megaface

    return megaface


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def test_drawn_vectors_have_the_mean_and_covariance_of_the_real_ones(
    trial: ModuleType, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    real = unit(rng.standard_normal((4000, 24)) * np.linspace(0.2, 1, 24) + 0.1)
    path = tmp_path / "d.npy"
    trial.write_drawn(path, real, 25_000)
    made = np.load(path, mmap_mode="r")
    assert made.shape == (25_000, 24)
    assert np.allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    assert np.allclose(made.mean(axis=0), real.mean(axis=0), atol=0.02)
    assert np.allclose(np.cov(made.T), np.cov(real.T), atol=0.01)
    rows = trial.tails(real[:200], real[200:], path)
    assert [row["rate"] for row in rows] == [1e-3, 1e-4, 1e-5]
    assert rows[0]["real"] == pytest.approx(np.quantile(real[:200] @ real[200:].T, 0.999), abs=1e-6)
    assert rows[0]["drawn"] == pytest.approx(rows[0]["real"], abs=0.05)
