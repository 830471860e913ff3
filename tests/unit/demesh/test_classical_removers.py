"""The classical removers against slow oracles and on meshes whose clean picture is known."""

import numpy as np
import pytest
from scipy import ndimage

from lineament.core.arrays import ImageArray
from lineament.core.errors import BadArray
from lineament.demesh import FrequencyNotch, MedianFilter, MeshRemover, TeleaInpainting
from lineament.demesh.classical import LINE_CONTRAST, dark_lines
from lineament.imaging.mesh import Mesh, add_mesh
from lineament.metrics.image import psnr
from lineament.testing import draw_face

REMOVERS = (MedianFilter(), TeleaInpainting(), FrequencyNotch())


@pytest.fixture(scope="module")
def face() -> ImageArray:
    return draw_face(220, seed=4).pixels


def error(found: ImageArray, clean: ImageArray, where: np.ndarray) -> float:
    return float((np.abs(found.astype(float) - clean).mean(axis=2))[where].mean())


@pytest.mark.parametrize("remover", REMOVERS, ids=lambda r: r.name)
def test_they_keep_the_protocol(remover: MeshRemover, face: ImageArray) -> None:
    assert isinstance(remover, MeshRemover)
    sizes = [face, face[:50, :33], face[:1, :1], face[:9]]
    found = remover.restore(sizes)
    assert [r.pixels.shape for r in found] == [p.shape for p in sizes]
    assert remover.restore([]) == []
    with pytest.raises(BadArray):
        remover.restore([face.astype(np.float32)])


@pytest.mark.parametrize("remover", REMOVERS[:2], ids=lambda r: r.name)
def test_thin_lines_are_lighter_afterwards(remover: MeshRemover, face: ImageArray) -> None:
    meshed = face.copy()
    rows = np.zeros(face.shape[:2], bool)
    rows[10::20] = True
    meshed[rows] = 20
    (found,) = remover.restore([meshed])
    assert error(found.pixels, face, rows) < 0.4 * error(meshed, face, rows)


def test_the_median_is_that_of_the_25_neighbours(face: ImageArray) -> None:
    (found,) = MedianFilter().restore([face])
    expected = np.stack(
        [ndimage.median_filter(face[..., c], size=5, mode="nearest") for c in range(3)], axis=2
    )
    np.testing.assert_array_equal(found.pixels, expected)


def test_the_black_hat_is_closing_minus_picture() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (40, 30), np.uint8)
    disc = np.array([[0, 0, 0, 1, 0, 0, 0], *[[int(abs(x - 3) <= r) for x in range(7)] for r in (2, 3, 3, 3, 2)],
                     [0, 0, 0, 1, 0, 0, 0]], bool)  # fmt: skip
    closed = ndimage.grey_closing(grey, footprint=disc, mode="nearest")
    expected = np.minimum((closed.astype(float) - grey) / LINE_CONTRAST, 1)
    inner = (slice(7, -7), slice(7, -7))  # libraries differ in what lies outside of a picture
    np.testing.assert_allclose(dark_lines(grey[..., None].repeat(3, 2))[inner], expected[inner], atol=1e-6)


def test_a_clean_plane_has_no_lines_and_a_line_is_found() -> None:
    plane = np.full((60, 60, 3), 180, np.uint8)
    assert dark_lines(plane).max() == 0
    plane[30:33] = 60
    np.testing.assert_array_equal(dark_lines(plane) > 0.5, (plane == 60).all(axis=2))


def test_inpainting_with_the_exact_mask_touches_nothing_else(face: ImageArray) -> None:
    meshed = add_mesh(face, Mesh(family="sines", seed=3))
    (found,) = TeleaInpainting().restore_at([meshed.pixels], [meshed.mask])
    outside = meshed.mask < 0.25
    np.testing.assert_array_equal(found.pixels[outside], meshed.pixels[outside])
    assert psnr(face, found.pixels) > psnr(face, meshed.pixels) + 3
    with pytest.raises(BadArray, match="as large as the picture"):
        TeleaInpainting().restore_at([face], [meshed.mask[1:]])
    with pytest.raises(ValueError, match="shorter"):
        TeleaInpainting().restore_at([face], [])


def test_the_notch_takes_off_what_repeats_exactly_and_leaves_noise(face: ImageArray) -> None:
    wave = 30 * np.sin(2 * np.pi * np.arange(220) / 4)
    meshed = np.clip(face + wave[None, :, None], 0, 255).astype(np.uint8)
    (found,) = FrequencyNotch().restore([meshed])
    everywhere = np.ones(face.shape[:2], bool)
    assert error(found.pixels, face, everywhere) < 0.4 * error(meshed, face, everywhere)
    grain = np.random.default_rng(1).integers(90, 160, (64, 64, 3), np.uint8)
    (same,) = FrequencyNotch().restore([grain])
    assert error(same.pixels, grain, np.ones((64, 64), bool)) < 1
