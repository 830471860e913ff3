"""Files, functions and folders stay small. An exception needs a reason, and fails once it is no longer needed."""

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src" / "lineament"
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 7
MAX_DEPTH = 4

EXCEPTIONS: dict[str, str] = {}
"""What may be larger, as the faults name it, and why."""


def faults() -> Iterator[str]:
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE)
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > MAX_FILE_LINES:
            yield f"{name}: file"
        if len(name.parts) > MAX_DEPTH:
            yield f"{name}: depth"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from function_faults(node, str(name))


def function_faults(node: ast.FunctionDef | ast.AsyncFunctionDef, file: str) -> Iterator[str]:
    if (node.end_lineno or node.lineno) - node.lineno + 1 > MAX_FUNCTION_LINES:
        yield f"{file}: {node.name} lines"
    arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
    is_command = file.startswith("cli/")  # a command's parameters are its options
    if not is_command and len([a for a in arguments if a.arg not in {"self", "cls"}]) > MAX_PARAMETERS:
        yield f"{file}: {node.name} parameters"


def test_everything_is_small_enough() -> None:
    assert sorted(set(faults()) - set(EXCEPTIONS)) == []


def test_no_stale_exception() -> None:
    assert sorted(set(EXCEPTIONS) - set(faults())) == []
