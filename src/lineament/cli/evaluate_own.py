"""``lineament evaluate folder | pairs | templates | pack | scores``: measure on your own data."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lineament.cli.common import (
    ACCEPT,
    BACKEND,
    THREADS,
    asked_runtime,
    embeddings_folder,
    fetch_profile,
    open_pipeline,
    require_folder,
)
from lineament.cli.figures import print_own, print_report_diff
from lineament.cli.output import picture_progress, save_text

if TYPE_CHECKING:
    from lineament.evaluation.own import Asked, Measured, OwnReport

app = typer.Typer()


def _rates(values: list[float]) -> list[float]:
    for value in values:
        if not 0.0 < value < 1.0:
            raise typer.BadParameter(f"{value:g} is not a fraction between 0 and 1")
    return values


def _target(path: Path | None) -> Path | None:
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
    None,
    "--report",
    callback=_target,
    help="Write the full report to this JSON file; a list of them for several systems.",
)
HTML = typer.Option(
    None, "--html", callback=_target, help="Write everything to this HTML page, which opens offline."
)
PROFILES = typer.Option(
    ["open"],
    "--profile",
    envvar="LINEAMENT_PROFILE",
    help="Models and rules to use; repeatable, every further one is compared with the first.",
)


@app.command()
def folder(
    pictures: Path = typer.Argument(..., metavar="FOLDER", help="Folder or zip with one folder a person."),
    profile: list[str] = PROFILES,
    fmr: list[float] = FMR,
    fpir: list[float] = FPIR,
    groups: Path = GROUPS,
    by: str = BY,
    seed: int = SEED,
    replicates: int = REPLICATES,
    report: Path = REPORT,
    html: Path = HTML,
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
        found = []
        for measured in _products(profile, backend, threads, accept_noncommercial):
            with picture_progress(measured.system.name) as progress:
                found.append(measure_people(source, measured, asked, progress))
    _finish(found, report, html)


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
    profile: list[str] = PROFILES,
    fmr: list[float] = FMR,
    groups: Path = GROUPS,
    by: str = BY,
    seed: int = SEED,
    replicates: int = REPLICATES,
    report: Path = REPORT,
    html: Path = HTML,
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
        found = []
        for measured in _products(profile, backend, threads, accept_noncommercial):
            with picture_progress(measured.system.name) as progress:
                found.append(measure_pairs(listed, source, measured, asked, progress))
    _finish(found, report, html)


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
    profile: list[str] = PROFILES,
    fmr: list[float] = FMR,
    fpir: list[float] = FPIR,
    seed: int = SEED,
    replicates: int = REPLICATES,
    report: Path = REPORT,
    html: Path = HTML,
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
        found = []
        for measured in _products(profile, backend, threads, accept_noncommercial):
            with picture_progress(measured.system.name) as progress:
                found.append(measure_templates(protocol, source, measured, asked, progress))
    _finish(found, report, html)


@app.command()
def pack(
    file: Path = typer.Argument(..., metavar="FILE", help="Pack of aligned 112 px crops (.bin)."),
    model: list[str] = typer.Option(
        ...,
        "--model",
        help="Embedder, repeatable; every further one is compared with the first. NAME+flip averages with the mirror "
        "image.",
    ),
    fmr: list[float] = FMR,
    seed: int = SEED,
    replicates: int = REPLICATES,
    report: Path = REPORT,
    html: Path = HTML,
    backend: str = BACKEND,
    threads: int = THREADS,
) -> None:
    """1:1 over a pack of aligned crops as the InsightFace tools write it. No code in the pack is run.

    Example: lineament evaluate pack lfw.bin --model mobilefacenet+flip --report x.json
    """
    from lineament.evaluation.own import measure_pack
    from lineament.evaluation.systems import require_models

    asked = _asked(fmr, [], (None, ""), (seed, replicates))
    require_models(_each_once(model, "--model"))
    found = []
    for name in model:
        measured = _bare(name, backend, threads)
        with picture_progress(name) as progress:
            found.append(measure_pack(file, measured, asked, progress))
    _finish(found, report, html)


@app.command()
def scores(
    file: Path = typer.Argument(..., metavar="FILE", help="CSV of scores; higher is more alike."),
    score: list[str] = typer.Option(
        ["score"],
        "--score",
        help="Column of the scores of a system, repeatable; every further one is compared with the first.",
    ),
    label: str = typer.Option("label", "--label", help="Column: same or different."),
    fmr: list[float] = FMR,
    seed: int = SEED,
    replicates: int = REPLICATES,
    report: Path = REPORT,
    html: Path = HTML,
) -> None:
    """1:1 rates of scores that any program made; with subject_a and subject_b, intervals over people.

    Example: lineament evaluate scores scores.csv --fmr 1e-3 --report x.json
    """
    from lineament.evaluation.own import measure_scores
    from lineament.evaluation.scorelists import read_scores

    asked = _asked(fmr, [], (None, ""), (seed, replicates))
    found = [
        measure_scores(read_scores(file, column, label), file, asked, column)
        for column in _each_once(score, "--score")
    ]
    _finish(found, report, html)


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


def _each_once(names: list[str], option: str) -> list[str]:
    if len(set(names)) < len(names):
        raise typer.BadParameter("name each system once", param_hint=option)
    return names


def _products(
    profiles: list[str], backend: str, threads: int, accept_noncommercial: bool
) -> "Iterator[Measured]":
    """Profiles as ``lineament verify`` runs them, one after the other."""
    from lineament.evaluation.systems import product_of
    from lineament.pipeline import Engine
    from lineament.zoo.profiles import find_profile

    chosen = [find_profile(name) for name in _each_once(profiles, "--profile")]
    for profile in chosen:  # what cannot be had is said before the first picture
        fetch_profile(profile.name, accept_noncommercial)
    for profile in chosen:
        pipeline = open_pipeline(profile.name, backend, 1, accept_noncommercial)
        with Engine(pipeline, workers=threads) as engine:
            yield product_of(profile, engine, embeddings_folder(), asked_runtime(backend, threads))


def _bare(model: str, backend: str, threads: int) -> "Measured":
    """An embedder on aligned crops."""
    from lineament.evaluation.systems import embedder_of

    return embedder_of(model, asked_runtime(backend, threads), embeddings_folder())


def _finish(found: "Sequence[OwnReport]", report: Path | None, html: Path | None) -> None:
    """Print the reports, compare them in pairs, write what was asked for."""
    from lineament.evaluation.html import reports_page
    from lineament.evaluation.jsonfile import dump_reports
    from lineament.evaluation.report_diff import compare_reports, diff_reports

    print_own(found)
    for other in found[1:]:
        print_report_diff(diff_reports(found[0], other))
    if report is not None:
        text = found[0].to_json() if len(found) == 1 else dump_reports(found)
        save_text(report, text, "report")
    if html is not None:
        save_text(html, reports_page(found, compare_reports(found)), "page")
