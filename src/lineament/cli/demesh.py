"""``lineament demesh``: take security meshes off portraits."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lineament.cli import common, results
from lineament.cli.exits import Exit
from lineament.cli.output import JsonFlag, print_json, progress
from lineament.cli.targets import result_files
from lineament.core.errors import InputError

if TYPE_CHECKING:
    from lineament.core.types import Image
    from lineament.demesh import MeshGate, Restoration

MASK, COMPARE = ".mask", ".compare"
TILE_PX = (220, 640)
"""Sides between which the pictures of a comparison are shown."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is written beside the picture, and whether clean ones are restored too."""

    mask: bool
    compare: bool
    force: bool


@dataclass(frozen=True, slots=True)
class _Done:
    """One picture: what was found and what was written, or why it cannot be read.

    Attributes:
        path: the picture.
        score: of the mesh; None without a picture.
        is_meshed: whether the score reaches the threshold.
        restored: whether pixels were changed; else the file was copied.
        written: all files.
        error: why there is no result.
    """

    path: Path
    score: float | None = None
    is_meshed: bool = False
    restored: bool = False
    written: tuple[Path, ...] = ()
    error: InputError | None = None


def demesh(
    images: list[str] = common.PICTURES,
    out: Path = typer.Option(
        ..., "--out", "-o", help="Folder to write into; for one picture also a file (.png, .jpg)."
    ),
    mask: bool = typer.Option(False, "--mask", help="Also write where the mesh is, NAME.mask.png."),
    compare: bool = typer.Option(
        False, "--compare", help="Also write before, mask and after side by side, NAME.compare.png."
    ),
    force: bool = typer.Option(False, "--force", help="Restore pictures without a mesh, too."),
    profile: str = typer.Option("id-photo", "--profile", help="Profile whose mesh remover is used."),
    backend: str = common.BACKEND,
    threads: int = common.THREADS,
    accept_noncommercial: bool = common.ACCEPT,
    as_json: bool = JsonFlag,
) -> None:
    """Take the security mesh off ID photos; pictures without one are copied as they are, byte for byte.

    A picture counts as meshed when its score reaches the threshold at which at most the profile's share of clean
    pictures was touched. Restored pictures are written as PNG, upright, without metadata. Exit code 0: all done,
    whether meshes were found or not; 4: a file cannot be read; 7: the remover has no calibration record.

    Examples: lineament demesh idphoto.png -o clean.png · lineament demesh photos/ -o clean/ --compare --json ·
    lineament demesh idphoto.png -o out/ --mask --force
    """
    from lineament.imaging import find_images

    files = find_images(images)
    targets = result_files(files, out, ("", MASK, COMPARE), copies=True)
    gate = common.open_mesh_gate(profile, backend, threads, accept_noncommercial)
    wanted = _Wanted(mask, compare, force)
    done = [_one(gate, path, targets[path], wanted) for path in progress(files, "looking for meshes")]
    if as_json:
        facts: dict[str, Any] = {
            "profile": profile,
            "weights": common.weights(gate.remover.name),
            "remover": gate.id,
        }
        facts |= {"threshold": gate.threshold, "clean_touched_rate": gate.rate, "record": gate.record}
        print_json(facts | {"results": [_json(d) for d in done]})
    codes = [_say(d, gate, quiet=as_json) for d in done]
    raise typer.Exit(common.worst(codes))


def _one(gate: "MeshGate", path: Path, target: Path, wanted: _Wanted) -> _Done:
    from lineament.imaging import write_image

    image = common.read_picture(path)
    if isinstance(image, InputError):
        return _Done(path, error=image)
    made = gate.restore(image.pixels)
    is_meshed = gate.is_meshed(made.finding)
    touched = is_meshed or wanted.force
    written = [target]
    if touched:
        write_image(target, made.pixels)
    else:
        written = [_copied(path, target)]
    if wanted.mask:
        written.append(target.with_name(f"{target.stem}{MASK}.png"))
        write_image(written[-1], _grey(made))
    if wanted.compare:
        written.append(target.with_name(f"{target.stem}{COMPARE}.png"))
        write_image(written[-1], _side_by_side(image, made, touched))
    return _Done(path, made.finding.score, is_meshed, touched, tuple(written))


def _copied(path: Path, target: Path) -> Path:
    """Copy a file as it is; the copy keeps its suffix, which says what is in it."""
    from lineament.zoo.files import write_atomic

    place = target.with_suffix(path.suffix)
    try:
        write_atomic(place, path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot write {place}: {error.strerror}; choose a folder that has room") from error
    return place


def _grey(made: "Restoration") -> Any:
    import numpy as np

    return np.rint(made.finding.mask * 255).astype(np.uint8)[..., None].repeat(3, axis=2)


def _side_by_side(image: "Image", made: "Restoration", touched: bool) -> Any:
    from lineament.imaging import Tile, contact_sheet

    after = "after" if touched else "untouched: no mesh found"
    tiles = [
        Tile(image.pixels, "before"),
        Tile(_grey(made), f"mask, score {made.finding.score:.3f}"),
        Tile(made.pixels if touched else image.pixels, after),
    ]
    low, high = TILE_PX
    return contact_sheet(tiles, 3, min(max(image.height, image.width, low), high))


def _say(done: _Done, gate: "MeshGate", quiet: bool) -> Exit:
    """Print one outcome; returns its exit code."""
    if done.error is not None:
        return results.say_failed(done.error)
    if not quiet:
        found = "mesh" if done.is_meshed else "no mesh"
        beside = f"{done.score:.3f} {'≥' if done.is_meshed else '<'} {gate.threshold:.3f}"
        what = "restored" if done.restored else "copied as it is"
        print(f"{found:<7}  {done.path}  score {beside}  {what}: {', '.join(map(str, done.written))}")
    return Exit.DONE


def _json(done: _Done) -> dict[str, Any]:
    return {
        "path": str(done.path),
        "score": done.score,
        "mesh": done.is_meshed,
        "outcome": "error" if done.error else "restored" if done.restored else "untouched",
        "written": [str(p) for p in done.written],
        "error": results.error_json(done.error) if done.error else None,
    }
