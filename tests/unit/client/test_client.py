"""The client against a service of fakes on a real socket: the same answers as the library."""

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image as Pillow

from drawn_people import SCENES, drawn_pipeline, image
from lineament.client import Client, NewPicture, RemoteGallery, Verified
from lineament.core.errors import (
    AccessDenied,
    DecodeError,
    EngineBusy,
    GalleryError,
    GalleryNotFound,
    InputError,
    NotCalibrated,
    ServiceError,
    SubjectNotFound,
)
from lineament.core.types import Comparison, Decision, Identification, Refusal, RefusalReason, Role
from lineament.gallery import (
    Enrolled,
    EnrollmentRefusal,
    EnrollmentRefusalKind,
    Gallery,
    PendingSample,
    SampleState,
)
from lineament.service.access import KeyFile, Scope
from lineament.service.config import AccessSettings
from served_app import served, settings

FPIR = 0.05


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[Client]:
    with served(settings(folder)) as address, Client(address) as client:
        while not client.is_ready():
            time.sleep(0.01)
        yield client


@pytest.fixture
def gallery(client: Client) -> RemoteGallery:
    """With two people, as new."""
    for name in client.galleries():
        client.delete_gallery(name)
    made = client.create_gallery("staff")
    assert made.enroll("ada", png("ada"), sample_id="one") == Enrolled("ada", "one")
    assert isinstance(made.enroll("bob", png("bob")), Enrolled)
    return made


def png(name: str) -> bytes:
    stream = BytesIO()
    Pillow.fromarray(SCENES[name].pixels).save(stream, "PNG")
    return stream.getvalue()


def test_verify_agrees_with_the_library(client: Client) -> None:
    expected = drawn_pipeline().verify(image("ada"), image("ada again"), 0.01)
    assert isinstance(expected, Comparison)
    found = client.verify(png("ada"), png("ada again"), 0.01)
    assert isinstance(found, Verified)
    assert (found.decision, found.is_match) == (Decision.MATCH, True)
    assert (found.similarity, found.llr) == (expected.similarity, expected.llr)
    assert found.point.decide(found.similarity) is found.decision
    assert found.point.space == found.made_with.space == drawn_pipeline().embedding_space
    assert found.probe.detection.box == pytest.approx(SCENES["ada again"].detections.boxes[0], abs=0.01)
    assert found.probe.detection.points == pytest.approx(SCENES["ada again"].detections.points[0], abs=0.01)


def test_refusals_are_values(client: Client) -> None:
    found = client.verify(png("ada and bob"), png("ada"), 0.01)
    assert isinstance(found, Refusal)
    assert (found.reason, found.role) == (RefusalReason.SEVERAL_FACES, Role.REFERENCE)
    assert found.detections.boxes == pytest.approx(SCENES["ada and bob"].detections.boxes, abs=0.01)
    assert isinstance(client.embed(png("empty")), Refusal)


def test_detect_and_embed_agree_with_the_library(client: Client) -> None:
    found = client.detect(png("ada and bob"))
    assert found.detections.boxes == pytest.approx(SCENES["ada and bob"].detections.boxes, abs=0.01)
    assert (found.detected, found.size_px) == (2, SCENES["ada and bob"].pixels.shape[:2])
    assert client.detect(png("empty")).detected == 0
    expected = drawn_pipeline().extract(image("ada and bob"))
    faces = client.embed_all(png("ada and bob"))
    assert len(faces) == 2
    for face, known in zip(faces, expected, strict=True):
        assert face.embedding.vector == pytest.approx(known.embedding.vector, abs=1e-7)
        assert face.embedding.space == known.embedding.space


def test_identify_agrees_with_the_library(gallery: RemoteGallery, folder: Path) -> None:
    pipeline = drawn_pipeline()
    with Gallery.open(folder / "galleries" / "staff.gallery", space=pipeline.embedding_space) as embedded:
        expected = pipeline.identify(embedded, image("ada again"), FPIR)
    found = gallery.identify(png("ada again"), FPIR)
    assert isinstance(expected, Identification)
    assert isinstance(found, Identification)
    assert found.candidates == expected.candidates
    assert (found.nearest, found.gallery_size) == (expected.nearest, expected.gallery_size)
    assert (found.decision, found.point.threshold) == (expected.decision, expected.point.threshold)
    everyone = gallery.identify_all(png("ada and bob"), FPIR)
    assert sorted(f.found.candidates[0].subject_id for f in everyone) == ["ada", "bob"]
    assert isinstance(gallery.identify(png("ada and bob"), FPIR), Refusal)


