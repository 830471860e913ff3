"""``lineament data``: convert, count, draw pairs from, split, shuffle and check packs of pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lineament.cli.common import require_folder
from lineament.cli.exits import Exit
from lineament.cli.output import JsonFlag, note, picture_progress, print_json, print_pairs, print_table
from lineament.cli.results import count
from lineament.core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lineament.packs import FilePack, Format, PackInfo
    from lineament.packs.base import Fault
    from lineament.packs.checking import CheckReport, Duplicate, Place
    from lineament.packs.selection import Selection
    from lineament.packs.stats import PackStats

app = typer.Typer(
    help="Convert, count, split, shuffle and check packs of pictures, and draw pairs from them.",
    no_args_is_help=True,
    context_settings={"max_content_width": 110},
)
SUFFIX_FORMATS = {
    ".rec": "rec",
    ".zip": "zip",
    ".tfrecord": "tfrecord",
    ".tfrecords": "tfrecord",
    ".tar": "tar",
}
SUFFIX_FORMATS |= {".bin": "bin"}
_SHOWN = 20
"""Findings that are printed; --json gives all of them."""
PACK = typer.Argument(
    ..., metavar="PACK", help="Folder, zip, .rec, TFRecord, tar shards or .bin.", show_default=False
)
OUT = typer.Argument(..., metavar="OUT", help="Pack to write; it must not be there.", show_default=False)
FORMAT = typer.Option(
    "",
    "--format",
    help="folder, zip, rec, tfrecord, tar or bin; by default what OUT's suffix says, without one a folder.",
    show_default=False,
)
SEED = typer.Option(0, "--seed", min=0, help="Seed of what is drawn.")


def format_of(out: Path, asked: str) -> "Format":
    """The format to write: the one that was asked for, else by the suffix."""
    from lineament.packs import FORMATS

    chosen = asked or SUFFIX_FORMATS.get(out.suffix.lower(), "" if out.suffix else "folder")
    if chosen not in FORMATS:
        raise typer.BadParameter(
            f"the format of {out} must be one of {', '.join(FORMATS)}, got {chosen or 'none'}",
            param_hint="--format",
        )
    require_folder(out)
    if out.exists():
        raise DataError(f"{out} exists; choose another name or remove it first")
    return chosen


@app.command()
def convert(
    pack: Path = PACK,
    out: Path = OUT,
    file_format: str = FORMAT,
    skip_damaged: bool = typer.Option(
        False, "--skip-damaged", help="Leave out records that cannot be read, and list them."
    ),
    as_json: bool = JsonFlag,
) -> None:
    """Write a pack in another format. Pictures are copied byte for byte; names, labels and pairs are kept.

    Exit code 4 when something in the pack is damaged; nothing is written then, unless it may be skipped.

    Example: lineament data convert lfw.bin lfw/
    """
    from lineament.packs import open_pack
    from lineament.packs.selection import every_record, readable_records, write_selection

    chosen = format_of(out, file_format)
    with open_pack(pack, strict=not skip_damaged) as opened, picture_progress(out.name) as progress:
        records, faults = None, list(opened.faults)
        if skip_damaged:
            records, unreadable = readable_records(opened)
            faults += unreadable
        info = write_selection(opened, every_record(opened, chosen, records), out, chosen, progress)
    if as_json:
        print_json(written_json(out, info) | {"faults": [_fault_json(fault) for fault in faults]})
    else:
        say_written(out, info)
    for fault in faults[:_SHOWN]:
        note(f"left out or made up: {fault}")


@app.command()
def stats(pack: Path = PACK, as_json: bool = JsonFlag) -> None:
    """Count records, subjects, pictures of a subject, bytes, picture formats and sizes. Nothing is decoded.

    Example: lineament data stats train.rec
    """
    from lineament.packs import open_pack
    from lineament.packs.stats import pack_stats

    with open_pack(pack) as opened, picture_progress(pack.name) as progress:
        found = pack_stats(opened, progress)
        info, pairs, faults = opened.info, opened.pairs, opened.faults
    if as_json:
        origin = None if info is None else {"source": info.origin.source, "terms": info.origin.terms}
        document: dict[str, Any] = {"pack": str(pack), "origin": origin}
        document |= {"sha256": info and info.sha256, "pairs": pairs and len(pairs.mated)}
        print_json(document | _stats_json(found) | {"faults": [_fault_json(fault) for fault in faults]})
    else:
        _print_stats(found)
        if pairs is not None:
            print(f"{count(len(pairs.mated), 'pair')}, {int(pairs.mated.sum()):,} of one subject")
        if info is not None:
            print_pairs(
                [("source", info.origin.source or "not told"), ("terms", info.origin.terms or "not told")]
            )
    note_faults(pack, faults)


@app.command()
def pairs(
    pack: Path = PACK,
    out: Path = typer.Argument(..., metavar="LIST", help="New list: .txt as LFW's pairs.txt, or .csv."),
    view: int = typer.Option(2, "--view", min=1, max=2, help="Grammar of LFW: 2 in folds, 1 in one block."),
    folds: int = typer.Option(10, "--folds", min=1, help="Folds of View 2; nobody is in two of them."),
    number: int = typer.Option(300, "--pairs", min=1, help="Same pairs of each fold, and different ones."),
    seed: int = SEED,
    as_json: bool = JsonFlag,
) -> None:
    """Draw pairs for verification; no pair is there twice.

    Example: lineament data pairs people/ pairs.txt --folds 10 --pairs 300 --seed 1
    """
    from lineament.packs import open_pack
    from lineament.packs.lfwpairs import csv_text, draw_pairs, lfw_text
    from lineament.packs.writing import staged

    if out.suffix.lower() not in {".txt", ".csv"}:
        raise typer.BadParameter(f"{out} must end in .txt or .csv", param_hint="LIST")
    require_folder(out)
    with open_pack(pack) as opened:
        note_faults(pack, opened.faults)
        drawn = draw_pairs(opened, folds if view == 2 else 1, number, seed)
        is_csv = out.suffix.lower() == ".csv"
        text = csv_text(opened, drawn) if is_csv else lfw_text(opened, drawn, view=view)
    with staged(out, as_folder=False) as new:
        new.write_text(text, encoding="utf-8")
    if as_json:
        print_json(
            {"list": str(out), "view": view, "folds": drawn.n_folds, "pairs_per_kind": number, "seed": seed}
        )
    else:
        print(f"{len(drawn.records):,} pairs in {count(drawn.n_folds, 'fold')} written to {out}")


@app.command()
def split(
    pack: Path = PACK,
    rest: Path = typer.Argument(..., metavar="REST", help="Pack to write for most people."),
    held: Path = typer.Argument(..., metavar="HELD", help="Pack to write for the drawn people."),
    fraction: float = typer.Option(
        None, "--fraction", help="Share of the people in HELD, between 0 and 1.", show_default=False
    ),
    people: int = typer.Option(None, "--people", min=1, help="Number of people in HELD.", show_default=False),
    file_format: str = FORMAT,
    seed: int = SEED,
    as_json: bool = JsonFlag,
) -> None:
    """Split a pack by people: nobody is in both parts. Labels are counted anew in each.

    Example: lineament data split train.rec most.rec few.rec --people 200 --seed 1
    """
    import numpy as np

    from lineament.packs import open_pack
    from lineament.packs.selection import split_by_subject

    if (fraction is None) == (people is None):
        raise typer.BadParameter("give one of --fraction and --people", param_hint="--fraction")
    if rest.absolute() == held.absolute():
        raise typer.BadParameter(f"needs two packs, got {rest} twice", param_hint="REST, HELD")
    targets = [(path, format_of(path, file_format)) for path in (rest, held)]
    with open_pack(pack, strict=True) as opened:
        there = len(np.unique(opened.labels))
        try:
            parts = split_by_subject(opened, people or round(there * fraction), seed)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        written = [_write(opened, part, *to) for part, to in zip(parts, targets, strict=True)]
    if as_json:
        names = ("rest", "held")
        print_json({n: written_json(p, i) for n, p, i in zip(names, (rest, held), written, strict=True)})
        return
    for path, info in zip((rest, held), written, strict=True):
        say_written(path, info)


@app.command()
def shuffle(
    pack: Path = PACK, out: Path = OUT, file_format: str = FORMAT, seed: int = SEED, as_json: bool = JsonFlag
) -> None:
    """Write a pack in a drawn order, for training that reads it from front to back.

    Example: lineament data shuffle train.tfrecord shuffled.tfrecord --seed 1
    """
    from lineament.packs import open_pack
    from lineament.packs.selection import shuffled

    chosen = format_of(out, file_format)
    with open_pack(pack, strict=True) as opened:
        info = _write(opened, shuffled(opened, chosen, seed), out, chosen)
    if as_json:
        print_json(written_json(out, info) | {"seed": seed})
    else:
        say_written(out, info)


@app.command()
def check(
    packs: list[Path] = typer.Argument(..., metavar="PACK...", help="Packs, compared with each other too."),
    names: list[Path] = typer.Option(
        [], "--names", help="List of people who must not be in them (lfw-names.txt), or a pack; repeatable."
    ),
    as_json: bool = JsonFlag,
) -> None:
    """Read everything; find damage, pictures that are there twice, and people who must not be there.

    Names are compared without case, accents and punctuation. Exit code 4 when something is found.

    Example: lineament data check train.rec --names lfw-names.txt
    """
    from contextlib import ExitStack

    from lineament.packs import open_pack
    from lineament.packs.checking import check_packs

    with ExitStack() as stack:
        opened = [stack.enter_context(open_pack(path)) for path in packs]
        lists = {str(path): _names_of(path) for path in names}
        with picture_progress("check") as progress:
            found = check_packs(opened, lists, progress)
    if as_json:
        print_json({"packs": [str(path) for path in packs]} | _check_json(found))
    else:
        _print_check(packs, found)
    if not found.is_clean:
        raise typer.Exit(Exit.INPUT)


def _names_of(path: Path) -> "Sequence[str]":
    """Names from a list (.txt, .tsv, .csv) or of the subjects of a pack."""
    from lineament.packs import open_pack
    from lineament.packs.checking import read_names

    if path.suffix.lower() in {".txt", ".tsv", ".csv"}:
        return read_names(path)
    with open_pack(path) as opened:
        return list(opened.subjects)


def _write(pack: "FilePack", selection: "Selection", out: Path, file_format: "Format") -> "PackInfo":
    from lineament.packs.selection import write_selection

    with picture_progress(out.name) as progress:
        return write_selection(pack, selection, out, file_format, progress)


def written_json(out: Path, info: "PackInfo") -> dict[str, Any]:
    """What a new pack holds, for --json."""
    return {
        "pack": str(out),
        "format": info.format,
        "records": info.records,
        "subjects": info.subjects,
        "sha256": info.sha256,
    }


def say_written(out: Path, info: "PackInfo") -> None:
    """What a new pack holds, for people."""
    print(f"{count(info.records, 'record')} of {count(info.subjects, 'subject')} written to {out}")


def _fault_json(fault: "Fault") -> dict[str, Any]:
    return {"record": fault.record, "reason": fault.reason}


def note_faults(pack: Path, faults: "Sequence[Fault]") -> None:
    """What is wrong with a pack, the first of it."""
    for fault in faults[:_SHOWN]:
        note(f"{pack}: {fault}")
    if len(faults) > _SHOWN:
        note(f"{pack}: {len(faults) - _SHOWN:,} more faults; --json lists all")


def _stats_json(found: "PackStats") -> dict[str, Any]:
    sizes = [
        {"height_px": size[0] if size else None, "width_px": size[1] if size else None, "records": n}
        for size, n in found.sizes_px.items()
    ]
    return {
        "records": found.records,
        "unknown_subject": found.unknown,
        "subjects": found.subjects,
        "subjects_without_record": found.empty_subjects,
        "records_per_subject": {f"{q:g}": value for q, value in found.per_subject.items()},
        "histogram": {str(least): n for least, n in found.histogram.items()},
        "bytes": found.image_bytes,
        "bytes_per_record": {f"{q:g}": value for q, value in found.bytes_quantiles.items()},
        "kinds": dict(found.kinds),
        "sizes": sizes,
    }


def _print_stats(found: "PackStats") -> None:
    sizes = list(found.sizes_px.items())
    shown = [f"{size[1]} x {size[0]} px: {n:,}" if size else f"no size: {n:,}" for size, n in sizes[:5]]
    more = f", {len(sizes) - 5:,} more sizes" if len(sizes) > 5 else ""
    print_pairs(
        [
            ("records", f"{found.records:,}"),
            ("  of unknown subjects", f"{found.unknown:,}"),
            ("subjects", f"{found.subjects:,}"),
            ("  without a record", f"{found.empty_subjects:,}"),
            ("bytes of pictures", f"{found.image_bytes:,}"),
            ("formats", ", ".join(f"{kind}: {n:,}" for kind, n in found.kinds.items())),
            ("sizes", ", ".join(shown) + more),
        ]
    )
    rows = [("records per subject", found.per_subject), ("bytes per record", found.bytes_quantiles)]
    heads = [{0.0: "least", 0.5: "median", 1.0: "most"}.get(q, f"{q:.0%}") for q in found.bytes_quantiles]
    print_table(("", *heads), [(what, *(f"{v:,.0f}" for v in row.values())) for what, row in rows if row])
    if found.histogram:
        bins = [
            (f"{n:,}" if n == 1 else f"{n:,} to {2 * n - 1:,}", f"{m:,}") for n, m in found.histogram.items()
        ]
        print_table(("records", "subjects"), bins)


def _check_json(found: "CheckReport") -> dict[str, Any]:
    return {
        "records": list(found.records),
        "faults": [{"pack": number} | _fault_json(fault) for number, fault in found.faults],
        "duplicates": [
            {
                "sha256": d.sha256,
                "of_two_subjects": d.of_two_subjects,
                "in_two_packs": d.in_two_packs,
                "places": [
                    {"pack": p.pack, "record": p.record, "name": p.name, "subject": p.subject}
                    for p in d.places
                ],
            }
            for d in found.duplicates
        ],
        "shared_subjects": [{"name": s.name, "spellings": dict(s.spellings)} for s in found.shared],
    }


def _print_check(packs: "Sequence[Path]", found: "CheckReport") -> None:
    wrong = sum(d.of_two_subjects for d in found.duplicates)
    across = sum(d.in_two_packs for d in found.duplicates)
    print_pairs(
        [
            ("records", f"{sum(found.records):,}"),
            ("faults", f"{len(found.faults):,}"),
            ("pictures that are there twice", f"{len(found.duplicates):,}"),
            ("  under two subjects", f"{wrong:,}"),
            ("  in two packs", f"{across:,}"),
            ("names in two packs or lists", f"{len(found.shared):,}"),
        ]
    )
    for number, fault in found.faults[:_SHOWN]:
        note(f"{packs[number]}: {fault}")
    first = sorted(found.duplicates, key=lambda d: not d.of_two_subjects)[:_SHOWN]
    for duplicate in first:
        note(_duplicate_words(packs, duplicate))
    for shared in found.shared[:_SHOWN]:
        note(f"{shared.name}: " + ", ".join(f"{name} in {where}" for where, name in shared.spellings.items()))


def _duplicate_words(packs: "Sequence[Path]", duplicate: "Duplicate") -> str:
    def words(place: "Place") -> str:
        return f"{packs[place.pack]}: {place.name} ({place.subject or 'unknown'})"

    kind = "one picture under two subjects" if duplicate.of_two_subjects else "one picture twice"
    return f"{kind}: " + " = ".join(map(words, duplicate.places))
