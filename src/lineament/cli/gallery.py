"""``lineament gallery``: the file as a whole."""

from pathlib import Path

import typer

from lineament.cli import gallery_copies, gallery_keys, gallery_review, gallery_upgrade
from lineament.cli.common import GALLERY, open_gallery
from lineament.cli.exits import Exit
from lineament.cli.output import JsonFlag, note, print_json, print_pairs, when

app = typer.Typer(
    help="Look at, check, carry, encrypt and keep a gallery.",
    no_args_is_help=True,
    context_settings={"max_content_width": 110},
)
app.add_typer(gallery_copies.app)
app.add_typer(gallery_keys.app)
app.add_typer(gallery_review.app, name="review")
app.add_typer(gallery_upgrade.app, name="upgrade")


@app.command()
def info(gallery: Path = GALLERY, as_json: bool = JsonFlag) -> None:
    """A gallery in numbers.

    Example: lineament gallery info --gallery staff.gallery
    """
    with open_gallery(gallery) as opened:
        found = opened.info()
    if as_json:
        print_json(
            {
                "gallery": str(gallery),
                "subjects": found.size.subjects,
                "samples": found.size.samples,
                "space": found.space,
                "dimension": found.dimension,
                "calibration": found.calibration,
                "layout": found.schema_version,
                "made": when(found.created_s),
                "bytes": found.bytes_on_disk,
                "held_samples": found.held,
                "encrypted": found.encrypted,
                "public_key": found.public_key,
                "other_space": found.other_space or None,
            }
        )
        return
    print_pairs(
        [
            ("gallery", str(gallery)),
            ("people", f"{found.size.subjects:,}"),
            ("samples", f"{found.size.samples:,}" + (f", {found.held:,} not searched" if found.held else "")),
            ("embedding space", found.space),
            *([("upgrade", f"templates of {found.other_space} beside them")] if found.other_space else []),
            ("encrypted", "yes" if found.encrypted else "no"),
            ("receipts", f"verified by the public key {found.public_key}"),
            ("calibration", found.calibration or "none noted"),
            ("made", when(found.created_s)),
            ("on the disk", f"{found.bytes_on_disk / 1e6:.2f} MB, layout {found.schema_version}"),
        ]
    )


@app.command()
def check(gallery: Path = GALLERY, as_json: bool = JsonFlag) -> None:
    """Read the whole file and compare every template with the digest taken when it was enrolled.

    Exit code 6 when something is wrong.

    Example: lineament gallery check --gallery staff.gallery
    """
    with open_gallery(gallery) as opened:
        faults, size = opened.check(), opened.size
    if as_json:
        print_json({"gallery": str(gallery), "samples": size.samples, "faults": faults})
    elif not faults:
        print(f"{gallery} is sound: {size.subjects:,} people, {size.samples:,} samples")
    for fault in faults:
        note(f"{gallery}: {fault}")
    if faults:
        raise typer.Exit(Exit.GALLERY)


@app.command()
def export(
    file: Path = typer.Argument(help="New file; an existing one is not overwritten."),
    gallery: Path = GALLERY,
    as_json: bool = JsonFlag,
) -> None:
    """Write everything to one portable file (a zip of JSON lines and a NumPy array).

    Example: lineament gallery export staff.zip --gallery staff.gallery
    """
    with open_gallery(gallery) as opened:
        size = opened.export(file)
    if as_json:
        print_json({"file": str(file), "subjects": size.subjects, "samples": size.samples})
    else:
        print(f"wrote {size.subjects:,} people with {size.samples:,} samples to {file}")


@app.command("import")
def import_(
    file: Path = typer.Argument(help="A file that 'lineament gallery export' wrote."),
    gallery: Path = GALLERY,
    as_json: bool = JsonFlag,
) -> None:
    """Add everything of an exported file, or nothing; the gallery is made when it is not there.

    Exit code 3 when a sample is there already.

    Example: lineament gallery import staff.zip --gallery copy.gallery
    """
    from lineament.gallery import EnrollmentRefusal, Gallery, exported_space

    space = exported_space(file)
    with Gallery.open(gallery, space=space, create=True) as opened:
        done = opened.import_(file)
    if isinstance(done, EnrollmentRefusal):
        if as_json:
            stands = {"kind": done.kind, "subject": done.subject_id, "sample": done.sample_id}
            print_json({"file": str(file), "refusal": stands | {"position": done.position}})
        note(
            f"nothing was imported: sample {done.position + 1} of {file} is there already as {done.sample_id} of "
            f"{done.subject_id}; remove that one, or import into another gallery"
        )
        raise typer.Exit(Exit.REFUSED)
    if as_json:
        print_json({"file": str(file), "subjects": done.subjects, "samples": done.samples})
    else:
        print(f"added {done.samples:,} samples and {done.subjects:,} new people to {gallery}")
