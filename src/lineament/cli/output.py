"""What commands print: tables or one JSON document to stdout, progress to a terminal on stderr."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from lineament.core.errors import InputError

if TYPE_CHECKING:
    from lineament.zoo.options import Progress

T = TypeVar("T")
JsonFlag = typer.Option(False, "--json", help="Print one JSON document.")
PIPE_COLUMNS = 200
"""Width of tables that do not go to a terminal."""


def print_json(document: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print one JSON document; numbers that JSON has not got (NaN) are an error."""
    print(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table.

    Args:
        columns: headings.
        rows: one text for each column.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS).print(table)


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Print names and values, values aligned."""
    lines = list(pairs)
    width = max((len(name) for name, _ in lines), default=0)
    for name, value in lines:
        print(f"{name:<{width}}  {value}".rstrip())


def when(seconds: float) -> str:
    """A time as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def note(text: str) -> None:
    """Tell the user something that is not the result."""
    print(f"lineament: {text}", file=sys.stderr)


def save_text(path: Path, text: str, what: str) -> None:
    """:func:`save_bytes` of a text in UTF-8."""
    save_bytes(path, text.encode(), what)


def save_bytes(path: Path, data: bytes, what: str) -> None:
    """Write a file whole or not at all, and say so on stderr.

    Args:
        path: file to write; its folder is there. Devices, pipes and links are written through.
        data: what it holds.
        what: what it is called.

    Raises:
        InputError: it cannot be written.
    """
    from lineament.zoo.files import write_atomic

    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            path.write_bytes(data)
        else:
            write_atomic(path, data)
    except OSError as error:
        raise InputError(
            f"the {what} cannot be written to {path}: {error.strerror}; check the folder and its space"
        ) from error
    note(f"{what} written to {path}")


@contextmanager
def download_progress() -> Iterator["Progress"]:
    """A callback that draws bars on stderr when it is a terminal, and else does nothing."""
    if not sys.stderr.isatty():
        yield lambda _what, _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show


def progress(items: Sequence[T], what: str) -> Iterator[T]:
    """The items one by one, with a bar on stderr when that is a terminal and there are several."""
    if len(items) < 2 or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Results on a terminal appear above the bar; results that go elsewhere are left alone.
    shared = sys.stdout.isatty()
    with Bars(*columns, console=Console(stderr=True), transient=True, redirect_stdout=shared) as bars:
        yield from bars.track(items)


@contextmanager
def picture_progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr when it is a terminal, and else nothing."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
