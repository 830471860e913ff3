"""The server on a real socket: slow heads are cut off, the end waits for what was accepted, failures end it."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from service_client import png, settings
from test_service_limits import Held, until

from drawn_people import drawn_pipeline
from lineament.core.errors import ConfigError, ModelError, WeightsMissing
from lineament.pipeline import Engine
from lineament.service import app as factory
from lineament.service import create_app, server
from lineament.service.access import KeyFile, Scope
from lineament.service.config import AccessSettings, LimitSettings, ReportSettings, ServerSettings

Work = Callable[[str, int], Awaitable[None]]


def serve_while(
    folder: Path,
    work: Work,
    engine: Engine | None = None,
    sections: dict[str, Any] | None = None,
    seen: Callable[[Any], None] = lambda _: None,
) -> None:
    """Run a service on a free port for as long as ``work`` takes; then tell it to stop and wait for its end.

    ``seen`` is shown the server.
    """

    async def both() -> None:
        config = settings(folder, **(sections or {}))
        app = create_app(config, engine or Engine(drawn_pipeline(), workers=1))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            running = server.make_server(app, config.limits)
            seen(running)
            serving = asyncio.create_task(running.serve(sockets=[listener]))
            await until(lambda: app.state.opening.desk is not None)
            host, port = listener.getsockname()
            finishing = asyncio.create_task(_then_stop(work(host, port), running))
            await asyncio.gather(finishing, serving)

    asyncio.run(both())


async def _then_stop(work: Awaitable[None], running: object) -> None:
    try:
        await work
    finally:
        running.should_exit = True  # type: ignore[attr-defined]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADERS_S", 0.2)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("begun", [b"", b"POST /v1/verify HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_heads_that_never_end_are_cut_off(tmp_path: Path, begun: bytes) -> None:
    async def dawdle(host: str, port: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(begun)
        async with asyncio.timeout(10):
            while not reader.at_eof():
                writer.write(b"a" if begun else b"")
                await asyncio.sleep(0.01)
                if await _closed(reader):
                    break
        writer.close()

    serve_while(tmp_path, dawdle)


async def _closed(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(0.01):
            return await reader.read(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


@pytest.mark.usefixtures("hasty")
def test_a_connection_that_is_used_stays_open(tmp_path: Path) -> None:
    async def ask(host: str, port: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        for _ in range(5):
            writer.write(f"GET /healthz HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            await reader.readexactly(len(b'{"status":"alive"}'))
            await asyncio.sleep(0.08)
        writer.close()

    serve_while(tmp_path, ask)


@pytest.mark.usefixtures("hasty")
def test_a_large_body_is_refused_while_the_client_still_sends(tmp_path: Path) -> None:
    async def ask(host: str, port: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        head = f"POST /v1/detect HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: 10000000000\r\n\r\n".encode() + bytes(100_000))
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 413")
        async with asyncio.timeout(10):  # and the rest is not listened to for long
            while not await _closed(reader):
                writer.write(bytes(1000))
                await asyncio.sleep(0.01)
        writer.close()

    serve_while(tmp_path, ask)


def test_a_client_that_takes_no_answer_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    report = Path(__file__).resolve().parents[3] / "reports" / "lfw-view1.json"
    for name, size in (("large", 30_000_000), ("small", 3_000_000)):
        (tmp_path / "reports" / f"{name}.json").write_text(report.read_text() + " " * size)
    impatient = {"reports": ReportSettings(folder=tmp_path / "reports"), "limits": LimitSettings(send_s=1.0)}

    async def ask(host: str, port: int) -> None:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, (host, port))
        head = f"GET /v1/reports/large HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
        await loop.sock_sendall(connection, head.encode())
        await until(lambda: bool(servers[0].server_state.tasks))
        await until(lambda: not servers[0].server_state.tasks)
        await until(lambda: not servers[0].server_state.connections)
        with connection, httpx.Client() as client:
            taken = await asyncio.to_thread(client.get, f"http://{host}:{port}/v1/reports/small")
        assert len(taken.content) > 3_000_000

    servers: list[Any] = []
    serve_while(tmp_path, ask, sections=impatient, seen=servers.append)


def test_connections_beyond_the_limit_are_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 3)

    async def ask(host: str, port: int) -> None:
        held = [await asyncio.open_connection(host, port) for _ in range(3)]
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://{host}:{port}/healthz")).status_code == 503
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(0.05)
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://{host}:{port}/healthz")).status_code == 200

    serve_while(tmp_path, ask)


def test_what_was_accepted_is_finished_and_nothing_else_taken(tmp_path: Path) -> None:
    pipeline = Held()
    engine = Engine(pipeline, workers=1)

    async def post(url: str) -> int:
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"{url}/v1/detect", files={"picture": png("ada")}, timeout=20)
        return answer.status_code

    async def let_go(host: str, port: int) -> None:
        while await _is_open(host, port):
            await asyncio.sleep(0.01)
        pipeline.open.set()

    async def ask(host: str, port: int) -> None:
        running.append(asyncio.create_task(post(f"http://{host}:{port}")))
        await until(lambda: engine.load.running == 1)
        running.append(asyncio.create_task(let_go(host, port)))

    running: list[asyncio.Task[Any]] = []
    serve_while(tmp_path, ask, engine)
    assert [task.result() for task in running] == [200, None]


async def _is_open(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except ConnectionError:
        return False
    writer.close()
    return True


def test_ends_with_the_reason_when_the_networks_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unloadable(Engine):
        def warm_up(self) -> None:
            raise WeightsMissing("no source has the file")

    def create(config: object) -> object:
        return factory.create_app(config, Unloadable(drawn_pipeline(), workers=1))  # type: ignore[arg-type]

    monkeypatch.setattr(server, "create_app", create)
    with pytest.raises(WeightsMissing, match="no source has the file"):
        server.serve(settings(tmp_path, server=ServerSettings(port=0)))


def test_ends_when_loading_fails_in_an_unforeseen_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Faulty(Engine):
        def warm_up(self) -> None:
            raise RuntimeError

    def create(config: object) -> object:
        return factory.create_app(config, Faulty(drawn_pipeline(), workers=1))  # type: ignore[arg-type]

    monkeypatch.setattr(server, "create_app", create)
    with pytest.raises(ModelError, match="the log says where"):
        server.serve(settings(tmp_path, server=ServerSettings(port=0)))


def test_says_where_it_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def at_once(*_arguments: object) -> None:
        pass

    monkeypatch.setattr(server, "_serve", at_once)
    with caplog.at_level(logging.INFO, logger="lineament"):
        server.serve(settings(tmp_path, server=ServerSettings(port=0)))
    assert vars(caplog.records[-1])["address"].startswith("http://127.0.0.1:")


def test_taken_address(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1, port {port}"):
            server.serve(settings(tmp_path, server=ServerSettings(port=port)))


def test_no_public_service_without_keys(tmp_path: Path) -> None:
    public = ServerSettings(host="0.0.0.0", port=0)  # noqa: S104
    keys = AccessSettings(keys=tmp_path / "keys")
    with pytest.raises(ConfigError, match="no key works"):
        server.serve(settings(tmp_path, server=public))
    with pytest.raises(ConfigError, match="there is no key file"):
        server.serve(settings(tmp_path, server=public, access=keys))
    made, _ = KeyFile(tmp_path / "keys").create("one", frozenset({Scope.READ}), valid_s=-1)
    assert made
    with pytest.raises(ConfigError, match="no key works"):
        server.serve(settings(tmp_path, server=public, access=keys))
