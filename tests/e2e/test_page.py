"""The page as people use it, on drawn people: every view, both languages, with mouse, keyboard and camera."""

import zipfile
from pathlib import Path
from typing import Any

import pytest
from page_browser import (
    WAIT_MS,
    Watch,
    enroll,
    error_body,
    give,
    has_box,
    identify,
    make_staff,
    press,
    served,
    settings,
    verify,
)

from drawn_people import SCENES, drawn_pipeline
from lineament.gallery import RemovalReceipt
from lineament.pipeline import Engine
from lineament.service import create_app
from lineament.service.access import KeyFile, Scope
from lineament.service.config import AccessSettings

VIEWS = ("verify", "people", "identify", "live", "reports", "system")


def test_two_pictures_are_compared_at_the_rate_that_was_chosen(page: Any, pictures: dict[str, Path]) -> None:
    page.goto("/")
    give(page, pictures["ada"], pictures["ada again"])
    press(page, "Compare")
    page.get_by_text("Choose a rate first").wait_for()  # there is no default
    page.get_by_label("Accepted false match rate").select_option("0.01")
    said = verify(page, pictures["ada"], pictures["ada again"])
    for words in (
        "Match",
        "Similarity",
        "Threshold\n0.8000, 95 % interval 0.7900 to 0.8100",
        "FMR 1 %",
        "made up",
    ):
        assert words in said
    assert has_box(page, "match", 0)
    assert has_box(page, "match", 1)
    assert "No match" in verify(page, pictures["ada"], pictures["bob"])
    page.reload()  # the choice is kept
    assert page.get_by_label("Accepted false match rate").input_value() == "0.01"


@pytest.mark.parametrize(
    ("scene", "words"),
    [
        ("empty", "No face."),
        ("ada and bob", "Several faces."),
        ("ada at the border", "Cut off."),
        ("ada far away", "Too small."),
    ],
)
def test_a_refusal_is_explained_where_it_was_found(
    page: Any, pictures: dict[str, Path], scene: str, words: str
) -> None:
    page.goto("/")
    page.get_by_label("Accepted false match rate").select_option("0.1")
    said = verify(page, pictures["ada"], pictures[scene])
    assert "Not compared" in said
    assert words in said
    assert words in page.locator(".place").nth(1).inner_text()
    assert has_box(page, "refused", 1) is (scene != "empty")


def test_enroll_two_people_identify_a_third_picture_delete_one(page: Any, pictures: dict[str, Path]) -> None:
    make_staff(page, Ada=pictures["ada"], Bob=pictures["bob"])
    assert identify(page, pictures["ada again"]).endswith("This is Ada")
    assert "FPIR 10 %" in page.locator(".decision").inner_text()
    page.get_by_label("Everybody in the picture").check()
    give(page, pictures["ada and bob"])
    press(page, "Search")
    page.get_by_text("2. This is").wait_for()
    assert sorted(page.locator(".decision h2").all_inner_texts())[0][-3:] in {"Ada", "Bob"}

    page.goto("/#/people/staff")
    page.get_by_role("link", name="Ada").click()
    press(page, "Delete Ada")
    page.keyboard.press("Escape")  # changed my mind
    press(page, "Delete Ada")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_text("Ada was removed").wait_for()
    with page.expect_download() as download:
        page.get_by_role("link", name="Save the receipt").click()
    receipt = RemovalReceipt.from_json(download.value.path().read_text(encoding="utf-8"))
    assert receipt.subject_id == "Ada"
    assert receipt.is_signed_by(receipt.public_key)
    assert "Nobody of this gallery" in identify(page, pictures["ada again"])


