"""Meshes over references: found, taken off, judged again, decided by a calibration of their own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drawn_people import SCENES, drawn_pipeline, image
from lineament.core.errors import NotCalibrated
from lineament.core.types import Comparison, Face, Image, Refusal, RefusalReason, Role
from lineament.pipeline import FacePipeline, compare
from lineament.zoo.calibration import CalibrationRecord
from made_up_calibration import made_up_record
from made_up_remover import inked, restoring_pipeline

FMR = 1e-2


@pytest.fixture(scope="module")
def restoring(tmp_path_factory: pytest.TempPathFactory) -> FacePipeline:
    return restoring_pipeline(tmp_path_factory.mktemp("blue"))


def meshed(name: str) -> Image:
    return Image(inked(SCENES[name].pixels))


def test_a_meshed_reference_is_restored_and_both_similarities_are_kept(restoring: FacePipeline) -> None:
    found = restoring.verify(meshed("ada"), image("ada again"), FMR)
    assert isinstance(found, Comparison)
    mark = found.reference.restored
    assert mark is not None
    assert (mark.remover, mark.mesh_score) == (restoring.mesh.id, 1.0)
    assert found.point.record == "made up"
    assert (found.point.space, found.threshold) == (f"{restoring.embedding_space}~{mark.remover}", 0.5)
    as_it_was = drawn_pipeline_with(restoring).extract_one(meshed("ada"))
    assert isinstance(as_it_was, Face)
    assert found.unrestored_similarity == as_it_was.embedding.similarity(found.probe.embedding)
    assert found.similarity > found.unrestored_similarity
    assert found.probe.restored is None


def drawn_pipeline_with(restoring: FacePipeline) -> FacePipeline:
    """The same detector without a gate."""
    return FacePipeline(restoring.detector, restoring.embedder, calibration=restoring.calibration)


def test_a_clean_reference_is_compared_as_without_the_gate(restoring: FacePipeline) -> None:
    found = restoring.verify(image("ada"), image("ada again"), FMR)
    expected = drawn_pipeline().verify(image("ada"), image("ada again"), FMR)
    assert isinstance(found, Comparison)
    assert isinstance(expected, Comparison)
    assert (found.similarity, found.point) == (expected.similarity, expected.point)
    assert found.reference.restored is found.unrestored_similarity is None


def test_a_face_that_only_shows_without_its_mesh(restoring: FacePipeline) -> None:
    assert restoring.extract_one(meshed("bob"), Role.REFERENCE).reason is RefusalReason.NO_FACE
    found = restoring.verify(meshed("bob"), image("bob"), FMR)
    assert isinstance(found, Comparison)
    assert found.reference.restored.unrestored is None
    assert found.unrestored_similarity is None


def test_the_rules_judge_the_restored_pixels(restoring: FacePipeline) -> None:
    found = restoring.verify(Image(inked(SCENES["empty"].pixels)), image("ada"), FMR)
    assert isinstance(found, Refusal)
    assert (found.reason, found.role) == (RefusalReason.NO_FACE, Role.REFERENCE)


def test_probes_and_enrollments_are_never_restored(restoring: FacePipeline) -> None:
    found = restoring.verify(image("ada"), meshed("ada"), FMR)
    assert isinstance(found, Comparison)
    assert found.probe.restored is None
    enrolled = restoring.extract_one(meshed("ada"), Role.REFERENCE)
    assert isinstance(enrolled, Face)
    assert enrolled.restored is None
    np.testing.assert_array_equal(found.probe.embedding.vector, enrolled.embedding.vector)
    restored = replace(found, reference=restoring.extract_reference(meshed("ada"))).reference
    with pytest.raises(ValueError, match="references only"):
        compare(restored, restored, found.point)


def test_thresholds_of_one_condition_do_not_decide_about_the_other(restoring: FacePipeline) -> None:
    plain, restored = (restoring.extract_reference(i) for i in (image("ada"), meshed("ada")))
    for reference, other in ((plain, restored), (restored, plain)):
        point = restoring.point_for(other, FMR)
        with pytest.raises(ValueError, match="is for space"):
            compare(reference, plain, point)


def test_without_a_record_for_restored_references_nothing_is_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINEAMENT_CALIBRATION", str(tmp_path / "records"))
    uncalibrated = restoring_pipeline(tmp_path, calibrated=False)
    assert isinstance(uncalibrated.verify(image("ada"), image("ada"), FMR), Comparison)
    with pytest.raises(
        NotCalibrated, match=r"a mesh was taken off the reference \(score 1\.00\), and there is no"
    ):
        uncalibrated.verify(meshed("ada"), image("ada"), FMR)
    space = f"{uncalibrated.embedding_space}~{uncalibrated.mesh.id}"
    made_up_record(space, {1e-1: 0.5, 1e-3: 0.6}).save(tmp_path / "records")
    found = uncalibrated.verify(meshed("ada"), image("ada"), FMR)
    assert isinstance(found, Comparison)
    assert found.threshold == 0.6


def test_a_calibration_of_another_condition_is_refused(restoring: FacePipeline) -> None:
    plain: CalibrationRecord = restoring.calibration
    with pytest.raises(ValueError, match="calibration is for space"):
        FacePipeline(restoring.detector, restoring.embedder, mesh=restoring.mesh, restored_calibration=plain)
