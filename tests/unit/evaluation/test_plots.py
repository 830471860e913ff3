import builtins
import io

import numpy as np
import pytest
from PIL import Image

from lineament.core.errors import ConfigError
from lineament.evaluation.plots import Scores, plot_ced, plot_cmc, plot_det, plot_roc, plot_similarities

RNG = np.random.default_rng(0)
GOOD = Scores(RNG.normal(0.6, 0.1, 500), RNG.normal(0, 0.1, 800))
POOR = Scores(RNG.normal(0.3, 0.2, 500), RNG.normal(0, 0.2, 900))
PERFECT = Scores(np.array([0.9, 0.8]), np.array([0.1, 0.2]))


def dark_or_coloured(path):
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return pixels, (pixels.max(axis=2) - pixels.min(axis=2) > 60)


@pytest.mark.parametrize("plot", [plot_roc, plot_det])
def test_each_system_draws_a_curve_of_its_own_colour(tmp_path, plot):
    plot(tmp_path / "one.png", {"good": GOOD})
    plot(tmp_path / "two.png", {"good": GOOD, "poor": POOR})
    (one, coloured), (two, both) = (dark_or_coloured(tmp_path / f"{n}.png") for n in ("one", "two"))
    assert one.shape == two.shape == (780, 960, 3)
    assert coloured.sum() > 300
    orange = (two[..., 0] > 180) & (two[..., 2] < 80)
    assert orange[both].sum() > 300
    assert not ((one[..., 0] > 180) & (one[..., 2] < 80)).any()


def test_a_perfect_system_can_be_drawn(tmp_path):
    for plot in (plot_roc, plot_det):
        plot(tmp_path / "perfect.png", {"perfect": PERFECT})
    assert (tmp_path / "perfect.png").stat().st_size > 1000


def test_the_histogram_shows_both_kinds_and_the_thresholds(tmp_path):
    plot_similarities(tmp_path / "plain.png", GOOD, {})
    plot_similarities(tmp_path / "lined.png", GOOD, {"FMR 1e-3": 0.31})
    (plain, coloured), (lined, _) = (dark_or_coloured(tmp_path / f"{n}.png") for n in ("plain", "lined"))
    assert coloured.mean() > 0.05
    black_columns = [
        int(((picture.max(axis=2) < 60).sum(axis=0)[150:] > 300).sum()) for picture in (plain, lined)
    ]
    assert black_columns[1] > black_columns[0]


@pytest.mark.parametrize("ranks", [5, 200])
def test_a_cmc_climbs_to_the_right(tmp_path, ranks):
    plot_cmc(tmp_path / "cmc.png", {"one": np.linspace(0.5, 0.99, ranks)})
    pixels, coloured = dark_or_coloured(tmp_path / "cmc.png")
    assert pixels.shape == (780, 960, 3)
    left, right = (
        np.flatnonzero(coloured[:, columns].any(axis=1)) for columns in np.split(np.arange(100, 500), 2)
    )
    assert right.min() < left.min()


def test_a_ced_is_higher_for_the_better_system(tmp_path):
    errors = np.abs(RNG.normal(0, 0.02, 300))
    plot_ced(tmp_path / "ced.png", {"good": errors, "poor": np.append(errors * 3, np.inf)}, 0.08)
    pixels, _ = dark_or_coloured(tmp_path / "ced.png")
    blue = (pixels[..., 2] > 150) & (pixels[..., 0] < 60)
    orange = (pixels[..., 0] > 180) & (pixels[..., 2] < 60)
    heights = [np.flatnonzero(colour[:640, 300:600].any(axis=1)).mean() for colour in (blue, orange)]
    assert heights[0] < heights[1]


def test_without_matplotlib_the_message_says_how_to_get_it(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigError, match=r"lineament\[plots\]"):
        plot_roc(io.BytesIO(), {"good": GOOD})
