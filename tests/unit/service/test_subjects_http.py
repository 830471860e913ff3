"""Subjects and samples over HTTP: enroll, look, merge, rename, decide, remove with a receipt."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from gallery_client import enroll, error_of, keeping, make_gallery, make_job, zipped
from service_client import Client, png, serving

from lineament.gallery import RemovalReceipt

BASE = "/v1/galleries/staff"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Client]:
    with serving(keeping(folder)) as client:
        yield client


@pytest.fixture
def client(service: Client) -> Client:
    """With a gallery as new."""
    for name in service.get("/v1/galleries").json()["galleries"]:
        service.delete(f"/v1/galleries/{name}")
    make_gallery(service)
    return service


def subjects(client: Client) -> dict[str, int]:
    return {s["subject"]: s["samples"] for s in client.get(f"{BASE}/subjects").json()["subjects"]}


@pytest.mark.parametrize(
    "path", ["/v1/galleries", f"{BASE}/subjects", f"{BASE}/jobs", f"{BASE}/held", "/v1/audit/entries"]
)
def test_a_slip_of_the_pen_in_a_query_is_said(client: Client, path: str) -> None:
    answer = client.get(path, params={"largest": 5})
    assert answer.status_code == 422
    assert "largest" in answer.text
    assert client.get(path).status_code == 200


def test_enrolling_says_what_was_made_of_the_picture(client: Client) -> None:
    answer = enroll(client, "ada", png("ada again"), sample="passport")
    assert answer.status_code == 201
    found = answer.json()
    assert (found["outcome"], found["subject"], found["sample"]) == ("enrolled", "ada", "passport")
    assert found["face"]["score"] == 1.0
    assert found["conflict_point"]["fmr"] == 1e-3
    assert [w["name"] for w in found["weights"]] == ["fake-detector", "fake-embedder"]
    records = client.get(f"{BASE}/subjects/ada").json()["samples"]
    assert [r["sample"] for r in records][1] == "passport"
    assert len(records[1]["source_sha256"]) == 64


@pytest.mark.parametrize("sample", [None, "passport"])
def test_enrolling_again_changes_nothing(client: Client, sample: str | None) -> None:
    more = {} if sample is None else {"sample": sample}
    first = enroll(client, "ada", png("ada again"), **more)
    again = enroll(client, "ada", png("ada again"), **more)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["outcome"] == "already_there"
    assert again.json()["sample"] == first.json()["sample"]
    assert subjects(client) == {"ada": 2, "bob": 1}


def test_a_picture_without_a_usable_face_is_an_answer(client: Client) -> None:
    answer = enroll(client, "ada", png("ada and bob"))
    assert answer.status_code == 200
    found = answer.json()
    assert (found["outcome"], found["sample"], found["face"]) == ("refused", None, None)
    assert found["refusal"]["reason"] == "several_faces"
    assert found["refusal"]["role"] == "reference"
    assert len(found["refusal"]["boxes"]) == 2


def test_what_stands_in_the_way_is_named(client: Client) -> None:
    conflict = enroll(client, "carl", png("ada again"))
    assert error_of(conflict) == (409, "conflict")
    (detail,) = conflict.json()["error"]["details"]
    assert detail["subject"] == "ada"
    assert detail["similarity"] > 0.9
    assert error_of(enroll(client, "carl", png("ada"))) == (409, "belongs_to_another")
    (held,) = client.get(f"{BASE}/subjects/bob").json()["samples"]
    taken = enroll(client, "bob", png("ada again"), sample=held["sample"], conflict="ignore")
    assert error_of(taken) == (409, "sample_id_taken")
    assert subjects(client) == {"ada": 1, "bob": 1}


def test_conflicts_can_be_ignored_or_reviewed(client: Client) -> None:
    waits = enroll(client, "dora", png("ada again"), conflict="review")
    assert waits.status_code == 200
    found = waits.json()
    assert found["outcome"] == "pending"
    assert [f["kind"] for f in found["findings"]] == ["identity_conflict"]
    assert found["findings"][0]["subject"] == "ada"
    assert "dora" not in subjects(client)
    again = enroll(client, "dora", png("ada again"), conflict="review").json()
    assert (again["outcome"], again["sample"]) == ("pending", found["sample"])
    (held,) = client.get(f"{BASE}/held").json()
    assert (held["sample"], held["state"], held["findings"]) == (
        found["sample"],
        "pending",
        found["findings"],
    )
    client.delete(f"{BASE}/samples/{held['sample']}")
    assert enroll(client, "dora", png("ada again"), conflict="ignore").status_code == 201
    assert subjects(client) == {"ada": 1, "bob": 1, "dora": 1}


@pytest.mark.parametrize(
    ("decision", "state", "there"), [("approve", "active", True), ("reject", "rejected", False)]
)
def test_decisions(client: Client, decision: str, state: str, there: bool) -> None:
    sample = enroll(client, "dora", png("ada again"), conflict="review").json()["sample"]
    answer = client.post(f"{BASE}/decisions", json={"sample": sample, "decision": decision, "note": "twins"})
    assert answer.json() == {"sample": sample, "state": state}
    assert ("dora" in subjects(client)) is there
    assert client.get(f"{BASE}/held").json() == []
    again = client.post(f"{BASE}/decisions", json={"sample": sample, "decision": decision})
    assert error_of(again) == (409, "gallery_conflict")
    if not there:
        refused = enroll(client, "dora", png("ada again"), conflict="review")
        assert error_of(refused) == (409, "rejected_before")


def test_quarantine_takes_a_sample_out_of_the_search(client: Client) -> None:
    sample = client.get(f"{BASE}/subjects/ada").json()["samples"][0]["sample"]
    client.post(f"{BASE}/decisions", json={"sample": sample, "decision": "quarantine"})
    assert subjects(client) == {"bob": 1}
    assert enroll(client, "ada", png("ada")).json()["outcome"] == "quarantined"
    client.post(f"{BASE}/decisions", json={"sample": sample, "decision": "release"})
    assert subjects(client) == {"ada": 1, "bob": 1}


def test_subjects_are_paged_in_order(client: Client) -> None:
    assert enroll(client, "Änne", png("ada again"), conflict="ignore").status_code == 201
    everyone = sorted(subjects(client))
    seen, after = [], None
    while True:
        params = {"limit": 1} | ({"after": after} if after else {})
        page = client.get(f"{BASE}/subjects", params=params).json()
        seen += [s["subject"] for s in page["subjects"]]
        after = page["next"]
        if after is None:
            break
    assert seen == everyone


def test_any_id_can_be_addressed(client: Client) -> None:
    for name in ("x/y z", "a?b&c#d", "名字", "100%", "a//b", "+", "/"):
        enroll(client, name, png("ada again"), conflict="ignore", sample=name)
        path = quote(name, safe="")
        assert client.get(f"{BASE}/subjects/{path}").json()["subject"] == name
        assert client.delete(f"{BASE}/samples/{path}").json()["samples"] == 1
        assert error_of(client.get(f"{BASE}/subjects/{path}")) == (404, "subject_not_found")


@pytest.mark.parametrize("name", [".", ".."])
def test_ids_that_are_steps_to_another_address_are_refused(client: Client, name: str) -> None:
    """Clients send "subjects/.." as the address of the gallery."""
    refused = [
        enroll(client, name, png("ada again"), conflict="ignore"),
        enroll(client, "ada", png("ada again"), sample=name),
        client.post(f"{BASE}/renames", json={"subject": "ada", "new": name}),
        client.delete(f"{BASE}/subjects/{quote(name).replace('.', '%2E')}"),
        client.delete(f"{BASE}/samples/{quote(name).replace('.', '%2E')}"),
        client.post(
            f"{make_job(client)}/pictures",
            files={"archive": zipped({"a/1.png": png("ada")})},
            data={"subject": name},
        ),
    ]
    assert [error_of(answer) for answer in refused] == [(422, "input_unusable")] * len(refused)


@pytest.mark.parametrize("path", [f"{BASE}/", "/v1/galleries/"])
def test_a_path_that_was_cut_off_leads_nowhere(client: Client, path: str) -> None:
    answer = client.delete(path)
    assert (answer.status_code, "Location" in answer.headers) == (404, False)
    assert subjects(client) == {"ada": 1, "bob": 1}


def test_merge_and_rename(client: Client) -> None:
    merged = client.post(f"{BASE}/merges", json={"into": "ada", "source": "bob"})
    assert merged.json() == {"subject": "ada", "samples_moved": 1}
    renamed = client.post(f"{BASE}/renames", json={"subject": "ada", "new": "ada lovelace"})
    assert renamed.json() == {"subject": "ada lovelace"}
    assert subjects(client) == {"ada lovelace": 2}
    gone = client.post(f"{BASE}/merges", json={"into": "ada lovelace", "source": "bob"})
    assert error_of(gone) == (404, "subject_not_found")
    same = client.post(f"{BASE}/merges", json={"into": "ada lovelace", "source": "ada lovelace"})
    assert error_of(same) == (409, "gallery_conflict")


def test_removal_gives_a_receipt_that_can_be_checked(client: Client) -> None:
    key = client.get(BASE).json()["public_key"]
    samples = [s["sample"] for s in client.get(f"{BASE}/subjects/ada").json()["samples"]]
    found = client.delete(f"{BASE}/subjects/ada").json()
    assert (found["samples"], found["purged"]) == (1, True)
    receipt = RemovalReceipt.from_json(json.dumps(found["receipt"]))
    assert (receipt.subject_id, list(receipt.sample_ids)) == ("ada", samples)
    assert receipt.is_signed_by(key)
    assert error_of(client.delete(f"{BASE}/subjects/ada")) == (404, "subject_not_found")
    assert error_of(client.delete(f"{BASE}/samples/{samples[0]}")) == (404, "subject_not_found")


def test_ids_that_cannot_be(client: Client) -> None:
    for subject in ("", " ", "a\nb", "x" * 201):
        body = {"picture": base64.b64encode(png("ada")).decode(), "subject": subject}
        assert client.post(f"{BASE}/samples", json=body).status_code == 422


def test_rates_that_cannot_be_supported(client: Client) -> None:
    answer = enroll(client, "ada", png("ada again"), conflict_fmr="1e-9")
    assert error_of(answer) == (422, "not_calibrated")


def test_pictures_that_cannot_be_read(client: Client) -> None:
    assert error_of(enroll(client, "ada", b"no picture")) == (422, "image_unreadable")
