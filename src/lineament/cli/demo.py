"""``lineament demo``: real photographs, harder and harder, every answer checked."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lineament.cli.common import ACCEPT, BACKEND, PROFILE, THREADS, open_pipeline
from lineament.cli.exits import Exit, exit_of
from lineament.cli.output import download_progress, print_table

if TYPE_CHECKING:
    from lineament.evaluation.demo import Answer
    from lineament.pipeline import FacePipeline

KINDS = {
    "enrolled": "enroll",
    "identify": "identify",
    "stranger": "identify",
    "verify": "verify",
    "refusal": "refuse",
}


def demo(
    pictures: list[Path] = typer.Argument(None, metavar="[A B]", help="Two photographs of yours to compare."),
    out: Path = typer.Option(Path("demo-out"), "--out", help="Folder for the galleries and the picture."),
    fmr: float = typer.Option(1e-3, "--fmr", "--far", help="False match rate that you accept, a fraction."),
    fpir: float = typer.Option(1e-2, "--fpir", help="False positive identification rate that you accept."),
    profile: str = PROFILE,
    backend: str = BACKEND,
    threads: int = THREADS,
    accept_noncommercial: bool = ACCEPT,
) -> None:
    """Enroll two people from one photograph each, then identify and verify turned, tiny, crushed, covered ones.

    With two photographs of yours: are they the same person? Weights and photographs are fetched the first time;
    later runs stay offline. Exit code 1 when an answer was wrong, or your photographs do not match.

    Examples: lineament demo · lineament demo me.jpg passport.jpg --fmr 1e-4
    """
    if pictures and len(pictures) != 2:
        raise typer.BadParameter(f"give two photographs or none, got {len(pictures)}", param_hint="A B")
    for name, rate in (("--fmr", fmr), ("--fpir", fpir)):
        if not 0 < rate < 1:
            raise typer.BadParameter(f"{rate:g} is not a fraction between 0 and 1", param_hint=name)
    pipeline = open_pipeline(profile, backend, threads, accept_noncommercial)
    out.mkdir(parents=True, exist_ok=True)
    if pictures:
        _compare(pipeline, pictures, out, fmr)
        return
    _demonstrate(pipeline, out, fmr, fpir, profile)


def _demonstrate(pipeline: "FacePipeline", out: Path, fmr: float, fpir: float, profile: str) -> None:
    from lineament.evaluation.demo import Rates, demo_subjects, run_demo
    from lineament.evaluation.demo_sheet import demo_sheet
    from lineament.imaging import write_image
    from lineament.zoo.options import FetchOptions

    rates = Rates(fmr, fpir)
    with download_progress() as progress:
        subjects = demo_subjects(FetchOptions.from_environment(progress=progress))
    answers = run_demo(pipeline, subjects, out, rates)
    print_table(
        ("task", "shown", "version", "answer", "similarity", "threshold", "verdict"),
        [_row(answer) for answer in answers],
    )
    sheet = out / "demo.png"
    write_image(sheet, demo_sheet(answers, rates, profile))
    asked = [a for a in answers if a.kind != "enrolled"]
    right = sum(a.is_right for a in asked)
    record = pipeline.calibration
    print(
        f"{right} of {len(asked)} answers right; identified at FPIR {fpir:g}, verified at FMR (FAR) {fmr:g}; "
        f"thresholds from record {record.name} ({record.n_nonmated:,} non-mated comparisons)"
    )
    print(sheet)
    if right < len(asked):
        raise typer.Exit(Exit.NO_MATCH)


def _row(answer: "Answer") -> tuple[str, ...]:
    numbers = ("" if math.isnan(n) else f"{n:.3f}" for n in (answer.similarity, answer.threshold))
    verdict = "" if answer.kind == "enrolled" else "right" if answer.is_right else "WRONG"
    shown = answer.probe
    return (KINDS[answer.kind], shown.subject, shown.version, answer.text, *numbers, verdict)


def _compare(pipeline: "FacePipeline", pictures: list[Path], out: Path, fmr: float) -> None:
    from lineament.core.types import Decision, Refusal, Role
    from lineament.evaluation.demo_sheet import TILE_PX, face_in_context
    from lineament.imaging import GREEN, VERMILION, YELLOW, Tile, contact_sheet, read_image, write_image
    from lineament.pipeline import compare

    point = pipeline.operating_point(fmr)
    images = [read_image(path) for path in pictures]
    faces = [
        pipeline.extract_one(i, role) for i, role in zip(images, (Role.REFERENCE, Role.PROBE), strict=True)
    ]
    for path, face in zip(pictures, faces, strict=True):
        if isinstance(face, Refusal):
            print(f"{path}: refused ({face.reason}): {face.detail}")
    found = [face for face in faces if not isinstance(face, Refusal)]
    if len(found) < 2:
        raise typer.Exit(Exit.REFUSED)
    result = compare(found[0], found[1], point)
    verdict = result.decision.replace("_", " ")
    text = f"{verdict}: similarity {result.similarity:.3f}, threshold {result.threshold:.3f} at FMR {fmr:g}"
    colour = {Decision.MATCH: GREEN, Decision.NO_MATCH: VERMILION, Decision.UNDECIDED: YELLOW}[
        result.decision
    ]
    side = 2 * TILE_PX
    tiles = [
        Tile(face_in_context(image, face, side), path.name, colour)
        for image, face, path in zip(images, found, pictures, strict=True)
    ]
    sheet = out / "verify.png"
    write_image(sheet, contact_sheet(tiles, 2, side, text))
    print(f"{text} (95 % interval of the threshold {result.point.low:.3f} to {result.point.high:.3f})")
    print(sheet)
    raise typer.Exit(exit_of(result.decision))
