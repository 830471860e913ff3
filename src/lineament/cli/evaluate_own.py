"""``lineament evaluate folder | pairs | templates | pack | scores``: measure on your own data."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from lineament.cli.common import ACCEPT, BACKEND, PROFILE, THREADS, open_pipeline, require_folder
from lineament.cli.output import note, picture_progress, print_table

if TYPE_CHECKING:
    from lineament.evaluation.own import Asked, Measured, OwnReport
    from lineament.zoo.session import Backend

app = typer.Typer()


def _rates(values: list[float]) -> list[float]:
    for value in values:
        if not 0.0 < value < 1.0:
            raise typer.BadParameter(f"{value:g} is not a fraction between 0 and 1")
    return values


def _report_file(path: Path | None) -> Path | None:
    if path is not None:
        require_folder(path)
    return path


FMR = typer.Option(
    [],
    "--fmr",
    "--far",
    callback=_rates,
    help="False match rate to report, repeatable; by default 0.1, 0.01, 0.001 and 0.0001 as the counts allow.",
    show_default=False,
)
FPIR = typer.Option(
    [],
    "--fpir",
    callback=_rates,
    help="False positive identification rate to report, repeatable; by default 0.1, 0.01 and 0.001.",
    show_default=False,
)
GROUPS = typer.Option(
    None, "--groups", help="CSV with a column of files or of people, for rates by group.", show_default=False
)
BY = typer.Option("", "--by", help="Column of --groups that holds the groups.", show_default=False)
SEED = typer.Option(0, "--seed", min=0, help="Seed of galleries, drawn pairs and intervals.")
REPLICATES = typer.Option(1000, "--replicates", min=100, help="Bootstrap replicates behind the intervals.")
REPORT = typer.Option(
    None, "--report", callback=_report_file, help="Write the full report to this JSON file."
)


@app.command()
def folder(
    pictures: Path = typer.Argument(..., metavar="FOLDER", help="Folder or zip with one folder a person."),
    profile: str = PROFILE,
    fmr: list[float] = FMR,
    fpir: list[float] = FPIR,
    groups: Path = GROUPS,
    by: str = BY,
    seed: int = SEED,
    replicates: int = REPLICATES,
    report: Path = REPORT,
    backend: str = BACKEND,
    threads: int = THREADS,
    accept_noncommercial: bool = ACCEPT,
) -> None:
    """1:1 over all pairs and open-set 1:N, from person/photo.jpg, end to end.

    Example: lineament evaluate folder people/ --fmr 1e-3 --fpir 1e-2 --groups people.csv --by gender --report x.json
    """
    from lineament.evaluation.own import measure_people
    from lineament.evaluation.sets import PictureSource

    asked = _asked(fmr, fpir, (groups, by), (seed, replicates))
    with PictureSource(pictures) as source:
        measured = _product(profile, backend, threads, accept_noncommercial)
        with picture_progress(profile) as progress:
            found = measure_people(source, measured, asked, progress)
    _show(found, report)


@app.command()
def pairs(
    pair_list: Path = typer.Argument(
        ..., metavar="LIST", help="LFW pairs.txt, or a CSV with two picture columns."
    ),
    images: Path = typer.Option(..., "--images", help="Folder or zip that the list's names are relative to."),
    file_a: str = typer.Option("", "--file-a", help="CSV column of the first picture.", show_default=False),
    file_b: str = typer.Option("", "--file-b", help="CSV column of the second picture.", show_default=False),
    label: str = typer.Option("", "--label", help="CSV column: same or different.", show_default=False),
    subject_a: str = typer.Option("", "--subject-a", help="CSV column: first person.", show_default=False),
    subject_b: str = typer.Option("", "--subject-b", help="CSV column: second person.", show_default=False),
    profile: str = PROFILE,
    fmr: list[float] = FMR,
    groups: Path = GROUPS,
    by: str = BY,
    seed: int = SEED,
    replicates: int = REPLICATES,
    report: Path = REPORT,
    backend: str = BACKEND,
    threads: int = THREADS,
    accept_noncommercial: bool = ACCEPT,
) -> None:
    """1:1 over a list of pairs, end to end.

    Columns that are not named are found by what they hold: two of picture files, one of answers (yes/no,
    same/different, 1/0); people in subject_a and subject_b.

    Example: lineament evaluate pairs master.csv --images images.zip --report x.json
    """
    from lineament.evaluation.own import measure_pairs
    from lineament.evaluation.pairlists import PairColumns, read_pair_list
    from lineament.evaluation.sets import PictureSource

    try:
        columns = PairColumns(file_a, file_b, label, subject_a, subject_b)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    asked = _asked(fmr, [], (groups, by), (seed, replicates))
    listed = read_pair_list(pair_list, columns)
    with PictureSource(images) as source:
        source.require(listed.samples)
        measured = _product(profile, backend, threads, accept_noncommercial)
        with picture_progress(profile) as progress:
            found = measure_pairs(listed, source, measured, asked, progress)
    _show(found, report)


@app.command()
def templates(
    listed: Path = typer.Argument(
        ..., metavar="LIST", help="CSV: template, subject, media, file; a row a picture."
    ),
    images: Path = typer.Option(..., "--images", help="Folder or zip that the list's names are relative to."),
    pair_list: Path = typer.Option(
        None, "--pairs", help="CSV: template_a, template_b; by default every pair.", show_default=False
    ),
    gallery: list[Path] = typer.Option(
        [], "--gallery", help="CSV with the column template, repeatable; all others are searched for."
    ),
    profile: str = PROFILE,
    fmr: list[float] = FMR,
    fpir: list[float] = FPIR,
    seed: int = SEED,
    replicates: int = REPLICATES,
    report: Path = REPORT,
    backend: str = BACKEND,
    threads: int = THREADS,
    accept_noncommercial: bool = ACCEPT,
) -> None:
    """1:1 and open-set 1:N over templates of several pictures, in the manner of IJB.

    Example: lineament evaluate templates list.csv --images frames/ --gallery g1.csv --gallery g2.csv
    """
    from lineament.evaluation.sets import PictureSource
    from lineament.evaluation.templates import TemplateProtocol, measure_templates, read_template_list

    asked = _asked(fmr, fpir, (None, ""), (seed, replicates))
    protocol = TemplateProtocol(read_template_list(listed), pair_list, tuple(gallery))
    with PictureSource(images) as source:
        source.require(protocol.listed.files)
        measured = _product(profile, backend, threads, accept_noncommercial)
        with picture_progress(profile) as progress:
            found = measure_templates(protocol, source, measured, asked, progress)
    _show(found, report)


@app.command()
def pack(
    file: Path = typer.Argument(..., metavar="FILE", help="Pack of aligned 112 px crops (.bin)."),
    model: str = typer.Option(..., "--model", help="Embedder; NAME+flip averages with the mirror image."),
    fmr: list[float] = FMR,
    seed: int = SEED,
    replicates: int = REPLICATES,
    report: Path = REPORT,
    backend: str = BACKEND,
    threads: int = THREADS,
) -> None:
    """1:1 over a pack of aligned crops as the InsightFace tools write it. No code in the pack is run.

    Example: lineament evaluate pack lfw.bin --model mobilefacenet+flip --report x.json
    """
    from lineament.evaluation.own import measure_pack

    asked = _asked(fmr, [], (None, ""), (seed, replicates))
    measured = _bare(model, backend, threads)
    with picture_progress(model) as progress:
        found = measure_pack(file, measured, asked, progress)
    _show(found, report)


@app.command()
def scores(
    file: Path = typer.Argument(..., metavar="FILE", help="CSV of scores; higher is more alike."),
    score: str = typer.Option("score", "--score", help="Column of the scores."),
    label: str = typer.Option("label", "--label", help="Column: same or different."),
    fmr: list[float] = FMR,
    seed: int = SEED,
    replicates: int = REPLICATES,
    report: Path = REPORT,
) -> None:
    """1:1 rates of scores that any program made; with subject_a and subject_b, intervals over people.

    Example: lineament evaluate scores scores.csv --fmr 1e-3 --report x.json
    """
    from lineament.evaluation.own import measure_scores
    from lineament.evaluation.scorelists import read_scores

    asked = _asked(fmr, [], (None, ""), (seed, replicates))
    _show(measure_scores(read_scores(file, score, label), file, asked), report)


def _asked(
    fmr: list[float], fpir: list[float], groups: tuple[Path | None, str], draw: tuple[int, int]
) -> "Asked":
    from lineament.evaluation.comparisons import RATES
    from lineament.evaluation.own import Asked
    from lineament.evaluation.search import FPIRS
    from lineament.metrics.bootstrap import Resampling

    path, column = groups
    if (path is None) != (not column):
        raise typer.BadParameter("--groups FILE and --by COLUMN belong together", param_hint="--groups")
    plan = Resampling(replicates=draw[1], seed=draw[0])
    return Asked(tuple(fmr) or RATES, tuple(fpir) or FPIRS, plan, None if path is None else (path, column))


def _product(profile: str, backend: str, threads: int, accept_noncommercial: bool) -> "Measured":
    """A profile as ``lineament verify`` runs it."""
    from lineament.evaluation.systems import product_of
    from lineament.zoo.options import FetchOptions
    from lineament.zoo.profiles import find_profile
    from lineament.zoo.session import Runtime

    pipeline = open_pipeline(profile, backend, threads, accept_noncommercial)
    used = Runtime(cast("Backend", backend), threads=threads).resolved().backend
    folder = FetchOptions.from_environment().cache / "embeddings"
    note(f"embeddings are kept in {folder}")
    return product_of(find_profile(profile), pipeline, used, folder)


def _bare(model: str, backend: str, threads: int) -> "Measured":
    """An embedder on aligned crops."""
    from lineament.evaluation.systems import embedder_of
    from lineament.zoo.session import Runtime

    return embedder_of(model, Runtime(cast("Backend", backend), threads=threads))


def _show(found: "OwnReport", report: Path | None) -> None:
    print(found.text())
    if found.groups is not None:
        print_table(
            (
                "group",
                "people",
                "mated",
                "FNMR (FRR)",
                "95 % interval",
                "non-mated",
                "FMR (FAR)",
                "95 % interval",
            ),
            [
                (
                    g.group,
                    "" if g.n_subjects is None else f"{g.n_subjects:,}",
                    f"{g.n_mated:,}",
                    _number(g.fnmr),
                    f"{_number(g.fnmr_low)} to {_number(g.fnmr_high)}",
                    f"{g.n_nonmated:,}",
                    _number(g.fmr),
                    f"{_number(g.fmr_low)} to {_number(g.fmr_high)}",
                )
                for g in found.groups.groups
            ],
        )
    if report is not None:
        report.write_text(found.to_json(), encoding="utf-8")
        note(f"report written to {report}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
