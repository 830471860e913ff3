"""What commands share: the options of a pipeline, rates, the gallery's place, and pictures one by one."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from lineament.cli.exits import Exit
from lineament.cli.output import download_progress, note
from lineament.core.errors import ConfigError, GalleryNotFound, InputError

if TYPE_CHECKING:
    from lineament.core.types import Image
    from lineament.demesh import MeshGate
    from lineament.detection import Detector
    from lineament.gallery import Gallery
    from lineament.pipeline import Engine, FacePipeline
    from lineament.zoo.manifest import Manifest
    from lineament.zoo.profiles import Profile
    from lineament.zoo.session import Backend, Runtime

SUFFIXES = (".png", ".jpg", ".jpeg")
"""What result pictures may be called."""


def _backend(value: str) -> str:
    if value not in {"auto", "onnxruntime", "openvino"}:
        raise typer.BadParameter("must be auto, onnxruntime or openvino", param_hint="--backend")
    return value


PROFILE = typer.Option("open", "--profile", envvar="LINEAMENT_PROFILE", help="Models and rules to use.")
BACKEND = typer.Option(
    "auto", "--backend", callback=_backend, help="Inference runtime: auto, onnxruntime or openvino."
)
THREADS = typer.Option(0, "--threads", min=0, max=256, help="At most so many; 0 lets the machine decide.")
ACCEPT = typer.Option(
    False,
    "--accept-noncommercial",
    help="I accept the non-commercial terms of the profile's weights for this command.",
)
GALLERY = typer.Option(
    Path("lineament.gallery"),
    "--gallery",
    "-g",
    envvar="LINEAMENT_GALLERY",
    help="File that holds the people.",
)
PICTURES = typer.Argument(..., metavar="PICTURE", help="Files, folders or patterns.", show_default=False)


def _rate(name: str, meaning: str) -> Any:
    """A callback that insists on a fraction."""

    def check(value: float | None) -> float | None:
        if value is None:
            raise typer.BadParameter(
                f"none given; say which {meaning} you accept, for example {name} 0.001", param_hint=name
            )
        if not 0.0 < value < 1.0:
            raise typer.BadParameter(f"{value:g} is not a fraction between 0 and 1", param_hint=name)
        return value

    return check


def optional_rate(name: str) -> Any:
    """A callback for a rate that may be left out."""
    insist = _rate(name, "")

    def check(value: float | None) -> float | None:
        return None if value is None else insist(value)

    return check


FMR = typer.Option(
    None,
    "--fmr",
    "--far",
    envvar="LINEAMENT_FMR",
    callback=_rate("--fmr", "false match rate"),
    help="False match rate that you accept, a fraction: 1e-3 lets one in a thousand strangers pass (required)",
    show_default=False,
)
FPIR = typer.Option(
    None,
    "--fpir",
    envvar="LINEAMENT_FPIR",
    callback=_rate("--fpir", "false positive identification rate"),
    help="False positive identification rate that you accept, a fraction: 1e-2 gives somebody's name to one in a "
    "hundred strangers (required)",
    show_default=False,
)


def result_picture(value: Path | None) -> Path | None:
    """Check the name of a result picture before any work is done."""
    if value is not None and value.suffix.lower() not in SUFFIXES:
        raise typer.BadParameter(f"{value} must end in {', '.join(SUFFIXES)}", param_hint="--picture")
    if value is not None:
        require_folder(value)
    return value


PICTURE = typer.Option(
    None,
    "--picture",
    callback=result_picture,
    help="Also draw the result into this file (.png, .jpg).",
    show_default=False,
)


def require_folder(path: Path) -> None:
    """Raise InputError when the folder that ``path`` is to be written to is not there."""
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}: the folder {path.parent} does not exist; make it first")


def open_pipeline(name: str, backend: str, threads: int, accept_noncommercial: bool) -> "FacePipeline":
    """The pipeline of a profile, its weights fetched with a progress bar where they are missing."""
    from lineament.pipeline import FacePipeline

    profile = fetch_profile(name, accept_noncommercial)
    return FacePipeline.from_settings(profile, asked_runtime(backend, threads))


def open_engine(name: str, backend: str, threads: int, accept_noncommercial: bool, pictures: int) -> "Engine":
    """An engine over the pipeline of a profile, for a command that reads many pictures.

    Args:
        name: profile.
        backend: inference runtime.
        threads: at most; 0 lets the machine decide.
        accept_noncommercial: accept the terms of the weights.
        pictures: how many there are; a single one gets all threads, of many each gets one.
    """
    from lineament.pipeline import Engine

    if pictures > 1:
        return Engine(open_pipeline(name, backend, 1, accept_noncommercial), workers=threads)
    return Engine(open_pipeline(name, backend, threads, accept_noncommercial), workers=1)


def fetch_profile(name: str, accept_noncommercial: bool) -> "Profile":
    """A profile, its weights fetched with a progress bar where they are missing."""
    from lineament.zoo.profiles import find_profile

    profile = find_profile(name)
    _fetch(profile.models(), accept_noncommercial)
    return profile


def open_detector(
    name: str, profile: "Profile", backend: str, threads: int, accept_noncommercial: bool
) -> "Detector":
    """A detector by name, looking at the sizes of the profile."""
    from lineament.detection import JointScales, load_detector

    _fetch([name], accept_noncommercial)
    return JointScales(load_detector(name, asked_runtime(backend, threads)), profile.sides_px)


def open_mesh_gate(name: str, backend: str, threads: int, accept_noncommercial: bool) -> "MeshGate":
    """The mesh remover of a profile with its threshold.

    Raises:
        ConfigError: the profile has none.
    """
    from lineament.demesh import load_mesh_gate
    from lineament.zoo.profiles import find_profile

    profile = find_profile(name)
    if not profile.mesh_remover:
        raise ConfigError(f"profile {name} takes no meshes off; use --profile id-photo")
    _fetch([profile.mesh_remover], accept_noncommercial)
    return load_mesh_gate(profile.mesh_remover, profile.clean_touched_rate, asked_runtime(backend, threads))


def asked_runtime(backend: str, threads: int) -> "Runtime":
    """How networks run, by the options of a command."""
    from lineament.zoo.session import Runtime

    return Runtime(cast("Backend", backend), threads=threads)


def embeddings_folder() -> Path:
    """Where embeddings are kept, so that an interrupted run goes on; says so."""
    from lineament.zoo.options import FetchOptions

    folder = FetchOptions.from_environment().cache / "embeddings"
    note(f"embeddings are kept in {folder}")
    return folder


def _fetch(names: Sequence[str], accept_noncommercial: bool) -> None:
    """Get missing weights now, so that a long download shows how far it is."""
    from lineament.zoo.licence import accept, check_licence
    from lineament.zoo.manifest import find_model
    from lineament.zoo.options import FetchOptions
    from lineament.zoo.store import derived_folder, ensure_weights

    for manifest in map(find_model, names):
        if accept_noncommercial:
            accept(manifest.name)
        check_licence(manifest)
        if not derived_folder(manifest, FetchOptions.from_environment()).is_dir():
            with download_progress() as progress:
                ensure_weights(manifest, FetchOptions.from_environment(progress=progress))


def provenance(profile: str, pipeline: "FacePipeline") -> dict[str, Any]:
    """What made a result: profile, weights with their digests, embedding space."""
    return {
        "profile": profile,
        "weights": weights(*pipeline.model_names),
        "space": pipeline.embedding_space,
    }


def weights(*names: str) -> list[dict[str, Any]]:
    """Models with the digests of their published files."""
    from lineament.zoo.manifest import find_model

    found: list[Manifest] = [find_model(name) for name in names]
    return [{"name": m.name, "task": m.task, "sha256": {w.role: w.sha256 for w in m.weights}} for m in found]


def read_picture(path: Path) -> "Image | InputError":
    """The picture, or why it cannot be read: one bad file among many does not stop a command."""
    from lineament.imaging import read_image

    try:
        return read_image(path)
    except InputError as error:
        return error


def find_gallery(path: Path) -> str:
    """Embedding space of the gallery at ``path``; asked first, because loading networks takes longer.

    Raises:
        GalleryNotFound: there is none; says how to make one.
        GalleryError: something else is there.
    """
    from lineament.gallery import stored_space

    if not path.exists():
        raise GalleryNotFound(
            f'no gallery at {path}; make one with "lineament enroll NAME PICTURE... --gallery {path}", '
            "or say where it is with --gallery"
        )
    return stored_space(path)


def open_gallery(path: Path) -> "Gallery":
    """The gallery that is there, in whatever embedding space it holds."""
    from lineament.gallery import Gallery

    return Gallery.open(path, space=find_gallery(path))


def worst(codes: Sequence[Exit]) -> Exit:
    """The exit code of several results: the highest one."""
    return max(codes, default=Exit.DONE)
