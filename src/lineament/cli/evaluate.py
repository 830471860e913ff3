"""``lineament evaluate``: measure models on data sets."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from lineament.cli.output import note, print_table

if TYPE_CHECKING:
    from lineament.evaluation.detection import DetectionReport
    from lineament.evaluation.protocols import Verified
    from lineament.evaluation.verification import RatePoint, VerificationReport
    from lineament.zoo.profiles import Profile
    from lineament.zoo.session import Runtime

app = typer.Typer(
    help="Measure models on data sets; every rate with its 95 % interval, refusals in the counts.",
    no_args_is_help=True,
)
DATA = typer.Option(..., "--data", help="Data folder, as published.")
REPORT = typer.Option(None, "--report", help="Write the full report to this JSON file.")
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
    plot: Path = typer.Option(
        None, "--plot", help="Write the ROC to this PNG; DET and similarities go beside it."
    ),
    backend: str = BACKEND,
    precision: str = PRECISION,
    threads: int = THREADS,
) -> None:
    """1:1 error rates. lfw-view2: aligned crops, 6,000 pairs. lfw-view1: whole pictures, end to end.

    Examples: lineament evaluate verification --data lfw_aligned112 --model mobilefacenet --model mobilefacenet+flip
    · lineament evaluate verification --data lfw_view1_208 --protocol lfw-view1 --profile open
    """
    from lineament.evaluation.protocols import verify_aligned, verify_end_to_end

    if protocol not in {"lfw-view1", "lfw-view2"}:
        raise typer.BadParameter("must be lfw-view1 or lfw-view2", param_hint="--protocol")
    if protocol == "lfw-view2" and (profile or not model):
        raise typer.BadParameter(
            "lfw-view2 compares embedders: give --model, no --profile", param_hint="--model"
        )
    if protocol == "lfw-view1" and model and len(profile) > 1:
        raise typer.BadParameter("several embedders need one profile to run in", param_hint="--profile")
    _check_outputs(report, plot)
    runtime = _runtime(backend, precision, threads)
    verified = []
    for name in model or profile or ["open"]:
        with picture_progress(name) as progress:
            if protocol == "lfw-view2":
                verified.append(verify_aligned(data, name, runtime, progress))
                continue
            whole = _profile([*profile, "open"][0] if model else name, precision)
            if model:
                whole = whole.model_copy(update={"embedder": name})
            verified.append(verify_end_to_end(data, whole, runtime, progress))
    reports = [v.report for v in verified]
    _print_verification(reports)
    if plot:
        _plot(plot, verified)
    _save(report, reports)


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
    _print_detection(reports)
    _save(report, reports)


@contextmanager
def picture_progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr when it is a terminal, and else nothing."""
    import sys

    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _runtime(backend: str, precision: str, threads: int) -> "Runtime":
    from lineament.zoo.session import Backend, Precision, Runtime

    try:
        return Runtime(
            cast("Backend", backend), "cpu", cast("Precision", precision or "f32"), threads
        ).resolved()
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _profile(name: str, precision: str) -> "Profile":
    from lineament.evaluation.protocols import with_precision
    from lineament.zoo.profiles import find_profile

    return with_precision(find_profile(name), precision)


def _check_outputs(*paths: Path | None) -> None:
    """Refuse before the work what could not be written after it."""
    for path in paths:
        if path is not None and not path.parent.is_dir():
            raise typer.BadParameter(f"there is no folder {path.parent}", param_hint=str(path))


def _save(path: Path | None, reports: "Sequence[VerificationReport] | Sequence[DetectionReport]") -> None:
    if path is None:
        return
    from lineament.evaluation.jsonfile import dump_reports

    path.write_text(dump_reports(reports), encoding="utf-8")
    note(f"report written to {path}")


def _print_verification(reports: "Sequence[VerificationReport]") -> None:
    rates = [point.asked for point in reports[0].points]
    rows = []
    for found in reports:
        folds = found.folds_end_to_end or found.folds
        rows.append(
            (
                found.system.name,
                f"{100 * folds.accuracy:.2f} ± {100 * folds.standard_error:.2f} %" if folds else "",
                f"{100 * found.eer:.2f} %",
                *(_tar(point) for point in found.points),
                f"{found.fta_rate:.4f}",
                f"{1e3 * found.wall_s / found.n_samples:.1f}",
            )
        )
    print_table(
        (
            "system",
            "accuracy ± s.e.",
            "EER",
            *(f"TAR at FAR {rate:g} (1 - FNMR at FMR)" for rate in rates),
            "FTA",
            "ms a picture",
        ),
        rows,
    )
    for found in reports:
        print(found.text(), end="\n\n")


def _tar(point: "RatePoint") -> str:
    low, high = 1 - point.fnmr_high, 1 - point.fnmr_low
    return f"{1 - point.fnmr:.4f} [{low:.4f}, {high:.4f}]"


def _print_detection(reports: "Sequence[DetectionReport]") -> None:
    first = reports[0]
    print(f"{first.dataset}: {first.n_images:,} pictures, {first.n_faces:,} faces")
    print_table(
        ("detector", "turned", "IoU", "AP", "recall", "by size", "false a picture", "ms a picture"),
        [
            (
                found.system.name,
                f"{turned.turn_deg}°",
                f"{result.iou:g}",
                f"{result.average_precision:.4f}",
                f"{result.recall:.4f}",
                ", ".join(f"{b.low_px:g}-{b.high_px:g} px {b.found}/{b.faces}" for b in result.by_size),
                f"{result.false_positives_per_image:.3f}",
                f"{1e3 * turned.detect_s / found.n_images:.1f}",
            )
            for found in reports
            for turned in found.turns
            for result in turned.overlaps
        ],
    )


def _plot(path: Path, verified: "Sequence[Verified]") -> None:
    """ROC and DET of all systems, and a histogram of similarities for each."""
    from lineament.evaluation.plots import Scores, plot_det, plot_roc, plot_similarities

    systems = {}
    for found in verified:
        pairs = found.scored.by_subject()
        systems[found.report.system.name] = Scores(pairs.scores[pairs.mated], pairs.scores[~pairs.mated])
    plot_roc(path, systems)
    plot_det(path.with_name(f"{path.stem}-det.png"), systems)
    for number, found in enumerate(verified, 1):
        thresholds = {f"FMR {point.asked:g}": point.threshold for point in found.report.points}
        suffix = f"-{number}" if len(verified) > 1 else ""
        target = path.with_name(f"{path.stem}-similarities{suffix}.png")
        plot_similarities(target, systems[found.report.system.name], thresholds)
    note(f"plots written to {path.parent}")
