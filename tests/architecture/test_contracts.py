"""The import contracts hold, and each of them fails when somebody breaks it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """Run the import contracts of ``root`` over the sources in ``root``."""
    code = (
        "import sys; sys.path.insert(0, 'src');"
        "from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    )
    return subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(
        ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_contracts_hold() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("core/arrays.py", "import lineament.cli.app", "Layers, top to bottom"),
        ("detection/base.py", "import lineament.embedding.base", "Layers, top to bottom"),
        ("gallery/__init__.py", "import lineament.pipeline.choose", "Layers, top to bottom"),
        ("metrics/__init__.py", "import lineament.imaging", "Layers, top to bottom"),
        ("pipeline/choose.py", "import torch", "Only training says import torch"),
        ("detection/base.py", "import onnxruntime", "One door to the inference runtimes"),
    ],
)
def test_contract_fails_when_broken(copy: Path, file: str, line: str, contract: str) -> None:
    path = copy / "src" / "lineament" / file
    path.write_text(path.read_text() + f"\n{line}\n")
    done = lint_imports(copy)
    assert done.returncode != 0
    assert f"{contract} BROKEN" in done.stdout


def test_new_package_must_be_placed(copy: Path) -> None:
    (copy / "src" / "lineament" / "somewhere").mkdir()
    (copy / "src" / "lineament" / "somewhere" / "__init__.py").touch()
    done = lint_imports(copy)
    assert done.returncode != 0
    assert "somewhere" in done.stdout
