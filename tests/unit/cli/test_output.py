"""Tables, JSON and progress."""

import json
import sys

import pytest

from lineament.cli.output import download_progress, print_json, print_pairs, print_table


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
