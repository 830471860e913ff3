import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_index import FakeServer

from lineament.zoo import licence
from lineament.zoo.options import FetchOptions


@pytest.fixture
def server() -> Iterator[FakeServer]:
    running = FakeServer()
    yield running
    running.close()


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """No setting of the machine reaches the test; returns the folder that everything is written to."""
    for name in list(os.environ):
        if name.startswith(("LINEAMENT_", "PIP_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    # empty variables win over the machine's configuration files
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_TRUSTED_HOST", "PIP_CERT"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("LINEAMENT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LINEAMENT_CONFIG", str(tmp_path / "config"))
    yield tmp_path
    licence.forget_acceptances()


@pytest.fixture
def options(clean_environment: Path) -> FetchOptions:
    return FetchOptions(cache=clean_environment / "cache")
