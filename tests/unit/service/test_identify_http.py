"""``/v1/galleries/{gallery}/identify``: the same answers as the library."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gallery_client import error_of, keeping, make_gallery
from service_client import Client, png, serving

from drawn_people import drawn_pipeline, image
from lineament.core.types import Identification
from lineament.gallery import Gallery

FPIR = 0.05


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[Client]:
    with serving(keeping(folder)) as client:
        make_gallery(client)
        make_gallery(client, {}, "empty")
        yield client


def ask(client: Client, scene: str, gallery: str = "staff", **how: Any) -> Any:
    data = {"fpir": str(FPIR)} | {name: str(value) for name, value in how.items()}
    return client.post(f"/v1/galleries/{gallery}/identify", files={"picture": png(scene)}, data=data)


def test_agrees_with_the_library(client: Client, folder: Path) -> None:
    pipeline = drawn_pipeline()
    with Gallery.open(folder / "galleries" / "staff.gallery", space=pipeline.embedding_space) as gallery:
        expected = pipeline.identify(gallery, image("ada again"), FPIR)
    assert isinstance(expected, Identification)
    assert expected.best is not None
    answer = ask(client, "ada again")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    (face,) = found["faces"]
    assert face["decision"] == "match"
    assert [(c["subject"], c["sample"], c["similarity"]) for c in face["candidates"]] == [
        (c.subject_id, c.sample_id, c.similarity) for c in expected.candidates
    ]
    assert face["nearest"]["subject"] == "ada"
    assert found["gallery_size"] == expected.gallery_size == 2
    assert found["fpir"] == FPIR
    assert found["point"]["threshold"] == expected.point.threshold
    assert found["point"]["fmr"] == expected.point.fmr < FPIR
    assert found["point"]["record"] == "made up"


def test_every_face_when_all_are_asked_for(client: Client) -> None:
    found = ask(client, "ada and bob", faces="all").json()
    assert found["detected"] == 2
    assert sorted(f["candidates"][0]["subject"] for f in found["faces"]) == ["ada", "bob"]
    assert found["refusal"] is None


def test_one_of_several_faces_is_refused(client: Client) -> None:
    found = ask(client, "ada and bob").json()
    assert found["faces"] == []
    assert (found["refusal"]["reason"], found["detected"]) == ("several_faces", 2)


def test_nobody_in_an_empty_gallery(client: Client) -> None:
    (face,) = ask(client, "ada", "empty").json()["faces"]
    assert (face["decision"], face["candidates"], face["nearest"]) == ("no_match", [], None)


def test_a_rate_must_be_asked_for_and_supported(client: Client) -> None:
    missing = client.post("/v1/galleries/staff/identify", files={"picture": png("ada")})
    assert error_of(missing) == (422, "invalid_request")
    assert error_of(ask(client, "ada", fpir=1e-9)) == (422, "not_calibrated")


def test_unknown_gallery(client: Client) -> None:
    assert error_of(ask(client, "ada", "nobody")) == (404, "gallery_not_found")


def test_searches_are_in_the_audit_log(tmp_path: Path) -> None:
    with serving(keeping(tmp_path)) as client:
        make_gallery(client)
        ask(client, "ada and bob", faces="all")
        ask(client, "empty")
        events = [e["event"] for e in client.get("/v1/audit/entries").json()["entries"]]
    searches = [e for e in events if e["action"] == "identify"]
    assert sorted((e["outcome"], *e["result_ids"]) for e in searches) == [
        ("match", "ada"),
        ("match", "bob"),
        ("refused",),
    ]
    assert {e["fpir"] for e in searches} == {FPIR}
    assert {e["gallery"] for e in searches} == {"staff"}
