"""A service of fakes with a gallery, and what tests ask of it."""

import time
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from service_client import Client, png, settings

from lineament.service import ServiceConfig
from lineament.service.config import GallerySettings

PEOPLE = {"ada": "ada", "bob": "bob"}
"""Subjects with the scene that they are enrolled from."""


def keeping(folder: Path, **sections: Any) -> ServiceConfig:
    """Settings whose galleries lie in ``folder``."""
    return settings(folder, gallery=GallerySettings(folder=folder / "galleries"), **sections)


def enroll(
    client: Client, subject: str, picture: bytes, gallery: str = "staff", **more: str
) -> httpx.Response:
    return client.post(
        f"/v1/galleries/{gallery}/samples", files={"picture": picture}, data={"subject": subject, **more}
    )


def make_gallery(client: Client, people: Mapping[str, str] = PEOPLE, gallery: str = "staff") -> None:
    assert client.post("/v1/galleries", json={"name": gallery}).status_code == 201
    for subject, scene in people.items():
        answer = enroll(client, subject, png(scene), gallery)
        assert answer.status_code == 201, answer.text


def zipped(files: Mapping[str, bytes]) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def make_job(client: Client, gallery: str = "staff", **how: Any) -> str:
    """Address of a new job."""
    answer = client.post(f"/v1/galleries/{gallery}/jobs", json=how)
    assert answer.status_code == 201, answer.text
    return f"/v1/galleries/{gallery}/jobs/{answer.json()['job']}"


def send(client: Client, job: str, files: Mapping[str, bytes]) -> dict[str, int]:
    answer = client.post(f"{job}/pictures", files={"archive": ("a.zip", zipped(files))})
    assert answer.status_code == 200, answer.text
    taken: dict[str, int] = answer.json()
    return taken


def settled(client: Client, job: str) -> Any:
    """A job once nothing of it waits."""
    until = time.monotonic() + 60
    while (found := client.get(job).json())["waiting"]:
        assert time.monotonic() < until, found
        time.sleep(0.01)
    return found


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]
