import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lineament.core.errors import BadArray
from lineament.imaging.mesh import FAMILIES, REFERENCE_PX, UNSEEN_RANGES, Mesh, MeshRanges, add_mesh
from lineament.imaging.mesh_curves import draw_curves, rosette, sine_curve

WHITE = np.full((220, 178, 3), 255, np.uint8)


@given(
    family=st.sampled_from(FAMILIES),
    seed=st.integers(0, 2**31),
    size=st.sampled_from([(112, 112), (220, 178), (126, 102), (48, 48)]),
)
@example(family="patent", seed=23827, size=(220, 178))
def test_picture_is_the_blend_of_clean_picture_mask_and_ink(family, seed, size):
    clean = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    made = add_mesh(clean, Mesh(family=family, seed=seed))
    assert made.mask.shape == size
    assert made.mask.dtype == np.float32
    assert 0 <= made.mask.min() <= made.mask.max() <= 1
    share = made.opacity * made.mask.astype(np.float64)[..., None]
    expected = clean * (1 - share) + share * np.asarray(made.ink)
    assert np.abs(made.pixels - expected).max() <= 0.5 + 1e-3
    assert np.array_equal(made.pixels[made.mask == 0], clean[made.mask == 0])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_seed_is_one_mesh_whatever_lies_below(family):
    one, other = (add_mesh(picture, Mesh(family=family, seed=5)) for picture in (WHITE, WHITE // 3))
    assert np.array_equal(one.mask, other.mask)
    assert (one.ink, one.opacity) == (other.ink, other.opacity)
    assert not np.array_equal(one.mask, add_mesh(WHITE, Mesh(family=family, seed=6)).mask)


def test_sine_meshes_cover_about_as_much_as_real_ones():
    """With the parameters of the measured sample, its 25 to 29 %."""
    ranges = MeshRanges(
        period_px=(45, 45), amplitude_px=(45, 45), spacing_px=(48, 48), width_px=(2.8, 2.8), slope=(0, 0)
    )
    cover = [add_mesh(WHITE, Mesh(family="sines", seed=k, ranges=ranges)).mask.mean() for k in range(20)]
    assert 0.23 < np.mean(cover) < 0.31


def test_unseen_ranges_share_no_geometry_with_the_default_ones():
    seen = MeshRanges()
    for name in ("period_px", "amplitude_px", "spacing_px"):
        low, high = getattr(UNSEEN_RANGES, name)
        assert high < getattr(seen, name)[0] or low > getattr(seen, name)[1]


def test_line_width_is_kept_at_any_size():
    for height in (REFERENCE_PX, 2 * REFERENCE_PX):
        columns = np.linspace(-5, height + 5, 50)
        flat = sine_curve(columns, level=height / 2, slope=0, amplitude=0, period=50, phase=0)
        mask = draw_curves([flat], 6.0, height, height)
        assert mask.sum(axis=0).mean() == pytest.approx(6, abs=0.5)


def test_a_curve_runs_through_its_points():
    columns = np.linspace(0, 99, 400)
    curve = sine_curve(columns, level=50, slope=0.1, amplitude=20, period=40, phase=0.5)
    mask = draw_curves([curve], 2.0, 100, 100)
    rows = np.arange(100)
    for x in range(5, 95, 7):
        middle = (mask[:, x] * rows).sum() / mask[:, x].sum()
        assert middle == pytest.approx(50 + 0.1 * x + 20 * np.sin(2 * np.pi * x / 40 + 0.5), abs=1.0)


def test_a_rosette_is_closed_and_keeps_its_radii():
    curve = rosette((10, 20), 30, 0.2, 7, 0.3)
    radii = np.hypot(*(curve - (10, 20)).T)
    assert np.allclose(curve[0], curve[-1])
    assert radii.min() == pytest.approx(24, abs=0.2)
    assert radii.max() == pytest.approx(36, abs=0.2)


def test_faults_are_said():
    with pytest.raises(ValueError, match="family must be one of sines, patent, rosettes, words, got 'moire'"):
        Mesh(family="moire", seed=0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="opacity must end at 1"):
        MeshRanges(opacity=(0.5, 1.5))
    with pytest.raises(ValueError, match="period_px must be 0 < low <= high"):
        MeshRanges(period_px=(0, 5))
    with pytest.raises(BadArray):
        add_mesh(np.zeros((5, 5), np.uint8), Mesh(family="sines", seed=0))
