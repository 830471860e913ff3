"""Where the result of each picture goes; checked before any work is done."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from lineament.cli.common import SUFFIXES, require_folder
from lineament.core.errors import InputError


def result_files(
    files: Sequence[Path], out: Path, parts: Sequence[str] = ("",), *, copies: bool = False
) -> dict[Path, Path]:
    """A PNG file in a folder for each picture, or the one file that was named for a single picture.

    Args:
        files: pictures, each once.
        out: a folder, made when it is not there; or a file (.png, .jpg) when there is one picture.
        parts: what is put between stem and suffix of further files for the same picture; none of two pictures are
            the same.
        copies: a picture may also be copied there, under its own suffix.

    Raises:
        typer.BadParameter: several pictures and a file.
        InputError: nothing can be written there, or a result would be written over one of ``files``.
    """
    if out.suffix.lower() in SUFFIXES and not out.is_dir():
        if len(files) > 1:
            raise typer.BadParameter(
                f"{len(files)} pictures need a folder, {out} is a file", param_hint="--out"
            )
        require_folder(out)
        targets = {files[0]: out}
    else:
        targets = _files_in(out, files, parts)
    _keep_the_sources(targets, parts, copies)
    return targets


def _files_in(out: Path, files: Sequence[Path], parts: Sequence[str]) -> dict[Path, Path]:
    require_folder(out)
    try:
        out.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write into {out}: {error.strerror}; give another folder") from error
    targets: dict[Path, Path] = {}
    taken: set[str] = set()
    for path in files:
        name, number = path.stem, 1
        while not taken.isdisjoint(f"{name}{part}" for part in parts):
            number += 1
            name = f"{path.stem}-{number}"
        taken.update(f"{name}{part}" for part in parts)
        targets[path] = out / f"{name}.png"
    return targets


def _keep_the_sources(targets: Mapping[Path, Path], parts: Sequence[str], copies: bool) -> None:
    """Raise InputError when a result would be written over a picture that is read."""
    sources = {(found.st_dev, found.st_ino) for path in targets if (found := _stat(path))}
    for path, target in targets.items():
        places = [target, *(target.with_name(f"{target.stem}{part}.png") for part in parts if part)]
        for place in [*places, target.with_suffix(path.suffix)] if copies else places:
            found = _stat(place)
            if found and (found.st_dev, found.st_ino) in sources:
                raise InputError(
                    f"{place} would be written over a picture that is read; choose another --out"
                )


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
