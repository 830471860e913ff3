"""What the page shows belongs to what was sent, and what a view began ends with it."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from page_browser import (
    enroll,
    error_body,
    give,
    has_box,
    identify,
    make_staff,
    press,
    verify,
)

COUNTED = """
window.counted = { closed: 0, listening: 0 };
const { close } = ImageBitmap.prototype;
ImageBitmap.prototype.close = function () { window.counted.closed += 1; close.call(this); };
const { addEventListener, removeEventListener } = EventTarget.prototype;
EventTarget.prototype.addEventListener = function (kind, ...rest) {
  if (this instanceof AbortSignal) window.counted.listening += 1;
  addEventListener.call(this, kind, ...rest);
};
EventTarget.prototype.removeEventListener = function (kind, ...rest) {
  if (this instanceof AbortSignal) window.counted.listening -= 1;
  removeEventListener.call(this, kind, ...rest);
};
"""
"""Counts pictures that are let go, and what listens for the end of a view."""


def held_back(page: Any, pattern: str) -> list[Any]:
    """Requests that wait until they are let go with ``continue_``."""
    held: list[Any] = []
    page.route(pattern, lambda route: held.append(route))  # noqa: PLW0108 (it sets an attribute on the handler)
    return held


def replace_picture(page: Any, place: int, file: Path) -> None:
    chosen = page.locator(".place").nth(place)
    with page.expect_file_chooser() as chooser:
        chosen.get_by_role("button", name="Choose a file").click()
    chooser.value.set_files(file)
    chosen.get_by_text("Remove").wait_for()


def let_go(page: Any, held: list[Any]) -> None:
    """Have the one request answered, and wait until the page has taken the answer."""
    with page.expect_response(held[0].request.url):
        held.pop().continue_()
    page.locator("[aria-busy]").first.wait_for(state="detached")


def test_a_decision_about_an_earlier_picture_is_not_shown(page: Any, pictures: dict[str, Path]) -> None:
    page.goto("/")
    page.get_by_label("Accepted false match rate").select_option("0.01")
    held = held_back(page, "**/v1/verify")
    give(page, pictures["ada"], pictures["ada again"])
    with page.expect_request("**/v1/verify"):
        press(page, "Compare")
    replace_picture(page, 1, pictures["bob"])
    let_go(page, held)
    assert page.locator(".decision, .fault").count() == 0
    assert not has_box(page, "match", 0)
    page.unroute("**/v1/verify")
    assert "No match" in verify(page, pictures["ada"], pictures["bob"])


def test_a_name_for_an_earlier_picture_is_not_shown(page: Any, pictures: dict[str, Path]) -> None:
    make_staff(page, Ada=pictures["ada"])
    assert identify(page, pictures["ada again"]).endswith("This is Ada")
    held = held_back(page, "**/identify")
    with page.expect_request("**/identify"):
        press(page, "Search")
    replace_picture(page, 0, pictures["bob"])
    let_go(page, held)
    assert page.locator(".decision, .fault").count() == 0


@pytest.mark.parametrize("change", ["name", "picture"])
def test_nobody_is_enrolled_anyway_after_a_change(page: Any, pictures: dict[str, Path], change: str) -> None:
    def make_change() -> None:
        if change == "name":
            page.get_by_label("Name or id of the person").fill("Eve")
        else:
            replace_picture(page, 0, pictures["bob"])

    make_staff(page, Ada=pictures["ada"])
    enroll(page, "Adele", pictures["ada again"])
    page.get_by_text("somebody else is in the way").wait_for()
    make_change()
    assert page.get_by_role("button", name="Enroll anyway").count() == 0
    held = held_back(page, "**/samples")
    page.get_by_label("Name or id of the person").fill("Adele")
    give(page, pictures["ada again"])
    with page.expect_request("**/samples"):
        press(page, "Enroll")
    make_change()
    let_go(page, held)
    assert page.get_by_role("button", name="Enroll anyway").count() == 0


def test_a_job_that_is_drawn_anew_has_one_watcher(
    page: Any, pictures: dict[str, Path], tmp_path: Path
) -> None:
    make_staff(page)
    job = {"job": "0" * 20, "gallery": "staff", "created_s": 0, "state": "working", "total": 1, "waiting": 1}
    job |= {"outcomes": {}, "conflict": "refuse", "conflict_fmr": None}
    asked: list[Any] = []

    def answer(route: Any) -> None:
        if route.request.method != "GET":
            route.continue_()
        elif "?" in route.request.url:
            route.fulfill(json={"jobs": [job], "next": None})
        else:
            asked.append(route)
            route.fulfill(json=job)

    page.route("**/v1/galleries/staff/jobs**", answer)
    page.route(f"**/v1/galleries/staff/jobs/{job['job']}", answer)
    page.reload()
    with zipfile.ZipFile(tmp_path / "people.zip", "w") as archive:
        archive.write(pictures["bob"], "Bob/1.png")
    for _ in range(2):
        page.get_by_label("ZIP archive").set_input_files(tmp_path / "people.zip")
        with page.expect_response("**/jobs?**"):
            press(page, "Enroll all")
    page.wait_for_timeout(1500)
    asked.clear()
    page.wait_for_timeout(3500)
    assert 1 <= len(asked) <= 4


def test_pictures_are_let_go_with_their_view(page: Any, pictures: dict[str, Path]) -> None:
    page.add_init_script(COUNTED)
    page.goto("/")
    give(page, pictures["ada"], pictures["bob"])
    page.get_by_role("link", name="System").click()
    page.get_by_text("Work that waits").wait_for()
    assert page.evaluate("window.counted.closed") == 2


def test_waiting_again_and_again_gathers_nothing(page: Any) -> None:
    page.add_init_script(COUNTED)
    page.goto("/#/live")

    def frames(count: int) -> int:
        for _ in range(count):
            with page.expect_response("**/v1/detect"):
                pass
        listening: int = page.evaluate("window.counted.listening")
        return listening

    press(page, "Start the camera")
    assert abs(frames(6) - frames(2)) <= 1


def test_readiness_is_asked_once_at_a_time(page: Any) -> None:
    asked: list[float] = []

    def answer(route: Any) -> None:
        asked.append(0)
        headers = {"Retry-After": "1", "Content-Type": "application/json"}
        route.fulfill(status=503, headers=headers, body=error_body("not_ready", "loading"))

    page.route("**/readyz", answer)
    page.goto("/#/system")
    page.get_by_text("Work that waits").wait_for()
    assert len(asked) <= 4  # the view asked once, the banner every two seconds
    page.get_by_text("takes no work yet").wait_for()


def test_words_of_the_running_camera_change_with_the_language(page: Any) -> None:
    page.goto("/#/live")
    press(page, "Start the camera")
    page.get_by_role("button", name="Stop the camera").wait_for()
    page.get_by_role("button", name="中文").click()
    page.get_by_role("button", name="停止摄像头").wait_for()


def test_a_person_goes_with_the_last_sample(page: Any, pictures: dict[str, Path]) -> None:
    make_staff(page, Ada=pictures["ada"])
    page.get_by_role("link", name="Ada").click()
    press(page, "Delete")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_text("Ada was removed").wait_for()
    page.locator("[aria-busy]").first.wait_for(state="detached")
    assert page.locator(".fault, table").count() == 0


def test_an_id_without_an_address_is_a_fault_that_is_shown(page: Any) -> None:
    make_staff(page)
    page.goto("/#/people/staff/%2E%2E")
    page.get_by_text("have no address").wait_for()


def test_a_fault_is_said_once(page: Any, pictures: dict[str, Path]) -> None:
    fault = json.loads(error_body("invalid_request", "fmr: not a number"))
    fault["error"]["details"] = [{"place": "fmr", "message": "not a number"}]
    page.route("**/v1/verify", lambda route: route.fulfill(status=422, json=fault))
    page.goto("/")
    page.get_by_label("Accepted false match rate").select_option("0.01")
    give(page, pictures["ada"], pictures["bob"])
    press(page, "Compare")
    page.get_by_text("fmr: not a number").wait_for()
    assert page.locator(".fault p").all_inner_texts().count("fmr: not a number") == 1
    assert ":" not in [line.strip() for line in page.locator(".fault").inner_text().split("\n")]


def test_lists_are_fetched_in_large_pages(page: Any) -> None:
    with page.expect_request("**/v1/galleries?limit=1000"):
        page.goto("/#/people")
