"""Public names are listed, sorted and real."""

import importlib
import tomllib
from pathlib import Path

import pytest

import lineament

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sorted(
    p.parent.name
    for p in (ROOT / "src" / "lineament").glob("*/__init__.py")
    if p.parent.name not in {"core", "cli"}
)


def kind_then_name(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


@pytest.mark.parametrize("package", [f"lineament.{p}" for p in PACKAGES] + ["lineament"])
def test_all_is_sorted_and_importable(package: str) -> None:
    module = importlib.import_module(package)
    names = module.__all__
    assert list(names) == sorted(names, key=kind_then_name)
    assert [n for n in names if not hasattr(module, n)] == []


def test_lazy_names_are_the_public_ones() -> None:
    assert sorted(lineament._HOMES) == lineament.__all__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = lineament.nothing


def test_base_install_holds_no_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert not [d for d in project["dependencies"] if d.startswith("torch")]


def test_version_is_stated_once_and_the_same() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == lineament.__version__
