"""The demonstration's judgement: a wrong answer is called wrong, in the list and in the picture."""

from pathlib import Path

import numpy as np
import pytest

from lineament.core.types import Face, Image, Refusal
from lineament.evaluation.demo import Answer, Probe, Rates, identify_probe, side_by_side, verify_probe
from lineament.evaluation.demo_sheet import demo_sheet, face_in_context
from lineament.gallery import Gallery
from lineament.imaging import GREEN, VERMILION
from lineament.pipeline import FacePipeline, FaceRules
from lineament.testing import FakeDetector, FakeEmbedder, Place, draw_scene
from made_up_calibration import made_up_record

SCENES = {s: draw_scene(200, 200, [Place(seed=s, x_px=100, y_px=100, size_px=150)]) for s in (1, 2)}
EMPTY = np.full((200, 200, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def pipeline() -> FacePipeline:
    embedder = FakeEmbedder()
    record = made_up_record(embedder.space, {1e-3: 0.8}, n_nonmated=30_000)
    detector = FakeDetector([(s.pixels, s.detections) for s in SCENES.values()])
    return FacePipeline(detector, embedder, FaceRules(), record)


@pytest.fixture
def gallery(pipeline: FacePipeline, tmp_path: Path) -> Gallery:
    made = Gallery.open(tmp_path / "g", space=pipeline.embedding_space, create=True)
    made.enroll("one", face_of(pipeline, 1).embedding)
    return made


def face_of(pipeline: FacePipeline, seed: int) -> Face:
    found = pipeline.extract_one(Image(SCENES[seed].pixels))
    assert isinstance(found, Face)
    return found


def probe_of(pipeline: FacePipeline, seed: int) -> Probe:
    image = Image(SCENES[seed].pixels) if seed else Image(EMPTY)
    return Probe("somebody", "as it is", image, pipeline.extract_one(image))


@pytest.mark.parametrize(
    ("seed", "expected", "text", "right"),
    [
        (1, "one", "one", True),
        (1, "two", "one", False),
        (1, None, "one", False),
        (2, None, "nobody", True),
        (2, "two", "nobody", False),
        (0, "one", "refused: no_face", False),
    ],
)
def test_identification_is_judged(
    pipeline: FacePipeline, gallery: Gallery, seed: int, expected: str | None, text: str, right: bool
) -> None:
    answer = identify_probe(pipeline, gallery, 1e-3, probe_of(pipeline, seed), expected)
    assert (answer.text, answer.is_right) == (text, right)
    if seed:
        assert answer.threshold == 0.8
        assert (answer.similarity >= 0.8) == (seed == 1)


@pytest.mark.parametrize(
    ("seed", "mated", "text", "right"),
    [
        (1, True, "same person", True),
        (1, False, "same person", False),
        (2, False, "different people", True),
        (2, True, "different people", False),
        (0, True, "refused: no_face", False),
        (0, False, "refused: no_face", False),
    ],
)
def test_verification_is_judged(
    pipeline: FacePipeline, seed: int, mated: bool, text: str, right: bool
) -> None:
    answer = verify_probe(pipeline, 1e-3, probe_of(pipeline, seed), face_of(pipeline, 1), mated=mated)
    assert (answer.text, answer.is_right) == (text, right)


@pytest.mark.parametrize("wrong", [0, 1, 3])
def test_the_sheet_frames_each_wrong_answer(pipeline: FacePipeline, wrong: int) -> None:
    probe = probe_of(pipeline, 1)
    answers = [Answer("enrolled", probe, "enrolled", is_right=True)]
    answers += [
        Answer("identify", probe, "one", is_right=k >= wrong, similarity=0.9, threshold=0.8) for k in range(4)
    ]
    answers.append(Answer("refusal", probe_of(pipeline, 0), "refused", is_right=True))
    sheet = demo_sheet(answers, Rates(1e-3, 1e-2), "open")
    red, green = (np.all(sheet == colour, axis=2).any(axis=0) for colour in (VERMILION, GREEN))
    runs = np.flatnonzero(np.diff(red.astype(int)) == 1)
    assert len(runs) == wrong
    assert green.any()


def test_a_face_is_shown_where_it_is(pipeline: FacePipeline) -> None:
    face, image = face_of(pipeline, 1), Image(SCENES[1].pixels)
    assert not isinstance(face, Refusal)
    shown = face_in_context(image, face, 120)
    assert shown.shape == (120, 120, 3)
    # the box takes the middle 1 / 2.4 of the longer side
    yellow = np.all(np.abs(shown.astype(int) - (240, 228, 66)) < 8, axis=2)
    rows = np.flatnonzero(yellow.any(axis=1))
    assert (rows.min() + rows.max()) / 2 == pytest.approx(59.5, abs=1.5)
    assert rows.max() - rows.min() == pytest.approx(120 / 2.4, abs=2.5)


def test_pictures_stand_in_a_row() -> None:
    row = side_by_side([np.zeros((4, 3, 3), np.uint8), np.full((8, 2, 3), 255, np.uint8)])
    assert row.shape == (8, 5, 3)
    assert (row[:, 3:] == 255).all()
    assert (row[2:6, :3] == 0).all()
    assert (row[:2, :3] == 128).all()
