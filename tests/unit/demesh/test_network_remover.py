"""The network remover on a network whose answers are known: blue ink becomes grey, all else stays."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineament.core.arrays import ImageArray
from lineament.core.errors import BadArray, ManifestError
from lineament.demesh import MeshFinding, NetworkRemover, Restoration, remover_id
from lineament.demesh.network import SEEN_PX, mesh_score
from lineament.zoo.loading import LoadedModel
from made_up_remover import FILLED, INK, blue_gate, blue_model, inked


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return blue_model(tmp_path_factory.mktemp("blue"))


@pytest.fixture(scope="module")
def remover(model: LoadedModel) -> NetworkRemover:
    return NetworkRemover(model)


def grainy(height: int, width: int, seed: int = 0) -> ImageArray:
    """Without anything that is blue only."""
    return np.random.default_rng(seed).integers(60, 200, (height, width, 3), np.uint8)


@given(height=st.integers(1, 70), width=st.integers(1, 70), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_ink_is_filled_and_nothing_else_is_touched_at_any_size(
    remover: NetworkRemover, height: int, width: int, seed: int
) -> None:
    clean = grainy(height, width, seed)
    meshed = inked(clean)
    (found,) = remover.restore([meshed])
    is_ink = (meshed == INK).all(axis=2)
    np.testing.assert_array_equal(found.finding.mask, is_ink.astype(np.float32))
    np.testing.assert_array_equal(found.pixels[is_ink], FILLED)
    np.testing.assert_array_equal(found.pixels[~is_ink], clean[~is_ink])


def test_pictures_of_all_sizes_keep_their_order(remover: NetworkRemover) -> None:
    sizes = [(40, 30), (50, 60), (40, 30), (1, 1), (700, 500), (50, 60)] * 3
    pictures = [inked(grainy(*size, seed=i)) for i, size in enumerate(sizes)]
    together = remover.restore(pictures)
    for pixels, found in zip(pictures, together, strict=True):
        (alone,) = remover.restore([pixels])
        np.testing.assert_array_equal(found.pixels, alone.pixels)
        assert found.finding.score == alone.finding.score
    assert remover.restore([]) == []


def test_a_clean_picture_of_megapixels_stays_to_the_byte(remover: NetworkRemover) -> None:
    clean = grainy(1400, 1000)
    (found,) = remover.restore([clean])
    assert found.finding.score == 0
    np.testing.assert_array_equal(found.pixels, clean)


def test_only_the_change_is_enlarged(remover: NetworkRemover) -> None:
    """A band of ink in a picture four times as large as the network sees it: far from it the grain is untouched."""
    clean = grainy(4 * SEEN_PX, 3 * SEEN_PX)
    meshed = clean.copy()
    meshed[600:640] = INK
    (found,) = remover.restore([meshed])
    np.testing.assert_array_equal(found.pixels[:590], clean[:590])
    np.testing.assert_array_equal(found.pixels[650:], clean[650:])
    np.testing.assert_allclose(found.pixels[605:635].astype(int), FILLED, atol=1)
    assert found.finding.mask.shape == clean.shape[:2]
    assert found.finding.mask[605:635].min() == 1


def test_the_network_sees_large_pictures_reduced(remover: NetworkRemover) -> None:
    picture = grainy(1, 1).repeat(2 * SEEN_PX, axis=0).repeat(SEEN_PX, axis=1)
    picture[:, : SEEN_PX // 2] = INK
    (found,) = remover.restore([picture])
    (small,) = remover.restore([cv2.resize(picture, (SEEN_PX // 2, SEEN_PX), interpolation=cv2.INTER_AREA)])
    assert found.finding.score == small.finding.score == 1


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_the_score_is_the_mean_of_the_highest_tenth(height: int, width: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width), np.float32)
    highest = sorted(mask.ravel().tolist())[::-1][: max(1, round(mask.size / 10))]
    assert mesh_score(mask) == pytest.approx(sum(highest) / len(highest), abs=1e-6)


def test_ink_over_a_tenth_of_the_picture_is_enough(remover: NetworkRemover) -> None:
    picture = grainy(100, 100)
    picture[:5] = INK
    assert remover.restore([picture])[0].finding.score == pytest.approx(0.5)
    picture[:10] = INK
    assert remover.restore([picture])[0].finding.score == 1


def test_the_gate_touches_from_its_threshold_on(tmp_path: Path) -> None:
    gate = blue_gate(tmp_path)
    below, at = (MeshFinding(s, np.zeros((1, 1), np.float32)) for s in (np.nextafter(0.5, 0), 0.5))
    assert not gate.is_meshed(below)
    assert gate.is_meshed(at)


def test_the_id_follows_what_changes_the_scores(model: LoadedModel) -> None:
    base = model.manifest
    words = base.model_copy(update={"summary": "Other words"})
    weights = base.model_copy(update={"weights": (base.weights[0].model_copy(update={"sha256": "1" * 64}),)})
    assert remover_id(base, "f32") == remover_id(words, "f32") == NetworkRemover(model).id
    assert len({remover_id(base, "f32"), remover_id(weights, "f32"), remover_id(base, "bf16")}) == 3


@pytest.mark.parametrize("bad", [np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)])
def test_other_arrays_are_refused(remover: NetworkRemover, bad: ImageArray) -> None:
    with pytest.raises(BadArray, match=r"pictures\[1\] must be a non-empty \(H, W, 3\) uint8"):
        remover.restore([grainy(4, 4), bad])


def test_another_network_is_refused(model: LoadedModel) -> None:
    class Other:
        inputs, outputs, runtime = ("x",), ("y",), model.session.runtime

    with pytest.raises(ManifestError, match='outputs "restored" and "mask", got'):
        NetworkRemover(LoadedModel(model.manifest, {"model": Other()}))


def test_values_are_checked_when_made() -> None:
    mask = np.zeros((2, 3), np.float32)
    for score, bad in ((1.1, mask), (0.5, mask.astype(float)), (0.5, mask - 1), (0.5, mask * np.nan)):
        with pytest.raises(BadArray):
            MeshFinding(score, bad)
    with pytest.raises(BadArray, match="as large as the picture"):
        Restoration(np.zeros((2, 2, 3), np.uint8), MeshFinding(0.5, mask))
