"""``lineament evaluate``: measure models on data sets."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from lineament.cli import common, evaluate_megaface, evaluate_own
from lineament.cli.figures import print_detection, print_differences, print_verification
from lineament.cli.output import note, picture_progress, save_bytes, save_text

if TYPE_CHECKING:
    from lineament.evaluation.detection import DetectionReport
    from lineament.evaluation.differences import SystemDifference
    from lineament.evaluation.protocols import Verified
    from lineament.evaluation.verification import VerificationReport
    from lineament.zoo.profiles import Profile
    from lineament.zoo.session import Runtime

app = typer.Typer(
    help="Measure models on data sets; every rate with its 95 % interval, refusals in the counts.",
    no_args_is_help=True,
)
app.add_typer(evaluate_own.app)
app.add_typer(evaluate_megaface.app)
DATA = typer.Option(..., "--data", help="Data folder, as published.")
REPORT = typer.Option(None, "--report", help="Write the full report to this JSON file.")
PLOT = typer.Option(None, "--plot", help="Write the ROC to this PNG; DET and similarities go beside it.")
HTML = typer.Option(None, "--html", help="Write everything to this HTML page, which opens offline.")
THUMBNAILS = typer.Option(
    0,
    "--thumbnails",
    min=0,
    max=100,
    help="Show so many worst false matches and non-matches on the page: faces of people, so none by default.",
)
SCORES = typer.Option(
    None,
    "--scores",
    help="Write every comparison to this CSV: pair, fold, file_a, file_b, label (1 mated, 0 non-mated), similarity "
    "(empty after a refusal); in column score, or in one named like each system. It holds the file names of the "
    "data set, which name its people.",
)
BACKEND = typer.Option("auto", "--backend", help="auto, onnxruntime or openvino.")
PRECISION = typer.Option("", "--precision", help="f32 or bf16; by default f32, or what the profile says.")
THREADS = typer.Option(0, "--threads", help="Threads of one network; 0 decides for this machine.")


@app.command()
def verification(
    data: Path = DATA,
    protocol: str = typer.Option("lfw-view2", "--protocol", help="lfw-view2 or lfw-view1."),
    model: list[str] = typer.Option(
        [],
        "--model",
        help="Embedder, repeatable; NAME+flip averages with the mirror image. lfw-view1: instead of the profile's.",
    ),
    profile: list[str] = typer.Option(
        [], "--profile", help="Profile for lfw-view1, repeatable; open by default."
    ),
    report: Path = REPORT,
    plot: Path = PLOT,
    html: Path = HTML,
    thumbnails: int = THUMBNAILS,
    scores: Path = SCORES,
    backend: str = BACKEND,
    precision: str = PRECISION,
    threads: int = THREADS,
) -> None:
    """1:1 error rates. lfw-view2: aligned crops, 6,000 pairs. lfw-view1: whole pictures, end to end.

    Examples: lineament evaluate verification --data lfw_aligned112 --model mobilefacenet --model mobilefacenet+flip
    · lineament evaluate verification --data lfw_view1_208 --protocol lfw-view1 --profile open
    """
    from lineament.evaluation.protocols import pictures_of, verify_aligned, verify_end_to_end
    from lineament.evaluation.systems import require_models

    _check_systems(protocol, model, profile)
    if thumbnails and html is None:
        raise typer.BadParameter("thumbnails go onto a page: give --html", param_hint="--thumbnails")
    if scores and len({*model}) + len({*profile}) < len(model) + len(profile):
        raise typer.BadParameter(
            "every system needs a column of its own: name each once", param_hint="--scores"
        )
    _check_outputs(report, plot, html, scores)
    wholes = _wholes(protocol, model, profile, precision)
    runtime = _runtime(backend, precision, threads)
    require_models(model, [whole for whole in wholes if whole is not None])
    cache = common.embeddings_folder()
    verified = []
    for name, whole in zip(model or profile or ["open"], wholes, strict=True):
        with picture_progress(name) as progress:
            if whole is None:
                verified.append(verify_aligned(data, name, runtime, progress, cache))
            else:
                verified.append(verify_end_to_end(data, whole, runtime, progress, cache))
    reports = [v.report for v in verified]
    print_verification(reports)
    differences = _compare(verified)
    print_differences(differences)
    _save(report, reports)
    if plot:
        _plot(plot, verified)
    if html:
        _write_page(html, verified, differences, pictures_of(data), thumbnails)
    if scores:
        _write_scores(scores, verified)


@app.command()
def detection(
    data: Path = DATA,
    detector: list[str] = typer.Option(..., "--detector", help="Detector of the zoo; repeatable."),
    side: list[int] = typer.Option(
        [640], "--side", help="Longest side, px, at which pictures are looked at; several are merged."
    ),
    report: Path = REPORT,
    backend: str = BACKEND,
    threads: int = THREADS,
) -> None:
    """Recall, average precision and false detections, pictures upright and turned by 90, 180 and 270 degrees.

    Example: lineament evaluate detection --data det_facemask --detector centerface --detector yunet
    """
    from lineament.detection import JointScales, load_detector
    from lineament.evaluation.protocols import find_detection_set, measure_detector

    _check_outputs(report)
    dataset, runtime = find_detection_set(data), _runtime(backend, "", threads)
    reports = []
    for name in detector:
        looking = JointScales(load_detector(name, runtime), side)
        with picture_progress(name) as progress:
            reports.append(measure_detector(dataset, looking, looking.sides_px, progress))
    print_detection(reports)
    _save(report, reports)


def _runtime(backend: str, precision: str, threads: int) -> "Runtime":
    from lineament.zoo.session import Backend, Precision, Runtime

    try:
        return Runtime(
            cast("Backend", backend), "cpu", cast("Precision", precision or "f32"), threads
        ).resolved()
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _profile(name: str, precision: str, embedder: str = "") -> "Profile":
    """The profile ``name``; with another precision, or another embedder, when they are given."""
    from lineament.evaluation.protocols import with_precision
    from lineament.zoo.profiles import find_profile

    chosen = with_precision(find_profile(name), precision)
    return chosen.model_copy(update={"embedder": embedder}) if embedder else chosen


def _wholes(protocol: str, model: list[str], profile: list[str], precision: str) -> "list[Profile | None]":
    """For each system the profile that finds the faces; None for aligned crops."""
    if protocol == "lfw-view2":
        return [None for _ in model]
    if model:
        return [_profile([*profile, "open"][0], precision, name) for name in model]
    return [_profile(name, precision) for name in profile or ["open"]]


def _check_systems(protocol: str, model: list[str], profile: list[str]) -> None:
    """Refuse embedders and profiles that the protocol cannot measure."""
    if protocol not in {"lfw-view1", "lfw-view2"}:
        raise typer.BadParameter("must be lfw-view1 or lfw-view2", param_hint="--protocol")
    if protocol == "lfw-view2" and (profile or not model):
        raise typer.BadParameter(
            "lfw-view2 compares embedders: give --model, no --profile", param_hint="--model"
        )
    if protocol == "lfw-view1" and model and len(profile) > 1:
        raise typer.BadParameter("several embedders need one profile to run in", param_hint="--profile")


def _check_outputs(*paths: Path | None) -> None:
    """Refuse before the work what could not be written after it."""
    for path in paths:
        if path is not None and not path.parent.is_dir():
            raise typer.BadParameter(f"there is no folder {path.parent}", param_hint=str(path))


def _save(path: Path | None, reports: "Sequence[VerificationReport] | Sequence[DetectionReport]") -> None:
    if path is None:
        return
    from lineament.evaluation.jsonfile import dump_reports

    save_text(path, dump_reports(reports), "report")


def _plot(path: Path, verified: "Sequence[Verified]") -> None:
    """ROC and DET of all systems, and a histogram of similarities for each."""
    from lineament.evaluation.plots import Scores, plot_det, plot_roc, plot_similarities

    systems = {}
    for found in verified:
        pairs = found.scored.by_subject()
        systems[found.report.system.name] = Scores(pairs.scores[pairs.mated], pairs.scores[~pairs.mated])
    _save_png(path, plot_roc, systems)
    _save_png(path.with_name(f"{path.stem}-det.png"), plot_det, systems)
    for number, found in enumerate(verified, 1):
        thresholds = {f"FMR {point.asked:g}": point.threshold for point in found.report.points}
        suffix = f"-{number}" if len(verified) > 1 else ""
        target = path.with_name(f"{path.stem}-similarities{suffix}.png")
        _save_png(target, plot_similarities, systems[found.report.system.name], thresholds)


def _save_png(path: Path, draw: Callable[..., None], *arguments: Any) -> None:
    drawn = io.BytesIO()
    draw(drawn, *arguments)
    save_bytes(path, drawn.getvalue(), "picture")


def _write_scores(path: Path, verified: "Sequence[Verified]") -> None:
    """The comparisons behind the reports."""
    from lineament.evaluation.scorelists import score_list

    save_text(path, score_list({found.report.system.name: found.scored for found in verified}), "scores")
    if len(verified) == 1 and verified[0].scored.compared.all():
        note(f"read them with: lineament evaluate scores {path}")


def _compare(verified: "Sequence[Verified]") -> "list[SystemDifference]":
    """Every system against the first one."""
    from lineament.evaluation.differences import compare_systems

    first, *others = [(found.report, found.scored) for found in verified]
    return [compare_systems(first, other) for other in others]


def _write_page(
    path: Path,
    verified: "Sequence[Verified]",
    differences: "Sequence[SystemDifference]",
    pictures: Path,
    thumbnails: int,
) -> None:
    """Everything on one page; pictures of people only where somebody asked for them."""
    from lineament.evaluation.html import reports_page
    from lineament.evaluation.worst import worst_errors

    worst = [
        worst_errors(v.scored, pictures, v.report.system.name, v.report.eer_threshold, thumbnails)
        for v in (verified if thumbnails else ())
    ]
    save_text(path, reports_page([found.report for found in verified], differences, worst), "page")
