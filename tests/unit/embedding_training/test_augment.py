import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineament.embedding.training.augment import Augmentation, colour, jpeg, low_resolution, occlusion, shrunk


@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([(48, 48), (64, 64), (112, 112), (112, 96)]))
def test_every_change_keeps_shape_and_type_and_the_original(seed: int, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    before = pixels.copy()
    every = Augmentation(flip=1, colour=1, occlusion=1, blur=1, low_resolution=1, jpeg=1)
    changed = every.apply(pixels, np.random.default_rng(seed))
    assert (changed.shape, changed.dtype) == (pixels.shape, np.uint8)
    assert np.array_equal(pixels, before)
    assert np.array_equal(changed, every.apply(pixels, np.random.default_rng(seed)))


def test_chances_are_kept() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    flipped = sum(
        np.array_equal(Augmentation(flip=0.3).apply(pixels, np.random.default_rng(k)), pixels[:, ::-1])
        for k in range(2000)
    )
    assert 520 <= flipped <= 680


def test_nothing_is_nothing() -> None:
    pixels = np.zeros((48, 48, 3), np.uint8)
    assert Augmentation(flip=0).apply(pixels, np.random.default_rng(0)) is pixels


def test_faults_are_listed() -> None:
    with pytest.raises(ValueError, match=r"flip 2, jpeg -1"):
        Augmentation(flip=2, jpeg=-1)


def test_occlusion_covers_five_to_forty_percent() -> None:
    pixels = np.full((112, 112, 3), 7, np.uint8)
    shares = [
        float(np.mean((occlusion(pixels, np.random.default_rng(k)) != pixels).any(axis=2)))
        for k in range(200)
    ]
    assert min(shares) > 0.03
    assert max(shares) < 0.42
    assert max(shares) - min(shares) > 0.2


def test_low_resolution_removes_fine_detail_only() -> None:
    fine = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (56, 56))[..., None].repeat(3, axis=2)
    assert shrunk(fine, 28).std() < 1
    assert shrunk(fine, 112) is fine
    flat = np.full((112, 112, 3), 90, np.uint8)
    assert np.array_equal(low_resolution(flat, np.random.default_rng(0)), flat)


def test_colour_of_grey_stays_grey() -> None:
    grey = np.arange(48 * 48, dtype=np.uint16).reshape(48, 48, 1).repeat(3, axis=2) // 16
    changed = colour(grey.astype(np.uint8), np.random.default_rng(2))
    assert np.ptp(changed.astype(int), axis=2).max() == 0


def test_jpeg_keeps_the_order_of_colours() -> None:
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 200
    assert jpeg(red, np.random.default_rng(0)).mean(axis=(0, 1)).argmax() == 0
