"""``lineament people``: who is in a gallery."""

from pathlib import Path

import typer

from lineament.cli import people_corrections
from lineament.cli.common import GALLERY, open_gallery
from lineament.cli.output import JsonFlag, note, print_json, print_table, when
from lineament.cli.removals import new_receipt, receipt_json, save_receipts, warn

app = typer.Typer(
    help="List, show, remove, merge and rename the people of a gallery.",
    no_args_is_help=True,
    context_settings={"max_content_width": 110},
)
app.add_typer(people_corrections.app)
NAME = typer.Argument(help="Id of the person, as in 'lineament people list'.")


@app.command("list")
def list_(gallery: Path = GALLERY, as_json: bool = JsonFlag) -> None:
    """Everybody in the gallery.

    Example: lineament people list --gallery staff.gallery
    """
    with open_gallery(gallery) as opened:
        people = opened.subjects()
    if as_json:
        rows = [
            {
                "subject": p.subject_id,
                "samples": p.samples,
                "enrolled": when(p.created_s),
                "seen": None if p.seen_s is None else when(p.seen_s),
            }
            for p in people
        ]
        print_json({"gallery": str(gallery), "people": rows})
    elif not people:
        note(f"{gallery} holds nobody yet")
    else:
        print_table(
            ("person", "samples", "first enrolled"),
            [(p.subject_id, str(p.samples), when(p.created_s)) for p in people],
        )


@app.command()
def show(name: str = NAME, gallery: Path = GALLERY, as_json: bool = JsonFlag) -> None:
    """The samples of one person.

    Example: lineament people show ada
    """
    with open_gallery(gallery) as opened:
        samples = opened.subject(name)
    if as_json:
        rows = [
            {
                "sample": s.sample_id,
                "state": s.state,
                "source_sha256": s.source_sha256,
                "enrolled": when(s.created_s),
            }
            for s in samples
        ]
        print_json({"gallery": str(gallery), "subject": name, "samples": rows})
        return
    print_table(
        ("sample", "state", "enrolled", "sha256 of the picture"),
        [(s.sample_id, s.state, when(s.created_s), s.source_sha256[:16]) for s in samples],
    )


@app.command()
def remove(
    name: str = NAME,
    sample: str = typer.Option("", "--sample", help="Only this sample of the person.", show_default=False),
    receipt: Path = typer.Option(
        None,
        "--receipt",
        callback=new_receipt,
        help="Also write a signed receipt to this new file (JSON).",
        show_default=False,
    ),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask."),
    gallery: Path = GALLERY,
    as_json: bool = JsonFlag,
) -> None:
    """Remove a person, or one sample, and overwrite the bytes on the disk. This cannot be undone.

    Backups and exports are not changed: the receipt lists the known ones, and "lineament gallery verify-receipt"
    looks into them.

    Examples: lineament people remove ada --receipt ada.json ·
    lineament people remove ada --sample sample-1f3a --yes
    """
    from lineament.core.errors import SubjectNotFound

    with open_gallery(gallery) as opened:
        samples = opened.subject(name)
        if sample and sample not in {s.sample_id for s in samples}:
            raise SubjectNotFound(
                f"{name!r} has no sample {sample!r}; see them with \"lineament people show '{name}'\""
            )
        what = f"sample {sample} of {name}" if sample else f"{name} with {_samples(len(samples))}"
        if not yes:
            typer.confirm(f"Remove {what} from {gallery} for good?", abort=True, err=True)
        done = opened.remove_sample(sample) if sample else opened.remove_subject(name)
    signed = [] if done.receipt is None else [done.receipt]
    if as_json:
        facts = {"subject": name, "samples_removed": done.samples, "purged": done.purged}
        print_json(facts | {"receipt": next(map(receipt_json, signed), None)})
    else:
        print(f"removed {what}")
    warn(signed, done.purged)
    if receipt is not None and done.receipt is not None:
        save_receipts({receipt: done.receipt})


@app.command()
def merge(
    into: str = typer.Argument(help="Id that stays."),
    source: str = typer.Argument(help="Id that goes; its samples become those of the other."),
    gallery: Path = GALLERY,
    as_json: bool = JsonFlag,
) -> None:
    """Make two people one, when somebody was enrolled under two ids.

    Example: lineament people merge ada "ada lovelace"
    """
    with open_gallery(gallery) as opened:
        moved = opened.merge(into, source)
    if as_json:
        print_json({"subject": into, "merged": source, "samples_moved": moved})
    else:
        print(f"{_samples(moved)} of {source} now {'belongs' if moved == 1 else 'belong'} to {into}")


@app.command()
def rename(
    old: str = typer.Argument(help="Id now."),
    new: str = typer.Argument(help="Id from now on."),
    gallery: Path = GALLERY,
    as_json: bool = JsonFlag,
) -> None:
    """Give a person another id.

    Example: lineament people rename ada "ada lovelace"
    """
    with open_gallery(gallery) as opened:
        opened.rename(old, new)
    if as_json:
        print_json({"subject": new, "was": old})
    else:
        print(f"{old} is now {new}")


@app.command()
def seen(
    names: list[str] = typer.Argument(..., metavar="NAME...", help="Who was seen."),
    gallery: Path = GALLERY,
    as_json: bool = JsonFlag,
) -> None:
    """Note that people were seen now, for "lineament gallery retention --unseen-days". Unknown ones are passed over.

    Searching notes nothing by itself.

    Example: lineament people seen ada bob
    """
    with open_gallery(gallery) as opened:
        noted = opened.retention.mark_seen(names)
    if as_json:
        print_json({"gallery": str(gallery), "noted": noted})
    else:
        print(f"noted {noted:,} of {len(set(names)):,} as seen")


def _samples(count: int) -> str:
    return f"{count} {'sample' if count == 1 else 'samples'}"
