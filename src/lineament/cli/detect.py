"""``lineament detect``: which faces are in a picture?"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lineament.cli import common, results
from lineament.cli.exits import Exit
from lineament.cli.output import JsonFlag, print_json, progress
from lineament.cli.targets import result_files
from lineament.core.errors import InputError

if TYPE_CHECKING:
    from lineament.core.types import Image
    from lineament.detection import Detector, Upright


@dataclass(frozen=True, slots=True)
class Looked:
    """One picture with its faces, or why it cannot be read."""

    path: Path
    found: "tuple[Image, Upright] | InputError"
    drawn: Path | None = None


def detect(
    images: list[str] = common.PICTURES,
    out: Path = typer.Option(
        None,
        "--out",
        "-o",
        help="Write annotated pictures: a file (.png, .jpg) for one picture, else a folder.",
        show_default=False,
    ),
    detector: str = typer.Option(
        "", "--detector", help="Instead of the profile's detector.", show_default=False
    ),
    profile: str = common.PROFILE,
    backend: str = common.BACKEND,
    threads: int = common.THREADS,
    accept_noncommercial: bool = common.ACCEPT,
    as_json: bool = JsonFlag,
) -> None:
    """Which faces are in a picture: boxes, five points, scores, and the turn that makes it upright.

    Coordinates are px of the upright picture; the origin is the centre of its top-left pixel. Exit code 0: a face
    in every picture; 1: no face in one of them; 4: a file cannot be read. The highest code counts.

    Examples: lineament detect party.jpg -o marked.png · lineament detect photos/ -o marked/ --json
    """
    from lineament.imaging import find_images
    from lineament.zoo.profiles import find_profile

    files = find_images(images)
    targets = result_files(files, out) if out is not None else {}
    chosen = find_profile(profile)
    model = common.open_detector(detector or chosen.detector, chosen, backend, threads, accept_noncommercial)
    looked = [_look(model, path, targets.get(path)) for path in progress(files, "detecting")]
    if as_json:
        facts = {"profile": profile, "weights": common.weights(model.name)}
        print_json(facts | {"results": [_json(one) for one in looked]})
    raise typer.Exit(common.worst([_say(one, quiet=as_json) for one in looked]))


def _look(model: "Detector", path: Path, target: Path | None) -> Looked:
    from lineament.detection import find_upright
    from lineament.imaging import draw_detections, write_image

    image = common.read_picture(path)
    if isinstance(image, InputError):
        return Looked(path, image)
    upright = find_upright(model, image.pixels)
    if target is not None:
        faces = upright.detections
        labels = [f"{i}: {score:.2f}" for i, score in enumerate(faces.scores, start=1)]
        write_image(target, draw_detections(upright.pixels, faces, labels))
    return Looked(path, (image, upright), target)


def _say(looked: Looked, quiet: bool) -> Exit:
    """Print the faces of one picture; returns its exit code."""
    if isinstance(looked.found, InputError):
        return results.say_failed(looked.found)
    image, upright = looked.found
    faces = upright.detections
    if not quiet:
        turned = [f"turned {upright.rotation_deg}° clockwise"] if upright.rotation_deg else []
        notes = "; ".join([*turned, *image.notes])
        print(
            f"{looked.path}  {image.width}×{image.height} px  {results.count(len(faces), 'face')}"
            + (f"  ({notes})" if notes else "")
        )
        for number, face in enumerate(faces, start=1):
            left, top, right, bottom = face.box.tolist()
            print(
                f"  {number}  score {face.score:.2f}  {right - left:.0f}×{bottom - top:.0f} px "
                f"at {left:.0f},{top:.0f}"
            )
    return Exit.DONE if len(faces) else Exit.NO_MATCH


def _json(looked: Looked) -> dict[str, Any]:
    row: dict[str, Any] = {"path": str(looked.path), "width": None, "height": None, "rotation_deg": None}
    row |= {"notes": [], "faces": [], "drawn": looked.drawn and str(looked.drawn), "error": None}
    if isinstance(looked.found, InputError):
        return row | {"error": results.error_json(looked.found)}
    image, upright = looked.found
    height, width = upright.pixels.shape[:2]
    row |= {"width": width, "height": height, "rotation_deg": upright.rotation_deg}
    row |= {"notes": list(image.notes), "faces": [results.detection_json(f) for f in upright.detections]}
    return row
