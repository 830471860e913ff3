"""A selfie against an ID photo under a mesh: ``open`` fails, ``id-photo`` restores, decides right and says so."""

import json
from pathlib import Path

import pytest

from lineament.cli.app import run
from lineament.core.types import Face
from lineament.evaluation.protocols import pictures_of
from lineament.evaluation.sets import PictureSource
from lineament.evaluation.trials import read_pairs
from lineament.imaging import decode_image
from lineament.imaging.portrait import IssueRanges, draw_issuance, issue_photo
from lineament.pipeline import FacePipeline
from lineament.zoo.calibration import load_calibration
from lineament.zoo.licence import ENVIRONMENT

pytestmark = [pytest.mark.weights, pytest.mark.shared]
ISSUED = IssueRanges(families=("sines",), layout="portrait", jpeg_quality=(70, 95))


@pytest.fixture(autouse=True)
def terms_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, "demesh")


def issued_pair(shared: Path, pair: int, folder: Path, pipeline: FacePipeline) -> tuple[Path, Path, Path]:
    """Reference as it is, as an ID photo under a mesh, and the probe of a pair of LFW View 1."""
    data = shared / "data" / "lfw_view1_208"
    trials = read_pairs(data / "pairsDevTest.txt")
    with PictureSource(pictures_of(data)) as source:
        reference, probe = (source.read(trials.samples[k]) for k in trials.pairs[pair])
    photo = decode_image(reference)
    (face,) = pipeline.extract_central([photo])
    assert isinstance(face, Face)
    issuance = draw_issuance(ISSUED, (pair,), photo.pixels.shape, face.detection.points)
    paths = folder / "reference.jpg", folder / "idphoto_mesh.jpg", folder / "selfie.jpg"
    for path, data_of in zip(
        paths, (reference, issue_photo(photo.pixels, issuance).image, probe), strict=True
    ):
        path.write_bytes(data_of)
    return paths


def verified(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, object]]:
    code = run(["verify", *words, "--fmr", "1e-3", "--json"])
    return code, json.loads(capsys.readouterr().out)


def restored_in(document: object) -> object:
    """What the document says was done to the reference."""
    assert isinstance(document, dict)
    return document["reference"]["restored"]


def test_id_photo_matches_where_open_does_not_and_says_that_it_restored(
    shared: Path, tmp_path: Path, open_profile: FacePipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    _, meshed, selfie = issued_pair(shared, 36, tmp_path, open_profile)
    before = meshed.read_bytes()
    plain_code, plain = verified(capsys, str(meshed), str(selfie))
    code, found = verified(capsys, str(meshed), str(selfie), "--profile", "id-photo")
    assert plain_code == 1
    assert code == 0
    assert restored_in(found) is not None
    assert restored_in(plain) is None
    assert meshed.read_bytes() == before
    assert run(["verify", str(meshed), str(selfie), "--fmr", "1e-3", "--profile", "id-photo"]) == 0
    assert "restored" in capsys.readouterr().out


def test_a_clean_reference_is_left_alone_and_decided_as_open_decides(
    shared: Path, tmp_path: Path, open_profile: FacePipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    reference, _, selfie = issued_pair(shared, 36, tmp_path, open_profile)
    plain_code, plain = verified(capsys, str(reference), str(selfie))
    code, found = verified(capsys, str(reference), str(selfie), "--profile", "id-photo")
    assert code == plain_code
    assert found["results"] == plain["results"]


def test_demesh_touches_the_meshed_one_only(
    shared: Path, tmp_path: Path, open_profile: FacePipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "photos"
    source.mkdir()
    reference, meshed, _ = issued_pair(shared, 36, source, open_profile)
    assert run(["demesh", str(reference), str(meshed), "-o", str(tmp_path / "clean"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (tmp_path / "clean" / "reference.jpg").read_bytes() == reference.read_bytes()
    assert (tmp_path / "clean" / "idphoto_mesh.png").is_file()
    assert "idphoto_mesh" in json.dumps(told)


def test_both_conditions_are_calibrated_apart(open_profile: FacePipeline) -> None:
    space = open_profile.embedding_space
    gated = FacePipeline.from_profile("id-photo")
    assert gated.mesh is not None
    restored = load_calibration(f"{space}~{gated.mesh.id}")
    assert restored.point(1e-3).threshold > load_calibration(space).point(1e-3).threshold
