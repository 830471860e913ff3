"""``lineament embed``: templates of pictures for other programs."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lineament.cli import common, results
from lineament.cli.exits import Exit
from lineament.cli.output import JsonFlag, print_json, progress
from lineament.core.errors import InputError

if TYPE_CHECKING:
    from lineament.core.types import Face, Refusal
    from lineament.pipeline import FacePipeline


def _npz(value: Path) -> Path:
    if value.suffix.lower() != ".npz":
        raise typer.BadParameter(f"{value} must end in .npz", param_hint="--out")
    common.require_folder(value)
    return value


def embed(
    images: list[str] = common.PICTURES,
    out: Path = typer.Option(
        ..., "--out", "-o", callback=_npz, help="File to write (.npz, read it with NumPy; no pickle)."
    ),
    profile: str = common.PROFILE,
    backend: str = common.BACKEND,
    threads: int = common.THREADS,
    accept_noncommercial: bool = common.ACCEPT,
    as_json: bool = JsonFlag,
) -> None:
    """Write the templates of pictures of one person each to a NumPy file.

    The file holds: vectors (N, D) float32 of unit length, space (id; only equal ones compare), paths (N,), boxes
    (N, 4) px, rotations_deg (N,), refused_paths (M,), refused_reasons (M,). Exit code 0: every picture gave a
    template; 3: some were refused; 4: some cannot be read. The highest code counts.

    Example: lineament embed photos/ -o photos.npz
    """
    from lineament.core.types import Refusal
    from lineament.imaging import find_images

    files = find_images(images)
    with common.open_engine(profile, backend, threads, accept_noncommercial, len(files)) as engine:
        pipeline = engine.pipeline
        results_in_order = engine.map(_extract, files)
        found = {path: next(results_in_order) for path in progress(files, "embedding")}
    _write(out, found, pipeline.embedding_space, pipeline.embedder.dimension)
    codes = [_say(path, result) for path, result in found.items()]
    count = codes.count(Exit.DONE)
    if as_json:
        refused = [
            {"path": str(p), "refusal": results.refusal_json(r)}
            for p, r in found.items()
            if isinstance(r, Refusal)
        ]
        errors = [
            {"path": str(p), "error": results.error_json(r)}
            for p, r in found.items()
            if isinstance(r, InputError)
        ]
        facts = {"file": str(out), "templates": count} | common.provenance(profile, pipeline)
        print_json(facts | {"refused": refused, "errors": errors})
    else:
        print(f"wrote {results.count(count, 'template')} of {len(found):,} pictures to {out}")
    raise typer.Exit(common.worst(codes))


def _extract(pipeline: "FacePipeline", path: Path) -> "Face | Refusal | InputError":
    image = common.read_picture(path)
    return image if isinstance(image, InputError) else pipeline.extract_one(image)


def _say(path: Path, result: "Face | Refusal | InputError") -> Exit:
    from lineament.core.types import Refusal

    if isinstance(result, Refusal):
        return results.say_refused(path, result)
    return results.say_failed(result) if isinstance(result, InputError) else Exit.DONE


def _write(out: Path, found: "dict[Path, Face | Refusal | InputError]", space: str, dimension: int) -> None:
    """Write the file whole or not at all.

    Raises:
        InputError: it cannot be written there.
    """
    import numpy as np

    from lineament.core.types import Face, Refusal
    from lineament.zoo.files import write_atomic

    faces = {str(p): r for p, r in found.items() if isinstance(r, Face)}
    refused = {
        str(p): r.reason.value if isinstance(r, Refusal) else "unreadable"
        for p, r in found.items()
        if not isinstance(r, Face)
    }
    stream = BytesIO()
    np.savez(
        stream,
        allow_pickle=False,
        vectors=np.array([f.embedding.vector for f in faces.values()], np.float32).reshape(-1, dimension),
        space=np.array(space),
        paths=np.array(list(faces), np.str_),
        boxes=np.array([f.detection.box for f in faces.values()], np.float32).reshape(-1, 4),
        rotations_deg=np.array([f.rotation_deg for f in faces.values()], np.int64),
        refused_paths=np.array(list(refused), np.str_),
        refused_reasons=np.array(list(refused.values()), np.str_),
    )
    try:
        write_atomic(out, stream.getvalue())
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}; choose a folder that has room") from error
