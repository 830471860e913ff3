"""The OpenAPI document is complete: what every route takes and every answer that it can give."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from service_client import settings

from lineament.service import create_app
from lineament.service.examples import MATCH, REFUSED
from lineament.service.schemas import VerifyReply

OPEN = {"/healthz", "/readyz"}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return create_app(settings(tmp_path_factory.mktemp("service"))).openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_names_of_operations_are_short_and_unique(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    assert {"verify", "detect", "embed"} <= set(names)


def test_every_route_explains_itself(document: dict[str, Any]) -> None:
    silent = [path for path, _, o in operations(document) if not (o.get("summary") and o.get("description"))]
    assert silent == []


def test_every_route_but_health_asks_for_a_key(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        assert bool(operation.get("security")) is (path not in OPEN), path
        if path not in OPEN:
            assert {"401", "403", "429", "500"} <= set(operation["responses"]), path


def test_every_error_has_the_same_body(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                schema = answer["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorBody"}, (path, status)


@pytest.mark.parametrize("name", ["verify", "detect", "embed"])
def test_pictures_come_as_files_or_base64_of_the_same_members(document: dict[str, Any], name: str) -> None:
    body = document["paths"][f"/v1/{name}"]["post"]["requestBody"]
    form = body["content"]["multipart/form-data"]["schema"]
    text = body["content"]["application/json"]["schema"]
    assert body["required"]
    assert form["required"] == text["required"]
    assert set(form["properties"]) == set(text["properties"])
    pictures = [n for n, m in text["properties"].items() if m.get("contentEncoding") == "base64"]
    assert pictures
    assert all(form["properties"][n]["format"] == "binary" for n in pictures)
    assert {"400", "408", "413", "415", "422", "503"} <= set(
        document["paths"][f"/v1/{name}"]["post"]["responses"]
    )


def test_every_change_by_json_declares_its_body(document: dict[str, Any]) -> None:
    gallery = "/v1/galleries/{gallery}"
    for path in ("/v1/galleries", *(f"{gallery}/{x}" for x in ("merges", "renames", "decisions", "jobs"))):
        operation = document["paths"][path]["post"]
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        assert operation["requestBody"]["required"], path
        assert schema["additionalProperties"] is False, path
        assert {"408", "413", "415", "422"} <= set(operation["responses"]), path


@pytest.mark.parametrize("example", [MATCH, REFUSED])
def test_examples_are_answers(example: dict[str, Any]) -> None:
    assert VerifyReply.model_validate(example).model_dump(mode="json") == example


def test_nothing_is_loaded_from_elsewhere(document: dict[str, Any], tmp_path: Path) -> None:
    app = create_app(settings(tmp_path))
    assert app.docs_url is None
    assert app.redoc_url is None
    assert document["info"]["title"] == "Lineament"
