"""``lineament people not-this | corrections | withdraw``: probes that somebody said are not a person."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lineament.cli import common, results
from lineament.cli.output import JsonFlag, note, print_json, print_table, when

if TYPE_CHECKING:
    from lineament.gallery import Correction

app = typer.Typer()
NAME = typer.Argument(help="Id of the person, as in 'lineament people list'.")


@app.command("not-this")
def not_this(
    name: str = NAME,
    picture: Path = typer.Argument(help="Picture that was taken for this person."),
    by: str = typer.Option("", "--by", help="Who says so; kept with the correction.", show_default=False),
    why: str = typer.Option("", "--note", help="Why; kept with the correction.", show_default=False),
    gallery: Path = common.GALLERY,
    profile: str = common.PROFILE,
    backend: str = common.BACKEND,
    threads: int = common.THREADS,
    accept_noncommercial: bool = common.ACCEPT,
    as_json: bool = JsonFlag,
) -> None:
    """Keep that a picture is not this person: searches leave the person out for pictures that are closer to it.

    Example: lineament people not-this ada door-17.jpg --by eva
    """
    from lineament.core.types import Refusal
    from lineament.gallery import Gallery
    from lineament.imaging import read_image

    common.find_gallery(gallery)
    image = read_image(picture)
    pipeline = common.open_pipeline(profile, backend, threads, accept_noncommercial)
    with Gallery.open(gallery, space=pipeline.embedding_space) as opened:
        face = pipeline.extract_one(image)
        if isinstance(face, Refusal):
            if as_json:
                print_json({"picture": str(picture), "refusal": results.refusal_json(face)})
            raise typer.Exit(results.say_refused(picture, face))
        kept = opened.corrections.add(name, face.embedding, by=by, note=why)
    if as_json:
        facts = {"gallery": str(gallery), "picture": str(picture)}
        print_json(facts | _row(kept) | common.provenance(profile, pipeline))
    else:
        print(
            f'kept as correction {kept.number} of {name}; undo it with "lineament people withdraw {kept.number}"'
        )


@app.command()
def corrections(name: str = NAME, gallery: Path = common.GALLERY, as_json: bool = JsonFlag) -> None:
    """What was said not to be a person.

    Example: lineament people corrections ada
    """
    with common.open_gallery(gallery) as opened:
        found = opened.corrections.of(name)
    if as_json:
        print_json({"gallery": str(gallery), "corrections": [_row(c) for c in found]})
    elif not found:
        note(f"nothing was said not to be {name}")
    else:
        rows = [(str(c.number), when(c.at_s), c.by, c.note) for c in found]
        print_table(("correction", "when", "by", "why"), rows)


@app.command()
def withdraw(
    number: int = typer.Argument(help="Number of the correction, as in 'lineament people corrections'."),
    gallery: Path = common.GALLERY,
    as_json: bool = JsonFlag,
) -> None:
    """Forget a correction and overwrite its bytes.

    Example: lineament people withdraw 3
    """
    with common.open_gallery(gallery) as opened:
        opened.corrections.withdraw(number)
    if as_json:
        print_json({"gallery": str(gallery), "withdrawn": number})
    else:
        print(f"correction {number} is forgotten")


def _row(correction: "Correction") -> dict[str, Any]:
    return {
        "correction": correction.number,
        "subject": correction.subject_id,
        "at": when(correction.at_s),
        "by": correction.by,
        "note": correction.note,
    }
