"""Faults that only who runs the service can mend: clients learn no path, the log says all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from gallery_client import enroll, error_of, keeping, make_gallery
from service_client import Client, png, serving, settings

from drawn_people import drawn_pipeline
from lineament.gallery import encrypt_gallery, new_key
from lineament.pipeline import Engine, FacePipeline
from lineament.service.access import KeyFile, Scope
from lineament.service.audit_entries import HEAD_NAME
from lineament.service.config import AccessSettings
from lineament.zoo.records import user_calibration_folder

PAIR = {"reference": png("ada"), "probe": png("ada again")}


def check_said(answer: httpx.Response, caplog: pytest.LogCaptureFixture, secret: str) -> None:
    """The answer does not hold the secret; the log does, under the id of the request."""
    assert secret not in answer.text
    assert "log" in answer.json()["error"]["message"]
    said = [vars(r) for r in caplog.records if r.getMessage() == "request_failed"]
    assert [r["request_id"] for r in said] == [answer.json()["request_id"]]
    assert secret in said[0]["reason"]


@contextmanager
def serving_verify(folder: Path, pipeline: FacePipeline | None = None) -> Iterator[Client]:
    with serving(settings(folder), Engine(pipeline or drawn_pipeline(), workers=1)) as client:
        yield client


def test_a_key_file_that_cannot_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keys = KeyFile(tmp_path / "keys")
    text, _ = keys.create("door", frozenset(Scope))
    with serving(settings(tmp_path, access=AccessSettings(keys=keys.path))) as client:
        keys.path.write_text("{}")
        answer = client.get("/v1/models", headers={"Authorization": f"Bearer {text}"})
    assert error_of(answer) == (500, "internal")
    check_said(answer, caplog, str(keys.path))


def test_an_audit_log_that_cannot_go_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving_verify(tmp_path) as client:
        assert client.post("/v1/verify", files=PAIR, data={"fmr": "0.01"}).status_code == 200
        (tmp_path / "audit" / HEAD_NAME).unlink()
        answer = client.post("/v1/verify", files=PAIR, data={"fmr": "0.01"})
    assert error_of(answer) == (503, "unavailable")
    check_said(answer, caplog, str(tmp_path / "audit"))


def test_no_calibration_record(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    inner = drawn_pipeline()
    with serving_verify(tmp_path, FacePipeline(inner.detector, inner.embedder)) as client:
        answer = client.post("/v1/verify", files=PAIR, data={"fmr": "0.01"})
    assert error_of(answer) == (422, "not_calibrated")
    check_said(answer, caplog, str(user_calibration_folder()))


def test_an_encrypted_gallery_of_a_service_without_a_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "galleries" / "staff.gallery"
    with serving(keeping(tmp_path)) as client:
        make_gallery(client, {"ada": "ada"})
    encrypt_gallery(path, new_key(tmp_path / "key"))
    with serving(keeping(tmp_path)) as client:
        answer = enroll(client, "bob", png("bob"))
    assert error_of(answer) == (503, "gallery_unavailable")
    assert str(tmp_path) not in answer.text
    (said,) = [vars(r) for r in caplog.records if r.getMessage() == "gallery_failed"]
    assert f"{path} is encrypted; give its key" in said["reason"]
