"""``lineament gallery review``: decide about samples that wait, and take samples out of the search."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lineament.cli import common
from lineament.cli.output import JsonFlag, note, print_json, print_table, when
from lineament.cli.people import NAME
from lineament.cli.results import finding_json, finding_words

if TYPE_CHECKING:
    from lineament.gallery import Gallery

app = typer.Typer(
    help="Decide about samples that wait, and take samples out of the search. Every decision is kept.",
    no_args_is_help=True,
    context_settings={"max_content_width": 110},
)
SAMPLE = typer.Argument(help="Id of the sample, as in 'lineament people show'.")
BY = typer.Option("", "--by", help="Who decides; kept with the decision.", show_default=False)
NOTE = typer.Option("", "--note", help="Why; kept with the decision.", show_default=False)


@app.command("list")
def list_(gallery: Path = common.GALLERY, as_json: bool = JsonFlag) -> None:
    """Samples that wait, with what was found, and samples in quarantine.

    Example: lineament gallery review list --gallery staff.gallery
    """
    from lineament.gallery import SampleState

    with common.open_gallery(gallery) as opened:
        waiting = opened.review.waiting()
        held = opened.review.held(SampleState.QUARANTINED)
    if as_json:
        rows = [
            {
                "subject": w.subject_id,
                "sample": w.sample_id,
                "findings": [finding_json(f) for f in w.findings],
            }
            for w in waiting
        ]
        quarantined = [{"subject": s.subject_id, "sample": s.sample_id} for s in held]
        print_json({"gallery": str(gallery), "pending": rows, "quarantined": quarantined})
        return
    cells = [
        (w.subject_id, w.sample_id, "pending", "; ".join(map(finding_words, w.findings))) for w in waiting
    ]
    cells += [(s.subject_id, s.sample_id, "quarantined", "") for s in held]
    if cells:
        print_table(("person", "sample", "state", "found"), cells)
    else:
        note(f"nothing in {gallery} waits for a decision")


@app.command()
def approve(
    sample: str = SAMPLE,
    by: str = BY,
    why: str = NOTE,
    gallery: Path = common.GALLERY,
    as_json: bool = JsonFlag,
) -> None:
    """Let searches find a sample that waits.

    Example: lineament gallery review approve "ada-3.jpg#1f3a5c7e9b0d" --by eva
    """
    with common.open_gallery(gallery) as opened:
        opened.review.approve(sample, by=by, note=why)
        _say_decided(opened, sample, as_json)


@app.command()
def reject(
    sample: str = SAMPLE,
    by: str = BY,
    why: str = NOTE,
    gallery: Path = common.GALLERY,
    as_json: bool = JsonFlag,
) -> None:
    """Refuse a sample that waits or is in quarantine: its template goes for good, the decision stays.

    The same picture is refused from then on.

    Example: lineament gallery review reject "ada-3.jpg#1f3a5c7e9b0d" --by eva --note "somebody else"
    """
    with common.open_gallery(gallery) as opened:
        opened.review.reject(sample, by=by, note=why)
        _say_decided(opened, sample, as_json)


@app.command()
def quarantine(
    sample: str = SAMPLE,
    by: str = BY,
    why: str = NOTE,
    gallery: Path = common.GALLERY,
    as_json: bool = JsonFlag,
) -> None:
    """Take a sample out of the search; nothing of it is lost.

    Example: lineament gallery review quarantine "ada-3.jpg#1f3a5c7e9b0d" --by eva
    """
    with common.open_gallery(gallery) as opened:
        opened.review.quarantine(sample, by=by, note=why)
        _say_decided(opened, sample, as_json)


@app.command()
def release(
    sample: str = SAMPLE,
    by: str = BY,
    why: str = NOTE,
    gallery: Path = common.GALLERY,
    as_json: bool = JsonFlag,
) -> None:
    """Let searches find a sample in quarantine again.

    Example: lineament gallery review release "ada-3.jpg#1f3a5c7e9b0d" --by eva
    """
    with common.open_gallery(gallery) as opened:
        opened.review.release(sample, by=by, note=why)
        _say_decided(opened, sample, as_json)


@app.command()
def history(sample: str = SAMPLE, gallery: Path = common.GALLERY, as_json: bool = JsonFlag) -> None:
    """Every decision about a sample.

    Example: lineament gallery review history "ada-3.jpg#1f3a5c7e9b0d"
    """
    with common.open_gallery(gallery) as opened:
        decisions = opened.review.decisions(sample)
    if as_json:
        rows = [
            {
                "state": d.state,
                "at": when(d.at_s),
                "by": d.by,
                "note": d.note,
                "findings": [finding_json(f) for f in d.findings],
            }
            for d in decisions
        ]
        print_json({"gallery": str(gallery), "sample": sample, "decisions": rows})
    elif not decisions:
        note(f"nobody decided about {sample}: it was enrolled without review")
    else:
        cells = [
            (when(d.at_s), d.state, d.by, d.note or "; ".join(map(finding_words, d.findings)))
            for d in decisions
        ]
        print_table(("when", "became", "by", "why"), cells)


@app.command()
def unlike(
    name: str = NAME, fmr: float = common.FMR, gallery: Path = common.GALLERY, as_json: bool = JsonFlag
) -> None:
    """Samples of a person that do not match the person's other samples at a false match rate, the worst first.

    Example: lineament gallery review unlike ada --fmr 1e-3
    """
    from lineament.zoo.calibration import load_calibration

    with common.open_gallery(gallery) as opened:
        point = load_calibration(opened.space).point(fmr)
        found = opened.review.unlike(name, point.threshold)
    if as_json:
        rows = [finding_json(finding) for finding in found]
        facts = {"subject": name, "fmr": fmr, "threshold": point.threshold, "record": point.record}
        print_json({"gallery": str(gallery)} | facts | {"samples": rows})
    elif not found:
        print(f"every sample of {name} matches the others at FMR {fmr:g}")
    else:
        print_table(
            ("sample", "similarity to the others", "threshold"),
            [(f.sample_id, f"{f.value:.4f}", f"{f.limit:.4f}") for f in found],
        )


def _say_decided(gallery: "Gallery", sample: str, as_json: bool) -> None:
    last = gallery.review.decisions(sample)[-1]
    if as_json:
        print_json({"sample": sample, "state": last.state, "at": when(last.at_s), "by": last.by})
    else:
        print(f"{sample} is {last.state} now")
