"""Tables, JSON and progress."""

import json
import sys
from pathlib import Path

import pytest

from lineament.cli.output import download_progress, print_json, print_pairs, print_table, save_text
from lineament.core.errors import InputError


def test_json_is_one_document_of_real_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "Zoë", "values": [1.5, None]})
    assert json.loads(capsys.readouterr().out) == {"name": "Zoë", "values": [1.5, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        print_json({"value": float("nan")})


def test_tables_in_a_pipe_keep_long_cells_and_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/a/" + "long/" * 25 + "[name].onnx"
    print_table(("name", "path"), [("a", path), ("b", "[red]x")])
    out, err = capsys.readouterr()
    assert path in out
    assert "[red]x" in out
    assert err == ""


def test_pairs_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    print_pairs([("a", "1"), ("long", "2"), ("none", "")])
    assert capsys.readouterr().out == "a     1\nlong  2\nnone\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_for_terminals(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    with download_progress() as show:
        show("net.onnx", 500_000, 1_000_000)
        show("net.onnx", 1_000_000, 1_000_000)
    out, err = capsys.readouterr()
    assert out == ""
    assert ("net.onnx" in err) == terminal


def test_a_text_is_written_whole_or_not_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.json"
    save_text(path, "ä" * 10, "report")
    assert path.read_text(encoding="utf-8") == "ä" * 10
    assert f"report written to {path}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [path]
    link = tmp_path / "link"
    link.symlink_to(path)
    save_text(link, "new", "report")
    assert (link.is_symlink(), path.read_text()) == (True, "new")
    with pytest.raises(InputError, match=r"cannot be written to .*directory; check the folder and its space"):
        save_text(tmp_path, "folder", "report")


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no device that is always full")
def test_a_full_disk_is_explained() -> None:
    with pytest.raises(InputError, match="No space left on device; check the folder"):
        save_text(Path("/dev/full"), "x", "report")
