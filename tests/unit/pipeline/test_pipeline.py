"""From pictures to decisions, on drawn people."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drawn_people import SCENES, image, record
from lineament.core.errors import ConfigError, EmbeddingSpaceMismatch, NotCalibrated
from lineament.core.types import (
    Comparison,
    Decision,
    Embedding,
    Face,
    Identification,
    Refusal,
    RefusalReason,
    Role,
)
from lineament.gallery import Gallery
from lineament.geometry import TEMPLATES, align
from lineament.pipeline import FacePipeline, FaceRules, compare
from lineament.testing import FakeDetector, FakeEmbedder


def face_of(pipeline: FacePipeline, name: str, turned_deg: int = 0) -> Face:
    face = pipeline.extract_one(image(name, turned_deg))
    assert isinstance(face, Face)
    return face


def test_a_face_is_the_embedding_of_its_aligned_crop(pipeline: FacePipeline) -> None:
    face = face_of(pipeline, "ada")
    points = SCENES["ada"].detections.points[0]
    crop = align(SCENES["ada"].pixels, points, TEMPLATES["arcface-112"]).pixels
    np.testing.assert_array_equal(face.crop, crop)
    np.testing.assert_array_equal(face.embedding.vector, FakeEmbedder().embed(crop[None])[0])
    np.testing.assert_array_equal(face.detection.points, points)
    assert face.embedding.space == pipeline.embedding_space == FakeEmbedder().space
    assert (face.rotation_deg, face.notes) == (0, ())


@pytest.mark.parametrize("turned_deg", [90, 180, 270])
def test_a_turned_picture_gives_the_same_face(pipeline: FacePipeline, turned_deg: int) -> None:
    straight, turned = face_of(pipeline, "ada"), face_of(pipeline, "ada", turned_deg)
    assert turned.rotation_deg == 360 - turned_deg
    np.testing.assert_array_equal(turned.crop, straight.crop)
    np.testing.assert_array_equal(turned.detection.box, straight.detection.box)


def test_same_and_different_people(pipeline: FacePipeline) -> None:
    same = pipeline.verify(image("ada"), image("ada again"), fmr=1e-2)
    other = pipeline.verify(image("ada"), image("bob"), fmr=1e-2)
    assert isinstance(same, Comparison)
    assert isinstance(other, Comparison)
    assert same.is_match
    assert not other.is_match
    assert (same.fmr, same.threshold, same.point.low, same.point.high) == (1e-2, 0.8, 0.79, 0.81)
    assert (same.point.record, same.point.n_nonmated) == ("made up", 100_000)
    a, b = same.reference.embedding.vector, same.probe.embedding.vector
    assert same.similarity == pytest.approx(float(a @ b))


def test_a_similarity_equal_to_the_threshold_matches(pipeline: FacePipeline) -> None:
    ada, bob = face_of(pipeline, "ada"), face_of(pipeline, "bob")
    point = pipeline.operating_point(1e-2)
    similarity = compare(ada, bob, point).similarity
    exact = type(point)(point.fmr, similarity, similarity, similarity, 1, "r")
    above = type(point)(point.fmr, np.nextafter(similarity, 1), similarity, 1.0, 1, "r")
    assert compare(ada, bob, exact).is_match
    assert not compare(ada, bob, above).is_match


def test_a_decision_needs_a_similarity_outside_the_interval(pipeline: FacePipeline) -> None:
    point = pipeline.operating_point(1e-2)
    below, inside, above = np.nextafter(point.low, -1), np.nextafter(point.high, -1), point.high
    assert [point.decide(s) for s in (-1.0, below)] == [Decision.NO_MATCH] * 2
    assert [point.decide(s) for s in (point.low, point.threshold, inside)] == [Decision.UNDECIDED] * 3
    assert [point.decide(s) for s in (above, 1.0)] == [Decision.MATCH] * 2
    # an interval that leaves out its own threshold, as a skewed bootstrap can give, leaves what is between open
    skewed = replace(point, low=0.81, high=0.82)
    assert [skewed.decide(s) for s in (0.79, 0.8, 0.81, 0.82)] == [
        Decision.NO_MATCH,
        Decision.UNDECIDED,
        Decision.UNDECIDED,
        Decision.MATCH,
    ]


def test_a_comparison_carries_its_likelihood_ratio(pipeline: FacePipeline) -> None:
    ada, bob = face_of(pipeline, "ada"), face_of(pipeline, "bob")
    result = compare(ada, bob, pipeline.operating_point(1e-2))
    assert result.llr == pipeline.calibration.llr(result.similarity)
    assert compare(ada, bob, replace(result.point, ratio=None)).llr is None


def test_a_threshold_of_another_space_is_refused(pipeline: FacePipeline) -> None:
    ada = face_of(pipeline, "ada")
    with pytest.raises(ValueError, match="record made up is for space elsewhere@1"):
        compare(ada, ada, replace(pipeline.operating_point(1e-2), space="elsewhere@1"))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty", RefusalReason.NO_FACE),
        ("ada and bob", RefusalReason.SEVERAL_FACES),
        ("ada far away", RefusalReason.FACE_TOO_SMALL),
        ("ada at the border", RefusalReason.FACE_CUT_OFF),
    ],
)
def test_a_refusal_says_whose_picture_it_was(
    pipeline: FacePipeline, name: str, reason: RefusalReason
) -> None:
    for reference, probe, role in ((name, "ada", Role.REFERENCE), ("ada", name, Role.PROBE)):
        refusal = pipeline.verify(image(reference), image(probe), fmr=1e-2)
        assert isinstance(refusal, Refusal)
        assert (refusal.reason, refusal.role) == (reason, role)
        np.testing.assert_array_equal(refusal.detections.boxes, SCENES[name].detections.boxes)


def test_a_refusal_tells_the_turn_that_its_boxes_belong_to(pipeline: FacePipeline) -> None:
    refusal = pipeline.extract_one(image("ada and bob", 90))
    assert isinstance(refusal, Refusal)
    assert refusal.rotation_deg == 270
    np.testing.assert_array_equal(refusal.detections.boxes, SCENES["ada and bob"].detections.boxes)


def test_bystanders_are_noted(pipeline: FacePipeline) -> None:
    assert face_of(pipeline, "bob and a bystander").notes == ("1 smaller face ignored",)


def test_every_face_of_a_picture(pipeline: FacePipeline) -> None:
    faces = pipeline.extract(image("ada and bob"))
    alone = [face_of(pipeline, "ada"), face_of(pipeline, "bob")]
    assert len(faces) == 2
    nearest = [int(np.argmax([f.embedding.vector @ a.embedding.vector for a in alone])) for f in faces]
    assert sorted(nearest) == [0, 1]
    assert pipeline.extract(image("ada far away")) == []
    assert pipeline.extract(image("ada at the border")) == []
    assert pipeline.extract(image("empty")) == []


def test_many_pictures_are_as_one_by_one(pipeline: FacePipeline) -> None:
    names = list(SCENES)
    together = pipeline.extract_many([image(n) for n in names], Role.REFERENCE)
    for name, result in zip(names, together, strict=True):
        single = pipeline.extract_one(image(name), Role.REFERENCE)
        if isinstance(single, Refusal):
            assert isinstance(result, Refusal)
            assert (result.reason, result.role) == (single.reason, Role.REFERENCE)
        else:
            assert isinstance(result, Face)
            np.testing.assert_allclose(result.embedding.vector, single.embedding.vector, atol=1e-6)
    assert pipeline.extract_many([]) == []


def test_the_face_in_the_middle(pipeline: FacePipeline) -> None:
    found = pipeline.extract_central([image("bob and a bystander"), image("empty"), image("ada far away")])
    assert isinstance(found[0], Face)
    np.testing.assert_array_equal(found[0].detection.box, SCENES["bob and a bystander"].detections.boxes[0])
    assert isinstance(found[1], Refusal)
    assert isinstance(found[2], Face)


def test_rates_that_are_not_supported(pipeline: FacePipeline) -> None:
    with pytest.raises(NotCalibrated, match="300,000 non-mated comparisons"):
        pipeline.operating_point(1e-4)
    blind = FacePipeline(FakeDetector([]), FakeEmbedder(), calibration=pipeline.calibration)
    with pytest.raises(NotCalibrated):
        blind.verify(image("empty"), image("empty"), fmr=1e-4)
    assert isinstance(blind.verify(image("empty"), image("empty"), fmr=1e-2), Refusal)


def test_calibration_is_looked_up_by_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pipeline: FacePipeline
) -> None:
    monkeypatch.setenv("LINEAMENT_CALIBRATION", str(tmp_path))
    fresh = FacePipeline(pipeline.detector, pipeline.embedder)
    with pytest.raises(NotCalibrated, match=fresh.embedding_space):
        fresh.operating_point(1e-2)
    record(fresh.embedding_space).save(tmp_path)
    assert fresh.operating_point(1e-2).threshold == 0.8
    with pytest.raises(ValueError, match="is for space other"):
        FacePipeline(pipeline.detector, pipeline.embedder, calibration=record("other"))


def test_faces_of_different_spaces_do_not_compare(pipeline: FacePipeline) -> None:
    face = face_of(pipeline, "ada")
    foreign = Face(face.detection, Embedding(face.embedding.vector, "other"), face.crop)
    with pytest.raises(ValueError, match="do not compare"):
        compare(face, foreign, pipeline.operating_point(1e-2))


def test_identification(tmp_path: Path, pipeline: FacePipeline) -> None:
    with Gallery.open(tmp_path / "g", space=pipeline.embedding_space, create=True) as gallery:
        nobody = pipeline.identify(gallery, image("ada"), fpir=0.1)
        assert isinstance(nobody, Identification)
        assert (nobody.best, nobody.nearest, nobody.gallery_size) == (None, None, 0)
        for name in ("ada", "bob"):
            gallery.enroll(name, face_of(pipeline, name).embedding)
        found = pipeline.identify(gallery, image("ada again"), fpir=0.1)
        assert isinstance(found, Identification)
        assert found.best is not None
        assert (found.best.subject_id, found.best.rank, found.gallery_size) == ("ada", 1, 2)
        # 1 - (1 - 0.1) ** (1 / 2) = 0.0513 for each of two comparisons: the row of 0.01 is the next stricter one
        assert found.point.fmr == pytest.approx(0.0513, abs=1e-4)
        assert found.point.threshold == 0.8
        assert isinstance(pipeline.identify(gallery, image("ada and bob"), fpir=0.1), Refusal)
        with pytest.raises(NotCalibrated, match="over 2 templates"):
            pipeline.identify(gallery, image("ada"), fpir=1e-3)


def test_a_gallery_of_another_space(tmp_path: Path, pipeline: FacePipeline) -> None:
    with (
        Gallery.open(tmp_path / "g", space="other", create=True) as gallery,
        pytest.raises(EmbeddingSpaceMismatch, match="other"),
    ):
        pipeline.identify(gallery, image("ada"), fpir=0.1)


def test_rules_of_the_caller(pipeline: FacePipeline) -> None:
    lenient = FacePipeline(pipeline.detector, pipeline.embedder, FaceRules(min_face_px=10, rival_ratio=1.0))
    assert isinstance(lenient.extract_one(image("ada far away")), Face)


def test_no_such_profile() -> None:
    with pytest.raises(
        ConfigError, match="no profile is called 'nothing'; there are: fast, id-photo, mobile, open"
    ):
        FacePipeline.from_profile("nothing")
