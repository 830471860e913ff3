"""Every route of the whole service stands behind the door."""

import asyncio
import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from lineament.service.access import GALLERY_PARAMETER, KeyFile, Scope
from lineament.service.app import create_app
from lineament.service.config import AccessSettings, AuditSettings, GallerySettings, ServiceConfig

OPEN = {"/healthz", "/readyz", "/metrics"}
"""What monitoring reads without a key: it names nobody."""


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys")


@pytest.fixture
def app(tmp_path: Path, keys: KeyFile) -> FastAPI:
    keys.create("nobody", frozenset({Scope.READ}))
    return create_app(
        ServiceConfig(
            access=AccessSettings(keys=keys.path),
            audit=AuditSettings(folder=tmp_path / "audit"),
            gallery=GallerySettings(folder=tmp_path / "galleries"),
        )
    )


def operations(app: FastAPI) -> list[tuple[str, str]]:
    """Methods and path templates of the documented routes."""
    methods = {"get", "put", "post", "patch", "delete"}
    paths = app.openapi()["paths"].items()
    return [(method.upper(), path) for path, item in paths for method in sorted(methods & set(item))]


def statuses(app: FastAPI, asked: list[tuple[str, str]], key: str | None) -> dict[tuple[str, str], int]:
    """Status of each operation, its path parameters all called "other"."""

    async def ask() -> dict[tuple[str, str], int]:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=headers
        ) as client:
            return {
                (method, path): (await client.request(method, re.sub(r"\{\w+\}", "other", path))).status_code
                for method, path in asked
            }

    return asyncio.run(ask())


def test_nothing_answers_without_a_key(app: FastAPI) -> None:
    guarded = [(method, path) for method, path in operations(app) if path not in OPEN]
    assert len(guarded) >= 3
    assert set(statuses(app, guarded, None).values()) == {401}


def test_no_gallery_answers_to_a_key_for_another_one(app: FastAPI, keys: KeyFile) -> None:
    within = [(method, path) for method, path in operations(app) if "{" in path and "/galleries/" in path]
    assert [path for _, path in within if f"/galleries/{{{GALLERY_PARAMETER}}}" not in path] == []
    key, _ = keys.create("door", frozenset(Scope), galleries=frozenset({"staff"}), burst=1000)
    assert set(statuses(app, within, key).values()) <= {403}
