"""The door: scopes, galleries, rates and foreign pages, over HTTP."""

import asyncio
from functools import partialmethod
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from lineament.core.errors import AccessDenied, ConfigError
from lineament.service.access import (
    Access,
    Caller,
    KeyFile,
    KeyRequired,
    RateLimited,
    Scope,
    TokenBuckets,
    allow_origins,
    require,
)

HERE = "http://localhost:8000"


class Client:
    """Calls an application in this process."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=HERE) as client:
                return await client.request(method, path, **options)

        return asyncio.run(ask())

    get = partialmethod(request, "GET")
    post = partialmethod(request, "POST")
    options = partialmethod(request, "OPTIONS")


def build(access: Access) -> Client:
    """A service with one route for each scope and one with a gallery."""
    app = FastAPI()
    app.state.access = access
    allow_origins(app, access.origins)

    for scope in Scope:

        def route(request: Request, caller: Annotated[Caller, Depends(require(scope))]) -> str:
            assert request.state.caller is caller
            return caller.key_id

        app.post(f"/{scope}")(route)

    @app.get("/galleries/{gallery}")
    def gallery(gallery: str, caller: Annotated[Caller, Depends(require(Scope.READ))]) -> str:
        return f"{gallery} {caller.key_id}"

    @app.exception_handler(AccessDenied)
    def denied(_request: Request, error: AccessDenied) -> JSONResponse:
        return JSONResponse(str(error), 401 if isinstance(error, KeyRequired) else 403)

    @app.exception_handler(RateLimited)
    def limited(_request: Request, error: RateLimited) -> JSONResponse:
        return JSONResponse(str(error), 429, {"Retry-After": str(error.retry_after_s)})

    return Client(app)


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys")


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


@pytest.mark.parametrize("held", list(Scope))
def test_each_scope_opens_its_own_routes_only(keys: KeyFile, held: Scope) -> None:
    text, made = keys.create("door", frozenset({held}))
    client = build(Access(keys))
    for asked in Scope:
        answer = client.post(f"/{asked}", headers=bearer(text))
        assert answer.status_code == (200 if asked is held else 403)
        assert answer.json() == (
            made.key_id if asked is held else f"the key has no scope {asked}; it has {held}"
        )


def test_what_is_no_key_is_401(keys: KeyFile) -> None:
    text, _ = keys.create("door", frozenset(Scope))
    client = build(Access(keys))
    wrong = [{}, bearer(""), bearer(text[:-1]), bearer(text.upper()), {"Authorization": f"Basic {text}"}]
    for headers in [*wrong, {"Authorization": text}, {"X-Api-Key": text}]:
        assert client.post("/match", headers=headers).status_code == 401
    assert client.post(f"/match?key={text}").status_code == 401


def test_a_revoked_key_stops_in_the_running_service(keys: KeyFile) -> None:
    text, made = keys.create("door", frozenset({Scope.MATCH}))
    client = build(Access(KeyFile(keys.path)))
    assert client.post("/match", headers=bearer(text)).status_code == 200
    keys.revoke(made.key_id)
    answer = client.post("/match", headers=bearer(text))
    assert (answer.status_code, answer.json()) == (
        401,
        f"the key {made.key_id} was revoked; ask for another one",
    )


def test_an_expired_key_is_401(keys: KeyFile) -> None:
    text, made = keys.create("door", frozenset({Scope.MATCH}), valid_s=60)
    assert made.expires_s is not None
    assert (
        build(Access(keys, clock=lambda: made.expires_s - 1)).post("/match", headers=bearer(text)).is_success
    )
    answer = build(Access(keys, clock=lambda: made.expires_s)).post("/match", headers=bearer(text))
    assert (answer.status_code, "has expired" in answer.json()) == (401, True)


def test_galleries_of_a_key(keys: KeyFile) -> None:
    some, made = keys.create("door", frozenset({Scope.READ}), galleries=frozenset({"staff"}))
    every, _ = keys.create("office", frozenset({Scope.READ}))
    client = build(Access(keys))
    assert client.get("/galleries/staff", headers=bearer(some)).json() == f"staff {made.key_id}"
    assert client.get("/galleries/guests", headers=bearer(some)).status_code == 403
    assert client.get("/galleries/guests", headers=bearer(every)).status_code == 200
    assert client.get("/galleries/%73taff", headers=bearer(some)).status_code == 200
    assert (Caller(made).may_touch("staff"), Caller(made).may_touch(""), Caller().may_touch("x")) == (
        True,
        False,
        True,
    )


def test_the_rate_of_a_key(keys: KeyFile) -> None:
    fast, _ = keys.create("office", frozenset({Scope.MATCH}))
    slow, _ = keys.create("door", frozenset({Scope.MATCH}), per_minute=6, burst=2)
    now_s = 0.0
    client = build(Access(keys, buckets=TokenBuckets(lambda: now_s)))

    def codes(text: str, count: int) -> list[int]:
        return [client.post("/match", headers=bearer(text)).status_code for _ in range(count)]

    assert codes(slow, 3) == [200, 200, 429]
    assert client.post("/match", headers=bearer(slow)).headers["Retry-After"] == "10"
    assert codes(fast, 3) == [200, 200, 200]
    now_s = 10.0
    assert codes(slow, 2) == [200, 429]
    # a key that asks for what it may not do wears its bucket down too
    now_s = 20.0
    assert client.post("/admin", headers=bearer(slow)).status_code == 403
    assert codes(slow, 1) == [429]


def test_without_a_readable_key_file_nobody_gets_in(keys: KeyFile) -> None:
    text, _ = keys.create("door", frozenset(Scope))
    client = build(Access(keys))
    assert client.post("/match", headers=bearer(text)).status_code == 200
    keys.path.write_text("{}")
    with pytest.raises(ConfigError, match="damaged"):
        client.post("/match", headers=bearer(text))
    keys.path.unlink()
    with pytest.raises(ConfigError, match="no key file"):
        client.post("/match", headers=bearer(text))


def test_without_rules_nobody_gets_in() -> None:
    client = build(Access())
    del client.app.state.access
    with pytest.raises(AttributeError):
        client.post("/match")


def test_a_service_without_keys_knows_no_limits() -> None:
    client = build(Access())
    assert [client.post(f"/{scope}").json() for scope in Scope] == [""] * 4
    assert client.get("/galleries/staff").json() == "staff "


@pytest.mark.parametrize(
    ("host", "origin", "code"),
    [
        ("localhost:8000", None, 200),
        ("127.0.0.1:8000", None, 200),
        ("[::1]:8000", None, 200),
        ("localhost:8000", "http://localhost:8000", 200),
        ("localhost:8000", "https://pages.example", 200),
        ("localhost:8000", "http://localhost:9000", 403),
        ("localhost:8000", "https://evil.example", 403),
        ("localhost:8000", "null", 403),
        ("evil.example:8000", None, 403),
        ("evil.example", "http://evil.example", 403),
        ("localhost.evil.example", None, 403),
        ("localhost@evil.example", None, 403),
        ("", None, 403),
        ("[", None, 403),
    ],
)
def test_foreign_pages_cannot_reach_a_service_without_keys(host: str, origin: str | None, code: int) -> None:
    client = build(Access(origins=frozenset({"https://pages.example"})))
    headers = {"Host": host} | ({} if origin is None else {"Origin": origin})
    assert client.post("/match", headers=headers).status_code == code


def test_foreign_pages_need_the_key_where_there_are_keys(keys: KeyFile) -> None:
    text, _ = keys.create("door", frozenset({Scope.MATCH}))
    client = build(Access(keys))
    headers = {"Host": "faces.example", "Origin": "https://evil.example"}
    assert client.post("/match", headers=headers).status_code == 401
    answer = client.post("/match", headers=headers | bearer(text))
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("origin", "opened"), [("https://pages.example", True), ("https://evil.example", False)]
)
def test_cross_origin_calls_are_closed_but_for_named_pages(keys: KeyFile, origin: str, opened: bool) -> None:
    text, _ = keys.create("door", frozenset({Scope.MATCH}))
    asking = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    asking["Access-Control-Request-Headers"] = "authorization"
    closed = build(Access(keys)).options("/match", headers=asking)
    assert "access-control-allow-origin" not in closed.headers
    client = build(Access(keys, origins=frozenset({"https://pages.example"})))
    flight = client.options("/match", headers=asking)
    answer = client.post("/match", headers={"Origin": origin} | bearer(text))
    for got in (flight, answer):
        assert got.headers.get("access-control-allow-origin") == (origin if opened else None)
        assert "access-control-allow-credentials" not in got.headers


def test_the_key_is_in_the_openapi_document(keys: KeyFile) -> None:
    document = build(Access(keys)).get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert document["paths"]["/match"]["post"]["security"] == [{"key": []}]