def test_enrollment_has_the_outcomes_of_the_embedded_gallery(gallery: RemoteGallery) -> None:
    assert gallery.enroll("ada", png("ada"), sample_id="one") == Enrolled("ada", "one")
    conflict = gallery.enroll("carl", png("ada again"))
    assert isinstance(conflict, EnrollmentRefusal)
    assert conflict.kind is EnrollmentRefusalKind.IDENTITY_CONFLICT
    assert (conflict.subject_id, conflict.sample_id) == ("ada", "one")
    other = gallery.enroll("carl", png("ada"))
    assert isinstance(other, EnrollmentRefusal)
    assert other.kind is EnrollmentRefusalKind.DUPLICATE_SAMPLE
    waits = gallery.enroll("carl", png("ada again"), conflict="review", conflict_fmr=0.01)
    assert isinstance(waits, PendingSample)
    assert [f.subject_id for f in waits.findings] == ["ada"]
    assert [s.sample_id for s in gallery.held()] == [waits.sample_id]
    assert gallery.decide(waits.sample_id, "approve", note="twins") is SampleState.ACTIVE
    assert isinstance(gallery.enroll("dora", png("empty")), Refusal)


def test_looking_changing_and_removing(gallery: RemoteGallery) -> None:
    info = gallery.info()
    assert (info.size.subjects, info.size.samples, info.calibration) == (2, 2, "made up")
    assert [s.subject_id for s in gallery.subjects()] == ["ada", "bob"]
    gallery.rename("ada", "ada / the first")
    assert [s.sample_id for s in gallery.subject("ada / the first")] == ["one"]
    assert gallery.merge("ada / the first", "bob") == 1
    removal = gallery.remove_sample("one")
    assert removal.samples == 1
    assert removal.receipt is not None
    assert removal.receipt.is_signed_by(info.public_key)
    assert gallery.remove_subject("ada / the first").samples == 1
    assert list(gallery.subjects()) == []
    with pytest.raises(SubjectNotFound):
        gallery.remove_subject("ada")


def test_jobs(gallery: RemoteGallery, tmp_path: Path) -> None:
    job = gallery.create_job()
    pictures = [NewPicture("ada", "again.png", png("ada again")), NewPicture("ada", ".x.png", png("empty"))]
    pictures += [NewPicture("a/b", "1.png", b"no picture")]
    assert job.send(pictures) == 3
    assert job.send(pictures) == 0
    done = job.wait(60)
    assert (done.state, done.outcomes) == ("idle", {"enrolled": 1, "no_face": 1, "unreadable": 1})
    items = {(i.subject_id, i.outcome): i for i in job.items()}
    assert items["ada", "no_face"].refusal is not None
    assert items["a/b", "unreadable"].detail.startswith("picture: expected a picture")
    (tmp_path / "carl").mkdir()
    (tmp_path / "carl" / "1.png").write_bytes(png("bob and a bystander"))
    (tmp_path / "carl" / "notes.txt").write_text("left out")
    assert job.send_people(tmp_path) == 1
    assert job.wait(60).outcomes["belongs_to_another"] == 1
    (last,) = [i for i in job.items() if i.conflict]
    assert last.conflict is not None
    assert last.conflict.subject_id == "bob"
    assert [j.job_id for j in gallery.jobs()] == [job.job_id]
    job.cancel()
    with pytest.raises(GalleryError, match="cancelled"):
        job.send(pictures)
    job.delete()
    assert list(gallery.jobs()) == []
    with pytest.raises(InputError, match="a folder"):
        job.send_people(tmp_path / "nowhere")


