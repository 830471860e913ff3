"""``lineament gallery backup | restore | copies | verify-receipt | retention``: copies, and what must not last."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lineament.cli.common import GALLERY, open_gallery
from lineament.cli.exits import Exit
from lineament.cli.output import JsonFlag, note, print_json, print_table, when
from lineament.cli.removals import receipt_json, receipt_name, save_receipts, warn
from lineament.cli.results import count
from lineament.core.errors import InputError

if TYPE_CHECKING:
    from lineament.gallery import Copy, DueSample, ReceiptVerdict

app = typer.Typer()
DAY_S = 86_400.0


@app.command("backup")
def back_up(
    file: Path = typer.Argument(help="New file; an existing one is not overwritten."),
    gallery: Path = GALLERY,
    as_json: bool = JsonFlag,
) -> None:
    """Copy a gallery while it is in use. The copy is encrypted when the gallery is, with the same key.

    Example: lineament gallery backup staff-2026-03-01.gallery --gallery staff.gallery
    """
    with open_gallery(gallery) as opened:
        target = opened.copies.back_up(file)
    if as_json:
        print_json({"gallery": str(gallery), "backup": str(target)})
    else:
        print(f"wrote a backup to {target}")


@app.command()
def restore(
    backup: Path = typer.Argument(help="A file that 'lineament gallery backup' wrote."),
    backup_key_file: Path = typer.Option(
        None, "--backup-key-file", help="File of the backup's key, when it is not the gallery's."
    ),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask."),
    gallery: Path = GALLERY,
    as_json: bool = JsonFlag,
) -> None:
    """Put a gallery back to the state of a backup, in use or not; whom it removed since stays removed.

    Example: lineament gallery restore staff-2026-03-01.gallery --gallery staff.gallery
    """
    from lineament.gallery import read_key
    from lineament.gallery import restore as put_back

    if gallery.exists() and not yes:
        typer.confirm(f"Replace what {gallery} holds by {backup}?", abort=True, err=True)
    done = put_back(
        backup, gallery, backup_key=None if backup_key_file is None else read_key(backup_key_file)
    )
    if as_json:
        facts = {"samples": done.samples, "removed_again": done.removed_again}
        print_json({"gallery": str(gallery), "backup": str(backup)} | facts)
        return
    print(f"{gallery} holds {count(done.samples, 'sample')} of {backup}")
    if done.removed_again:
        note(f"{count(done.removed_again, 'sample')} of the backup had been removed since and stayed away")


@app.command()
def copies(
    forget: Path = typer.Option(
        None, "--forget", help="Take this copy off the list, after you destroyed it.", show_default=False
    ),
    gallery: Path = GALLERY,
    as_json: bool = JsonFlag,
) -> None:
    """Backups and exports of a gallery; removing a person does not change them.

    Example: lineament gallery copies --gallery staff.gallery
    """
    with open_gallery(gallery) as opened:
        if forget is not None:
            opened.copies.forget(forget)
        known = opened.copies.known()
    if as_json:
        rows = [_copy_row(k.copy) | {"found": k.found} for k in known]
        print_json({"gallery": str(gallery), "copies": rows})
    elif not known:
        note(f"no copy of {gallery} is known")
    else:
        print_table(
            ("copy", "made", "file", "there"),
            [(k.copy.kind, when(k.copy.made_s), k.copy.path, "yes" if k.found else "no") for k in known],
        )


@app.command("verify-receipt")
def verify_receipt(
    file: Path = typer.Argument(help="A receipt that a removal wrote."),
    gallery: Path = GALLERY,
    as_json: bool = JsonFlag,
) -> None:
    """Is what a receipt says is gone really gone, from the gallery and from every copy that it knows?

    Exit code 6 when the receipt is not genuine, or when a sample may still be somewhere.

    Example: lineament gallery verify-receipt ada.json --gallery staff.gallery
    """
    from lineament.gallery import RemovalReceipt

    try:
        receipt = RemovalReceipt.from_json(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read as a receipt ({error}); check its name") from error
    with open_gallery(gallery) as opened:
        verdict = opened.copies.verify(receipt)
    if as_json:
        print_json({"gallery": str(gallery), "subject": receipt.subject_id} | _verdict_row(verdict))
    else:
        for line in _verdict_words(verdict):
            note(line)
        if verdict.gone:
            what = count(len(receipt.sample_ids), "sample")
            print(
                f"{what} of {receipt.subject_id}: gone since {when(receipt.removed_s)}, no known copy has any"
            )
    if not verdict.gone:
        raise typer.Exit(Exit.GALLERY)


@app.command()
def retention(
    max_age_days: float = typer.Option(
        None,
        "--max-age-days",
        min=0.001,
        help="Remove samples that were enrolled longer ago.",
        show_default=False,
    ),
    unseen_days: float = typer.Option(
        None,
        "--unseen-days",
        min=0.001,
        help="Remove people who were neither seen ('lineament people seen') nor given a sample for longer.",
        show_default=False,
    ),
    apply: bool = typer.Option(False, "--apply", help="Remove them; otherwise they are only listed."),
    receipts: Path = typer.Option(
        None, "--receipts", help="With --apply: folder for the signed receipts, one for each person."
    ),
    gallery: Path = GALLERY,
    as_json: bool = JsonFlag,
) -> None:
    """List what is older than you may keep it, or remove it.

    Example: lineament gallery retention --max-age-days 365 --apply --receipts removed/
    """
    from lineament.gallery import RetentionRule

    limits = [None if days is None else days * DAY_S for days in (max_age_days, unseen_days)]
    if limits == [None, None]:
        raise typer.BadParameter("give --max-age-days, --unseen-days or both")
    if receipts is not None and not receipts.is_dir():
        raise InputError(f"{receipts} is no folder; make it first")
    rule = RetentionRule(*limits)
    with open_gallery(gallery) as opened:
        if not apply:
            _say_due(opened.retention.due(rule), gallery, as_json)
            return
        done = opened.retention.apply(rule)
    if as_json:
        signed = [receipt_json(receipt) for receipt in done.receipts]
        facts = {"samples_removed": done.samples, "purged": done.purged, "receipts": signed}
        print_json({"gallery": str(gallery), "applied": True} | facts)
    else:
        people = len({receipt.subject_id for receipt in done.receipts})
        print(
            f"removed {count(done.samples, 'sample')} of {count(people, 'person', 'people')} from {gallery}"
        )
    warn(done.receipts, done.purged)
    if receipts is not None:
        save_receipts({receipts / receipt_name(receipt): receipt for receipt in done.receipts})


def _say_due(due: Sequence["DueSample"], gallery: Path, as_json: bool) -> None:
    rows = [
        {
            "subject": sample.subject_id,
            "sample": sample.sample_id,
            "enrolled": when(sample.created_s),
            "seen": None if sample.seen_s is None else when(sample.seen_s),
        }
        for sample in due
    ]
    if as_json:
        print_json({"gallery": str(gallery), "applied": False, "due": rows})
        return
    if rows:
        cells = [tuple(value or "never noted" for value in row.values()) for row in rows]
        print_table(("person", "sample", "enrolled", "seen"), cells)
    note(f"{count(len(due), 'sample')} due; nothing was removed, --apply removes them")


def _copy_row(copy: "Copy") -> dict[str, Any]:
    return {"kind": copy.kind, "path": copy.path, "made": when(copy.made_s)}


def _verdict_row(verdict: "ReceiptVerdict") -> dict[str, Any]:
    return {
        "gone": verdict.gone,
        "signed": verdict.signed,
        "in_gallery": verdict.in_gallery,
        "held_by": [_copy_row(copy) for copy in verdict.held_by],
        "missing": [_copy_row(copy) for copy in verdict.missing],
        "unreadable": [_copy_row(copy) for copy in verdict.unreadable],
    }


def _verdict_words(verdict: "ReceiptVerdict") -> Iterator[str]:
    """Each reason why something may not be gone."""
    if not verdict.signed:
        yield "the receipt is not genuine: this gallery did not sign it, or it was altered"
    if verdict.in_gallery:
        yield f"the gallery holds {count(verdict.in_gallery, 'removed sample')} again; remove them once more"
    for copy in verdict.held_by:
        yield f"the {copy.kind} {copy.path} holds removed samples; destroy it"
    for copy in verdict.missing:
        yield (
            f"the {copy.kind} {copy.path} is not there to look into; when it was destroyed, say so with "
            f'"lineament gallery copies --forget {copy.path}"'
        )
    for copy in verdict.unreadable:
        yield f"the {copy.kind} {copy.path} cannot be read; destroy it"
