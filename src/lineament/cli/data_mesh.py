"""``lineament data mesh``: ID photos under security meshes, made from clean photos."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from lineament.cli import common, results
from lineament.cli.data import SUFFIX_FORMATS, note_faults
from lineament.cli.data_curation import default_workers
from lineament.cli.data_suspects import app
from lineament.cli.output import JsonFlag, note, picture_progress, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lineament.curation.meshing import FaceFinder, MeshReport
    from lineament.imaging.mesh import Family, MeshRanges
    from lineament.imaging.portrait import IssueRanges, Layout
    from lineament.packs import FilePack, Format

__all__ = ["app"]

FAMILIES = typer.Option(
    ["sines"], "--family", help="sines, patent, rosettes or words; repeatable, then each is as likely."
)
RANGES_NAME = typer.Option("default", "--ranges", help="Of the mesh: default, or unseen for tests.")
LAYOUT = typer.Option("as-is", "--layout", help="as-is, portrait (178 x 220 px) or chip (102 x 126 px).")
CROP = typer.Option(
    "centre", "--crop", help="What a layout shows: the centre, or the face as ID photos show it."
)
JPEG = typer.Option((30, 90), "--jpeg", metavar="LOW HIGH", help="Quality, 1 to 100.")
BLUR = typer.Option((0.0, 0.8), "--blur", metavar="LOW HIGH", help="Sigma of the blur over the mesh, px.")
CLEAN = typer.Option(
    False, "--clean", help="Also write the exact picture without mesh, blur and compression, as PNG."
)
MASK = typer.Option(False, "--mask", help="Also write how far ink covers each pixel, as PNG.")
OUT = typer.Option(..., "--out", "-o", help="What to write, of the kind of INPUT; it must not be there.")
WORKERS = typer.Option(0, "--workers", min=0, max=64, help="Photos at once; 0: one a core, at most four.")
_SHOWN = 5
"""Photos without a result that are printed; the list has all of them."""


@app.command("mesh")
def mesh(
    source: Path = typer.Argument(metavar="INPUT", help="Picture, folder or pack of clean photos."),
    out: Path = OUT,
    families: list[str] = FAMILIES,
    ranges: str = RANGES_NAME,
    layout: str = LAYOUT,
    crop: str = CROP,
    jpeg: tuple[int, int] = JPEG,
    png: bool = typer.Option(False, "--png", help="Store PNG, without loss, instead of JPEG."),
    blur: tuple[float, float] = BLUR,
    seed: int = typer.Option(0, "--seed", min=0, help="Seed of what is drawn."),
    mask: bool = MASK,
    clean: bool = CLEAN,
    workers: int = WORKERS,
    profile: str = common.PROFILE,
    backend: str = common.BACKEND,
    accept_noncommercial: bool = common.ACCEPT,
    as_json: bool = JsonFlag,
) -> None:
    """Make ID photos under security meshes: frame, lay a mesh over, blur and compress as the authority's copies are.

    Names, people and pairs stay. OUT.mesh.csv lists what was drawn for each photo, enough to make the same bytes again;
    OUT.refused.csv lists what could not be read or framed. What is drawn for a photo depends on the seed and its name.

    Example: lineament data mesh photos/ -o meshed/ --layout portrait --crop face --family sines --family patent --clean
    """
    from lineament.curation.mesh_records import RANGES
    from lineament.curation.meshing import MeshSettings, Part, mesh_pack

    if ranges not in RANGES:
        raise typer.BadParameter(f"must be one of {', '.join(RANGES)}", param_hint="--ranges")
    if crop not in {"centre", "face"} or (crop == "face" and layout == "as-is"):
        raise typer.BadParameter(
            "must be centre, or face with --layout portrait or chip", param_hint="--crop"
        )
    source_pack, kind = _open(source)
    with source_pack as pack:
        lossless = _check_out(source, out, kind, png)
        drawn = _ranges(families, RANGES[ranges], layout, blur, None if lossless else jpeg)
        wanted = {part for part, asked in ((Part.MASK, mask), (Part.CLEAN, clean)) if asked}
        settings = MeshSettings(
            ranges=drawn, seed=seed, parts=frozenset(wanted), workers=workers or default_workers()
        )
        finder = _finder(profile, backend, accept_noncommercial) if crop == "face" else None
        note_faults(source, pack.faults)
        with picture_progress(out.name) as progress:
            report = mesh_pack(pack, out, kind, settings, finder, progress)
    _say(report, as_json)


def _open(source: Path) -> "tuple[FilePack, Format | None]":
    """The photos, and their format; None for a single picture."""
    from lineament.curation.meshing import picture_pack
    from lineament.packs import open_pack
    from lineament.packs.opening import recognise
    from lineament.packs.pictures import is_picture

    if source.is_file() and is_picture(source.name):
        return picture_pack(source), None
    return open_pack(source), recognise(source)[0]


def _check_out(source: Path, out: Path, kind: "Format | None", png: bool) -> bool:
    """Refuse a name that does not say what is written there; True when it is without loss."""
    common.require_folder(out)
    suffix = out.suffix.lower()
    if kind is None:
        if suffix not in common.SUFFIXES or (png and suffix != ".png"):
            wanted = ".png" if png else ", ".join(common.SUFFIXES)
            raise typer.BadParameter(
                f"{out} must end in {wanted}, as {source} is one picture", param_hint="--out"
            )
        return suffix == ".png"
    says = SUFFIX_FORMATS.get(suffix, kind if kind in {"folder", "tar"} else "")
    if says != kind:
        raise typer.BadParameter(
            f"{out} is no name of a {kind} pack, which {source} is; lineament data convert changes the format",
            param_hint="--out",
        )
    return png


def _ranges(
    families: "Sequence[str]",
    mesh_ranges: "MeshRanges",
    layout: str,
    blur: tuple[float, float],
    quality: tuple[int, int] | None,
) -> "IssueRanges":
    from lineament.imaging.portrait import IssueRanges

    try:
        return IssueRanges(
            families=cast("tuple[Family, ...]", tuple(dict.fromkeys(families))),
            mesh=mesh_ranges,
            layout=cast("Layout", layout),
            blur_sigma_px=blur,
            jpeg_quality=quality,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _finder(profile: str, backend: str, accept_noncommercial: bool) -> "FaceFinder":
    """Finds the face nearest to the middle with the detector of a profile."""
    from lineament.curation.align import AlignSettings, meant_face
    from lineament.zoo.profiles import find_profile

    known = find_profile(profile)
    settings = AlignSettings(min_face_px=known.min_face_px)
    detector = common.open_detector(known.detector, known, backend, 1, accept_noncommercial)
    return lambda pixels: meant_face(pixels, detector.detect([pixels])[0], settings)


def _say(report: "MeshReport", as_json: bool) -> None:
    from collections import Counter

    made = sum(report.families.values())
    for refused in report.refusals[:_SHOWN]:
        note(f"left out: {refused.name}: {refused.detail}")
    if as_json:
        document: dict[str, Any] = {str(part): str(place) for part, place in report.places.items()}
        document |= {"records": made, "families": dict(report.families), "list": str(report.listed)}
        document |= {"sha256": report.info and report.info.sha256}
        reasons = Counter(str(refused.reason) for refused in report.refusals)
        print_json(document | {"refused": dict(sorted(reasons.items())), "refusals": str(report.refused)})
        return
    families = ", ".join(f"{n:,} {family}" for family, n in report.families.items())
    for part, place in report.places.items():
        print(f"{part}: {results.count(made, 'photo')} written to {place}")
    print(f"meshes: {families}; listed in {report.listed}")
    if report.refusals:
        print(f"{results.count(len(report.refusals), 'photo')} left out; see {report.refused}")
