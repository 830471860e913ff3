"""The documentation is complete: generated pages are up to date, links lead somewhere, commands and errors appear."""

import importlib.util
import inspect
import re
import shlex
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from lineament.cli.app import app
from lineament.cli.exits import Exit
from lineament.core import errors

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("*.md")])
CAPABILITIES = ("demesh", "detection", "landmarks", "embedding", "gallery")


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
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", prose)
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_every_capability_explains_itself(capability: str) -> None:
    folder = ROOT / "src" / "lineament" / capability
    assert (folder / "README.md").is_file()
    assert capability == "gallery" or (folder / "base.py").is_file()


def lines_of_commands(page: Path) -> list[list[str]]:
    """Words of each line that calls ``lineament`` in the shell blocks of a page."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("lineament ")]
    return [line[: line.index("|")] if "|" in line else line for line in words]


def unknown_options(words: list[str]) -> list[str]:
    """Options that the command does not have."""
    command: Any = typer.main.get_command(app)
    rest = words[1:]
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]
    known = {"--help", *(name for param in command.params for name in param.opts)}
    return [word for word in rest if re.match(r"--[a-z]", word) and word.partition("=")[0] not in known]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_have_the_options_that_pages_give_them(page: Path) -> None:
    assert [words for words in lines_of_commands(page) if unknown_options(words)] == []


def test_readme_names_both_commands_and_stays_short() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in text
    assert "make test" in text
    assert text.count("\n") <= 120
