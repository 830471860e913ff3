"""Bodies that are too large, too slow, malformed or too many; clients that go away; engines that are full."""

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi.routing import APIRoute
from PIL import Image as Pillow
from service_client import Client, encoded, png, serving, settings
from starlette.types import Message

from drawn_people import drawn_pipeline
from lineament.core.types import Image
from lineament.pipeline import Engine, FacePipeline
from lineament.service.access import KeyFile, Scope
from lineament.service.app import RESOURCES
from lineament.service.config import AccessSettings, LimitSettings
from lineament.service.logs import JsonLines

SMALL = LimitSettings(
    body_bytes=400_000, pending_bytes=700_000, picture_pixels=200_000, body_s=0.3, work_s=0.3
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(settings(tmp_path_factory.mktemp("service"), limits=SMALL)) as client:
        yield client


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def raw(
    client: Client, messages: list[Message], headers: dict[str, str], path: str = "/v1/detect"
) -> tuple[int, list[Message], int]:
    """Speak ASGI; returns status, what was sent, and how many of the messages were read."""
    read = 0
    sent: list[Message] = []

    async def receive() -> Message:
        nonlocal read
        if read < len(messages):
            read += 1
            return messages[read - 1]
        await asyncio.sleep(60)
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(k.encode(), v.encode()) for k, v in {"host": "localhost", **headers}.items()],
        "server": ("localhost", 8000),
        "client": ("127.0.0.1", 1),
    }
    client.run(client.app(scope, receive, send))
    return sent[0]["status"], sent, read


def test_stated_size_is_refused_before_anything_is_read(client: Client) -> None:
    status, _, read = raw(
        client,
        [{"type": "http.request", "body": b"x", "more_body": True}],
        {"content-type": "application/json", "content-length": "400001"},
    )
    assert (status, read) == (413, 0)


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
def test_unstated_size_is_cut_off_where_the_limit_is(client: Client, kind: str) -> None:
    piece = b"--x\r\nContent-Disposition: form-data; name=picture; filename=a\r\n\r\n" + b"y" * 100_000
    pieces: list[Message] = [{"type": "http.request", "body": piece, "more_body": True}] * 100
    status, _, read = raw(client, pieces, {"content-type": kind, "transfer-encoding": "chunked"})
    assert (status, read) == (413, 4)


def test_slow_body_is_cut_off(client: Client) -> None:
    status, sent, _ = raw(
        client,
        [{"type": "http.request", "body": b"{", "more_body": True}],
        {"content-type": "application/json", "content-length": "10"},
    )
    assert status == 408
    assert b"too_slow" in sent[1]["body"]


def test_bodies_share_a_bounded_memory(client: Client) -> None:
    """Two bodies of unknown length may take 800,000 bytes, which is more than there is."""

    async def endless(release: asyncio.Event) -> AsyncIterator[bytes]:
        yield b"{"
        await release.wait()
        yield b"}"

    async def together() -> list[httpx.Response]:
        release = asyncio.Event()
        asyncio.get_running_loop().call_later(0.05, release.set)
        headers = {"content-type": "application/json", "transfer-encoding": "chunked"}
        asks = [client.ask("POST", "/v1/detect", content=endless(release), headers=headers) for _ in range(2)]
        return await asyncio.gather(*asks)

    answers = client.run(together())
    assert sorted(code_of(a) for a in answers) == [(422, "invalid_request"), (429, "busy")]
    assert (
        client.post("/v1/detect", files={"picture": png("ada")}).status_code == 200
    )  # memory was given back


PATHS = ["/v1/galleries", *(f"/v1/galleries/staff/{x}" for x in ("merges", "renames", "decisions", "jobs"))]


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_read_of_strangers(tmp_path: Path, path: str) -> None:
    keys = KeyFile(tmp_path / "keys")
    keys.create("somebody else", frozenset(Scope))
    with serving(settings(tmp_path, access=AccessSettings(keys=keys.path))) as client:
        piece: Message = {"type": "http.request", "body": b"{", "more_body": True}
        status, _, read = raw(client, [piece] * 3, {"content-type": "application/json"}, path)
    assert (status, read) == (401, 0)


def test_no_route_reads_its_body_before_its_guard() -> None:
    routes = [r for resource in RESOURCES for r in resource.router.routes if isinstance(r, APIRoute)]
    assert len(routes) > 30
    assert [route.path for route in routes if route.body_field is not None] == []


@pytest.mark.parametrize("kind", ["", "text/plain", "multipart/form-data; boundary=x"])
def test_json_must_be_called_json(client: Client, kind: str) -> None:
    answer = client.post("/v1/galleries", content=b'{"name": "staff"}', headers={"content-type": kind})
    assert code_of(answer) == (415, "unsupported_body_type")
    bad = client.post("/v1/galleries", json={"name": "No Name"})
    assert code_of(bad) == (422, "invalid_request")
    assert "No Name" not in bad.text


def bomb() -> bytes:
    """A small file of a huge picture."""
    stream = io.BytesIO()
    Pillow.new("1", (8000, 8000)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: encoded(np.zeros((400, 501, 3), np.uint8)), (413, "image_too_large")),
        (bomb, (413, "image_too_large")),
        (lambda: b"", (422, "invalid_request")),
        (lambda: png("ada")[:2000], (422, "image_unreadable")),
        (lambda: b"GIF89a" + bytes(20), (422, "image_unreadable")),
        (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", (422, "image_unreadable")),
    ],
)
def test_pictures_that_are_not_decoded(
    client: Client, make: Callable[[], bytes], expected: tuple[int, str]
) -> None:
    assert code_of(client.post("/v1/detect", files={"picture": make()})) == expected


