"""Jobs and the people of their gallery: subjects that are removed, renamed and merged, and keys that change."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gallery_client import error_of, keeping, make_gallery, make_job, send, settled
from job_client import STAFF, items, stored, subjects
from service_client import Client, png, serving

from lineament.gallery import Gallery, Removal
from lineament.service.archives import Upload
from lineament.service.job_file import JobFile
from lineament.service.job_types import JobSettings


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with serving(keeping(tmp_path)) as client:
        yield client


def test_a_removed_subject_is_named_by_no_picture_of_others(client: Client) -> None:
    make_gallery(client, {"bob-of-the-north": "bob"})
    job = make_job(client)
    send(client, job, {"carl/1.png": png("bob and a bystander")})
    settled(client, job)
    (before,) = items(client, job)
    assert before["conflict"]["subject"] == "bob-of-the-north"
    assert client.delete(f"{STAFF}/subjects/bob-of-the-north").status_code == 200
    (after,) = items(client, job)
    assert after == before | {"conflict": None}
    assert b"bob-of-the-north" not in stored(client)


def test_what_is_found_while_a_subject_goes_does_not_name_it(
    let_go: Callable[[], None], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_gallery(client, {"bob-of-the-north": "bob"})
    job = make_job(client)
    send(client, job, {"carl/1.png": png("bob and a bystander")})
    remove = Gallery.remove_subject

    def after_the_job(gallery: Gallery, subject_id: str) -> Removal:
        let_go()
        with client.app.state.jobs.open("staff", job.rpartition("/")[2]) as opened:
            until_s = time.monotonic() + 60
            while opened.progress().waiting and time.monotonic() < until_s:
                time.sleep(0.01)
        return remove(gallery, subject_id)

    monkeypatch.setattr(Gallery, "remove_subject", after_the_job)
    assert client.delete(f"{STAFF}/subjects/bob-of-the-north").status_code == 200
    (item,) = items(client, job)
    assert (item["outcome"], item["conflict"]) == ("belongs_to_another", None)
    assert b"bob-of-the-north" not in stored(client)


def test_findings_stay_without_the_removed_subject(client: Client) -> None:
    make_gallery(client, {"ada-of-the-north": "ada"})
    job = make_job(client, conflict="review", conflict_fmr=0.01)
    send(client, job, {"dora/1.png": png("ada again")})
    settled(client, job)
    (before,) = items(client, job)
    (finding,) = before["findings"]
    assert finding["subject"] == "ada-of-the-north"
    client.delete(f"{STAFF}/subjects/ada-of-the-north")
    (after,) = items(client, job)
    assert after == before | {"findings": [finding | {"subject": "", "sample": ""}]}
    assert b"ada-of-the-north" not in stored(client)


def test_what_was_found_follows_a_new_id(client: Client) -> None:
    make_gallery(client, {"bob-of-the-north": "bob"})
    job = make_job(client)
    send(client, job, {"carl/1.png": png("bob and a bystander")})
    settled(client, job)
    client.post(f"{STAFF}/renames", json={"subject": "bob-of-the-north", "new": "bob"})
    (item,) = items(client, job)
    assert item["conflict"]["subject"] == "bob"
    assert b"bob-of-the-north" not in stored(client)


def test_what_waits_goes_to_the_new_id(let_go: Callable[[], None], client: Client) -> None:
    make_gallery(client, {"ada": "ada"})
    job = make_job(client)
    send(client, job, {"ada/2.png": png("ada again"), "eve/1.png": png("empty")})
    answer = client.post(f"{STAFF}/renames", json={"subject": "ada", "new": "ada lovelace"})
    assert answer.status_code == 200
    assert [(i["subject"], i["outcome"]) for i in items(client, job)] == [
        ("ada lovelace", "waiting"),
        ("eve", "waiting"),
    ]
    let_go()
    settled(client, job)
    assert subjects(client) == {"ada lovelace": 2}


def test_what_waits_of_a_merged_subject_is_forgotten_with_the_other(
    let_go: Callable[[], None], client: Client
) -> None:
    make_gallery(client, {"ada": "ada", "adele": "bob"})
    job = make_job(client)
    send(client, job, {"adele/2.png": png("ada again")})
    assert client.post(f"{STAFF}/merges", json={"into": "ada", "source": "adele"}).status_code == 200
    assert client.delete(f"{STAFF}/subjects/ada").status_code == 200
    let_go()
    settled(client, job)
    assert [i["outcome"] for i in items(client, job)] == ["forgotten"]
    assert subjects(client) == {}


def test_one_picture_of_both_subjects_survives_their_merge(
    let_go: Callable[[], None], client: Client
) -> None:
    make_gallery(client, {"ada": "ada", "adele": "bob"})
    job = make_job(client)
    both = {"ada/2.png": png("ada again"), "adele/2.png": png("ada again")}
    send(client, job, both)
    client.post(f"{STAFF}/merges", json={"into": "ada", "source": "adele"})
    let_go()
    assert settled(client, job)["outcomes"] == {"enrolled": 1, "already_there": 1}
    assert send(client, job, {"ada/2.png": png("ada again")}) == {"taken": 0, "known": 1}


@pytest.mark.usefixtures("let_go")
def test_a_change_that_fails_leaves_the_jobs(client: Client) -> None:
    make_gallery(client, {"ada": "ada", "bob": "bob"})
    job = make_job(client)
    send(client, job, {"ada/2.png": png("ada again")})
    refused = client.post(f"{STAFF}/renames", json={"subject": "ada", "new": "bob"})
    assert error_of(refused) == (409, "gallery_conflict")
    refused = client.post(f"{STAFF}/merges", json={"into": "ada", "source": "ada"})
    assert error_of(refused) == (409, "gallery_conflict")
    assert [i["subject"] for i in items(client, job)] == ["ada"]
    assert send(client, job, {"ada/2.png": png("ada again")}) == {"taken": 0, "known": 1}


def test_a_picture_that_was_read_before_its_subject_moved_is_not_settled(tmp_path: Path) -> None:
    settings = JobSettings(gallery="staff", conflict="refuse", conflict_fmr=None)
    with JobFile.make(tmp_path / f"{'0' * 20}.job", settings, None) as job:
        job.add([Upload("ada", "ada/1.png", b"picture")])
        (read,) = job.waiting()
        assert job.is_waiting(read)
        with job.moving("ada", "eve"):
            pass
        assert not job.is_waiting(read)
        (again,) = job.waiting()
        assert (again.subject_id, job.is_waiting(again)) == ("eve", True)
