"""``lineament gallery upgrade``: another model for a gallery whose pictures were kept."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lineament.cli import common
from lineament.cli.exits import Exit
from lineament.cli.output import JsonFlag, note, picture_progress, print_json, print_table
from lineament.cli.results import count

if TYPE_CHECKING:
    from lineament.gallery import DriftReport, Gallery, SpaceFigures, UpgradeProgress

app = typer.Typer(
    help="Another model for a gallery: embed the kept pictures anew, compare, switch, drop the old templates.",
    no_args_is_help=True,
    context_settings={"max_content_width": 110},
)


@app.command()
def run(
    profile: str = typer.Option(..., "--to", help="Profile whose model is to be used from now on."),
    gallery: Path = common.GALLERY,
    backend: str = common.BACKEND,
    threads: int = common.THREADS,
    accept_noncommercial: bool = common.ACCEPT,
    as_json: bool = JsonFlag,
) -> None:
    """Embed the pictures that were kept ("lineament enroll --keep-crops") with another model.

    Searches go on with the present templates. A run that was stopped goes on where it was. Exit code 3: samples
    without a picture are left, and have to be enrolled anew or removed before the gallery can be switched.

    Example: lineament gallery upgrade run --to research --gallery staff.gallery
    """
    from lineament.pipeline import crop_embedder

    common.find_gallery(gallery)
    pipeline = common.open_pipeline(profile, backend, threads, accept_noncommercial)
    embed = crop_embedder(pipeline.embedder)
    with common.open_gallery(gallery) as opened, picture_progress("embedding") as show:
        opened.upgrade.begin(pipeline.embedding_space)
        while (stands := opened.upgrade.progress()).left:
            opened.upgrade.step(embed)
            show(stands.done, stands.done + stands.left)
    _say(stands, gallery, as_json)
    if stands.without_crop:
        raise typer.Exit(Exit.REFUSED)


@app.command()
def report(gallery: Path = common.GALLERY, as_json: bool = JsonFlag) -> None:
    """How the present and the other model judge the samples that both have: read it before you switch.

    Example: lineament gallery upgrade report --gallery staff.gallery
    """
    with common.open_gallery(gallery) as opened:
        found = opened.upgrade.report()
    if as_json:
        print_json({"gallery": str(gallery)} | _report_row(found))
        return
    print_table(
        ("", "present", "other"),
        [
            (words, _number(getattr(found.old, name)), _number(getattr(found.new, name)))
            for words, name in _FIGURES
        ],
    )
    print(f"{found.samples:,} samples of {count(found.subjects, 'person', 'people')}")
    print(f"{found.changes:,} of them are nearest to somebody else than before")
    for sample, before, after in found.changed:
        print(f"  {sample}: {before} → {after}")


@app.command()
def switch(gallery: Path = common.GALLERY, as_json: bool = JsonFlag) -> None:
    """Search with the other templates from now on; switching again goes back until the others are dropped.

    Open programs are told to open the gallery anew. The calibration record is forgotten.

    Example: lineament gallery upgrade switch --gallery staff.gallery
    """
    with common.open_gallery(gallery) as opened:
        opened.upgrade.switch()
    with common.open_gallery(gallery) as opened:
        _say_spaces(opened, gallery, as_json)


@app.command()
def drop(gallery: Path = common.GALLERY, as_json: bool = JsonFlag) -> None:
    """Remove the templates that are not searched, and overwrite their bytes.

    Example: lineament gallery upgrade drop --gallery staff.gallery
    """
    with common.open_gallery(gallery) as opened:
        dropped = opened.upgrade.drop()
        if not as_json:
            print(f"dropped {count(dropped, 'template')}")
        _say_spaces(opened, gallery, as_json)


_FIGURES = (
    ("space", "space"),
    ("mean similarity, one person", "mated_mean"),
    ("5th percentile, one person", "mated_low"),
    ("mean similarity, two people", "other_mean"),
    ("99.9th percentile, two people", "other_high"),
    ("nearest sample is of the same person", "first"),
)


def _say(stands: "UpgradeProgress", gallery: Path, as_json: bool) -> None:
    if as_json:
        print_json({"gallery": str(gallery)} | asdict(stands))
        return
    print(f"{count(stands.done, 'sample')} of {gallery} have templates of {stands.space}")
    if stands.without_crop:
        some = ", ".join(stands.without_crop[:5])
        note(
            f"{count(len(stands.without_crop), 'sample')} without a kept picture hold the switch up ({some}); "
            "enroll them anew with --keep-crops, or remove them"
        )


def _say_spaces(opened: "Gallery", gallery: Path, as_json: bool) -> None:
    found = opened.info()
    if as_json:
        print_json({"gallery": str(gallery), "space": found.space, "other_space": found.other_space or None})
    else:
        print(f"{gallery} is searched in {found.space}")


def _report_row(report: "DriftReport") -> dict[str, Any]:
    changed = [
        {"sample": s, "old_nearest": before, "new_nearest": after} for s, before, after in report.changed
    ]
    return {
        "samples": report.samples,
        "subjects": report.subjects,
        "old": _figures_row(report.old),
        "new": _figures_row(report.new),
        "changes": report.changes,
        "changed": changed,
    }


def _figures_row(figures: "SpaceFigures") -> dict[str, Any]:
    """JSON knows no NaN: a figure without pairs is null."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in asdict(figures).items()
    }


def _number(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return "no pairs" if math.isnan(value) else f"{value:.4f}"
