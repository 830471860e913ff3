"""``lineament data import | align | join``: from published data sets and photos to one pack that can be trained on."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lineament.cli import common, results
from lineament.cli.data import FORMAT, app, format_of, note_faults, say_written, written_json
from lineament.cli.output import JsonFlag, picture_progress, print_json
from lineament.core.cores import usable_cores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lineament.curation.align import AlignWork
    from lineament.packs import FilePack, Format, PackInfo

OUT = typer.Option(..., "--out", "-o", help="Pack to write; it must not be there.")


def training_format(out: Path, asked: str) -> "Format":
    """The format to write; .bin holds pairs, which nobody trains on."""
    chosen = format_of(out, asked)
    if chosen == "bin":
        raise typer.BadParameter(f"{out}: .bin holds pairs; choose another format", param_hint="--format")
    return chosen


@app.command("import")
def import_(
    layout: str = typer.Argument(help="casia-webface, celeba, glint, indexed, ms1m or vggface2."),
    path: Path = typer.Argument(help="Folder, list or .rec, as published."),
    out: Path = OUT,
    file_format: str = FORMAT,
    as_json: bool = JsonFlag,
) -> None:
    """Read a data set in the layout of its publisher, say what deviates from the publication, and write a pack.

    LFW is refused: it is for evaluation only.

    Example: lineament data import vggface2 VGG-Face2/data -o vggface2.rec
    """
    from lineament.packs.datasets import READERS, refuse_lfw
    from lineament.packs.selection import every_record, write_selection

    if layout not in READERS:
        raise typer.BadParameter(f"{layout!r} is none of {', '.join(READERS)}", param_hint="LAYOUT")
    chosen = training_format(out, file_format)
    with READERS[layout](path) as pack:
        refuse_lfw(pack.names, path)
        note_faults(path, pack.faults)
        with picture_progress(out.name) as progress:
            info = write_selection(pack, every_record(pack, chosen), out, chosen, progress)
        faults = [fault.reason for fault in pack.faults]
    _say(out, info, as_json, {"faults": faults})


@app.command("join")
def join(
    packs: list[Path] = typer.Argument(help="Packs with different file names."),
    out: Path = OUT,
    file_format: str = FORMAT,
    as_json: bool = JsonFlag,
) -> None:
    """Put several packs into one: every subject stays a subject of its own, labels are numbered on.

    Records and subjects get the file name of their pack in front ("celeba/7201/001085.jpg"). Pictures are not
    touched. Find people who are in two packs first, with "lineament data overlap". A pack of LFW is refused.

    Example: lineament data join celeba.rec glint.rec -o train.rec
    """
    from contextlib import ExitStack

    import numpy as np

    from lineament.packs import open_pack, write_pack
    from lineament.packs.datasets import refuse_lfw
    from lineament.packs.selection import counted
    from lineament.packs.views import JoinedPack, joined_origin

    chosen = training_format(out, file_format)
    names = [path.stem for path in packs]
    if len(set(names)) < len(names):
        raise typer.BadParameter(f"two packs have one name: {', '.join(names)}", param_hint="PACKS")
    with ExitStack() as stack, picture_progress(out.name) as progress:
        opened = [stack.enter_context(open_pack(path, strict=True)) for path in packs]
        for path, pack in zip(packs, opened, strict=True):
            refuse_lfw(pack.names, path)
        joined = JoinedPack(list(zip(names, opened, strict=True)))
        records = (joined.read(number) for number in counted(np.arange(len(joined)), progress))
        info = write_pack(records, out, chosen, joined.subjects, origin=joined_origin(opened))
    _say(out, info, as_json, {"packs": [str(path) for path in packs]})


@app.command("align")
def align(
    source: Path = typer.Argument(help="Pack or folder of photos."),
    out: Path = OUT,
    face: str = typer.Option(
        "central", "--face", help="Face that is meant: central (nearest to the middle) or largest."
    ),
    quality: int = typer.Option(95, "--quality", min=1, max=100, help="JPEG quality of the crops."),
    png: bool = typer.Option(False, "--png", help="Store crops as PNG, without loss."),
    workers: int = typer.Option(
        0, "--workers", min=0, max=64, help="Photos at once; 0: one a core, at most four."
    ),
    file_format: str = FORMAT,
    profile: str = common.PROFILE,
    backend: str = common.BACKEND,
    accept_noncommercial: bool = common.ACCEPT,
    as_json: bool = JsonFlag,
) -> None:
    """Cut the faces of photos out as 112 x 112 crops on the five-point template of ArcFace.

    Names stay. Photos without a crop are listed with their reasons in OUT.refused.csv. Interrupted, the same command
    goes on where it was, and the pack is the same as that of one run.

    Example: lineament data align photos/ -o crops.rec
    """
    from lineament.curation.align import AlignSettings, AlignWork, Choice
    from lineament.packs import open_pack
    from lineament.zoo.profiles import find_profile

    if face not in {*Choice}:
        raise typer.BadParameter("must be central or largest", param_hint="--face")
    chosen, known = training_format(out, file_format), find_profile(profile)
    settings = AlignSettings(
        Choice(face), known.min_face_px, None if png else quality, workers or default_workers()
    )
    with open_pack(source) as pack:
        note_faults(source, pack.faults)
        detector = common.open_detector(known.detector, known, backend, 1, accept_noncommercial)
        with AlignWork(pack, detector, settings, out.with_name(f".{out.name}.align")) as work:
            with picture_progress(out.name) as progress:
                work.run(progress)
            _write_crops(work, out, chosen, pack, as_json)


def _write_crops(work: "AlignWork", out: Path, chosen: "Format", pack: "FilePack", as_json: bool) -> None:
    """The finished pack and the list of refusals; the work file goes last."""
    from collections import Counter

    from lineament.curation.tables import write_refusals
    from lineament.packs import write_pack

    refusals = work.refusals()
    listed = out.with_name(f"{out.name}.refused.csv")
    write_refusals(listed, refusals)
    info = write_pack(
        work.records(), out, chosen, work.subjects(), origin=pack.info.origin if pack.info else None
    )
    work.remove()
    counts = dict(sorted(Counter(str(refused.reason) for refused in refusals).items()))
    facts = {"refused": counts, "refusals": str(listed)}
    if not as_json:
        reasons = ", ".join(f"{n:,} {reason.replace('_', ' ')}" for reason, n in counts.items())
        print(
            f"{results.count(len(refusals), 'photo')} without a crop{': ' if reasons else ''}{reasons}; see {listed}"
        )
    _say(out, info, as_json, facts)


def default_workers() -> int:
    """Workers when nobody says how many: one a core, at most four."""
    return min(4, usable_cores())


def _say(out: Path, info: "PackInfo", as_json: bool, facts: "Mapping[str, object]") -> None:
    if as_json:
        print_json(written_json(out, info) | dict(facts))
    else:
        say_written(out, info)
