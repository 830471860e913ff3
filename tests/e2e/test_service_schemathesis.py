"""Generated requests against the whole service: what its OpenAPI document says is what it does."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    ensure_resource_availability,
    positive_data_acceptance,
    use_after_free,
)

from lineament.client import Client
from lineament.service.access import KeyFile, Scope
from lineament.service.config import AccessSettings
from served_app import served
from served_app import settings as service_settings

LEFT_OUT = [positive_data_acceptance, use_after_free, ensure_resource_availability]
"""A schema cannot say that bytes must be a readable picture; the other two need sequences of requests."""
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Served:
    """A service with a gallery and a job.

    Attributes:
        schema: its document.
        headers: a key that may do everything.
        known: path parameters of what is there.
    """

    schema: Any
    headers: dict[str, str]
    known: dict[str, str]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("service")
    keys = KeyFile(folder / "keys")
    key, _ = keys.create("all", frozenset(Scope), per_minute=1e9, burst=10**9)
    headers = {"Authorization": f"Bearer {key}"}
    with served(service_settings(folder, access=AccessSettings(keys=keys.path))) as address:
        while requests.get(f"{address}/readyz", timeout=TIMEOUT_S).status_code != 200:
            pass
        with Client(address, key=key) as client:
            job = client.create_gallery("staff").create_job()
        schema = schemathesis.openapi.from_url(f"{address}/openapi.json", headers=headers)
        yield Served(schema, headers, {"gallery": "staff", "job": job.job_id})


def check_operation(service: Served, operation: Any, examples: int) -> None:
    """Valid and invalid requests, half of them to a gallery and a job that are there."""
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    strategies = [operation.as_strategy(mode) for mode in modes]
    names = {p.name for p in operation.path_parameters}
    if names and names <= set(service.known) and operation.method.upper() != "DELETE":
        there = {name: service.known[name] for name in names}
        strategies += [operation.as_strategy(mode, path_parameters=there) for mode in modes]

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(strategies))
    def check(case: Any) -> None:
        # An empty list or object of a query leaves nothing in the address, so that no fault of it arrives.
        assume(not any(value in ([], {}) for value in (case.query or {}).values()))
        case.call_and_validate(excluded_checks=LEFT_OUT, headers=service.headers, timeout=TIMEOUT_S)

    check()


@pytest.mark.parametrize("examples", [4, pytest.param(200, marks=pytest.mark.slow)])
def test_the_document_is_true(service: Served, examples: int) -> None:
    faults = []
    for found in service.schema.get_all_operations():
        try:
            check_operation(service, found.ok(), examples)
        except FailureGroup as failure:
            faults.append(str(failure))
    assert faults == []