FORM = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="picture"; filename="secret-name.png"\r\n\r\njunk\r\n'


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        ("text/plain", b"hello", (415, "unsupported_body_type")),
        ("", b"hello", (415, "unsupported_body_type")),
        ("application/json", b"{", (422, "invalid_request")),
        ("application/json", b"\xff\xfe", (422, "invalid_request")),
        ("application/json", b"[]", (422, "invalid_request")),
        ("application/json", b'{"picture": "***"}', (422, "invalid_request")),
        ("application/json", b'{"picture": "AAAA", "more": 1}', (422, "invalid_request")),
        ("application/json", b'{"picture": 5}', (422, "invalid_request")),
        ("multipart/form-data", PART, (400, "malformed_body")),
        (FORM, b"", (422, "invalid_request")),
        (FORM, b"nothing like it", (400, "malformed_body")),
        (FORM, PART.replace(b'name="picture"; ', b"") + b"--x--", (400, "malformed_body")),
        (FORM, PART + PART + b"--x--", (400, "malformed_body")),
        (FORM, PART * 40 + b"--x--", (400, "malformed_body")),
        (FORM, PART + b"--x--", (422, "image_unreadable")),
    ],
)
def test_bodies_that_are_not_what_they_say(
    client: Client, kind: str, content: bytes, expected: tuple[int, str], caplog: pytest.LogCaptureFixture
) -> None:
    answer = client.post("/v1/detect", content=content, headers={"content-type": kind})
    assert code_of(answer) == expected
    assert "secret-name" not in answer.text
    assert "secret-name" not in caplog.text


class Held(FacePipeline):
    """Detection waits until it is let go."""

    def __init__(self) -> None:
        inner = drawn_pipeline()
        super().__init__(inner.detector, inner.embedder, calibration=inner.calibration)
        self.began = threading.Semaphore(0)
        self.open = threading.Event()
        self.done = 0

    def detect(self, image: Image) -> Any:
        self.began.release()
        assert self.open.wait(20)
        self.done += 1
        return super().detect(image)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.001)


def test_a_full_engine_says_so_before_it_reads(tmp_path: Path) -> None:
    pipeline = Held()
    engine = Engine(pipeline, workers=1, queue=1)
    with serving(settings(tmp_path), engine) as client:

        async def crowd() -> tuple[list[httpx.Response], httpx.Response]:
            files = {"picture": png("ada")}
            first = [asyncio.create_task(client.ask("POST", "/v1/detect", files=files)) for _ in range(2)]
            await until(lambda: engine.load.is_full)
            # an empty body would be 422 if it were read
            refused = await client.ask("POST", "/v1/detect")
            pipeline.open.set()
            return await asyncio.gather(*first), refused

        answers, refused = client.run(crowd())
        assert [a.status_code for a in answers] == [200, 200]
        assert code_of(refused) == (429, "busy")
        assert refused.headers["Retry-After"] == "1"


def test_work_of_clients_that_went_away_is_dropped(tmp_path: Path) -> None:
    pipeline = Held()
    engine = Engine(pipeline, workers=1, queue=5)
    with serving(settings(tmp_path), engine) as client:

        async def leave() -> None:
            files = {"picture": png("ada")}
            first = asyncio.create_task(client.ask("POST", "/v1/detect", files=files))
            await until(lambda: engine.load.running == 1)
            gone = asyncio.Event()
            second = asyncio.create_task(_ask_and_leave(client, gone))
            await until(lambda: engine.load.waiting == 1)
            gone.set()
            await until(lambda: engine.load.waiting == 0)
            await second
            pipeline.open.set()
            assert (await first).status_code == 200

        client.run(leave())
    assert pipeline.done == 1


async def _ask_and_leave(client: Client, gone: asyncio.Event) -> None:
    request = httpx.Request("POST", "http://localhost/v1/detect", files={"picture": png("ada")})
    body = request.read()
    is_read = False

    async def receive() -> Message:
        nonlocal is_read
        if not is_read:
            is_read = True
            return {"type": "http.request", "body": body, "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(_message: Message) -> None:
        pass

    headers = [(k.lower().encode(), v.encode()) for k, v in request.headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/v1/detect", "raw_path": b"/v1/detect"}
    scope |= {"query_string": b"", "root_path": "", "scheme": "http", "headers": headers}
    await client.app(scope, receive, send)


def test_an_answer_that_takes_too_long(tmp_path: Path) -> None:
    pipeline = Held()
    engine = Engine(pipeline, workers=1, queue=5)
    with serving(settings(tmp_path, limits=SMALL), engine) as client:
        answer = client.post("/v1/detect", files={"picture": png("ada")})
        assert code_of(answer) == (503, "took_too_long")
        pipeline.open.set()


class Broken(FacePipeline):
    """Fails in a way that nobody expected, with a name in its message."""

    def __init__(self) -> None:
        inner = drawn_pipeline()
        super().__init__(inner.detector, inner.embedder)

    def detect(self, image: Image) -> Any:  # noqa: ARG002
        raise RuntimeError("Ada Lovelace")


def test_faults_are_answered_and_name_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(settings(tmp_path), Engine(Broken(), workers=1)) as client:
        answer = client.post("/v1/detect", files={"picture": png("ada")})
    assert code_of(answer) == (500, "internal")
    (fault,) = [r for r in caplog.records if r.getMessage() == "fault"]
    line = JsonLines().format(fault)
    assert answer.json()["request_id"] in line
    assert '"error": "RuntimeError"' in line
    assert "test_service_limits.py" in line
    assert "Lovelace" not in line + answer.text
