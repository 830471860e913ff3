import pytest
from PIL import ImageFont

from lineament.imaging import text as module
from lineament.imaging.text import fit_text, wrap_text


@pytest.fixture
def only_the_bundled_font(monkeypatch):
    monkeypatch.setattr(module, "_SYSTEM_FONTS", ())
    module.fonts.cache_clear()
    yield
    module.fonts.cache_clear()


def test_ascii_is_drawn_as_it_is():
    assert fit_text("Ada 0.97 (match)", 14)[0] == "Ada 0.97 (match)"


@pytest.mark.usefixtures("only_the_bundled_font")
def test_without_system_fonts_accents_go_and_the_rest_is_marked():
    assert fit_text("Žofie é ñ", 14)[0] == "Zofie e n"
    assert fit_text("王明", 14)[0] == "??"


@pytest.mark.parametrize("text", ["Žofie", "Олег", "王小明", "a\u0000b\tc", "😀", "e\u0301"])
def test_no_character_is_drawn_as_a_missing_one(text):
    shown, font = fit_text(text, 14)
    missing = font.getmask("\U000ffffe")
    for character in shown.replace(" ", ""):
        assert bytes(font.getmask(character)) != bytes(missing)


@pytest.mark.parametrize(
    "text", ["some words that do not fit into one line", "x" * 80, "first\nsecond", "ab " * 3]
)
def test_wrapped_lines_fit_and_lose_nothing(text):
    lines = wrap_text(text, 12, 90, max_lines=20)
    assert all(font.getlength(line) <= 90 for line, font in lines)
    assert "".join(line for line, _ in lines).replace(" ", "") == "".join(text.split())


def test_what_is_left_over_is_shown():
    lines = wrap_text("word " * 100, 12, 90, max_lines=3)
    assert len(lines) == 3
    assert lines[-1][0].endswith("...")
    assert lines[-1][1].getlength(lines[-1][0]) <= 90


def test_nothing_gives_no_lines():
    assert wrap_text("", 12, 90, 3) == []
    assert isinstance(fit_text("", 12)[1], ImageFont.FreeTypeFont)
