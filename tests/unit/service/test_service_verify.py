"""``/v1/verify``: the same answers as the library, over HTTP."""

import base64
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from service_client import Client, encoded, png, serving, settings

from drawn_people import SCENES, drawn_pipeline, image
from lineament.core.types import Comparison
from lineament.service.audit_check import verify_audit


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(settings(tmp_path_factory.mktemp("service"))) as client:
        yield client


def ask(client: Client, reference: bytes, probe: bytes, fmr: object = 0.01) -> Any:
    return client.post("/v1/verify", files={"reference": reference, "probe": probe}, data={"fmr": str(fmr)})


def test_agrees_with_the_library(client: Client) -> None:
    expected = drawn_pipeline().verify(image("ada"), image("ada again"), 0.01)
    assert isinstance(expected, Comparison)
    answer = ask(client, png("ada"), png("ada again"))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["decision"] == expected.decision == "match"
    assert found["similarity"] == expected.similarity
    assert found["llr"] == expected.llr
    assert found["refusal"] is None
    assert found["point"] == {
        "fmr": 0.01,
        "threshold": expected.threshold,
        "interval95": [expected.point.low, expected.point.high],
        "n_nonmated": expected.point.n_nonmated,
        "record": expected.point.record,
    }
    assert found["space"] == drawn_pipeline().embedding_space
    assert [w["name"] for w in found["weights"]] == ["fake-detector", "fake-embedder"]
    assert found["probe"]["box"] == pytest.approx(SCENES["ada again"].detections.boxes[0].tolist(), abs=0.01)


def test_json_says_the_same_as_a_form(client: Client) -> None:
    pictures = {"reference": png("ada"), "probe": png("bob")}
    body = {name: base64.b64encode(data).decode() for name, data in pictures.items()} | {"fmr": 0.01}
    by_json = client.post("/v1/verify", json=body)
    assert by_json.status_code == 200
    assert by_json.json() == ask(client, **pictures).json()
    assert by_json.json()["decision"] == "no_match"


@pytest.mark.parametrize(
    ("names", "role", "reason", "boxes"),
    [
        (("empty", "ada"), "reference", "no_face", 0),
        (("ada", "ada and bob"), "probe", "several_faces", 2),
        (("ada", "ada far away"), "probe", "face_too_small", 1),
        (("ada at the border", "ada"), "reference", "face_cut_off", 1),
    ],
)
def test_refusals_are_answers(
    client: Client, names: tuple[str, str], role: str, reason: str, boxes: int
) -> None:
    answer = ask(client, png(names[0]), png(names[1]))
    assert answer.status_code == 200
    found = answer.json()
    assert found["decision"] == "refused"
    assert found["similarity"] is found["reference"] is found["probe"] is None
    assert (found["refusal"]["role"], found["refusal"]["reason"]) == (role, reason)
    assert len(found["refusal"]["boxes"]) == boxes
    assert found["point"]["fmr"] == 0.01


def test_exif_orientation_is_honoured(client: Client) -> None:
    from PIL import Image as Pillow

    exif = Pillow.Exif()
    exif[0x0112] = 6  # turn 90° clockwise to see it upright
    turned = encoded(SCENES["ada"].pixels.swapaxes(0, 1)[::-1].copy(), exif=exif)
    found = ask(client, png("ada"), turned).json()
    assert found["decision"] == "match"
    assert found["similarity"] == pytest.approx(1.0)
    assert found["probe"]["notes"] == ["EXIF orientation 6 applied"]
    assert found["probe"]["box"] == found["reference"]["box"]


@pytest.mark.parametrize(
    ("fmr", "code"),
    [
        (0, "invalid_request"),
        (1, "invalid_request"),
        ("nan", "invalid_request"),
        ("much", "invalid_request"),
        (1e-9, "not_calibrated"),
    ],
)
def test_rates_that_cannot_be_asked_for(client: Client, fmr: object, code: str) -> None:
    answer = ask(client, png("ada"), png("bob"), fmr)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == code


def test_no_rate_is_assumed(client: Client) -> None:
    answer = client.post("/v1/verify", files={"reference": png("ada"), "probe": png("ada")})
    assert answer.status_code == 422
    assert answer.json()["error"]["details"] == [{"place": "body.fmr", "message": "Field required"}]


def test_undecodable_picture_is_named_by_its_role(client: Client) -> None:
    answer = ask(client, png("ada"), b"no picture at all")
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["code"] == "image_unreadable"
    assert error["message"].startswith("probe: expected a picture")


def test_decisions_are_in_the_audit_log_and_people_in_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(settings(tmp_path)) as client, caplog.at_level(logging.DEBUG, logger="lineament"):
        ask(client, png("ada"), png("ada again"))
        ask(client, png("ada"), png("empty"))
        entries = client.get("/v1/audit/entries").json()["entries"]
        counts = client.get("/metrics").text
    events = [e["event"] for e in entries]
    assert [e["outcome"] for e in events] == ["match", "refused"]
    assert events[0]["threshold"] == 0.8
    assert events[0]["route"] == "/v1/verify"
    assert verify_audit(tmp_path / "audit").faults == ()
    assert 'lineament_outcomes_total{action="verify",outcome="match"} 1.0' in counts
    assert 'lineament_requests_total{method="POST",route="/v1/verify",status="200"} 2.0' in counts
    lines = [r for r in caplog.records if r.getMessage() == "request" and vars(r)["route"] == "/v1/verify"]
    assert len(lines) == 2
    assert "ada" not in caplog.text
