"""``lineament calibrate``: measure the thresholds of an embedding space on people whose identity is known."""

from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

import typer

from lineament.cli import common, results
from lineament.cli.output import note, picture_progress, print_table
from lineament.core.errors import InputError

if TYPE_CHECKING:
    from lineament.evaluation.calibration_data import Calibrated


def calibrate(
    data: Path = typer.Argument(
        metavar="DATA", help="Folder or zip with one folder of pictures for each person; or LFW View 1."
    ),
    profile: str = common.PROFILE,
    out: Path = typer.Option(
        None, "--out", help="Folder for the record; by default yours, where it is found.", show_default=False
    ),
    backend: str = common.BACKEND,
    threads: int = common.THREADS,
    accept_noncommercial: bool = common.ACCEPT,
) -> None:
    """Measure thresholds and likelihood ratios of a profile on people and pictures like yours.

    Every picture is compared with every other one, end to end as "verify" does it; what is refused is counted, and
    copies of a person's picture count once. An interrupted run goes on where it stopped. The record goes to your
    calibration folder and is used from then on. How small a rate it supports depends on the number of comparisons:
    300 people with two pictures each give 180,000, enough for a false match rate of 2e-4.

    Example: lineament calibrate people/ --profile open
    """
    from lineament.evaluation.calibration_data import measure_calibration
    from lineament.zoo.profiles import find_profile
    from lineament.zoo.records import user_calibration_folder

    known = find_profile(profile)
    folder = _made(out or user_calibration_folder())
    pipeline = common.open_pipeline(profile, backend, threads, accept_noncommercial)
    runtime, cache = common.asked_runtime(backend, threads), common.embeddings_folder()
    with picture_progress(profile) as progress:
        measured = measure_calibration(data, pipeline, known, progress, runtime=runtime, cache_folder=cache)
    path = measured.record.save(folder)
    _print(measured)
    print(f"written to {path}")


def _made(folder: Path) -> Path:
    """The folder, made and written to once: what could not be written after the work is refused before it.

    Raises:
        InputError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"expected a folder for the record that can be written, got {folder}: {error.strerror}; name another one "
            "with --out"
        ) from error
    return folder


def _print(measured: "Calibrated") -> None:
    record = measured.record
    for words in measured.notes:
        note(words)
    print(f"{record.space}: {record.protocol}")
    print(
        f"{results.count(record.n_subjects, 'person', 'people')}, {results.count(record.n_images, 'picture')}, "
        f"{record.n_mated:,} mated and {record.n_nonmated:,} non-mated comparisons; "
        f"smallest supported FMR {record.smallest_fmr:.3g}"
    )
    reasons = ", ".join(f"{n:,} {reason.replace('_', ' ')}" for reason, n in measured.refusals.items())
    print(f"{results.count(record.n_refused, 'picture')} left out{': ' if reasons else ''}{reasons}")
    print(
        f"likelihood ratios: Cllr {record.cllr:.4f} bit, at best {record.min_cllr:.4f} (0 perfect, 1 says nothing)"
    )
    print_table(
        ("FMR (FAR)", "threshold", "95 % interval", "FNMR (FRR)", "95 % interval"),
        [
            (
                f"{row.fmr:g}",
                f"{row.threshold:.4f}",
                f"{row.low:.4f} to {row.high:.4f}",
                f"{row.fnmr:.4f}",
                f"{row.fnmr_low:.4f} to {row.fnmr_high:.4f}",
            )
            for row in record.rows
            if f"{row.fmr:e}".startswith("1.000000e")
        ],
    )
