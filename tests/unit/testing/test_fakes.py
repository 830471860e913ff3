import cv2
import numpy as np
import pytest

from lineament.core.errors import BadArray
from lineament.testing import FakeDetector, FakeEmbedder, Place, draw_face, draw_scene


def crop_of(seed, size_px, roll_deg):
    """The arcface crop of a drawn face, by a warp written out here."""
    face = draw_face(size_px, seed, roll_deg)
    target = np.array([(38.3, 51.7), (73.5, 51.5), (56.0, 71.7), (41.5, 92.4), (70.7, 92.2)])
    matrix = cv2.estimateAffinePartial2D(face.points.astype(np.float64), target, method=cv2.LMEDS)[0]
    return cv2.warpAffine(face.pixels, matrix, (112, 112))


def test_the_detector_finds_what_it_was_told():
    scene = draw_scene(100, 200, [Place(seed=1, x_px=60, y_px=50, size_px=80)])
    detector = FakeDetector([(scene.pixels, scene.detections)])
    unknown = np.rot90(scene.pixels).copy()
    found = detector.detect([scene.pixels.copy(), unknown])
    np.testing.assert_array_equal(found[0].boxes, scene.detections.boxes)
    assert len(found[1]) == 0
    assert detector.detect([]) == []


def test_the_detector_tells_shapes_apart():
    scene = draw_scene(10, 40, [Place(seed=1, x_px=5, y_px=5, size_px=8)])
    detector = FakeDetector([(scene.pixels, scene.detections)])
    assert len(detector.detect([scene.pixels.reshape(20, 20, 3)])[0]) == 0


def test_the_detector_wants_pictures():
    with pytest.raises(BadArray, match="uint8 RGB"):
        FakeDetector([]).detect([np.zeros((4, 4), np.uint8)])


def test_vectors_are_unit_and_repeatable():
    crops = np.random.default_rng(0).integers(0, 256, (5, 112, 112, 3), dtype=np.uint8)
    vectors = FakeEmbedder().embed(crops)
    assert vectors.shape == (5, 128)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(FakeEmbedder().embed(crops), vectors)
    np.testing.assert_allclose(FakeEmbedder().embed(crops[2:3])[0], vectors[2], atol=1e-6)


def test_same_faces_agree_and_others_do_not():
    embedder = FakeEmbedder()
    rng = np.random.default_rng(1)
    crops = [
        crop_of(seed, int(rng.integers(100, 400)), rng.uniform(-40, 40)) for seed in range(20) for _ in "ab"
    ]
    similarity = embedder.embed(np.stack(crops)) @ embedder.embed(np.stack(crops)).T
    person = np.repeat(np.arange(20), 2)
    mated = similarity[np.triu(person[:, None] == person, 1)]
    nonmated = similarity[person[:, None] != person]
    assert mated.min() > 0.85
    assert np.quantile(nonmated, 0.95) < 0.7
    assert np.median(nonmated) < 0.3


def test_spaces_tell_embedders_apart():
    spaces = {FakeEmbedder().space, FakeEmbedder(150, "dlib-150").space, FakeEmbedder(dimension=8).space}
    assert len(spaces) == 3


def test_no_crops_give_no_vectors():
    embedder = FakeEmbedder(150, "dlib-150", 16)
    assert embedder.embed(np.zeros((0, 150, 150, 3), np.uint8)).shape == (0, 16)
    with pytest.raises(BadArray, match="150, 150"):
        embedder.embed(np.zeros((1, 112, 112, 3), np.uint8))
