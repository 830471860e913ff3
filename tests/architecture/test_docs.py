"""The documentation is complete: generated pages are up to date, links lead somewhere, commands and errors appear."""

import importlib.util
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

from lineament.cli.exits import Exit
from lineament.core import errors

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("*.md")])
CAPABILITIES = ("detection", "landmarks", "embedding", "gallery")


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["cli.md", "errors.md", "models.md"])
def test_generated_pages_are_up_to_date(generator: ModuleType, page: str) -> None:
    committed = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
    assert committed == generator.PAGES[page]().rstrip() + "\n", "run `make docs`"


def test_every_error_is_in_the_tree() -> None:
    tree = errors.__doc__ or ""
    names = [
        n for n, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__
    ]
    assert [n for n in names if n not in tree] == []


def test_every_exit_code_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    assert [code for code in Exit if f"| {code.value} |" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_every_capability_explains_itself(capability: str) -> None:
    folder = ROOT / "src" / "lineament" / capability
    assert (folder / "README.md").is_file()
    assert capability == "gallery" or (folder / "base.py").is_file()


def test_readme_names_both_commands_and_stays_short() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in text
    assert "make test" in text
    assert text.count("\n") <= 120
