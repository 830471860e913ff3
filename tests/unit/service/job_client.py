"""What tests ask of the jobs of a service."""

from pathlib import Path
from typing import Any

from service_client import Client

STAFF = "/v1/galleries/staff"


def items(client: Client, job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"{job}/items").json()["items"]
    return found


def subjects(client: Client) -> dict[str, int]:
    return {s["subject"]: s["samples"] for s in client.get(f"{STAFF}/subjects").json()["subjects"]}


def stored(client: Client) -> bytes:
    """All bytes of all jobs."""
    folder: Path = client.app.state.jobs.folder
    return b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())
