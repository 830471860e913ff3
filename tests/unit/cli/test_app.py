"""Exit codes, one line for each error, and a quick start."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from lineament import __version__
from lineament.cli import app as cli
from lineament.cli.exits import Exit, exit_for
from lineament.core import errors
from lineament.gallery import Gallery


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.DecodeError("x"), 4),
        (errors.BadArray("x"), 4),
        (errors.DataError("x"), 4),
        (FileNotFoundError("x"), 4),
        (errors.WeightsMissing("x"), 5),
        (errors.LicenceNotAccepted("x"), 5),
        (errors.RuntimeUnavailable("x"), 5),
        (errors.NotCalibrated("x"), 7),
        (errors.EmbeddingSpaceMismatch("x"), 6),
        (errors.GalleryNotFound("x"), 6),
        (errors.ConfigError("x"), 2),
    ],
)
def test_every_error_has_its_code(error: errors.LineamentError | OSError, code: int) -> None:
    assert exit_for(error) == code


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Put a command ``broken`` beside the others that raises ``error``."""
    broken = typer.Typer(pretty_exceptions_enable=False)

    @broken.callback()
    def _group() -> None: ...

    @broken.command("broken")
    def _broken() -> None:
        raise error

    monkeypatch.setattr(cli, "app", broken)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (errors.DecodeError("a.jpg is no picture; give another"), 4, "a.jpg is no picture; give another"),
        (FileNotFoundError(2, "No such file or directory", "a.jpg"), 4, "No such file or directory: 'a.jpg'"),
        (RuntimeError("oh"), 70, "this is a fault of lineament: RuntimeError: oh"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 0, ""),
        (typer.Exit(Exit.NO_MATCH), 1, ""),
        (typer.Exit(), 0, ""),
        (typer.Abort(), 130, ""),
    ],
)
def test_errors_of_commands(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str,
) -> None:
    monkeypatch.delenv("LINEAMENT_DEBUG", raising=False)
    raising(monkeypatch, error)
    keep = os.dup(1)
    try:
        assert cli.run(["broken"]) == code
    finally:
        os.dup2(keep, 1)
        os.close(keep)
    out, err = capfd.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert err.count("\n") == bool(said)
    assert said in err


def test_debugging_shows_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINEAMENT_DEBUG", "1")
    raising(monkeypatch, RuntimeError("oh"))
    with pytest.raises(RuntimeError, match="oh"):
        cli.run(["broken"])


@pytest.mark.parametrize("wrong", [["nothing"], ["--nothing"], ["models", "info"], []])
def test_wrong_use(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(wrong) == 2
    assert "Usage" in "".join(capsys.readouterr())


def command(*words: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from lineament.cli.app import main; sys.argv[0] = 'lineament'; main()"
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)


def test_version_and_help() -> None:
    done = command("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"lineament {__version__}\n", "")
    helped = command("--help")
    assert helped.returncode == 0
    assert "models" in helped.stdout
    assert "Exit codes" in helped.stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from lineament.cli.app import run; run(['models', '--help']); "
        "print([m for m in sys.modules if m.split('.')[0] in "
        "{'numpy', 'cv2', 'onnx', 'onnxruntime', 'openvino', 'faiss', 'requests'}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text there")
def test_a_file_name_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"g\xff")
    Gallery.open(path, space="space-a", create=True).close()
    code = "import sys; from lineament.cli.app import main; sys.argv[0] = 'lineament'; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "gallery", "info", "--gallery", path, "--json"],
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"},
    )
    assert json.loads(done.stdout)["gallery"] == str(path)


def test_reader_that_goes_away(tmp_path: Path) -> None:
    code = "import sys; from lineament.cli.app import run; sys.exit(run(['models', 'list', '--json']))"
    environment = os.environ | {"LINEAMENT_CACHE": str(tmp_path)}
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    assert child.stdout is not None
    child.stdout.close()
    assert child.stderr is not None
    said = child.stderr.read()
    child.stderr.close()
    assert (child.wait(), said) == (0, b"")