def test_a_file_name_with_a_backslash_names_no_subject(gallery: RemoteGallery) -> None:
    job = gallery.create_job()
    job.send(
        [NewPicture("ada", "eve\\again.png", png("ada again")), NewPicture("ada", "eve\\", png("empty"))]
    )
    job.wait(60)
    assert [(i.subject_id, i.sample_id.partition("#")[0]) for i in job.items()] == [
        ("ada", "again.png"),
        ("ada", "eve"),
    ]


@pytest.mark.parametrize("name", [".", ".."])
def test_ids_without_an_address_change_nothing(gallery: RemoteGallery, name: str) -> None:
    for change in (gallery.remove_subject, gallery.remove_sample, gallery.subject):
        with pytest.raises(InputError, match="an id with an address"):
            change(name)
    with pytest.raises(InputError, match="another address"):
        gallery.enroll(name, png("ada again"), conflict="ignore")
    assert [s.subject_id for s in gallery.subjects()] == ["ada", "bob"]


def test_errors_are_those_of_the_library(client: Client, gallery: RemoteGallery) -> None:
    with pytest.raises(DecodeError, match=r"probe: expected a picture.*\(request [0-9a-f]+\)"):
        client.verify(png("ada"), b"no picture", 0.01)
    with pytest.raises(NotCalibrated):
        client.verify(png("ada"), png("ada"), 1e-9)
    with pytest.raises(ValueError, match="fmr"):
        client.verify(png("ada"), png("ada"), 2.0)
    with pytest.raises(GalleryNotFound):
        client.gallery("nobody").info()
    with pytest.raises(GalleryError, match="of that name"):
        client.create_gallery("staff")
    with pytest.raises(GalleryError, match="into itself"):
        gallery.merge("ada", "ada")


def test_keys_and_patience(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys")
    text, _ = keys.create("slow", frozenset({Scope.READ}), per_minute=60, burst=1)
    slower, _ = keys.create("slower", frozenset({Scope.READ}), per_minute=0.1, burst=1)
    with served(settings(tmp_path, access=AccessSettings(keys=keys.path))) as address:
        with Client(address) as stranger, pytest.raises(AccessDenied, match="a key is needed"):
            stranger.galleries()
        with Client(address, key=text, patience_s=10) as patient:
            assert [patient.galleries() for _ in range(2)] == [[], []]
            with pytest.raises(AccessDenied, match="scope"):
                patient.create_gallery("staff")
        with Client(address, key=slower, patience_s=0) as hasty:
            assert hasty.galleries() == []
            with pytest.raises(EngineBusy, match="wait"):
                hasty.galleries()


@pytest.fixture
def busy() -> Iterator[tuple[str, list[str | None]]]:
    """Address of a service that is never ready, and what came in the header for keys, request by request."""
    shown: list[str | None] = []

    class NeverReady(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.append(self.headers["Authorization"])
            self.send_response(503)
            self.send_header("Retry-After", "1")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), NeverReady) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", shown
        server.shutdown()
        thread.join()


def test_readiness_is_asked_once(busy: tuple[str, list[str | None]]) -> None:
    address, shown = busy
    with Client(address) as client:
        assert not client.is_ready()
    assert len(shown) == 1


@pytest.mark.parametrize(("key", "header"), [(" lineament_1_2\n", "Bearer lineament_1_2"), ("", None)])
def test_the_key_goes_out_bare_and_nothing_in_its_place(
    busy: tuple[str, list[str | None]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    header: str | None,
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    address, shown = busy
    with Client(address, key=key) as client:
        client.is_ready()
    assert shown == [header]


@pytest.mark.parametrize("key", ["hunter2 hunter2", "hunter2\nx", "hunter2\u00a0x", "hunter\u00b2"])
def test_what_can_be_no_key_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ValueError, match="expected an API key") as refused:
        Client("http://127.0.0.1:1", key=key)
    assert "hunter" not in str(refused.value)


def test_a_service_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}") as client:
        assert not client.is_ready()
        with pytest.raises(ServiceError, match="cannot be reached"):
            client.galleries()
    with pytest.raises(ValueError, match="an address like"):
        Client("localhost:8000")
