"""Data folders are found by their files, and crops of another template are moved by the one right similarity."""

from pathlib import Path

import numpy as np
import pytest

from lineament.core.errors import DataError, RuntimeUnavailable
from lineament.embedding.rewarped import RewarpedEmbedder
from lineament.evaluation.protocols import (
    CropSystem,
    crop_cache,
    detector_arithmetic,
    find_detection_set,
    pictures_of,
    weights_of,
    with_precision,
)
from lineament.evaluation.verification import SystemUsed, WeightsUsed
from lineament.geometry import ARCFACE_112, DLIB_150, apply, fit_similarity
from lineament.testing import FakeEmbedder
from lineament.zoo.manifest import find_model
from lineament.zoo.profiles import find_profile
from lineament.zoo.session import Runtime


class Watching(FakeEmbedder):
    """Keeps the crops that it got."""

    def __init__(self) -> None:
        super().__init__(DLIB_150.size_px, DLIB_150.name)
        self.crops: list[np.ndarray] = []

    def embed(self, crops: np.ndarray) -> np.ndarray:
        self.crops.append(crops)
        return super().embed(crops)


def test_rewarped_crops_show_the_points_where_the_template_has_them() -> None:
    crop = np.zeros((1, 112, 112, 3), np.uint8)
    eye = np.round(ARCFACE_112.points[0]).astype(int)
    crop[0, eye[1] - 1 : eye[1] + 2, eye[0] - 1 : eye[0] + 2] = 255
    inner = Watching()
    rewarped = RewarpedEmbedder(inner)
    vectors = rewarped.embed(crop)
    (moved,) = inner.crops
    assert moved.shape == (1, 150, 150, 3)
    weight = moved[0, :, :, 0].astype(float)
    y, x = np.mgrid[:150, :150]
    centre = np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
    expected = apply(fit_similarity(ARCFACE_112.points, DLIB_150.points), eye[None].astype(float))[0]
    assert centre == pytest.approx(expected, abs=0.3)
    assert np.linalg.norm(centre - DLIB_150.points[0]) < 6
    assert vectors.shape == (1, inner.dimension)
    assert rewarped.space == inner.space


def test_the_zip_of_a_folder_is_its_pictures(tmp_path: Path) -> None:
    assert pictures_of(tmp_path) == tmp_path
    (tmp_path / "a.zip").touch()
    assert pictures_of(tmp_path) == tmp_path / "a.zip"
    (tmp_path / "b.zip").touch()
    with pytest.raises(DataError, match=r"one zip .* got a\.zip, b\.zip"):
        pictures_of(tmp_path)
    with pytest.raises(DataError, match="expected a data folder"):
        pictures_of(tmp_path / "none")


def test_detection_sets_are_known_by_their_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"boxes\.csv .* or training\.xml"):
        find_detection_set(tmp_path)
    (tmp_path / "boxes.csv").write_text("file,xmin,ymin,xmax,ymax\na.png,1,2,30,40\n")
    found = find_detection_set(tmp_path)
    assert (found.name, found.labels[0].name) == ("det_facemask", "a.png")


def test_weights_of_several_models_are_listed_without_options() -> None:
    expected = [w.sha256 for name in ("mtcnn", "mobilefacenet") for w in find_model(name).weights]
    assert [w.sha256 for w in weights_of("mtcnn", "mobilefacenet+flip")] == expected


def test_another_precision_changes_nothing_else() -> None:
    profile = find_profile("open")
    assert with_precision(profile, "") == profile
    fast = with_precision(profile, "bf16")
    assert fast.precision == "bf16"
    assert fast.model_copy(update={"precision": "f32"}) == profile


def test_kept_vectors_belong_to_weights_runtime_and_way_of_cropping(tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    used = SystemUsed("fake", (WeightsUsed("fake.onnx", "a" * 64),))
    runtime = Runtime("onnxruntime")
    system = CropSystem(embedder, used, "aligned crops")
    cache = crop_cache(tmp_path, system, runtime)
    cache.store({"11": "no_face"})
    assert crop_cache(tmp_path, system, runtime).find(["11"]) == {"11": "no_face"}
    other_weights = SystemUsed("fake", (WeightsUsed("fake.onnx", "b" * 64),))
    for other, how in (
        (CropSystem(embedder, other_weights, "aligned crops"), runtime),
        (CropSystem(embedder, used, "aligned crops, mirror image averaged"), runtime),
        (system, Runtime("openvino")),
    ):
        assert crop_cache(tmp_path, other, how).find(["11"]) == {}


def test_vectors_of_another_precision_lie_in_another_file(tmp_path: Path) -> None:
    used = SystemUsed("fake", ())
    spaces = []
    for space in ("fake@1", "fake-bf16@1"):
        embedder = FakeEmbedder()
        embedder.space = space
        spaces.append(crop_cache(tmp_path, CropSystem(embedder, used, "crops"), Runtime("onnxruntime")).path)
    assert spaces[0] != spaces[1]


def test_the_arithmetic_of_the_detector_is_said() -> None:
    runtime, profile = Runtime("onnxruntime"), find_profile("open")
    assert detector_arithmetic(profile, runtime) == "detector in f32"
    exact = profile.model_copy(update={"detector_precision": "f32"})
    assert detector_arithmetic(exact, Runtime("openvino")) == "detector in f32"
    with pytest.raises(RuntimeUnavailable, match="bf16 needs OpenVINO"):
        detector_arithmetic(profile.model_copy(update={"detector_precision": "bf16"}), runtime)
