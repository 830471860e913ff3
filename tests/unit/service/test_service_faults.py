"""Locks, damage, clocks, servers that are gone, archives that swell: refused cleanly, and nobody's data is lost."""

import json
import sqlite3
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from gallery_client import enroll, error_of, keeping, make_gallery, make_job, send, settled, zipped
from service_client import Client, png, serving, settings

from drawn_people import drawn_pipeline, image
from lineament.core.errors import GalleryCorrupt
from lineament.core.types import Face
from lineament.gallery import Gallery, RemovalReceipt, restore
from lineament.service import holdings, job_layout
from lineament.service.audit_check import verify_audit
from lineament.service.config import GallerySettings, LimitSettings

STAFF = "/v1/galleries/staff"
PAGE_BYTES = 16384
PAIR = {"reference": png("ada"), "probe": png("ada again")}


def identify(client: Client, scene: str, gallery: str = "staff") -> list[str]:
    answer = client.post(
        f"/v1/galleries/{gallery}/identify", files={"picture": png(scene)}, data={"fpir": "0.01"}
    )
    assert answer.status_code == 200, answer.text
    return [c["subject"] for face in answer.json()["faces"] for c in face["candidates"]]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores wait shortly for a lock."""
    opening = SimpleNamespace(open=partial(Gallery.open, busy_timeout_s=0.05))
    monkeypatch.setattr(holdings, "Gallery", opening)
    monkeypatch.setattr(job_layout, "_BUSY_S", 0.05)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the clock of the machine forward by some s, or back."""
    real_s, real_ns = time.time, time.time_ns
    ahead_s = 0.0

    def move(by_s: float) -> None:
        nonlocal ahead_s
        ahead_s += by_s

    monkeypatch.setattr(time, "time", lambda: real_s() + ahead_s)
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() + round(ahead_s * 1e9))
    return move


@pytest.mark.usefixtures("impatient")
def test_a_locked_gallery_refuses_changes_and_is_searched(tmp_path: Path) -> None:
    with serving(keeping(tmp_path)) as client:
        make_gallery(client, {"ada": "ada"})
        path = tmp_path / "galleries" / "staff.gallery"
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for refused in (enroll(client, "bob", png("bob")), client.delete(f"{STAFF}/subjects/ada")):
                assert error_of(refused) == (503, "gallery_unavailable")
            assert identify(client, "ada again") == ["ada"]
            assert client.get("/healthz").status_code == 200
            other.execute("ROLLBACK")
        assert enroll(client, "bob", png("bob")).status_code == 201
        assert identify(client, "ada again") == ["ada"]


@pytest.mark.usefixtures("impatient")
def test_a_locked_job_takes_nothing(tmp_path: Path) -> None:
    with serving(keeping(tmp_path)) as client:
        make_gallery(client, {})
        job = make_job(client)
        (path,) = tmp_path.rglob("*.job")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            archive = {"archive": zipped({"ada/1.png": png("ada")})}
            assert error_of(client.post(f"{job}/pictures", files=archive)) == (503, "unavailable")
            other.execute("ROLLBACK")
        assert client.get(job).json()["total"] == 0
        send(client, job, {"ada/1.png": png("ada")})
        assert settled(client, job)["outcomes"] == {"enrolled": 1}


def test_an_overwritten_page_is_said_and_a_backup_brings_all_back(tmp_path: Path) -> None:
    path, backup = tmp_path / "galleries" / "staff.gallery", tmp_path / "backup"
    with serving(keeping(tmp_path)) as client:
        make_gallery(client)
        make_gallery(client, {"eve": "ada"}, gallery="door")
        with Gallery.open(path, space=drawn_pipeline().embedding_space) as gallery:
            gallery.copies.back_up(backup)
    pages = path.stat().st_size // PAGE_BYTES
    with path.open("r+b") as file:
        file.seek(PAGE_BYTES)
        file.write(b"\xa5" * (pages - 1) * PAGE_BYTES)
    with serving(keeping(tmp_path)) as client:
        asked = client.post(f"{STAFF}/identify", files={"picture": png("ada")}, data={"fpir": "0.01"})
        for refused in (asked, enroll(client, "bob", png("bob"))):
            assert error_of(refused) == (500, "gallery_corrupt")
            assert str(tmp_path) not in refused.text
        assert identify(client, "ada again", "door") == ["eve"]
        with pytest.raises(GalleryCorrupt, match="move it away"):
            restore(backup, path)
        path.rename(tmp_path / "for examination")
        restore(backup, path)
        assert identify(client, "ada again") == ["ada"]


def test_a_clock_that_goes_back_loses_nothing(tmp_path: Path, clock: Callable[[float], None]) -> None:
    with serving(keeping(tmp_path)) as client:
        make_gallery(client, {"ada": "ada"})
        first = make_job(client)
        clock(-400 * 86400.0)
        assert enroll(client, "bob", png("bob")).status_code == 201
        second = make_job(client)
        for job, subject, scene in ((first, "ada", "ada again"), (second, "bob", "bob")):
            send(client, job, {f"{subject}/2.png": png(scene)})
            assert sum(settled(client, job)["outcomes"].values()) == 1
        listed = {j["job"] for j in client.get(f"{STAFF}/jobs").json()["jobs"]}
        assert listed == {job.rpartition("/")[2] for job in (first, second)}
        assert identify(client, "ada again") == ["ada"]
        assert client.delete(f"{STAFF}/subjects/ada").json()["purged"]
        assert identify(client, "ada again") == []
    assert verify_audit(tmp_path / "audit").faults == ()


