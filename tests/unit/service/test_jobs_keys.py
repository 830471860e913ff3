"""Jobs and the keys of their gallery."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from gallery_client import enroll, error_of, keeping, make_gallery, make_job, send, settled
from job_client import STAFF, items, stored, subjects
from service_client import png, serving

from lineament.cli.app import run
from lineament.core.errors import GalleryError
from lineament.gallery import new_key, read_key
from lineament.service import ServiceConfig
from lineament.service.archives import Upload
from lineament.service.config import GallerySettings
from lineament.service.job_file import JobFile
from lineament.service.job_keys import rotate_jobs
from lineament.service.job_layout import SUFFIX
from lineament.service.job_runner import JobRunner
from lineament.service.job_types import JobSettings


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """Two keys."""
    for name in ("one.key", "two.key"):
        new_key(tmp_path / name)
    return tmp_path / "one.key", tmp_path / "two.key"


def sealed(folder: Path, key: Path) -> ServiceConfig:
    settings = GallerySettings(folder=folder / "galleries", key_file=key)
    return keeping(folder).model_copy(update={"gallery": settings})


def gallery_command(folder: Path, command: str, *words: object) -> int:
    gallery = folder / "galleries" / "staff.gallery"
    return run(["gallery", command, *map(str, words), "--gallery", str(gallery)])


def rotate(folder: Path, old: Path, new: Path, *options: str) -> int:
    return gallery_command(folder, "rotate-key", new, "--key-file", old, *options)


@pytest.mark.parametrize("options", [[], ["--reencrypt"]])
def test_jobs_open_with_the_new_key_of_their_gallery(
    tmp_path: Path, keys: tuple[Path, Path], let_go: Callable[[], None], options: list[str]
) -> None:
    with serving(sealed(tmp_path, keys[0])) as client:
        make_gallery(client, {"ada": "ada"})
        job = make_job(client)
        send(client, job, {"bob/1.png": png("bob")})
    assert rotate(tmp_path, *keys, *options) == 0
    let_go()
    with serving(sealed(tmp_path, keys[1])) as client:
        assert settled(client, job)["outcomes"] == {"enrolled": 1}
        assert client.delete(f"{STAFF}/subjects/bob").status_code == 200
        assert [i["outcome"] for i in items(client, job)] == ["forgotten"]
    one, two = map(read_key, keys)
    gallery = tmp_path / "galleries" / "staff.gallery"
    assert rotate_jobs(gallery, one, two, reencrypt=bool(options)) == 0  # as after a run that was cut off
    (file,) = tmp_path.rglob("*.job")
    JobFile(file, two).close()


def test_a_job_that_does_not_open_is_said_and_can_be_deleted(
    tmp_path: Path,
    keys: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(sealed(tmp_path, keys[0])) as client:
        make_gallery(client, {"ada": "ada"})
        job = make_job(client)
        sample = client.get(f"{STAFF}/subjects/ada").json()["samples"][0]["sample"]
    (file,) = tmp_path.rglob("*.job")
    shutil.copy(file, tmp_path / "kept")
    rotate(tmp_path, *keys)
    shutil.copy(tmp_path / "kept", file)
    new_key(tmp_path / "three.key")
    assert rotate(tmp_path, keys[1], tmp_path / "three.key") == 0
    assert "1 bulk jobs of the service open with another key" in capsys.readouterr().err
    with serving(sealed(tmp_path, tmp_path / "three.key")) as client:
        assert client.get(f"{STAFF}/jobs").json() == {"jobs": [], "next": None}
        for method, path in (
            ("GET", job),
            ("DELETE", f"{STAFF}/subjects/ada"),
            ("DELETE", f"{STAFF}/samples/{sample}"),
        ):
            refused = client.request(method, path)
            assert error_of(refused) == (503, "gallery_unavailable")
            assert "or delete the job" in refused.json()["error"]["message"]
        assert subjects(client) == {"ada": 1}  # no receipt was lost
        assert client.delete(job).status_code == 204
        assert not file.exists()
        assert client.delete(f"{STAFF}/samples/{sample}").json()["receipt"]["subject_id"] == "ada"


def test_a_gallery_goes_with_a_job_that_does_not_open(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    with serving(sealed(tmp_path, keys[0])) as client:
        make_gallery(client, {"ada": "ada"})
        make_job(client)
    (file,) = tmp_path.rglob("*.job")
    shutil.copy(file, tmp_path / "kept")
    rotate(tmp_path, *keys)
    shutil.copy(tmp_path / "kept", file)
    with serving(sealed(tmp_path, keys[1])) as client:
        assert client.delete(STAFF).status_code == 204
        assert not file.exists()
        assert enroll(client, "ada", png("ada")).status_code == 404


@pytest.mark.usefixtures("let_go")
def test_the_runner_says_once_that_a_job_does_not_open(
    tmp_path: Path, keys: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    with serving(sealed(tmp_path, keys[0])) as client:
        make_gallery(client, {})
        job = make_job(client)
    with serving(sealed(tmp_path, keys[1])) as client:
        state = client.app.state
        runner = JobRunner(state.jobs, state.holdings, state.opening, state.audit, state.config.limits)
        assert [runner._round(state.opening.desk) for _ in range(3)] == [True] * 3
    (said,) = [r for r in caplog.records if r.getMessage() == "job_failed"]
    assert job.rpartition("/")[2] in vars(said)["reason"]


def made_job(folder: Path, key: Path) -> Path:
    """A job beside a gallery ``staff``, with pictures that wait, were settled and were forgotten."""
    path = folder / ".jobs" / "staff" / f"{'0' * 20}{SUFFIX}"
    settings = JobSettings(gallery="staff", conflict="refuse", conflict_fmr=None)
    with JobFile.make(path, settings, read_key(key)) as job:
        job.add([Upload(name, f"{name}/1.png", name.encode() * 9) for name in ("ada", "bob", "eve", "kim")])
        with job.changing():
            job.settle(1, "conflict", {"conflict": {"subject": "bob", "sample": "1"}})
        job.forget("eve")
        with job.moving("kim", "bob"):
            pass
    return path


def known(path: Path, key: Path) -> tuple[object, ...]:
    """All that a job says, and that what it has is recognised."""
    with JobFile(path, read_key(key)) as job:
        again = job.add([Upload(name, f"{name}/1.png", name.encode() * 9) for name in ("ada", "bob")])
        assert again == (0, 2)
        assert all(job.is_waiting(item) for item in job.waiting())
        return job.progress(), job.items(0, 99), list(job.waiting())


def test_jobs_are_sealed_anew_whole(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    path = made_job(tmp_path, keys[0])
    before = known(path, keys[0])
    old = blobs(path)
    one, two = map(read_key, keys)
    with JobFile(path, one) as stale:
        assert rotate_jobs(tmp_path / "staff.gallery", one, two, reencrypt=True) == 0
        for use in (lambda: stale.items(0, 9), lambda: list(stale.waiting()), lambda: stale.forget("ada")):
            with pytest.raises(GalleryError, match="encrypted anew since it was opened; start the service"):
                use()
    assert known(path, keys[1]) == before
    with pytest.raises(GalleryError, match="does not open"):
        JobFile(path, one)
    assert len(blobs(path)) == len(old)
    assert not blobs(path) & old


def blobs(path: Path) -> set[bytes]:
    """All that is sealed in a job."""
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT digest, subject, details, picture, found FROM items").fetchall()
    return {stored for row in rows for stored in row if stored is not None}


def test_plain_jobs_are_sealed_with_their_gallery(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    with serving(keeping(tmp_path)) as client:
        make_gallery(client, {"ada": "ada"})
        job = make_job(client)
        send(client, job, {"bob-of-the-north/1.png": png("bob")})
        settled(client, job)
        assert b"bob-of-the-north" in stored(client)
    assert gallery_command(tmp_path, "encrypt", "--key-file", keys[0]) == 0
    with serving(sealed(tmp_path, keys[0])) as client:
        assert b"bob-of-the-north" not in stored(client)
        assert [i["subject"] for i in items(client, job)] == ["bob-of-the-north"]
        assert subjects(client) == {"ada": 1, "bob-of-the-north": 1}
