"""The page with real networks and photographs, as a new user would use it, and before a real face that moves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_browser import WAIT_MS, Watch, browser_of, frames_of, served, write_clip

from lineament.pipeline import Engine, FacePipeline
from lineament.service import ServiceConfig, create_app
from lineament.service.config import AuditSettings, GallerySettings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.shared,
    pytest.mark.weights,
    pytest.mark.usefixtures("calibration_folder"),
]


@pytest.fixture
def page(open_profile: FacePipeline, shared: Path, tmp_path: Path) -> Iterator[Any]:
    clip = tmp_path / "face.y4m"
    write_clip(clip, frames_of(shared / "data" / "video_clips" / "single_face.mp4", 30, (640, 360)))
    config = ServiceConfig(
        audit=AuditSettings(folder=tmp_path / "audit"),
        gallery=GallerySettings(folder=tmp_path / "galleries"),
    )
    app = create_app(config, Engine(open_profile, workers=1))
    with served(app) as address, browser_of(clip) as browser:
        context = browser.new_context(base_url=address, locale="en-US", permissions=["camera"])
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        watch = Watch(page)
        page.goto("/#/people")
        page.get_by_text("New gallery").click()
        page.get_by_label("Name of the gallery").fill("staff")
        page.get_by_role("button", name="Make the gallery").click()
        yield page
        assert watch.complaints == []
        context.close()


def enroll(page: Any, name: str) -> None:
    page.get_by_label("Name or id of the person").fill(name)
    page.get_by_role("button", name="Enroll", exact=True).click()
    page.get_by_text(f"{name} is enrolled.").wait_for()


def identify(page: Any, picture: Path) -> str:
    page.goto("/#/identify")
    page.get_by_label("Accepted false positive identification rate").select_option("0.01")
    page.locator(".place input[type=file]").set_input_files(picture)
    page.get_by_role("button", name="Search").click()
    said: str = page.locator(".decision h2").inner_text()
    return said.rsplit("\n", maxsplit=1)[-1]


def test_photographs_of_two_people(page: Any, johns: dict[str, list[Path]]) -> None:
    (first, firsts), (second, seconds) = list(johns.items())[:2]
    for name, photos in ((first, firsts), (second, seconds)):
        page.locator(".place input[type=file]").set_input_files(photos[0])
        enroll(page, name)
    assert identify(page, firsts[1]) == f"This is {first}"
    page.goto(f"/#/people/staff/{first}")
    page.get_by_role("button", name=f"Delete {first}").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_text(f"{first} was removed").wait_for()
    assert identify(page, firsts[1]).startswith("Nobody of this gallery")
    assert identify(page, seconds[1]) == f"This is {second}"


def test_a_face_that_moves_keeps_its_name(page: Any) -> None:
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Take the picture").click()
    page.locator(".place canvas").wait_for()
    enroll(page, "Guest")
    page.goto("/#/live")
    page.get_by_label("Gallery").select_option("staff")
    page.get_by_label("Accepted false positive identification rate").select_option("0.1")
    page.get_by_role("button", name="Start the camera").click()
    seen = []
    for _ in range(8):
        with page.expect_response("**/identify") as answer:
            pass
        seen += [[c["subject"] for c in face["candidates"]] for face in answer.value.json()["faces"]]
    page.get_by_text("Faces: 1: Guest").wait_for()
    assert len(seen) == 8  # one face in every frame
    assert seen.count(["Guest"]) >= 7