def test_somebody_in_the_way_waits_for_a_decision_and_is_merged(page: Any, pictures: dict[str, Path]) -> None:
    make_staff(page, Ada=pictures["ada"], Bob=pictures["bob"])
    enroll(page, "Adele", pictures["ada again"])
    page.get_by_text("somebody else is in the way").wait_for()
    press(page, "Keep it for review")
    page.get_by_text("The sample of Adele waits for a decision").wait_for()
    page.locator("article").get_by_text("Looks like Ada").wait_for()
    press(page, "Approve")
    page.get_by_role("link", name="Adele").click()
    page.get_by_label("This is the same person as").select_option("Ada")
    press(page, "Merge")
    page.get_by_role("dialog").get_by_role("button", name="Merge").click()
    page.get_by_role("heading", name="Ada", exact=True).wait_for()
    page.locator("tbody tr").nth(1).wait_for()
    press(page, "Quarantine")
    page.get_by_text("in quarantine").last.wait_for()
    press(page, "Release")
    page.get_by_text("searched again").wait_for()
    page.get_by_label("Other name").fill("Ada/Lovelace ?#%")
    press(page, "Rename")
    page.get_by_role("heading", name="Ada/Lovelace ?#%", exact=True).wait_for()
    page.locator("tbody tr").nth(1).wait_for()


def test_many_people_come_in_one_archive(page: Any, pictures: dict[str, Path], tmp_path: Path) -> None:
    make_staff(page)
    with zipfile.ZipFile(tmp_path / "people.zip", "w") as archive:
        for name, scene in (("Ada/1", "ada"), ("Bob/1", "bob"), ("Bob/2", "empty"), ("Eve/1", "ada again")):
            archive.write(pictures[scene], f"{name}.png")
    page.get_by_label("ZIP archive").set_input_files(tmp_path / "people.zip")
    press(page, "Enroll all")
    page.get_by_text("Done: 4 pictures").wait_for()
    left = page.get_by_role("region", name="Pictures that were not enrolled").get_by_role("row")
    left.nth(2).wait_for()
    assert "no face" in left.nth(1).inner_text()
    assert "looks like somebody else Ada, " in left.nth(2).inner_text()
    page.get_by_text("2 found, 2 shown").wait_for()
    press(page, "Remove from this list")
    page.get_by_text("Done: 4 pictures").wait_for(state="detached")


def test_pictures_are_dropped_pasted_and_taken_with_the_camera(page: Any, pictures: dict[str, Path]) -> None:
    page.goto("/")
    transfer = """async ([bytes, kind]) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }));
      const place = document.querySelector(".place");
      const event = kind === "drop" ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
        : new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
      (kind === "drop" ? place : document.body).dispatchEvent(event);
    }"""
    content = list(pictures["ada"].read_bytes())
    places = page.locator(".place canvas")
    page.evaluate(transfer, [content, "drop"])
    places.nth(0).wait_for()
    page.evaluate(transfer, [content, "paste"])  # the first place is taken
    places.nth(1).wait_for()
    assert page.evaluate("document.querySelector('.place canvas').width") == SCENES["ada"].pixels.shape[1]
    page.locator(".place").nth(1).get_by_role("button", name="Remove").click()
    places.nth(1).wait_for(state="hidden")
    page.locator(".place").nth(1).get_by_role("button", name="Use the camera").click()
    press(page, "Take the picture")
    places.nth(1).wait_for()
    assert page.locator("dialog").count() == 0


def test_the_live_view_sends_frames_until_it_is_left(page: Any) -> None:
    page.goto("/#/live")
    with page.expect_response("**/v1/detect") as first:
        press(page, "Start the camera")
    assert first.value.status == 200
    page.get_by_text("Faces: ").wait_for()
    assert page.evaluate("document.querySelector('video').srcObject.active") is True
    page.evaluate("window.stream = document.querySelector('video').srcObject")
    page.get_by_role("link", name="System").click()
    page.get_by_text("Work that waits").wait_for()
    assert page.evaluate("window.stream.active") is False


