"""What every detector promises: those of the zoo, the fake, and joint scales over each."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lineament.core.errors import BadArray, WeightsMissing
from lineament.core.types import Detections
from lineament.detection import DetectionSettings, Detector, JointScales, load_detector
from lineament.testing import FakeDetector, Place, draw_scene
from lineament.zoo.manifest import list_models
from lineament.zoo.session import Runtime

ZOO = [name for name, model in list_models().items() if model.task == "detection"]
LOOKS = [*(pytest.param(name, marks=pytest.mark.weights) for name in ZOO), "fake"]
BESIDE = Path(__file__).resolve().parents[3] / "shared" / "weights"


def scene(height: int, width: int, seed: int) -> tuple[np.ndarray, Detections]:
    drawn = draw_scene(
        height, width, [Place(seed=seed, x_px=width / 2, y_px=height / 2, size_px=height * 0.8)]
    )
    return drawn.pixels, drawn.detections


SCENES = [scene(150, 200, 1), scene(97, 131, 2), scene(150, 200, 3)]
PICTURES = [pixels for pixels, _ in SCENES]


@pytest.fixture(scope="module", params=LOOKS)
def detector(request: pytest.FixtureRequest) -> Iterator[Detector]:
    if request.param == "fake":
        yield FakeDetector(SCENES)
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LINEAMENT_ACCEPT_NONCOMMERCIAL", ",".join(ZOO))
        if "LINEAMENT_WEIGHTS" not in os.environ and BESIDE.is_dir():
            patch.setenv("LINEAMENT_WEIGHTS", str(BESIDE))
        try:
            yield load_detector(request.param, Runtime("onnxruntime", threads=1))
        except WeightsMissing as missing:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(str(missing))


def same(found: Detections, want: Detections) -> None:
    assert len(found) == len(want)
    np.testing.assert_allclose(found.boxes, want.boxes, atol=0.01)
    np.testing.assert_allclose(found.scores, want.scores, atol=1e-4)
    np.testing.assert_allclose(found.points, want.points, atol=0.01)


def test_is_a_detector_with_a_name(detector: Detector) -> None:
    assert isinstance(detector, Detector)
    assert detector.name


def test_shapes_types_and_order(detector: Detector) -> None:
    for pixels, found in zip(PICTURES, detector.detect(PICTURES), strict=True):
        assert found.boxes.shape == (len(found), 4)
        assert found.points.shape == (len(found), 5, 2)
        assert {found.boxes.dtype, found.scores.dtype, found.points.dtype} == {np.dtype(np.float32)}
        assert np.isfinite(found.boxes).all()
        assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
        assert np.all(np.diff(found.scores) <= 0)
        assert np.isfinite(found.points[:, :2]).all()
        assert (np.abs(found.boxes) < 2 * max(pixels.shape)).all()


def test_a_batch_is_its_pictures_one_by_one(detector: Detector) -> None:
    for together, pixels in zip(detector.detect(PICTURES), PICTURES, strict=True):
        (alone,) = detector.detect([pixels])
        same(together, alone)


def test_empty_batch(detector: Detector) -> None:
    assert detector.detect([]) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (13, 7), (33, 65)])
def test_tiny_and_odd_pictures(detector: Detector, shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    (found,) = detector.detect([noise])
    assert np.isfinite(found.boxes).all()


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_flat_pictures_have_no_face(detector: Detector, grey: int) -> None:
    pictures = [np.full((120, 160, 3), grey, np.uint8), np.full((64, 64, 3), grey, np.uint8)]
    assert [len(found) for found in detector.detect(pictures)] == [0, 0]


def test_input_stays_as_it_was_and_answers_repeat(detector: Detector) -> None:
    pictures = [pixels.copy() for pixels in PICTURES]
    for pixels in pictures:
        pixels.flags.writeable = False
    first, second = detector.detect(pictures), detector.detect(pictures)
    for a, b, pixels, original in zip(first, second, pictures, PICTURES, strict=True):
        np.testing.assert_array_equal(pixels, original)
        np.testing.assert_array_equal(a.boxes, b.boxes)
        np.testing.assert_array_equal(a.points, b.points)


def test_views_of_larger_pictures_work(detector: Detector) -> None:
    """A crop is a view with strides; its content is what counts."""
    canvas = np.zeros((200, 300, 3), np.uint8)
    canvas[20:170, 30:230] = PICTURES[0]
    same(detector.detect([canvas[20:170, 30:230]])[0], detector.detect([PICTURES[0]])[0])


def test_two_threads(detector: Detector) -> None:
    want = detector.detect(PICTURES)
    with ThreadPoolExecutor(2) as pool:
        for answer in pool.map(detector.detect, [PICTURES] * 6):
            for found, expected in zip(answer, want, strict=True):
                same(found, expected)


@pytest.mark.parametrize("wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), "photo.jpg"])
def test_what_is_not_a_picture_is_refused(detector: Detector, wrong: object) -> None:
    with pytest.raises(BadArray):
        detector.detect([wrong])  # type: ignore[list-item]


@pytest.mark.weights
@pytest.mark.parametrize("detector", ZOO, indirect=True)
def test_settings_limit_and_leave_the_original_alone(detector: Detector) -> None:
    before = detector.detect(PICTURES)
    strict = detector.with_settings(DetectionSettings(min_score=1.0, max_faces=1))  # type: ignore[attr-defined]
    assert all((found.scores >= 1.0).all() and len(found) <= 1 for found in strict.detect(PICTURES))
    for a, b in zip(detector.detect(PICTURES), before, strict=True):
        same(a, b)


def test_joint_scales_keep_the_promises(detector: Detector) -> None:
    joint = JointScales(detector, (96, 200))
    assert isinstance(joint, Detector)
    assert joint.detect([]) == []
    for together, pixels in zip(joint.detect(PICTURES), PICTURES, strict=True):
        same(together, joint.detect([pixels])[0])
