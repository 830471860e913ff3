"""Bulk enrollment over HTTP: what was taken is settled, whatever happens in between."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from gallery_client import error_of, keeping, make_gallery, make_job, send, settled, zipped
from service_client import Client, png, serving

from lineament.service.access import KeyFile, Scope
from lineament.service.config import AccessSettings

PHOTOS = {
    "photos/ada/1.png": png("ada"),
    "photos/ada/2.png": png("ada again"),
    "photos/bob/1.png": png("bob"),
    "photos/carl/1.png": png("ada and bob"),
    "photos/carl/2.png": png("empty"),
    "photos/carl/3.png": b"no picture",
    "photos/carl/4.png": png("bob and a bystander"),
    "__MACOSX/photos/ada/._1.png": b"left out",
    "photos/ada/.DS_Store": b"left out",
}


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
    make_gallery(service, {})
    return service


def test_a_job_from_its_making_to_its_end(client: Client, folder: Path) -> None:
    job = make_job(client)
    empty = client.get(job).json()
    assert (empty["state"], empty["total"], empty["conflict"]) == ("idle", 0, "refuse")
    assert send(client, job, PHOTOS) == {"taken": 7, "known": 0}
    assert send(client, job, PHOTOS) == {"taken": 0, "known": 7}
    done = settled(client, job)
    assert (done["state"], done["total"]) == ("idle", 7)
    assert done["outcomes"] == {
        "enrolled": 3,
        "several_faces": 1,
        "no_face": 1,
        "unreadable": 1,
        "belongs_to_another": 1,
    }
    items = client.get(f"{job}/items").json()["items"]
    assert [i["position"] for i in items] == list(range(1, 8))
    by_name = {i["name"]: i for i in items}
    assert by_name["photos/carl/1.png"]["refusal"]["boxes"]
    assert by_name["photos/carl/3.png"]["detail"].startswith("picture: expected a picture")
    assert by_name["photos/carl/4.png"]["conflict"]["subject"] == "bob"
    assert by_name["photos/ada/1.png"]["sample"].startswith("1.png#")
    found = {
        s["subject"]: s["samples"] for s in client.get("/v1/galleries/staff/subjects").json()["subjects"]
    }
    assert found == {"ada": 2, "bob": 1}
    (file,) = folder.rglob("*.job")
    assert b"\x89PNG" not in file.read_bytes()
    assert client.delete(job).status_code == 204
    assert error_of(client.get(job)) == (404, "not_found")
    assert client.get("/v1/galleries/staff/jobs").json()["jobs"] == []


def test_files_of_a_form_say_their_subject(client: Client) -> None:
    job = make_job(client)
    files = [("pictures", ("ada/1.png", png("ada"))), ("pictures", ("bob/1.png", png("bob")))]
    assert client.post(f"{job}/pictures", files=files).json() == {"taken": 2, "known": 0}
    one = [("pictures", ("2.png", png("ada again")))]
    assert client.post(f"{job}/pictures", files=one, data={"subject": "ada"}).json()["taken"] == 1
    assert settled(client, job)["outcomes"] == {"enrolled": 3}


def test_items_and_jobs_are_paged(client: Client) -> None:
    jobs = [make_job(client) for _ in range(3)]
    send(client, jobs[0], PHOTOS)
    settled(client, jobs[0])
    seen, after = [], 0
    while after is not None:
        page = client.get(f"{jobs[0]}/items", params={"limit": 3, "after": after}).json()
        seen += [i["position"] for i in page["items"]]
        after = page["next"]
    assert seen == list(range(1, 8))
    first = client.get("/v1/galleries/staff/jobs", params={"limit": 2}).json()
    rest = client.get("/v1/galleries/staff/jobs", params={"limit": 2, "after": first["next"]}).json()
    listed = [j["job"] for j in (*first["jobs"], *rest["jobs"])]
    assert listed == [job.rpartition("/")[2] for job in jobs]
    assert rest["next"] is None


@pytest.mark.parametrize(
    "data",
    [
        b"no archive",
        zipped(PHOTOS)[:-200],
        zipped({"ada.png": png("ada")}),
        zipped({}),
        zipped({f"{'x' * 201}/1.png": png("ada")}),
    ],
    ids=["text", "cut off", "no folder", "empty", "long name"],
)
def test_archives_that_cannot_be_taken(client: Client, data: bytes) -> None:
    job = make_job(client)
    answer = client.post(f"{job}/pictures", files={"archive": data})
    assert error_of(answer) == (422, "input_unusable")
    assert client.get(job).json()["total"] == 0


def test_other_bodies_are_refused(client: Client) -> None:
    job = make_job(client)
    assert error_of(client.post(f"{job}/pictures", json={})) == (415, "unsupported_body_type")
    both = {"archive": zipped(PHOTOS), "pictures": png("ada")}
    assert error_of(client.post(f"{job}/pictures", files=both)) == (422, "input_unusable")
    other = client.post(f"{job}/pictures", files={"archive": zipped(PHOTOS)}, data={"subject": "a\nb"})
    assert error_of(other) == (422, "input_unusable")


def test_cancelling_stops_what_waits(client: Client, folder: Path) -> None:
    job = make_job(client)
    desk, client.app.state.opening.desk = client.app.state.opening.desk, None
    send(client, job, PHOTOS)
    assert client.get(job).json()["state"] == "working"
    assert error_of(client.delete(job)) == (409, "gallery_conflict")
    cancelled = client.post(f"{job}/cancel").json()
    assert (cancelled["state"], cancelled["outcomes"]) == ("cancelled", {"cancelled": 7})
    (file,) = folder.rglob("*.job")
    assert b"\x89PNG" not in file.read_bytes()
    assert error_of(client.post(f"{job}/pictures", files={"archive": zipped(PHOTOS)})) == (
        409,
        "gallery_conflict",
    )
    client.app.state.opening.desk = desk
    assert client.delete(job).status_code == 204
    assert client.get("/v1/galleries/staff/subjects").json()["subjects"] == []


def test_what_waits_is_enrolled_after_a_restart(tmp_path: Path) -> None:
    with serving(keeping(tmp_path)) as client:
        make_gallery(client, {})
        job = make_job(client)
        client.app.state.opening.desk = None
        send(client, job, PHOTOS)
    with serving(keeping(tmp_path)) as client:
        assert settled(client, job)["outcomes"]["enrolled"] == 3


def test_a_removed_subject_is_found_in_no_job(client: Client) -> None:
    first, second = make_job(client), make_job(client)
    send(client, first, {"ada-of-the-north/1.png": png("ada"), "bob/1.png": png("bob")})
    settled(client, first)
    desk, client.app.state.opening.desk = client.app.state.opening.desk, None
    send(client, second, {"ada-of-the-north/2.png": png("ada again")})
    client.app.state.opening.desk = desk
    jobs, space = client.app.state.jobs, desk.made_with.space
    assert client.delete("/v1/galleries/staff/subjects/ada-of-the-north").status_code == 200
    settled(client, second)
    items = [i for job in (first, second) for i in client.get(f"{job}/items").json()["items"]]
    assert sorted((i["subject"], i["outcome"]) for i in items if i["subject"] != "bob") == [
        ("", "forgotten"),
        ("", "forgotten"),
    ]
    assert client.app.state.holdings.open("staff", space).size.subjects == 1
    held = b"".join(p.read_bytes() for p in jobs.folder.rglob("*") if p.is_file())
    assert b"ada-of-the-north" not in held


def test_reviewed_pictures_wait(client: Client) -> None:
    make_gallery(client, {"ada": "ada"}, "door")
    job = make_job(client, "door", conflict="review", conflict_fmr=0.01)
    send(client, job, {"dora/1.png": png("ada again")})
    assert settled(client, job)["outcomes"] == {"pending": 1}
    (item,) = client.get(f"{job}/items").json()["items"]
    assert [f["subject"] for f in item["findings"]] == ["ada"]
    assert len(client.get("/v1/galleries/door/held").json()) == 1


def test_a_rate_that_cannot_be_supported_is_said_at_once(client: Client) -> None:
    answer = client.post("/v1/galleries/staff/jobs", json={"conflict_fmr": 1e-9})
    assert error_of(answer) == (422, "not_calibrated")


def test_the_audit_log_names_who_asked(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys")
    text, key = keys.create("bulk", frozenset(Scope), burst=1000)
    with serving(keeping(tmp_path, access=AccessSettings(keys=keys.path))) as client:
        headers = {"Authorization": f"Bearer {text}"}
        client.post("/v1/galleries", json={"name": "staff"}, headers=headers)
        job = client.post("/v1/galleries/staff/jobs", json={}, headers=headers).json()["job"]
        base = f"/v1/galleries/staff/jobs/{job}"
        client.post(f"{base}/pictures", files={"archive": zipped(PHOTOS)}, headers=headers)
        while client.get(base, headers=headers).json()["waiting"]:
            pass
        client.app.state.runner.stop()
        events = [e["event"] for e in client.get("/v1/audit/entries", headers=headers).json()["entries"]]
    done = [e for e in events if (e["action"], e["outcome"]) == ("sample.enroll", "done")]
    assert {e["key_id"] for e in done} == {key.key_id}
    assert {e["route"] for e in done} == {"/v1/galleries/{gallery}/jobs"}
    assert {n for e in done for n in e["result_ids"] if "#" not in n} == {"ada", "bob"}