def test_the_language_changes_in_place(page: Any, pictures: dict[str, Path]) -> None:
    page.goto("/")
    page.get_by_label("Accepted false match rate").select_option("0.1")
    verify(page, pictures["ada"], pictures["ada again"])
    page.get_by_role("button", name="中文").click()
    assert page.evaluate("document.documentElement.lang") == "zh"
    assert "匹配" in page.locator(".decision").inner_text()
    assert page.locator(".place canvas").nth(1).is_visible()
    assert page.title().startswith("比对")
    page.reload()
    assert page.get_by_role("heading", level=1).inner_text() == "比对"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_view_breaks_a_rule_of_accessibility(page: Any, pictures: dict[str, Path], scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe here")
    page.emulate_media(color_scheme=scheme)
    make_staff(page, Ada=pictures["ada"])

    def broken() -> list[str]:
        page.locator("[aria-busy]").first.wait_for(state="detached")
        violations = axe.Axe().run(page).response["violations"]
        return [f"{v['id']}: {v['nodes'][0]['html']}" for v in violations]

    for view in (*VIEWS, "people/staff/Ada"):
        page.goto(f"/#/{view}")
        assert broken() == [], view
    identify(page, pictures["ada again"])
    assert broken() == []
    page.goto("/#/verify")
    page.get_by_label("Accepted false match rate").select_option("0.1")
    verify(page, pictures["ada"], pictures["empty"])
    assert broken() == []
    press(page, "API key")
    assert broken() == []


def test_the_keyboard_is_enough(page: Any) -> None:
    page.on("filechooser", lambda _: None)  # a key is faster than the request to see file choosers
    page.goto("/")
    page.get_by_role("heading", level=1).wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    with page.expect_file_chooser():
        page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    assert page.evaluate("document.activeElement.textContent") == "Use the camera"
    page.get_by_role("link", name="Identify").press("Enter")
    page.locator("h1:focus", has_text="Identify").wait_for()


def test_a_busy_service_is_asked_again_and_a_fault_is_shown(page: Any, pictures: dict[str, Path]) -> None:
    answers = [
        {"status": 429, "headers": {"Retry-After": "1"}, "body": error_body("busy", "full")},
        {"status": 422, "body": error_body("image_unreadable", "probe: cut off")},
    ]
    page.route("**/v1/verify", lambda route: route.fulfill(content_type="application/json", **answers.pop(0)))
    page.goto("/")
    page.get_by_label("Accepted false match rate").select_option("0.1")
    give(page, pictures["ada"], pictures["bob"])
    press(page, "Compare")
    fault = page.locator(".fault")
    fault.wait_for()
    assert answers == []
    assert fault.inner_text().split("\n")[0] == "A picture cannot be read."
    assert "probe: cut off" in fault.inner_text()
    assert "abc" in fault.inner_text()


def test_a_report_that_somebody_tampered_with_runs_nothing(browser: Any, address: str) -> None:
    evil = (
        "<html><head><style>p { color: rgb(1, 2, 3) }</style></head><body><main><h2 id='data-1'>Data</h2>"
        "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'><p>Figures</p>"
        "<iframe src='javascript:parent.hacked = 3'></iframe></main></body></html>"
    )
    with browser.new_context(base_url=address, locale="en-US") as context:
        page = context.new_page()
        watch = Watch(page)
        page.route("**/v1/reports/x/page", lambda route: route.fulfill(content_type="text/html", body=evil))
        page.goto("/#/reports/x")
        figures = page.get_by_text("Figures", exact=True)
        assert figures.evaluate("node => getComputedStyle(node).color") == "rgb(1, 2, 3)"
        assert page.evaluate("window.hacked") is None
        assert page.locator("iframe").count() == 0
        assert [c for c in watch.complaints if "inline event handler violates" not in c] == []


def test_a_service_with_keys_asks_for_one(browser: Any, pictures: dict[str, Path], tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys")
    key, _ = keys.create("page", frozenset({Scope.READ, Scope.MATCH}))
    app = create_app(
        settings(tmp_path, access=AccessSettings(keys=keys.path)), Engine(drawn_pipeline(), workers=1)
    )
    with served(app) as address, browser.new_context(base_url=address, locale="en-US") as context:
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.goto("/")
        page.get_by_label("Key", exact=True).fill(key)
        press(page, "Use this key")
        page.get_by_label("Accepted false match rate").select_option("0.1")
        assert "Match" in verify(page, pictures["ada"], pictures["ada again"])
        page.goto("/#/people")
        page.get_by_text("New gallery").click()
        page.get_by_label("Name of the gallery").fill("staff")
        press(page, "Make the gallery")
        page.get_by_text("The key does not allow this.").wait_for()
        assert page.evaluate("JSON.stringify(localStorage)").find(key) < 0
        assert context.cookies() == []
