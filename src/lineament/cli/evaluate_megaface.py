"""``lineament evaluate megaface``: people among distractors, up to millions of them."""

from collections.abc import Sequence
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import typer

from lineament.cli.common import (
    ACCEPT,
    BACKEND,
    PROFILE,
    THREADS,
    asked_runtime,
    embeddings_folder,
    open_pipeline,
    require_folder,
)
from lineament.cli.figures import print_megaface
from lineament.cli.output import picture_progress, save_bytes, save_text

if TYPE_CHECKING:
    from lineament.evaluation.megaface_probes import Probes
    from lineament.evaluation.megaface_report import MegafaceReport, Origin
    from lineament.evaluation.own import Measured
    from lineament.evaluation.vectors import VectorPart

app = typer.Typer()


def _fars(values: list[float]) -> list[float]:
    for value in values:
        if not 0.0 < value <= 1e-3:
            raise typer.BadParameter(f"{value:g} is not above 0 and at most 1e-3", param_hint="--far")
    return values


def _target(path: Path | None) -> Path | None:
    if path is not None:
        require_folder(path)
    return path


def _png(path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() != ".png":
        raise typer.BadParameter(f"{path} must end in .png", param_hint="--plot")
    return _target(path)


@app.command()
def megaface(
    probes: Path = typer.Argument(
        ..., help="Photos of people, person/photo.jpg in a folder or zip, or a pack; or embeddings, .npy or .npz."
    ),
    distractors: list[Path] = typer.Argument(
        ..., help="Other people, none of them among the probes: folders, zips, packs, .npy, .npz; several add up."
    ),
    subjects: Path = typer.Option(
        None, "--subjects", help="Whose each row of a .npy of probes is: text, one person a line."
    ),
    model: str = typer.Option(
        "",
        "--model",
        help="Pictures are aligned 112 px crops, for this embedder alone; NAME+flip averages with the mirror image.",
        show_default=False,
    ),
    profile: str = PROFILE,
    far: list[float] = typer.Option(
        [],
        "--far",
        "--fmr",
        callback=_fars,
        help="False accept rate to report TAR at, repeatable, at most 1e-3; by default 1e-4, 1e-5 and 1e-6.",
        show_default=False,
    ),
    seed: int = typer.Option(0, "--seed", min=0, help="Seed of the distractor sets and of the intervals."),
    replicates: int = typer.Option(1000, "--replicates", min=100, help="Bootstrap replicates behind the intervals."),
    report: Path = typer.Option(None, "--report", callback=_target, help="Write the report to this JSON file."),
    plot: Path = typer.Option(None, "--plot", callback=_png, help="Draw rank-1 by distractors, and CMC (.png)."),
    backend: str = BACKEND,
    threads: int = THREADS,
    accept_noncommercial: bool = ACCEPT,
) -> None:  # fmt: skip
    """Identification among 10, 100, 1,000 ... and all distractors, and TAR at FAR down to 1e-6 (MegaFace).

    Every photo of a person is the mate of each other one; only distractors compete. The comparison is exact and takes
    the distractors block by block, so that a .npy may be larger than the memory. .npy holds (N, D) numbers, .npz is
    what "lineament embed" writes.

    Example: lineament evaluate megaface people/ crowd/ million.npy --report megaface.json --plot megaface.png
    """
    from lineament.evaluation.megaface import FARS
    from lineament.evaluation.megaface_report import megaface_report
    from lineament.metrics.bootstrap import Resampling

    plan = Resampling(replicates, seed)
    with ExitStack() as stack:
        kept = Path(stack.enter_context(TemporaryDirectory(prefix="lineament-")))
        network = _Network(model, profile, (backend, threads), accept_noncommercial, stack)
        who, others = _vectors(probes, distractors, subjects, network, kept)
        with picture_progress("distractors") as progress:
            found = megaface_report(who, others, _origin(network.loaded), tuple(far) or FARS, plan, progress)
        print_megaface([found])
        _write(found, report, plot)


class _Network:
    """What makes vectors of pictures; loaded when the first pictures come, as saved embeddings need none."""

    def __init__(
        self, model: str, profile: str, runtime: tuple[str, int], accept_noncommercial: bool, stack: ExitStack
    ) -> None:
        self._stack = stack
        self._names, self._runtime, self._accept = (model, profile), runtime, accept_noncommercial
        self.loaded: Measured | None = None

    def measured(self) -> "Measured":
        """The profile as ``lineament verify`` runs it, or an embedder on aligned crops."""
        if self.loaded is None:
            self.loaded = self._load()
        return self.loaded

    def _load(self) -> "Measured":
        from lineament.evaluation.systems import embedder_of, product_of
        from lineament.pipeline import Engine
        from lineament.zoo.profiles import find_profile

        (model, profile), (backend, threads) = self._names, self._runtime
        asked, folder = asked_runtime(backend, threads), embeddings_folder()
        if model:
            return embedder_of(model, asked, folder)
        pipeline = open_pipeline(profile, backend, 1, self._accept)
        engine = self._stack.enter_context(Engine(pipeline, workers=threads))
        return product_of(find_profile(profile), engine, folder, asked)


def _vectors(
    probes: Path, distractors: Sequence[Path], subjects: Path | None, network: _Network, kept: Path
) -> "tuple[Probes, list[VectorPart]]":
    """Probes and distractors; fresh vectors of distractors lie in ``kept``."""
    from lineament.evaluation.megaface_probes import probes_of_folder, probes_of_vectors, read_subjects
    from lineament.evaluation.packsource import open_source
    from lineament.evaluation.vectors import SAVED, embed_pictures, read_vectors

    saved = {path: read_vectors(path) for path in (probes, *distractors) if path.suffix.lower() in SAVED}
    used: frozenset[str] = frozenset()
    if probes in saved:
        who = probes_of_vectors(saved[probes], read_subjects(subjects) if subjects else ())
    elif subjects is not None:
        raise typer.BadParameter(
            "a folder of people says itself whose photos they are", param_hint="--subjects"
        )
    else:
        measured = network.measured()
        with open_source(probes) as source, picture_progress(probes.name) as progress:
            who, used = probes_of_folder(source, measured.acquisition, measured.space, progress)
    others = []
    for number, path in enumerate(distractors):
        if path in saved:
            others.append(saved[path])
            continue
        measured = network.measured()
        with open_source(path) as source, picture_progress(path.name) as progress:
            file = kept / f"{number}.f4"
            others.append(embed_pictures(source, measured.acquisition, measured.space, file, used, progress))
    return who, others


def _origin(measured: "Measured | None") -> "Origin":
    from lineament.evaluation.megaface_report import Origin

    if measured is None:
        return Origin(None, "saved embeddings, scaled to unit length")
    return Origin(measured.system, measured.how)


def _write(found: "MegafaceReport", report: Path | None, plot: Path | None) -> None:
    """Report and picture, each whole or not at all."""
    from lineament.evaluation.megaface_report import plot_megaface

    if report is not None:
        save_text(report, found.to_json(), "report")
    if plot is not None:
        drawn = BytesIO()
        plot_megaface(drawn, found)
        save_bytes(plot, drawn.getvalue(), "picture")
