"""The web page in a real browser: a service in a thread, headless Chromium with a camera that plays a clip."""

import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fastapi import FastAPI

from drawn_people import SCENES
from lineament.core.arrays import ImageArray
from lineament.imaging import write_image
from lineament.service.config import AuditSettings, GallerySettings, ServiceConfig
from lineament.service.server import make_server

CLIP_FPS = 10
WAIT_MS = 60_000
"""Longest wait for anything on the page: a machine under load is slow, not wrong."""
LINES = {"match": (0, 121, 90), "refused": (176, 58, 0)}
"""Colours of boxes, RGB."""
HAS_COLOUR = """([canvas, colour]) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 0; i < data.length; i += 4) if (colour.every((v, c) => data[i + c] === v)) return true;
  return false;
}"""


def chromium() -> str:
    """Path of the browser; skips the test where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    return found


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The address of a started application."""
    config: ServiceConfig = app.state.config
    server = make_server(app, config.limits)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            until_s = time.monotonic() + WAIT_MS / 1000
            while app.state.opening.desk is None and time.monotonic() < until_s:
                time.sleep(0.01)
            yield f"http://localhost:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def browser_of(clip: Path) -> Iterator[Any]:
    """Headless Chromium whose camera plays a clip (:func:`write_clip`) again and again."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="no Playwright here: pip install playwright"
    )
    path = chromium()
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=path,
            args=[
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                f"--use-file-for-fake-video-capture={clip}",
            ],
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def browser_of_ada(folder: Path) -> Iterator[Any]:
    """The browser with a camera that sees Ada, its clip in ``folder``."""
    write_clip(folder / "ada.y4m", [SCENES["ada"].pixels] * 10)
    with browser_of(folder / "ada.y4m") as browser:
        yield browser


class Watch:
    """What a page asked for and complained about."""

    def __init__(self, page: Any) -> None:
        self.addresses: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.addresses.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._hear)

    def _hear(self, message: Any) -> None:
        expected = message.text.startswith("Failed to load resource")  # answers that are no success are shown
        if message.type in {"error", "warning"} and not expected:
            self.complaints.append(message.text)


def write_clip(path: Path, frames: list[ImageArray]) -> None:
    """Write (H, W, 3) uint8 RGB frames of even size as a YUV4MPEG2 file."""
    height, width = frames[0].shape[:2]
    with path.open("wb") as stream:
        stream.write(f"YUV4MPEG2 W{width} H{height} F{CLIP_FPS}:1 Ip A1:1 C420jpeg\n".encode())
        for frame in frames:
            stream.write(b"FRAME\n" + cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420).tobytes())


def frames_of(video: Path, count: int, size: tuple[int, int]) -> list[ImageArray]:
    """The first frames of a video, (H, W, 3) uint8 RGB, resized to ``size`` (width, height)."""
    capture = cv2.VideoCapture(str(video))
    frames: list[ImageArray] = []
    while len(frames) < count:
        there, frame = capture.read()
        assert there
        frames.append(np.ascontiguousarray(cv2.cvtColor(cv2.resize(frame, size), cv2.COLOR_BGR2RGB)))
    capture.release()
    return frames


def write_scenes(folder: Path) -> dict[str, Path]:
    """Files of all drawn scenes."""
    found = {name: folder / f"{name.replace(' ', '-')}.png" for name in SCENES}
    for name, path in found.items():
        write_image(path, SCENES[name].pixels)
    return found


def settings(folder: Path, **sections: Any) -> ServiceConfig:
    return ServiceConfig(
        audit=AuditSettings(folder=folder / "audit"),
        gallery=GallerySettings(folder=folder / "galleries"),
        **sections,
    )


@contextmanager
def opened(browser: Any, address: str) -> Iterator[Any]:
    """A page of the service that asks nobody else and complains of nothing."""
    with browser.new_context(base_url=address, locale="en-US", permissions=["camera"]) as context:
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        watch = Watch(page)
        yield page
        assert watch.complaints == []
        assert [a for a in watch.addresses if not a.startswith((address, "blob:", "data:"))] == []


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click()


def give(page: Any, *files: Path) -> None:
    """Choose a file for each place, and wait until they are shown."""
    for i, file in enumerate(files):
        place = page.locator(".place").nth(i)
        with page.expect_file_chooser() as chooser:
            place.get_by_role("button", name="Choose a file").click()
        chooser.value.set_files(file)
        place.locator("canvas").wait_for()


def verify(page: Any, reference: Path, probe: Path) -> str:
    give(page, reference, probe)
    press(page, "Compare")
    card = page.locator(".decision")
    card.wait_for()
    said: str = card.inner_text()
    return said


def has_box(page: Any, kind: str, place: int = 0) -> bool:
    canvas = page.locator("canvas").nth(place).element_handle()
    return bool(page.evaluate(HAS_COLOUR, [canvas, LINES[kind]]))


def make_staff(page: Any, **people: Path) -> None:
    page.goto("/#/people")
    page.get_by_text("New gallery").click()
    page.get_by_label("Name of the gallery").fill("staff")
    press(page, "Make the gallery")
    for name, file in people.items():
        enroll(page, name, file)
        page.get_by_text(f"{name} is enrolled.").wait_for()


def enroll(page: Any, name: str, file: Path) -> None:
    page.get_by_label("Name or id of the person").fill(name)
    give(page, file)
    press(page, "Enroll")


def identify(page: Any, file: Path) -> str:
    page.goto("/#/identify")
    page.get_by_label("Accepted false positive identification rate").select_option("0.1")
    give(page, file)
    press(page, "Search")
    page.locator(".decision").first.wait_for()
    return "\n".join(page.locator(".decision h2").all_inner_texts())


def error_body(code: str, message: str) -> str:
    return json.dumps({"error": {"code": code, "message": message, "details": []}, "request_id": "abc"})