def test_a_database_that_is_gone_stops_galleries_alone(tmp_path: Path) -> None:
    nowhere = GallerySettings(folder=tmp_path, dsn="postgresql://me:hunter2@127.0.0.1:1/x?connect_timeout=1")
    with serving(settings(tmp_path, gallery=nowhere)) as client:
        answer = client.get("/v1/galleries")
        assert error_of(answer) == (503, "gallery_unavailable")
        assert "hunter2" not in answer.text
        assert client.post("/v1/verify", files=PAIR, data={"fmr": "0.01"}).status_code == 200


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    limits = LimitSettings(body_bytes=300_000, pending_bytes=600_000)
    with serving(keeping(tmp_path_factory.mktemp("small"), limits=limits)) as client:
        make_gallery(client, {})
        yield client


def swelling() -> bytes:
    """An archive of 3 kB with a picture of 3 MB."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ada/1.png", bytes(3_000_000))
    return stream.getvalue()


def lying() -> bytes:
    """The same, but it says that the picture is small."""
    return swelling().replace((3_000_000).to_bytes(4, "little"), (3_000).to_bytes(4, "little"))


def crumpled() -> bytes:
    """An archive whose picture was packed with LZMA and damaged since."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("ada/1.png", png("ada"))
    data = bytearray(stream.getvalue())
    data[100:140] = bytes(40)
    return bytes(data)


def locked() -> bytes:
    """An archive whose entry says that it is encrypted."""
    data = bytearray(zipped({"ada/1.png": png("empty")}))
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (swelling, (413, "image_too_large")),
        (lying, (422, "input_unusable")),
        (locked, (422, "input_unusable")),
        (crumpled, (422, "input_unusable")),
        (lambda: zipped({"../../etc/passwd": b"x"}), (422, "input_unusable")),
        (lambda: zipped({f"ada/{n}.png": b"" for n in range(4000)}), (413, "body_too_large")),
    ],
)
def test_archives_that_are_traps(small: Client, make: Callable[[], bytes], expected: tuple[int, str]) -> None:
    job = make_job(small)
    assert error_of(small.post(f"{job}/pictures", files={"archive": make()})) == expected
    assert small.get(job).json()["total"] == 0


def held_in(folder: Path, *words: bytes) -> set[str]:
    """Names of the files that hold one of the words."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.name for path in files if any(word in path.read_bytes() for word in words)}


def test_a_removed_subject_is_found_nowhere(tmp_path: Path) -> None:
    """Not by a search, not by name, not by its template or picture in any file but the copies that are named."""
    pipeline = drawn_pipeline()
    face = pipeline.extract_one(image("ada"))
    assert isinstance(face, Face)
    template = face.embedding.vector.tobytes()
    with serving(keeping(tmp_path)) as client:
        make_gallery(client, {"bob": "bob"})
        job = make_job(client)
        send(client, job, {"ada-of-the-north/summer.png": png("ada")})
        assert settled(client, job)["outcomes"] == {"enrolled": 1}
        path, backup = tmp_path / "galleries" / "staff.gallery", tmp_path / "copies" / "monday"
        backup.parent.mkdir()
        with Gallery.open(path, space=pipeline.embedding_space) as gallery:
            gallery.copies.back_up(backup)
        words = (b"ada-of-the-north", b"summer.png", template, template[100:164], png("ada")[64:128])
        assert held_in(tmp_path / "galleries", template) & {"staff.gallery", "staff.gallery-wal"}
        assert identify(client, "ada again") == ["ada-of-the-north"]

        removed = client.delete(f"{STAFF}/subjects/ada-of-the-north").json()

        assert removed["purged"]
        assert identify(client, "ada again") == []
        assert client.get(f"{STAFF}/subjects/ada-of-the-north").status_code == 404
        assert "ada-of-the-north" not in client.get(f"{STAFF}/subjects").text
        assert "ada-of-the-north" not in client.get(f"{job}/items").text
        assert held_in(tmp_path / "galleries", *words) == set()  # the store, its log and journal, the jobs
        assert held_in(tmp_path / "audit", *words[2:]) == set()  # the audit log says whom a change named
        receipt = RemovalReceipt.from_json(json.dumps(removed["receipt"]))
        assert [copy.path for copy in receipt.copies] == [str(backup)]
        with Gallery.open(path, space=pipeline.embedding_space) as gallery:
            verdict = gallery.copies.verify(receipt)
            assert [copy.path for copy in verdict.held_by] == [str(backup)]
            backup.unlink()
            gallery.copies.forget(backup)
            assert gallery.copies.verify(receipt).in_gallery == 0
    assert held_in(tmp_path, *words[2:]) == set()
