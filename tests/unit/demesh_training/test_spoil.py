"""Training pictures of mesh removers: seeded, exact, laid out as the matrix says."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineament.demesh.training import MeshConfig
from lineament.demesh.training.spoil import VISIBLE, spoil
from lineament.testing import draw_face

CROP = draw_face(size_px=112, seed=1).pixels
PLAIN = MeshConfig(clean=0.0, blur=0.0, jpeg=0.0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_the_same_seed_gives_the_same_picture_and_another_one_another(seed: int) -> None:
    first, again, other = (
        spoil(CROP, MeshConfig(clean=0.0), np.random.default_rng(s)) for s in (seed, seed, seed + 1)
    )
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.mask, again.mask)
    assert not np.array_equal(first.pixels, other.pixels)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_without_blur_and_compression_pixels_change_only_under_the_mask(seed: int) -> None:
    made = spoil(CROP, PLAIN, np.random.default_rng(seed))
    change = np.abs(made.pixels.astype(int) - made.clean).max(axis=-1)
    assert (change[~made.mask] <= VISIBLE).all()
    assert (change[made.mask] > VISIBLE).all()
    assert 0 < made.mask.mean() < 0.8


def test_clean_pictures_stay_clean() -> None:
    made = spoil(CROP, replace(PLAIN, clean=1.0), np.random.default_rng(3))
    assert np.array_equal(made.pixels, made.clean)
    assert not made.mask.any()


def test_the_matrix_leads_from_the_crop_to_the_picture() -> None:
    config = replace(PLAIN, clean=1.0, as_is=0.0)
    for seed in range(8):
        made = spoil(CROP, config, np.random.default_rng(seed))
        assert 1.0 <= np.hypot(*made.back[:, 0]) <= config.zoom + 1e-6
        back = cv2.warpAffine(
            made.clean,
            made.back,
            (112, 112),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderValue=(0, 0, 0),
        )
        seen = cv2.warpAffine(
            np.full((112, 112), 255, np.uint8), made.back, (112, 112), flags=cv2.WARP_INVERSE_MAP
        )
        mirrored = CROP[:, ::-1]
        differences = [np.abs(back.astype(int) - c)[seen == 255].mean() for c in (CROP, mirrored)]
        assert min(differences) < 4


@pytest.mark.parametrize(
    "wrong",
    [{"clean": 1.5}, {"families": ()}, {"families": (("sines", 0.0),)}, {"zoom": 0.5}, {"quality": (90, 30)}],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MeshConfig(**wrong)  # type: ignore[arg-type]
