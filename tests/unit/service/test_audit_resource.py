"""``/v1/audit``, and how requests are stamped and recorded."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from lineament.core.errors import AccessDenied
from lineament.service import audit
from lineament.service.access import Access, Caller, KeyFile, Scope, require
from lineament.service.audit import record
from lineament.service.audit_check import verify_audit
from lineament.service.audit_entries import AuditEvent, segments
from lineament.service.audit_log import AuditLog


class Service:
    """An application with the audit resource and one route that records, and keys to call it."""

    def __init__(self, folder: Path) -> None:
        self.keys = KeyFile(folder / "keys")
        seconds = iter(range(10_000))
        self.log = AuditLog(folder / "log", segment_bytes=2_000, clock=lambda: float(next(seconds)))
        self.app = FastAPI()
        self.app.state.access = Access(self.keys)
        self.app.state.audit = self.log
        self.app.include_router(audit.router)

        @self.app.post("/v1/galleries/{gallery}/identify")
        async def identify(
            gallery: str, request: Request, _caller: Annotated[Caller, Depends(require(Scope.MATCH))]
        ) -> None:
            request.state.request_id = "r-77"
            await record(request, AuditEvent(action="identify", outcome="match", gallery=gallery))

        @self.app.exception_handler(AccessDenied)
        def denied(_request: Request, error: AccessDenied) -> JSONResponse:
            return JSONResponse(str(error), 403)

    def key(self, *scopes: Scope, galleries: frozenset[str] | None = None) -> str:
        return self.keys.create("test", frozenset(scopes), galleries=galleries, burst=1000)[0]

    def ask(self, method: str, path: str, key: str, **options: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.request(
                    method, path, headers={"Authorization": f"Bearer {key}"}, **options
                )

        return asyncio.run(call())

    def fill(self, count: int) -> None:
        for number in range(1, count + 1):
            gallery = "staff" if number % 2 else "guests"
            self.log.append(AuditEvent(action="identify", outcome="match", gallery=gallery))


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path)


def test_a_request_leaves_its_entry(service: Service) -> None:
    key = service.key(Scope.MATCH)
    assert service.ask("POST", "/v1/galleries/staff/identify", key).status_code == 200
    admin = service.key(Scope.ADMIN)
    (entry,) = service.ask("GET", "/v1/audit/entries", admin).json()["entries"]
    event = entry["event"]
    assert (event["request_id"], event["key_id"]) == ("r-77", key.split("_")[1])
    assert event["route"] == "/v1/galleries/{gallery}/identify"
    assert (entry["number"], event["gallery"], event["outcome"]) == (1, "staff", "match")
    assert verify_audit(service.log.folder).fault_count == 0


@pytest.mark.parametrize("path", ["/v1/audit/entries", "/v1/audit/head"])
def test_only_administrators_read_the_log(service: Service, path: str) -> None:
    key = service.key(Scope.READ, Scope.MATCH, Scope.ENROLL)
    assert service.ask("GET", path, key).status_code == 403
    assert service.ask("GET", path, service.key(Scope.ADMIN)).status_code == 200


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_pages_follow_each_other(service: Service, limit: int) -> None:
    service.fill(30)
    assert len(segments(service.log.folder)) > 2
    key = service.key(Scope.ADMIN)
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        page = service.ask("GET", "/v1/audit/entries", key, params={"after": after, "limit": limit}).json()
        assert len(page["entries"]) <= limit
        seen += [e["number"] for e in page["entries"]]
        after = page["after"]
    assert seen == list(range(1, 31))


def test_pages_of_a_time_range(service: Service) -> None:
    service.fill(30)
    span = {"since": "1970-01-01T00:00:05Z", "until": "1970-01-01T01:00:08+01:00"}
    page = service.ask("GET", "/v1/audit/entries", service.key(Scope.ADMIN), params=span).json()
    assert [e["number"] for e in page["entries"]] == [6, 7, 8]
    bad = {"since": "1970-01-01T00:00:05"}
    assert service.ask("GET", "/v1/audit/entries", service.key(Scope.ADMIN), params=bad).status_code == 422


def test_a_key_for_one_gallery_sees_its_entries_only(service: Service) -> None:
    service.fill(10)
    service.log.append(AuditEvent(action="verify", outcome="match"))
    key = service.key(Scope.ADMIN, galleries=frozenset({"staff"}))
    page = service.ask("GET", "/v1/audit/entries", key).json()
    assert [e["number"] for e in page["entries"]] == [1, 3, 5, 7, 9]


def test_a_request_reads_a_bounded_stretch(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.fill(30)
    monkeypatch.setattr(audit, "MAX_SCAN", 4)
    key = service.key(Scope.ADMIN)
    page = service.ask("GET", "/v1/audit/entries", key, params={"since": "1971-01-01T00:00:00Z"}).json()
    assert (page["entries"], page["after"]) == ([], 4)


def test_changed_entries_are_passed_over_and_counted(service: Service) -> None:
    service.fill(30)
    file = segments(service.log.folder)[1]
    file.write_bytes(file.read_bytes().replace(b"guests", b"gueszz", 1))
    key = service.key(Scope.ADMIN)
    page = service.ask("GET", "/v1/audit/entries", key).json()
    assert (len(page["entries"]), page["changed"], page["after"]) == (29, 1, None)


def test_the_head_is_an_anchor(service: Service) -> None:
    service.fill(3)
    head = service.ask("GET", "/v1/audit/head", service.key(Scope.ADMIN)).json()
    verdict = verify_audit(service.log.folder)
    assert head == {"number": 3, "seal": verdict.last.seal}
