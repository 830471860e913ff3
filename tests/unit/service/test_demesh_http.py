"""``/v1/demesh`` and verifications with restored references, over HTTP and through the client."""

import base64
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from service_client import Client, encoded, png, serving, settings

from drawn_people import SCENES, image
from lineament.client import Client as RemoteClient
from lineament.client import Verified
from lineament.core.errors import InputError
from lineament.core.types import Comparison, Image
from lineament.imaging import decode_image
from lineament.pipeline import Engine, FacePipeline
from made_up_remover import inked, restoring_pipeline
from served_app import served

FMR = 0.01


@pytest.fixture(scope="module", autouse=True)
def as_large_as_they_are() -> Iterator[None]:
    """Drawn people are larger than ID photos; reducing them has tests of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lineament.demesh.network.SEEN_PX", 1000)
        yield


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> FacePipeline:
    return restoring_pipeline(tmp_path_factory.mktemp("blue"))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, pipeline: FacePipeline) -> Iterator[Client]:
    with serving(settings(tmp_path_factory.mktemp("service")), Engine(pipeline, workers=2)) as client:
        yield client


def meshed(name: str) -> bytes:
    return encoded(inked(SCENES[name].pixels))


def verify(client: Client, reference: bytes, probe: bytes) -> dict:
    answer = client.post("/v1/verify", files={"reference": reference, "probe": probe}, data={"fmr": str(FMR)})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_meshed_picture_comes_back_restored(client: Client, pipeline: FacePipeline) -> None:
    answer = client.post("/v1/demesh", files={"picture": meshed("ada")})
    assert answer.status_code == 200
    found = answer.json()
    expected = pipeline.mesh.restore(inked(SCENES["ada"].pixels))
    pixels = np.array(Pillow.open(BytesIO(base64.b64decode(found.pop("restored")))))
    np.testing.assert_array_equal(pixels, expected.pixels)
    assert found == {
        "is_meshed": True,
        "score": expected.finding.score,
        "threshold": 0.5,
        "clean_touched_rate": 1e-3,
        "record": "made up meshes",
        "remover": pipeline.mesh.id,
    }


def test_a_clean_picture_is_not_touched(client: Client) -> None:
    found = client.post("/v1/demesh", files={"picture": png("ada")}).json()
    assert (found["is_meshed"], found["score"], found["restored"]) == (False, 0.0, None)


def test_bad_pictures_are_errors(client: Client) -> None:
    answer = client.post("/v1/demesh", files={"picture": b"no picture"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "image_unreadable")


def test_a_service_that_takes_no_meshes_off_says_so(tmp_path: Path) -> None:
    with serving(settings(tmp_path)) as plain:
        answer = plain.post("/v1/demesh", files={"picture": png("ada")})
        assert answer.status_code == 422
        assert 'set engine.profile to "id-photo"' in answer.json()["error"]["message"]
        assert verify(plain, png("ada"), png("ada again"))["restored"] is None


def test_verify_says_that_it_restored(client: Client, pipeline: FacePipeline) -> None:
    expected = pipeline.verify(Image(inked(SCENES["ada"].pixels)), image("ada again"), FMR)
    assert isinstance(expected, Comparison)
    found = verify(client, meshed("ada"), png("ada again"))
    assert found["decision"] == "match"
    assert found["similarity"] == expected.similarity
    assert found["point"]["threshold"] == 0.5
    assert found["restored"] == {
        "remover": pipeline.mesh.id,
        "mesh_score": 1.0,
        "unrestored_similarity": expected.unrestored_similarity,
        "calibration_space": expected.point.space,
    }
    assert [w["name"] for w in found["weights"]] == ["fake-detector", "fake-embedder", "blue-ink"]
    assert verify(client, meshed("bob"), png("bob"))["restored"]["unrestored_similarity"] is None
    assert verify(client, png("ada"), meshed("ada"))["restored"] is None
    events = [e["event"] for e in client.get("/v1/audit/entries").json()["entries"]]
    assert [e["space"] for e in events] == [expected.point.space] * 2 + [pipeline.embedding_space]


def test_without_a_record_for_restored_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINEAMENT_CALIBRATION", str(tmp_path / "none"))
    uncalibrated = restoring_pipeline(tmp_path, calibrated=False)
    with serving(settings(tmp_path), Engine(uncalibrated, workers=1)) as client:
        body = {"reference": meshed("ada"), "probe": png("ada")}
        answer = client.post("/v1/verify", files=body, data={"fmr": str(FMR)})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "not_calibrated")
        assert verify(client, png("ada"), png("ada"))["decision"] == "match"


def until_ready(client: RemoteClient) -> None:
    """Pictures that are sent earlier are refused unread, which may look like a broken connection."""
    while not client.is_ready():
        time.sleep(0.01)


def test_the_client_says_the_same(tmp_path: Path, pipeline: FacePipeline) -> None:
    expected = pipeline.verify(Image(inked(SCENES["ada"].pixels)), image("ada again"), FMR)
    assert isinstance(expected, Comparison)
    with served(settings(tmp_path), pipeline) as address, RemoteClient(address) as client:
        until_ready(client)
        found = client.verify(meshed("ada"), png("ada again"), FMR)
        assert isinstance(found, Verified)
        assert found.restored is not None
        assert (found.restored.mesh_score, found.restored.unrestored_similarity) == (
            1.0,
            expected.unrestored_similarity,
        )
        assert found.point.space == found.restored.calibration_space == expected.point.space
        plain = client.verify(png("ada"), png("ada again"), FMR)
        assert isinstance(plain, Verified)
        assert plain.restored is None
        restored = client.demesh(meshed("ada"))
        assert restored.is_meshed
        assert restored.restored_png is not None
        np.testing.assert_array_equal(
            decode_image(restored.restored_png).pixels,
            pipeline.mesh.restore(inked(SCENES["ada"].pixels)).pixels,
        )
        assert client.demesh(png("ada")).restored_png is None
    with served(settings(tmp_path / "plain")) as address, RemoteClient(address) as client:
        until_ready(client)
        with pytest.raises(InputError, match="takes no meshes off"):
            client.demesh(png("ada"))
