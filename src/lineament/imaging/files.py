"""Which picture files somebody means."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lineament.core.errors import InputError
from lineament.core.names import is_hidden
from lineament.imaging.formats import SUFFIXES


def find_images(arguments: Sequence[str | Path]) -> list[Path]:
    """Picture files named by files, folders and patterns.

    A file is taken whatever its suffix. A folder gives the picture files in it and below it, sorted by path; hidden
    files and folders are skipped, links to folders are not followed. A pattern (``*``, ``?``, ``[…]``, ``**``)
    counts like everything that it matches, for shells that do not expand it.

    Args:
        arguments: files, folders, patterns.

    Returns:
        Paths in the order of the arguments, each file once.

    Raises:
        InputError: nothing is there, a folder holds no picture, or a folder cannot be read; names the argument.
    """
    found: dict[str, Path] = {}
    for argument in arguments:
        for path in _expand(str(argument)):
            found.setdefault(os.path.abspath(path), path)  # noqa: PTH100 - resolve() would merge links
    return list(found.values())


def _expand(argument: str) -> Iterator[Path]:
    """Files of one argument."""
    path = Path(argument)
    try:
        if path.is_dir():
            yield from _in_folder(path)
            return
        if path.exists():
            yield path
            return
    except OSError as error:
        raise InputError(f"{argument}: cannot be read: {error.strerror}") from error
    matches = sorted(glob.glob(argument, recursive=True)) if glob.has_magic(argument) else []  # noqa: PTH207
    if not matches:
        what = (
            "no file matches this pattern" if glob.has_magic(argument) else "there is no such file or folder"
        )
        raise InputError(f"{argument}: {what}")
    for match in map(Path, matches):
        if match.is_dir():
            yield from _in_folder(match)
        else:
            yield match


def _in_folder(folder: Path) -> list[Path]:
    """Picture files of a folder, sorted."""

    def stop(error: OSError) -> None:
        raise InputError(f"{error.filename}: this folder cannot be read: {error.strerror}") from error

    found: list[Path] = []
    for where, folders, names in os.walk(folder, onerror=stop):
        folders[:] = _visible(folders)
        found += [Path(where, name) for name in _visible(names) if Path(name).suffix.lower() in SUFFIXES]
    if not found:
        raise InputError(f"{folder}: no picture in this folder; looked for {' '.join(sorted(SUFFIXES))}")
    return sorted(found)


def _visible(names: Iterable[str]) -> list[str]:
    return [name for name in names if not is_hidden(name)]
