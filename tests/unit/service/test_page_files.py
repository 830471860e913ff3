"""The files of the web page: how they are served, and that they are whole."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from service_client import Client, serving, settings

from lineament.core.types import Decision, RefusalReason
from lineament.gallery import FindingKind
from lineament.service import page
from lineament.service.jobs import JobBody

STATIC = Path(page.__file__).parent / "static"
SCRIPTS = {path.name: path.read_text(encoding="utf-8") for path in sorted(STATIC.glob("*.js"))}
ENTRY = re.compile(r'^  (?:"([^"]+)"|(\w+)): ("(?:[^"\\]|\\.)*"),$', re.MULTILINE)


def texts(language: str) -> dict[str, str]:
    found = ENTRY.findall(SCRIPTS[f"{language}.js"])
    keys = [quoted or bare for quoted, bare, _ in found]
    assert len(set(keys)) == len(keys)
    return {key: json.loads(value) for key, (_, _, value) in zip(keys, found, strict=True)}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(settings(tmp_path_factory.mktemp("page"))) as client:
        yield client


def test_every_file_is_served_with_its_type_and_the_policy(client: Client) -> None:
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}
    for path in STATIC.iterdir():
        answer = client.get(f"/page/{path.name}")
        assert answer.status_code == 200
        assert answer.content == path.read_bytes()
        assert answer.headers["Content-Type"].partition(";")[0] == kinds[path.suffix]
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]


def test_the_page_is_at_the_root_and_is_not_sent_twice(client: Client) -> None:
    first: httpx.Response = client.get("/")
    assert first.content == (STATIC / "index.html").read_bytes()
    again = client.get("/", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["nothing.js", "..%2F__init__.py", "%2Fetc%2Fpasswd", "__init__.py"])
def test_other_names_lead_nowhere(client: Client, name: str) -> None:
    answer = client.get(f"/page/{name}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_nothing_is_loaded_from_elsewhere() -> None:
    addresses = re.compile(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"'`]*")
    for path in STATIC.iterdir():
        found = set(addresses.findall(path.read_text(encoding="utf-8"))) - {"http://www.w3.org/2000/svg"}
        assert found == set(), path.name


def test_both_languages_say_the_same_things() -> None:
    english, chinese = texts("en"), texts("zh")
    assert list(english) == list(chinese)
    places = re.compile(r"\{\w+\}")
    for key, value in english.items():
        assert set(places.findall(value)) == set(places.findall(chinese[key])), key
        assert value.strip(), key
        assert chinese[key].strip(), key


def test_every_text_that_is_used_is_there_and_the_other_way_round() -> None:
    known = set(texts("en"))
    code = "\n".join(text for name, text in SCRIPTS.items() if name not in {"en.js", "zh.js"})
    literals = set(re.findall(r'"([a-z][a-z0-9_.]*)"', code))
    families = {key.partition(".")[0] for key in known if "." in key}
    assert {w for w in literals if "." in w and w.partition(".")[0] in families} <= known
    before = tuple(re.findall(r"`([a-z_.]+\.)\$\{", code))
    after = tuple(re.findall(r"\}(\.[a-z_]+)`", code))
    assert {
        key for key in known - literals if not key.startswith(before) and not key.endswith(after)
    } == set()


def test_every_outcome_has_words() -> None:
    known = set(texts("en"))
    assert {f"refusal.{reason}" for reason in RefusalReason} <= known
    assert {f"verify.{decision}" for decision in [*Decision, "refused"]} <= known
    assert {f"identify.{decision}" for decision in [*Decision, "refused"]} <= known
    assert {f"finding.{kind}" for kind in FindingKind} <= known


def test_every_outcome_of_a_bulk_job_has_words() -> None:
    said = JobBody.model_fields["outcomes"].description
    assert said is not None
    outcomes = re.findall(r"\b[a-z_]+\b", re.sub(r"\(.*?\)", "", said.partition(":")[2]))
    assert {f"outcome.{outcome}" for outcome in outcomes} == {
        k for k in texts("en") if k.startswith("outcome.")
    }
